"""The pictures and tables of docs/architecture.md are those of the code."""

from __future__ import annotations

import subprocess
import sys

from pages import ROOT

SCRIPT = ROOT / "scripts" / "architecture"


def test_the_page_shows_the_rooms_and_a_trials_way_as_they_are() -> None:
    """Launches a study of one trial, and observes it."""
    check = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


def test_an_epoch_passes_few_files() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = page.split("<!-- made: epoch -->")[1].split("<!-- end -->")[0].count("| `")
    assert 0 < rows <= 10
