"""Takes names out of a builder's text that its file imports, and a script must not."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from studies.exporting.scripts.code_edits import Edits, assigned, path_of


def take_annotations(tree: ast.Module, gone: Mapping[str, str], edits: Edits) -> None:
    """Takes out annotations that name what is left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and _names_any(node.annotation, gone):
            edits.replace(node, node.arg)
        elif isinstance(node, ast.FunctionDef) and _names_any(node.returns, gone):
            assert node.returns is not None
            edits.replace(node.returns, "object")


def _names_any(node: ast.expr | None, gone: Mapping[str, str]) -> bool:
    return node is not None and any(path_of(each, gone) for each in ast.walk(node))


def without_unused(text: str, gone: Mapping[str, str]) -> str:
    """Returns a text without assignments that use what is left out, and that nothing uses."""
    tree = ast.parse(text)
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and _names_any(statement.value, gone):
            others = [n for each in tree.body if each is not statement for n in ast.walk(each)]
            names = assigned(statement)
            wanted = any(name.startswith("__") for name in names)
            if not wanted and not any(isinstance(n, ast.Name) and n.id in names for n in others):
                edits = Edits(text)
                edits.replace(statement, "")
                return without_unused(edits.made(), gone)
    return text


def read_data(tree: ast.Module, node: ast.Attribute, gone: Mapping[str, str], edits: Edits) -> None:
    """Replaces ``data.load().train.y`` by the name that the script has for it."""
    part = node.value
    if not (
        node.attr in ("x", "y")
        and isinstance(part, ast.Attribute)
        and part.attr in ("train", "validation")
        and isinstance(part.value, ast.Call)
        and isinstance(part.value.func, ast.Attribute)
        and part.value.func.attr == "load"
        and isinstance(part.value.func.value, ast.Name)
    ):
        return
    name = part.value.func.value.id
    for statement in tree.body:
        if assigned(statement) == {name}:
            made = getattr(statement, "value", None)
            if isinstance(made, ast.Call) and ".datasets." in path_of(made.func, gone):
                edits.replace(node, f"{node.attr}_{part.attr}")
