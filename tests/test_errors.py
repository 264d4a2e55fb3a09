"""All errors are one tree: users catch its root, or the branch that they expect."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import kerastudy as ks
from search_spaces import errors
from studies.commands import telling_errors
from studies.user_code import resolve_target
from tracking.history import compare

ROOT = Path(__file__).parents[1]
TREE = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, ks.KerastudyError)
]
# They pass through the `except Exception` of a user's file or function, on purpose.
NO_ERRORS = {"FunctionEnded", "Launched", "StudyLaunched", "_Reached"}


def classes() -> Iterator[tuple[str, list[str]]]:
    """Every class of the product, and the names of its bases."""
    for floor in ("search_spaces", "tracking", "studies"):
        for file in (ROOT / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    yield node.name, [ast.unparse(base) for base in node.bases]


def test_every_exception_derives_from_the_root() -> None:
    bases = dict(classes())

    def ancestors(name: str) -> set[str]:
        return {name}.union(*map(ancestors, bases.get(name, ())))

    def is_exception(name: str) -> bool:
        found = getattr(builtins, name, None)
        return inspect.isclass(found) and issubclass(found, BaseException)

    exceptions = {name for name in bases if any(map(is_exception, ancestors(name)))}
    assert len(exceptions) > len(TREE)
    outside = {name for name in exceptions if "KerastudyError" not in ancestors(name)}
    assert outside == NO_ERRORS


def test_the_page_draws_its_tree() -> None:
    drawn: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]*)(\w+Error)\b", line)
        if found:
            depth = (len(found[1]) - 4) // 4
            above[depth] = found[2]
            drawn[found[2]] = above.get(depth - 1, "Exception")
    assert drawn == {each.__name__: each.__bases__[0].__name__ for each in TREE}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_the_command_line_catches_the_root(kind: type[ks.KerastudyError]) -> None:
    @click.command()
    @telling_errors
    def command() -> None:
        raise kind("what was wrong")

    result = CliRunner().invoke(command)
    assert (result.exit_code, result.stderr) == (2, "kerastudy: what was wrong\n")


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (OSError(28, "No space left", "a file"), "No space left: 'a file'. Recorded trials"),
        (sqlite3.OperationalError("locked"), "database cannot be used: locked."),
    ],
)
def test_a_full_disk_and_a_locked_database_are_errors_of_the_store(
    raised: Exception, line: str
) -> None:
    @click.command()
    @telling_errors
    def command() -> None:
        raise raised

    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert line in result.stderr


def arrays(**options: Any) -> ks.Study:
    data = ks.datasets.arrays(np.zeros((8, 2), "float32"), np.arange(8) % 2)
    return ks.Study(**{"name": "x", "data": data, "build": lambda hp: None, **options})


def read_unknown() -> None:
    _ = ks.Hyperparameters(ks.SearchSpace(ks.dropout()), {"dropout": 0.1})["nope"]


def change() -> None:
    ks.Float("rate", 0.0, 1.0).low = 0.5  # type: ignore[misc]


CASES: list[tuple[type[Exception], Callable[[Path], object]]] = [
    (ks.errors.SearchSpaceError, lambda folder: ks.Float("rate", 1.0, 0.0)),
    (ks.errors.HyperparameterError, lambda folder: read_unknown()),
    (errors.UnchangeableError, lambda folder: change()),
    (ks.errors.DataError, lambda folder: ks.datasets.arrays(np.zeros((8, 2)), np.zeros(7)).load()),
    (ks.errors.StudyError, lambda folder: arrays(trials=0)),
    (ks.errors.StudyFileError, lambda folder: resolve_target("nope.py")),
    (ks.errors.BuilderError, lambda folder: arrays().launch(store=folder / "store")),
    (ks.errors.ObjectiveError, lambda folder: arrays(objective="")),
    (ks.errors.EngineError, lambda folder: arrays(engine="optuna:tpee")),
    (ks.errors.StoreError, lambda folder: ks.list_studies(folder / "what?")),
    (errors.StudyNameError, lambda folder: arrays(name="a/b")),
    (ks.errors.ComparisonError, lambda folder: compare([])),
]


@pytest.mark.parametrize(("kind", "wrong"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_python_raises_the_branch(
    kind: type[Exception], wrong: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(kind) as raised:
        wrong(tmp_path)
    assert isinstance(raised.value, ks.KerastudyError)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ks.errors.SearchSpaceError, ValueError),
        (ks.errors.HyperparameterError, KeyError),
        (errors.UnchangeableError, AttributeError),
        (ks.errors.DataError, ValueError),
        (ks.errors.ObjectiveError, ValueError),
        (ks.errors.EngineError, ValueError),
        (ks.errors.ComparisonError, ValueError),
    ],
)
def test_some_are_also_what_python_would_raise(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)
