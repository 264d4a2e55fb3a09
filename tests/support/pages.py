"""Runs the blocks of code in a page of the documentation, in order, in a folder of the page.

CONTRIBUTING.md says which blocks run. A comment ``invisible-code-block: python`` has code that
readers don't see. ``# exits with 1`` after a command names its exit code.
"""

import contextlib
import functools
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
from in_mlflow import wait_for_exporters
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from user_commands import kerastudy_here

import kerastudy as ks
from studies.commands import kerastudy

ROOT = Path(__file__).parents[2]
FILE_NAME = re.compile(r"# ([\w.-]+\.py)\n")


def recipe_of_honesty() -> Any:
    """Returns the function of the page on honesty: the corrected value and its interval."""
    page = (ROOT / "docs" / "honesty.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(block, names)
    return names["expect"]


# These options shorten launches. They come last, and the last value of an option counts.
FEW = {"trials": 2, "verify": "off", "report": False, "progress": False}
FEW_OPTIONS = {
    "launch": "--trials 2 --epochs 2 --verify off --no-report --executor in-process",
    "confirm": "--top 2 --budget 2 --no-test --executor in-process",
    "report": "--no-open",
}
# On shortened pages, only the arguments of these commands are checked, as they take long.
CHECKED = ("push", "report", "reproduce", "evaluate", "promote", "export")
# With this variable, launches send studies to MLflow.
IN_MLFLOW = {"KERASTUDY_MLFLOW": ""}


def pages() -> list[Path]:
    papers = [ROOT / "README.md", ROOT / "README.ko.md"]
    return [*filter(Path.is_file, papers), *sorted((ROOT / "docs").glob("*.md"))]


def recipe_of(module: str) -> str:
    """Returns the script of docs/reproducing.md that trains by hand, for a module's study."""
    text = (ROOT / "docs" / "reproducing.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(# by_hand\.py\n.*?)```", text, re.DOTALL)
    script, count = re.subn(r"from studies\.catalog\.\w+ import", f"from {module} import", block[1])
    assert count == 1
    return script


def run_page(page: Path, folder: Path, *, short: bool, seed: int | None = None) -> int:
    """Runs the blocks of a page in a folder, and returns the number of blocks.

    If `short`, launches are shortened, and some commands don't run.
    """
    command = functools.partial(bash, short=short, seed=seed)
    parsers = [PythonCodeBlockParser(), CodeBlockParser("bash", command), SkipParser()]
    count = 0
    with contextlib.chdir(folder), own_modules(folder), short_launches(short):
        document = Sybil(parsers).parse(page)
        document.namespace["__name__"] = "__main__"
        for example in document.examples():
            count += 1
            if not written(example):
                example.evaluate()
    return count


def write_files(page: Path, folder: Path) -> None:
    """Writes the files that the page's blocks of Python name."""
    with contextlib.chdir(folder):
        for example in Sybil([PythonCodeBlockParser()]).parse(page).examples():
            written(example)


def check_page(page: Path) -> None:
    """Compiles a page's Python blocks, and checks the options and arguments of its commands."""

    def compiled(example: Example) -> None:
        compile(example.parsed, f"{example.path}:{example.line}", "exec")

    def understood(example: Example) -> None:
        for words, place in commands(example):
            if words[0].endswith("kerastudy"):
                check_arguments(words[1:], place)

    parsers = [
        CodeBlockParser("python", compiled),
        CodeBlockParser("bash", understood),
        SkipParser(),
    ]
    for example in Sybil(parsers).parse(page).examples():
        example.evaluate()


def commands(example: Example) -> Iterator[tuple[list[str], str]]:
    """Yields the words of each command of a block, and its place."""
    for line in example.parsed.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        place = f"{example.path}:{example.line}: {line}"
        if words:
            runs = words[0].endswith("kerastudy") or (
                words[0].endswith("python") and len(words) > 1 and words[1].endswith(".py")
            )
            assert runs, f"{place}: only kerastudy and python run; skip the block"
            yield words, place


def written(example: Example) -> bool:
    """Writes the file that a block names. Returns False if the block names none."""
    text = example.parsed if isinstance(example.parsed, str) else ""
    named = FILE_NAME.match(text)
    if named is None:
        return False
    Path(named[1]).write_text(text, encoding="utf-8")
    return True


def bash(example: Example, *, short: bool, seed: int | None) -> None:
    for words, place in commands(example):
        if "launch" in words[1:2] and seed is not None:
            words += ["--seed", str(seed)]
        expected = re.search(r"# exits with (\d+)$", place)
        if words[0].endswith("kerastudy"):
            check_arguments(words[1:], place)
            runs_command(words[1:], int(expected[1]) if expected else 0, place, short)
        else:
            with patch.object(sys, "argv", words[1:]):
                runpy.run_path(words[1], run_name="__main__")


def check_arguments(words: list[str], place: str) -> None:
    """Checks a command's options and arguments, as click does before it runs one."""
    name, *arguments = words
    if name.startswith("-"):
        return
    context = click.Context(kerastudy, info_name="kerastudy")
    command = kerastudy.get_command(context, name)
    assert command is not None, place
    try:
        command.make_context(name, arguments, parent=context)
    except click.ClickException as error:
        # The file is one that an earlier block would write.
        message = error.format_message()
        assert message.endswith("does not exist."), f"{place}: {message}"
    except click.exceptions.Exit:
        pass


def runs_command(words: list[str], expect: int, place: str, short: bool) -> None:
    # A server runs until Ctrl-C.
    if words[0] == "ui" or (short and words[0] in CHECKED):
        return
    if short:
        if "--workers" in words:
            place = words.index("--workers")
            words = words[:place] + words[place + 2 :]
        words = [*words, *FEW_OPTIONS.get(words[0], "").split()]
    # Later blocks may read MLflow.
    answer = kerastudy_here(Path.cwd(), *words, expect=None, **({} if short else IN_MLFLOW))
    wait_for_exporters()
    assert answer.returncode == expect, f"{place}\n{answer.stdout}{answer.stderr}"


@contextlib.contextmanager
def own_modules(folder: Path) -> Iterator[None]:
    """Lets blocks import files of their folder, and forgets these afterwards."""
    before = set(sys.modules)
    with patch.object(sys, "path", [str(folder), *sys.path]):
        yield
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@contextlib.contextmanager
def short_launches(short: bool) -> Iterator[None]:
    """Makes `study.launch()` train two trials and verify none."""
    if not short:
        yield
        return
    launch = ks.Study.launch

    def launched(study: ks.Study, **options: Any) -> Any:
        return launch(study, **{**options, **FEW})

    with patch.object(ks.Study, "launch", launched):
        yield
