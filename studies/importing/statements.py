"""What statements of a script define, change and use, and their text with its comments."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_SCOPES: Final = (*_Definition.__args__, ast.Lambda)
_SETTINGS: Final = ("set_", "seed", "manual_seed", "enable_", "disable_", "filterwarnings")
_SETTINGS_OF: Final = {"append", "insert", "setdefault", "update", "simplefilter"}
# They show, or belong to what kerastudy replaces.
_SHOWS: Final = ("matplotlib", "seaborn", "plotly", "IPython", "optuna", "keras_tuner", "mlflow")
_PRINTS: Final = ("print", "pprint", "display")


@dataclass(frozen=True)
class Statement:
    """A statement of a script, as it may stand in a study file.

    Attributes:
        text: Its text, not indented, with the comment above it.
        line: Its first line in the script; 0 if it is made up.
        depth: Where it stands: 0 for the module, 1 for the function that the module calls, ….
        blank: Whether an empty line is above it in the script.
        defines: The names that it defines.
        changes: The names of objects that it changes, such as ``table["a"] = 1`` does.
        uses: The names that it needs.
        always: Whether it is a setting of a library, which is kept in any case.
        node: Its syntax tree, if it is the script's.
    """

    text: str
    line: int
    depth: int
    blank: bool
    defines: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]
    always: bool = False
    node: ast.stmt | None = None

    @property
    def end(self) -> int:
        """Its last line in the script."""
        return 0 if self.node is None else self.node.end_lineno or 0


def statement_of(
    node: ast.stmt, lines: list[str], depth: int, values: Mapping[str, Any]
) -> Statement:
    """Returns a statement of a script.

    Args:
        node: Its syntax tree.
        lines: The script's lines.
        depth: See `Statement`.
        values: What names stand for at the end, to tell data from functions and modules.
    """
    text, blank = _text(node, lines)
    return Statement(
        text,
        node.lineno,
        depth,
        blank,
        frozenset(_defined(node)),
        frozenset(_changed(node, values)),
        names_used(text),
        _is_setting(node, values) or takes_all(node) or _is_future(node),
        node,
    )


def made_up(name: str, expression: str, depth: int) -> Statement:
    """Returns the statement that gives a function's parameter its value."""
    return Statement(
        f"{name} = {expression}",
        0,
        depth,
        False,
        frozenset({name}),
        frozenset(),
        names_used(expression) - {name},
    )


def names_used(text: str) -> frozenset[str]:
    """Returns the names that a text needs from around it."""
    try:
        top = symtable.symtable(text, "<script>", "exec")
    except SyntaxError:
        # Such as a `return` of a function around it.
        walked = ast.walk(ast.parse(text))
        return frozenset(n.id for n in walked if isinstance(n, ast.Name))
    return frozenset(_used(top, True))


def _used(table: symtable.SymbolTable, top: bool) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _used(child, False)


def _text(node: ast.stmt, lines: list[str]) -> tuple[str, bool]:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
    end = node.end_lineno or node.lineno
    start = first
    while start and lines[start - 1].strip().startswith("#"):
        start -= 1
    own = lines[start:end]
    if ";" in own[-1] or lines[first][: node.col_offset].strip():
        # Several statements on a line.
        own = [ast.get_source_segment("".join(lines), node) or ""]
        return own[0], False
    within = {
        line
        for each in ast.walk(node)
        if isinstance(each, ast.Constant | ast.JoinedStr) and each.end_lineno
        for line in range(each.lineno, each.end_lineno)
    }
    indent = node.col_offset
    text = "".join(
        line
        if start + place in within
        else line[min(indent, len(line) - len(line.lstrip())) :]
        if line.strip()
        else line.lstrip(" \t")
        for place, line in enumerate(own)
    )
    return text.rstrip(), bool(start) and not lines[start - 1].strip()


def _defined(node: ast.AST) -> Iterator[str]:
    """Yields the names that a statement defines where it stands."""
    if isinstance(node, _Definition):
        yield node.name
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp):
        for child in ast.iter_child_nodes(node):
            yield from _defined(child)


def _changed(node: ast.AST, values: Mapping[str, Any]) -> Iterator[str]:
    """Yields the names of objects that a statement changes: data, not modules and functions."""
    if isinstance(node, _SCOPES):
        return
    if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
        yield _root(node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        root = _root(call.func)
        named = [root]
        if not _is_object(values.get(root)):
            # A function may change its arguments; a method, such as `fit`, its object.
            shown = root in _PRINTS or _module(values.get(root)).startswith(_SHOWS)
            named = []
            if not shown:
                given = [*call.args, *(each.value for each in call.keywords)]
                named = [each.id for each in given if isinstance(each, ast.Name)]
        yield from (name for name in named if _is_object(values.get(name)))
    for child in ast.iter_child_nodes(node):
        yield from _changed(child, values)


def _is_setting(node: ast.stmt, values: Mapping[str, Any]) -> bool:
    """Returns whether a statement sets something of a library: a seed, a policy, a path."""
    if isinstance(node, ast.Assign):
        return any(
            isinstance(each, ast.Subscript) and ast.unparse(each.value) == "os.environ"
            for each in node.targets
        )
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    called = node.value.func
    value = values.get(_root(called))
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    held = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
    if _module(value).startswith(_SHOWS):
        return False
    if isinstance(value, ModuleType):
        return name.startswith(_SETTINGS) or (
            name in _SETTINGS_OF and held in ("sys.path", "os.environ", "warnings")
        )
    # Of the script's own functions, those that set a seed.
    return callable(value) and (
        "seed" in name or (name.startswith(_SETTINGS) and _module(value) != "__main__")
    )


def takes_all(node: ast.stmt | None) -> bool:
    """Returns whether a statement imports all names of a module."""
    return isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _module(value: Any) -> str:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    return name if isinstance(name, str) else ""


def _is_object(value: Any) -> bool:
    """Returns whether a value can be changed by a call: data, a layer, a list."""
    plain = (ModuleType, bool, int, float, complex, str, bytes, tuple)
    is_function = callable(value) and hasattr(value, "__qualname__")
    return value is not None and not isinstance(value, plain) and not is_function
