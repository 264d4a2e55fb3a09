"""A model's own code: its layers, losses and functions that are not Keras's, as text.

Keras saves only their names, and loads them if they have been registered. So a registered model
contains their text: the needed parts of the study's file, and of modules from its own folder. The
rest of a study's file, which reads data and makes studies, is left out.
"""

from __future__ import annotations

import ast
import linecache
import symtable
import sys
import textwrap
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

from studies.error_texts import first_paragraph
from studies.user_code import builder_function, imported_names, is_users

if TYPE_CHECKING:
    import keras

_LAMBDA = "__lambda__"
_ADVICE = "Use functions and classes of the top level of a file."


@dataclass(frozen=True)
class OwnCode:
    """The code of a model's own objects."""

    # Texts by name, each after the modules that it imports.
    modules: Mapping[str, str] = field(default_factory=dict)
    # By the names that Keras looks for: the module, and the name in it.
    objects: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # Layers and their parts that can't be included, and why, for people to read.
    missing: tuple[str, ...] = ()
    missing_compiled: tuple[str, ...] = ()  # Likewise, for the arguments of compile.


def own_code(config: Mapping[str, Any], build: Any) -> OwnCode:
    """Finds the code of the own objects in Keras's description of a model, from its builder."""
    compiled = config.get("compile_config") or {}
    layers = {key: value for key, value in config.items() if key != "compile_config"}
    modules = _own_modules(build) if any(True for _ in _custom(config)) else {}
    objects: dict[str, tuple[str, str]] = {}

    def why_missing(key: str, name: str) -> str:
        """Includes an object, with everything it needs; returns why it can't."""
        if name == _LAMBDA:
            return f"the layer {key!r} holds a lambda, which Keras loads in its unsafe mode alone"
        for module_name, module in modules.items():
            reason = module.take(name)
            if reason == "":
                objects[key] = module_name, name
            if reason is not None:
                return reason
        return f"{name!r} is in none of the study's files"

    missing, missing_compiled = (
        tuple(filter(None, (why_missing(*each) for each in sorted(set(_custom(part))))))
        for part in (layers, compiled)
    )
    return OwnCode(_ordered(modules), objects, missing, missing_compiled)


def loading_warnings(model: keras.Model, build: Any) -> list[str]:
    """Returns warnings about loading the model once it is registered."""
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = keras.saving.serialize_keras_object(model)
        except Exception as error:
            return [
                "Keras can't save the model, so the best trial's will not be registered: "
                f"{first_paragraph(error)}. {_ADVICE}"
            ]
    code = own_code(config, build)
    said = {
        "Keras and MLflow won't load the registered model by themselves, and kerastudy.load_model "
        "only where the data is": code.missing,
        "The registered model will be loaded without what it is compiled with": (
            code.missing_compiled
        ),
    }
    return [f"{text}: {'; '.join(missing)}. {_ADVICE}" for text, missing in said.items() if missing]


def _custom(part: Any, layer: str = "") -> Iterator[tuple[str, str]]:
    """Yields the names that Keras looks for, and those in the code; for a lambda, its layer."""
    if isinstance(part, Mapping):
        kind, inner = part.get("class_name"), part.get("config")
        if kind == _LAMBDA:
            yield layer, _LAMBDA
            return
        if kind == "function" and isinstance(inner, str):
            yield inner, inner.rpartition(">")[2]
        elif isinstance(kind, str) and part.get("registered_name") and not _is_keras(part):
            yield str(part["registered_name"]), kind
        if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            layer = inner["name"]
        for value in part.values():
            yield from _custom(value, layer)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _custom(value, layer)


def _is_keras(part: Mapping[str, Any]) -> bool:
    """Returns whether a class is Keras's own: a functional model has a registered name too."""
    return str(part.get("module") or "").partition(".")[0] == "keras"


def _own_modules(build: Any) -> dict[str, ModulePart]:
    """Returns the builder's module, and those of its imports that are no libraries."""
    function = None if build is None else builder_function(build)
    code = getattr(function, "__code__", None)
    found: dict[str, ModulePart] = {}
    if not isinstance(code, CodeType):
        return found
    waiting = [(str(getattr(function, "__module__", "__main__")), code.co_filename)]
    while waiting:
        name, file = waiting.pop()
        if file and name not in found:
            found[name] = module = ModulePart(name, "".join(linecache.getlines(file)))
            waiting += [(each, _own_file(each)) for each in module.imports]
    return found


def _own_file(name: str) -> str:
    file = str(getattr(sys.modules.get(name), "__file__", None) or "")
    return file if file.endswith(".py") and is_users(file) else ""


def _ordered(modules: Mapping[str, ModulePart]) -> dict[str, str]:
    """Returns the texts to include, each after those that it imports.

    Imported ones as a whole: the code that imports them may need more than the model's own part.
    """
    found: dict[str, str] = {}
    begun: set[str] = set()

    def add(name: str, text: str, imports: Collection[str]) -> None:
        if name not in begun:
            begun.add(name)
            add_whole(imports)
            found[name] = text

    def add_whole(names: Collection[str]) -> None:
        for name in names:
            if name in modules:
                add(name, modules[name].text, modules[name].imports)

    parts = {name: module.part for name, module in modules.items() if module.part}
    for name, part in parts.items():
        add_whole(imports_of(part, name))
    for name, part in parts.items():
        add(name, part, ())
    return found


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
