"""The code of the documentation runs: pages, examples, the notebook, docstrings."""

import doctest
import functools
import inspect
import linecache
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pages as support
import pytest
from pages import ROOT, check_page, pages, run_page, short_launches
from suite import one_thread
from user_commands import as_json, environment, kerastudy_here, run

import kerastudy as ks

PAGES = [str(page.relative_to(ROOT)) for page in pages()]
TUTORIAL = "docs/tutorial.md"
# TensorFlow has the threads of a trial, as in the other tests: see conftest.
RUN = """
import sys
from pages import Path, run_page
from suite import one_thread

one_thread()
page, folder, *seed = sys.argv[1:]
run_page(Path(page), Path(folder), short=False, seed=int(seed[0]) if seed else None)
"""


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_can_be_run_and_its_names_exist(page: str) -> None:
    check_page(ROOT / page)
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"\bks\.(\w+(?:\.\w+)*)", text):
        functools.reduce(getattr, name.split("."), ks)
    for call, function in (("Study", ks.Study), ("launch", ks.Study.launch)):
        named = re.findall(rf"`(?:study\.)?{call}\((\w+)=", text)
        assert set(named) <= set(inspect.signature(function).parameters), call


@pytest.mark.parametrize(("page", "seed"), [("README.md", None), (TUTORIAL, 7)])
def test_the_code_of_a_first_page_runs(tmp_path: Path, page: str, seed: int | None) -> None:
    """Launches have few trials, and no command starts another process."""
    one_thread()
    assert run_page(ROOT / page, tmp_path, short=True, seed=seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("page", "seed"), [*((page, ()) for page in PAGES), (TUTORIAL, ("7",)), (TUTORIAL, ("8",))]
)
def test_a_page_runs_as_it_stands(tmp_path: Path, page: str, seed: tuple[str, ...]) -> None:
    """The page has a process of its own, as MLflow opens a relative address once in a process."""
    path = str(Path(support.__file__).parent)
    command = [sys.executable, "-c", RUN, str(ROOT / page), str(tmp_path), *seed]
    run(tmp_path, command, PYTHONPATH=path, **support.IN_MLFLOW)


def test_both_readmes_have_the_same_commands() -> None:
    english, korean = (
        re.findall(r"^kerastudy [\w-]+ [\w.]+", (ROOT / name).read_text(encoding="utf-8"), re.M)
        for name in ("README.md", "README.ko.md")
    )
    assert english == korean and english


EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "first_study.ipynb"
FILES = sorted(file.name for file in EXAMPLES.glob("*.py"))
SHORT = ("--epochs", "1", "--verify", "off", "--executor", "in-process", "--json")


@pytest.mark.exhaustive
@pytest.mark.parametrize("file", FILES)
def test_an_example_launches(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    document = as_json(kerastudy_here(folder, "launch", file, "--trials", "1", *SHORT))
    assert document["trials"]["complete"] == 1
    assert document["best"]["value"] is not None


def test_every_example_is_in_the_list_and_the_notebook_is_kept_without_output() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{file}`" in text for file in [*FILES, NOTEBOOK.name])
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None)


def test_the_cells_of_the_notebook_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in this process, with two trials, without the cell that needs another one."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with short_launches(True):
        for number, cell in enumerate(nbformat.read(NOTEBOOK, as_version=4).cells):
            if cell.cell_type == "code" and "reproduce(" not in cell.source:
                file, lines = f"<cell {number}>", cell.source.splitlines(keepends=True)
                linecache.cache[file] = (len(cell.source), None, lines, file)
                exec(compile(cell.source, file, "exec"), names)
    assert names["results"].best.value > 0.3


@pytest.mark.exhaustive
def test_the_notebook_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its study is reproduced in a worker. A command can't send it there."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert notebook.cells[-1].outputs[0]["data"]["text/plain"] == "True"
    error = kerastudy_here(tmp_path, "reproduce", "digits in a notebook", expect=2).stderr
    assert "study.reproduce(" in error


def doctests() -> Iterator[doctest.DocTest]:
    """Yields the examples of what `kerastudy` exports, and of what its modules export."""
    finder = doctest.DocTestFinder(recurse=True, exclude_empty=True)
    for name in ks.__all__:
        member = getattr(ks, name)
        parts = [member]
        if inspect.ismodule(member):
            parts = [value for _, value in inspect.getmembers(member, inspect.isroutine)]
        elif inspect.isclass(member):
            parts = [part for part in member.__mro__ if part is not object]
        for part in filter(lambda part: inspect.isclass(part) or inspect.isroutine(part), parts):
            module = inspect.getmodule(part)
            yield from finder.find(part, part.__qualname__, module=module, globs={"ks": ks})


DOCTESTS = [
    test for test in {test.docstring: test for test in doctests()}.values() if test.examples
]


@pytest.mark.parametrize("example", DOCTESTS, ids=lambda test: test.name)
def test_an_example_of_a_docstring(
    example: doctest.DocTest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some examples use TensorFlow, and a process keeps the threads that it had first.
    one_thread()
    monkeypatch.chdir(tmp_path)
    outputs: list[str] = []
    failed, _ = doctest.DocTestRunner().run(example, out=outputs.append, clear_globs=False)
    assert len(DOCTESTS) >= 35 and not failed, "".join(outputs)
