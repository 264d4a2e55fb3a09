"""All errors are one tree: users catch its root, or the branch that they expect."""

import ast
import builtins
import inspect
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import kerastudy as ks
from search_spaces import errors
from studies.commands import telling_errors
from tracking.history import compare

ROOT = Path(__file__).parents[2]
TREE = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, ks.KerastudyError)
]
# They pass through the `except Exception` of a user's file or function, on purpose.
NO_ERRORS = {"FunctionEnded", "Launched", "ReportingFailed", "StudyLaunched"}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yields every node of the product's code, with the name of its file."""
    for floor in ("search_spaces", "tracking", "studies"):
        for file in (ROOT / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                yield file.name, node


def classes() -> Iterator[tuple[str, list[str]]]:
    """Yields every class of the product, and the names of its bases."""
    for _, node in nodes():
        if isinstance(node, ast.ClassDef):
            yield node.name, [ast.unparse(base) for base in node.bases]


def test_one_file_writes_what_was_received() -> None:
    texts = [(file, str(n.value)) for file, n in nodes() if isinstance(n, ast.Constant)]
    assert {file for file, text in texts if "Received" in text} == {"errors.py"}


def test_an_error_of_another_class_keeps_its_fields() -> None:
    error = ks.errors.DataError.of_setting("rows", "a number", "ten", "Count them.")
    other = error.of_kind(ks.errors.StudyError, "Data: ")
    assert vars(other) == vars(error)
    assert str(other) == "Data: rows must be a number. Received: 'ten'. Count them."


def test_every_exception_derives_from_the_root() -> None:
    bases = dict(classes())

    def ancestors(name: str) -> set[str]:
        return {name}.union(*map(ancestors, bases.get(name, ())))

    def is_exception(name: str) -> bool:
        builtin = getattr(builtins, name, None)
        return inspect.isclass(builtin) and issubclass(builtin, BaseException)

    exceptions = {name for name in bases if any(map(is_exception, ancestors(name)))}
    assert len(exceptions) > len(TREE)
    outside = {name for name in exceptions if "KerastudyError" not in ancestors(name)}
    assert outside == NO_ERRORS


def test_the_page_draws_its_tree() -> None:
    tree: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([ │├└─]*)(\w+Error)\b", line)
        if match:
            depth = (len(match[1]) - 4) // 4
            above[depth] = match[2]
            tree[match[2]] = above.get(depth - 1, "Exception")
    assert tree == {error.__name__: error.__bases__[0].__name__ for error in TREE}


# The command line catches the root: every other error is of its tree.
RAISED: dict[Exception, str] = {
    ks.errors.DataError("what was wrong"): "kerastudy: what was wrong\n",
    OSError(28, "No space left", "a file"): "No space left: 'a file'. Recorded trials",
    sqlite3.OperationalError("locked"): "database cannot be used: locked.",
}


@pytest.mark.parametrize(("raised", "line"), RAISED.items(), ids=str)
def test_the_command_line_tells_errors_in_a_line(raised: Exception, line: str) -> None:
    @click.command()
    @telling_errors
    def command() -> None:
        raise raised

    result = CliRunner().invoke(command)
    assert result.exit_code == 2 and line in result.stderr


def test_wrong_values_are_also_what_python_would_raise() -> None:
    """The tests of each room see that it raises its branch."""
    for branch in "Comparison Data Engine Objective SearchSpace StudyName".split():
        assert issubclass(getattr(errors, f"{branch}Error"), ValueError), branch
    with pytest.raises(ks.errors.ComparisonError):
        compare([])
