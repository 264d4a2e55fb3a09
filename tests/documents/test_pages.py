"""The code on the documentation's pages, the examples, the notebook: they run; and the schemas."""

from __future__ import annotations

import functools
import inspect
import json
import linecache
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import nbclient
import nbformat
import pages as support
import pytest
from pages import ROOT, check_page, pages, run_page, short_launches
from suite import exhaustive_but
from user_commands import as_json, environment, kerastudy_here, write_study

import kerastudy as ks

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


EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "first_study.ipynb"
FILES = sorted(file.name for file in EXAMPLES.glob("*.py"))
SHORT = ("--trials", "1", "--epochs", "1", "--verify", "off", "--executor", "in-process")


@pytest.mark.parametrize("file", exhaustive_but([], FILES))
def test_an_example_launches(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    document = as_json(kerastudy_here(folder, "launch", file, *SHORT, "--json"))
    assert document["trials"]["complete"] == 1
    assert document["best"]["value"] is not None


def test_every_example_is_in_the_list() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for file in [*FILES, NOTEBOOK.name]:
        assert f"`{file}`" in text


def test_the_cells_of_the_notebook_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, with two trials; without the cell that needs another process."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    with short_launches(True):
        for number, cell in enumerate(nbformat.read(NOTEBOOK, as_version=4).cells):
            if cell.cell_type == "code" and "reproduce(" not in cell.source:
                file = f"<cell {number}>"
                linecache.cache[file] = (
                    len(cell.source),
                    None,
                    cell.source.splitlines(keepends=True),
                    file,
                )
                exec(compile(cell.source, file, "exec"), names)
    assert names["results"].best.value > 0.3  # type: ignore[attr-defined]


@pytest.mark.exhaustive
def test_the_notebook_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert notebook.cells[-1].outputs[0]["data"]["text/plain"] == "True"


def test_the_notebook_is_kept_without_output() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None)


LAUNCH = ("--trials", "2", "--verify", "off", "--executor", "in-process")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("schemas")
    write_study(folder)
    return folder, as_json(kerastudy_here(folder, "launch", "study.py", *LAUNCH, "--json"))


def check(document: Any, name: str) -> None:
    """Checks a document; and that the schema names all that it has."""
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert set(document) <= set(schema["properties"])


def test_of_a_study(launched: tuple[Path, Any]) -> None:
    check(launched[1], "study")


def test_of_a_trial(launched: tuple[Path, Any]) -> None:
    folder, study = launched
    number = str(study["best"]["trial"])
    check(
        as_json(kerastudy_here(folder, "show", study["study"], "--trial", number, "--json")),
        "trial",
    )


@pytest.mark.parametrize("page", PAGES)
def test_names_on_a_page_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"\bks\.(\w+(?:\.\w+)*)", text):
        functools.reduce(getattr, name.split("."), ks)
    for call, function in (("Study", ks.Study), ("launch", ks.Study.launch)):
        named = re.findall(rf"`(?:study\.)?{call}\((\w+)=", text)
        assert set(named) <= set(inspect.signature(function).parameters), call
