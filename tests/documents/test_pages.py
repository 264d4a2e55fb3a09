"""The code on the pages of the documentation: it runs, or can at least be run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pages as support
import pytest
from pages import ROOT, check_page, pages, run_page
from user_commands import environment

PAGES = [str(page.relative_to(ROOT)) for page in pages()]
# What newcomers see first. All other pages run before a release.
FIRST = ["README.md"]
# With the threads of a trial, as the other tests have: see conftest.
RUN = """
import sys
from pages import Path, run_page
from studies.training import configure_tensorflow

configure_tensorflow(1)
run_page(*map(Path, sys.argv[1:]), short=False)
"""


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_can_be_run(page: str) -> None:
    check_page(ROOT / page)


def test_the_check_finds_what_cannot_be_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text in (
        "```bash\nkerastudy launch digits --nonsense\n```\n",
        "```bash\nkerastudy lunch digits\n```\n",
        "```bash\nls\n```\n",
        "```python\nx = = 1\n```\n",
    ):
        page.write_text(text, encoding="utf-8")
        with pytest.raises((AssertionError, SyntaxError)):
            check_page(page)


@pytest.mark.parametrize("page", FIRST)
def test_the_code_of_a_page_runs(tmp_path: Path, page: str) -> None:
    """With few trials, and without what would start another process."""
    assert run_page(ROOT / page, tmp_path, short=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("page", PAGES)
def test_it_runs_as_it_stands(tmp_path: Path, page: str) -> None:
    """In a process of its own: MLflow opens a relative address once in a process."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT / page), str(tmp_path)],
        env=environment(PYTHONPATH=str(Path(support.__file__).parent), **support.IN_MLFLOW),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_both_readmes_have_the_same_commands() -> None:
    english, korean = (
        re.findall(r"^kerastudy [\w-]+ [\w.]+", (ROOT / name).read_text(encoding="utf-8"), re.M)
        for name in ("README.md", "README.ko.md")
    )
    assert english == korean and english
