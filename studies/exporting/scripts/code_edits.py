"""Edits of a text by the nodes of its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Mapping


class Edits:
    """Replacements of nodes in a text."""

    def __init__(self, text: str) -> None:
        self._lines = text.encode().splitlines(keepends=True)
        self._edits: dict[tuple[int, int], tuple[int, str]] = {}

    def replace(self, node: ast.AST, by: str) -> None:
        """Replaces a node, with its whole lines if by nothing."""
        place: ast.expr = node  # type: ignore[assignment]
        assert place.end_lineno is not None and place.end_col_offset is not None
        start = self._offset(place.lineno, place.col_offset)
        self._edits[start, len(by)] = self._offset(place.end_lineno, place.end_col_offset), by

    def made(self) -> str:
        """Returns the text with all replacements; those within others are dropped."""
        text, last = b"".join(self._lines), 0
        parts = []
        for (start, _), (end, by) in sorted(self._edits.items()):
            if start >= last:
                parts += [text[last:start], by.encode()]
                last = end
        return b"".join([*parts, text[last:]]).decode()

    def _offset(self, line: int, column: int) -> int:
        return sum(map(len, self._lines[: line - 1])) + column


def path_of(node: ast.AST, gone: Mapping[str, str]) -> str:
    """Returns the full name of what is left out, if a node names it; else nothing."""
    if isinstance(node, ast.Name):
        return gone.get(node.id, "") if isinstance(node.ctx, ast.Load) else ""
    if isinstance(node, ast.Attribute):
        before = path_of(node.value, gone)
        return f"{before}.{node.attr}" if before else ""
    return ""


def assigned(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement defines where it stands."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    stored = (n for n in ast.walk(statement) if isinstance(n, ast.Name))
    return {n.id for n in stored if isinstance(n.ctx, ast.Store)}
