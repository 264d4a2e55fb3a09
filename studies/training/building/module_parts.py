"""The part of a module's text that some of its classes and functions need."""

from __future__ import annotations

import ast
import symtable
import textwrap
from collections.abc import Collection, Iterator

from studies.user_code.user_modules import imported_names

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Import = ast.Import | ast.ImportFrom


def imports_of(text: str, name: str) -> list[str]:
    """Returns the names of all that a module's text may import."""
    found = imported_names(text, name.rpartition(".")[0], parents=False)
    return [each for each in found if each != name]


class ModulePart:
    """A module's text, and the part of it that a model needs."""

    def __init__(self, name: str, text: str) -> None:
        self.text = text
        self._tree = _parsed(text)
        self.imports = imports_of(text, name)
        self._taken: set[int] = set()
        # Classes and functions that are defined within a function, as text.
        self._lifted: dict[str, str] = {}
        self._definitions: dict[str, list[int]] = {}
        walked = ast.walk(self._tree)
        imported = {name for each in walked if isinstance(each, _Import) for name in _defined(each)}
        for place, statement in enumerate(self._tree.body):
            for defined in {*_defined(statement), *_changed(statement, imported)}:
                self._definitions.setdefault(defined, []).append(place)

    def take(self, name: str) -> str | None:
        """Includes a definition with its needs; returns why it can't, or None if it is missing."""
        places = self._definitions.get(name, ())
        if any(not isinstance(self._tree.body[place], _Import) for place in places):
            self._take_statements(name)
            return ""
        for node in ast.walk(self._tree):
            if isinstance(node, _Definition) and node.name == name:
                free = self._free_names(node)
                if free:
                    used = ", ".join(map(repr, free))
                    return f"{name!r} is defined within a function, and uses {used} of it"
                self._lifted[name] = textwrap.dedent(self._segment(node))
                for each in _names(node):
                    self._take_statements(each)
                return ""
        return None

    @property
    def part(self) -> str:
        """The included text, in the order of the file."""
        parts = [
            self._segment(node)
            for place, node in enumerate(self._tree.body)
            if place in self._taken or getattr(node, "module", "") == "__future__"
        ]
        return "\n\n".join([*parts, *self._lifted.values()] if self._taken or self._lifted else [])

    def _take_statements(self, name: str) -> None:
        for place in self._definitions.get(name, ()):
            if place not in self._taken:
                self._taken.add(place)
                for used in _names(self._tree.body[place]):
                    self._take_statements(used)

    def _segment(self, node: ast.stmt) -> str:
        if isinstance(node, _Import):
            return f"{ast.unparse(node)}\n"
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        lines = self.text.splitlines(keepends=True)[first - 1 : node.end_lineno]
        return "".join(lines).rstrip() + "\n"

    def _free_names(self, node: _Definition) -> list[str]:
        """Returns the local variables of the functions around a definition that it uses."""
        tables = [symtable.symtable(self.text, "<own code>", "exec")]
        while tables:
            table = tables.pop()
            tables += table.get_children()
            if (table.get_name(), table.get_lineno()) == (node.name, node.lineno):
                free = {each.get_name() for each in table.get_symbols() if each.is_free()}
                return sorted(free - {"__class__"})
        return []


def _parsed(text: str) -> ast.Module:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        # A notebook's cell, with commands that are no Python.
        tree = ast.parse("")
    tree.body = [part for statement in tree.body for part in _single(statement)]
    return tree


def _single(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yields an import of each name: of ``import keras, optuna`` a model may need one alone."""
    if isinstance(statement, ast.Import):
        yield from (ast.Import([alias]) for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        yield from (
            ast.ImportFrom(statement.module, [alias], statement.level) for alias in statement.names
        )
    else:
        yield statement


def _defined(node: ast.AST) -> Iterator[str]:
    """Yields the names that a statement defines where it stands, also within `if` or `try`."""
    if isinstance(node, _Definition):
        yield node.name
        return
    if isinstance(node, _Import):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _defined(child)


def _changed(statement: ast.stmt, imported: Collection[str]) -> Iterator[str]:
    """Yields the names of objects that a statement at the top level of a module changes.

    As ``table["a"] = 1`` does, ``names.append(x)``, and ``Layer.call = call``. Of imported names,
    which are mostly modules, only their items count.
    """
    if isinstance(statement, _Definition) or "__name__" in _names(statement):
        # Code under a main guard runs only in the program's main module.
        return
    for node in ast.walk(statement):
        held: ast.AST | None = None
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            held = node.value.func
        elif isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            held = node
        is_item = False
        while isinstance(held, ast.Subscript | ast.Attribute):
            is_item = is_item or isinstance(held, ast.Subscript)
            held = held.value
            if isinstance(held, ast.Name) and (is_item or held.id not in imported):
                yield held.id


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
