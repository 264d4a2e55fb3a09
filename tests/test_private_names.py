"""Private names of a library are used only in the module of ours for this library.

The tests read the code. Names with an underscore are private, and the modules below. A name that a
file of ours defines itself is ours.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("search_spaces", "tracking", "studies", "benchmarks")
# The module that may use what is private of a library, and the private modules of the library that
# have no underscore.
FENCES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "tensorflow": ("studies/library_internals/tensorflow_internals.py",
                   ("tensorflow.python", "tensorflow.core")),
    "keras": ("studies/library_internals/keras_internals.py", ("keras.src",)),
    "mlflow": ("", ("mlflow.store", "mlflow.utils", "mlflow.server", "mlflow.protos")),
    "optuna": ("studies/library_internals/optuna_internals.py", ()),
    "ray": ("", ("ray._private",)),
    "keras_tuner": ("studies/library_internals/keras_tuner_internals.py", ("keras_tuner.src",)),
}  # fmt: skip
BY_NAME = ("getattr", "setattr", "hasattr", "delattr")
# Python's own, which are public.
PYTHONS = {"_asdict", "_replace", "_fields", "_make", "_exit", "_getframe"}
# Ours, used by another file of ours: by a subclass, or by a module beside it.
SHARED: Mapping[str, set[str]] = {
    "search_spaces/discovery/builder_runs.py": {
        "_readable",
        "_declared",
        "_out_of_scope",
        "_declare",
    }
}


@cache
def sources() -> list[Path]:
    files = [ROOT / "kerastudy.py", *(f for floor in FLOORS for f in (ROOT / floor).rglob("*.py"))]
    # Exported scripts run without kerastudy, so they can't use our module for a library.
    return sorted(file for file in files if file.parent.name != "script_files")


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined_in(tree: ast.AST) -> set[str]:
    """Returns the names of functions, classes, variables, and attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and is_name(node.value, "self"):
            found.add(node.attr)
    return found


def is_name(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def is_called_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and is_name(node.func, "super")


def private_names(tree: ast.AST, ours: set[str], everywhere: set[str]) -> Iterator[tuple[int, str]]:
    """Yields the lines and names of private attributes that are not defined here."""
    for node in ast.walk(tree):
        name, owner = "", None
        if isinstance(node, ast.Attribute):
            name, owner = node.attr, node.value
        elif isinstance(node, ast.Call) and is_name(node.func, *BY_NAME):
            owner, given = node.args[0], node.args[1]
            name = given.value if isinstance(given, ast.Constant) else ""
        if owner is None or not is_private(name) or name in PYTHONS:
            continue
        if is_name(owner, "self", "cls"):
            continue
        # A method that is called by `super()` is the base's: ours if another file defines it.
        if name in (everywhere if is_called_super(owner) else ours):
            continue
        yield node.lineno, name


@cache
def imported(file: Path) -> list[tuple[int, str]]:
    """Returns lines and names of imports, and of attributes that are read without an import."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Attribute) and first_name(node) in FENCES:
            # `keras.src.…` without an import of its own.
            found.append((node.lineno, ast.unparse(node)))
    return found


def first_name(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def test_names_with_an_underscore_are_ours() -> None:
    definitions = {file: defined_in(tree_of(file)) for file in sources()}
    allowed = {module for module, _ in FENCES.values()}
    uses = []
    for file in sources():
        path = str(file.relative_to(ROOT))
        if path not in allowed:
            others = (names for each, names in definitions.items() if each != file)
            ours = definitions[file] | SHARED.get(path, set())
            names = private_names(tree_of(file), ours, set().union(*others))
            uses += [f"{path}:{line}: {name}" for line, name in names]
    assert not uses, "use a function of the library's own module"


@pytest.mark.parametrize("library", FENCES)
def test_private_modules_are_imported_in_the_module_for_their_library(library: str) -> None:
    module, private = FENCES[library]
    uses = []
    for file in sources():
        path = str(file.relative_to(ROOT))
        for line, name in imported(file) if path != module else ():
            hidden = name.split(".")[0] == library and any(map(is_private, name.split(".")))
            if hidden or any(f"{name}.".startswith(f"{each}.") for each in private):
                uses.append(f"{path}:{line}: {name}")
    assert not uses


def test_all_that_is_allowed_is_needed() -> None:
    for path, names in SHARED.items():
        nodes = ast.walk(tree_of(ROOT / path))
        assert names <= {node.attr for node in nodes if isinstance(node, ast.Attribute)}, path
