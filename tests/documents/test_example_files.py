"""The files in examples/ launch, and the notebook runs from top to bottom."""

from __future__ import annotations

import linecache
import shutil
from pathlib import Path

import nbclient
import nbformat
import pytest
from pages import ROOT, short_launches
from suite import exhaustive_but
from user_commands import as_json, environment, kerastudy_here

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
