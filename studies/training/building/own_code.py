"""A model's own code: its layers, losses and functions that are not Keras's, as text.

Keras saves only their names, and loads them if they have been registered. So a registered model
contains their text: the needed parts of the study's file, and of modules from its own folder. The
rest of a study's file, which reads data and makes studies, is left out.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import sys
import sysconfig
import textwrap
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from studies.error_texts import first_paragraph
from studies.user_code.causes import builder_function

if TYPE_CHECKING:
    import keras

_LIBRARIES: Final = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")}
)
_OURS: Final = Path(__file__).resolve().parents[3]
_OUR_PACKAGES: Final = ("kerastudy", "search_spaces", "studies", "tracking")
_LAMBDA = "__lambda__"


@dataclass(frozen=True)
class OwnCode:
    """The code of a model's own objects.

    Attributes:
        modules: Names and texts, each after the modules that it imports.
        objects: By the names that Keras looks for: the module, and the name in it.
        missing: Layers and their parts that can't be included, and why, for people to read.
        missing_compiled: Likewise, for the arguments of compile.
    """

    modules: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    missing_compiled: tuple[str, ...] = ()


def own_code(config: Mapping[str, Any], build: Any) -> OwnCode:
    """Finds the code of a model's own objects.

    Args:
        config: Keras's description of the model (`keras.saving.serialize_keras_object`).
        build: The function that made it.
    """
    compiled = config.get("compile_config") or {}
    layers = {key: value for key, value in config.items() if key != "compile_config"}
    if not any(True for _ in _custom(config)):
        return OwnCode()
    texts = _own_texts(build)
    modules: dict[str, _Module] = {}
    objects: dict[str, tuple[str, str]] = {}
    missing: list[list[str]] = []
    for part in (layers, compiled):
        missing.append([])
        for key, name in sorted(set(_custom(part))):
            if name == _LAMBDA:
                reason = (
                    f"the layer {key!r} holds a lambda, which Keras loads in its unsafe mode alone"
                )
            else:
                reason = _take(key, name, texts, modules, objects)
            if reason:
                missing[-1].append(reason)
    return OwnCode(_ordered(modules, texts), objects, tuple(missing[0]), tuple(missing[1]))


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
                f"{first_paragraph(error)}. Use functions and classes of the top level of a file."
            ]
    code = own_code(config, build)
    found = []
    if code.missing:
        found.append(
            "Keras and MLflow won't load the registered model by themselves, and "
            f"kerastudy.load_model only where the data is: {'; '.join(code.missing)}. Use "
            "functions and classes of the top level of a file."
        )
    if code.missing_compiled:
        found.append(
            "The registered model will be loaded without what it is compiled with: "
            f"{'; '.join(code.missing_compiled)}. Use functions and classes of the top level of a "
            "file."
        )
    return found


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


def _own_texts(build: Any) -> dict[str, str]:
    """Returns the texts of the builder's module and of its imports that are no libraries."""
    function = None if build is None else builder_function(build)
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return {}
    first = str(getattr(function, "__module__", "__main__"))
    found = {first: "".join(linecache.getlines(code.co_filename))}
    waiting = [first]
    while waiting:
        name = waiting.pop()
        for imported in _imported(found[name], name):
            file = _own_file(imported, sys.modules.get(imported))
            if file and imported not in found:
                found[imported] = "".join(linecache.getlines(file))
                waiting.append(imported)
    return found


def _own_file(name: str, module: ModuleType | None) -> str:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return ""
    path = str(Path(file).resolve())
    of_library = path.startswith(_LIBRARIES) or "site-packages" in path or "dist-packages" in path
    ours = name.partition(".")[0] in _OUR_PACKAGES and Path(path).is_relative_to(_OURS)
    return "" if of_library or ours else file


def _take(
    key: str,
    name: str,
    texts: Mapping[str, str],
    modules: dict[str, _Module],
    objects: dict[str, tuple[str, str]],
) -> str:
    """Includes a named object, with everything it needs; returns why it can't."""
    for module_name, text in texts.items():
        module = modules.get(module_name) or _Module.of(text)
        if module is None:
            continue
        refused = module.take(name)
        if refused is None:
            continue
        if refused:
            return refused
        modules[module_name] = module
        objects[key] = (module_name, name)
        return ""
    return f"{name!r} is in none of the study's files"


def _ordered(modules: Mapping[str, _Module], texts: Mapping[str, str]) -> dict[str, str]:
    """Returns the texts to include: whole imported modules first."""
    found: dict[str, str] = {}
    begun: set[str] = set()

    def add(name: str, text: str) -> None:
        if name not in begun:
            begun.add(name)
            for imported in _imported(text, name):
                if imported in texts and imported != name:
                    add(imported, texts[imported])
            found[name] = text

    wanted = {name: module.text for name, module in modules.items()}
    imported = {each for name, text in wanted.items() for each in _imported(text, name)}
    # Code that another module imports may need more than its own part.
    for name, text in sorted(wanted.items(), key=lambda pair: pair[0] not in imported):
        add(name, texts[name] if name in imported else text)
    return found


def _imported(text: str, name: str) -> Iterator[str]:
    package = name.rpartition(".")[0]
    try:
        tree = ast.parse(text)
    except SyntaxError:
        # A notebook's cell, with commands that are no Python.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


class _Module:
    """A module's text, a part of which is included."""

    def __init__(self, text: str, tree: ast.Module) -> None:
        self._lines = text.splitlines(keepends=True)
        self._tree = tree
        self._taken: set[int] = set()
        # Classes and functions that are defined within a function, as text.
        self._lifted: dict[str, str] = {}
        self._definitions: dict[str, list[int]] = {}
        imported = {name for each in ast.walk(tree) if _imports(each) for name in _defined(each)}
        for place, statement in enumerate(tree.body):
            for name in {*_defined(statement), *_changed(statement, imported)}:
                self._definitions.setdefault(name, []).append(place)

    @classmethod
    def of(cls, text: str) -> _Module | None:
        try:
            return cls(text, ast.parse(text))
        except SyntaxError:
            # A notebook's cell, with commands that are no Python.
            return None

    def take(self, name: str) -> str | None:
        """Includes a definition, and everything it needs.

        Returns:
            An empty text; why it can't be; or None if there is no definition of that name.
        """
        places = self._definitions.get(name, [])
        if any(not _imports(self._tree.body[place]) for place in places):
            self._take_statements(name)
            return ""
        for node in ast.walk(self._tree):
            defines = isinstance(node, ast.ClassDef | ast.FunctionDef)
            if defines and node.name == name:  # type: ignore[attr-defined]
                return self._take_inner(node, name)  # type: ignore[arg-type]
        return None

    @property
    def text(self) -> str:
        """The included text, in the order of the file."""
        future = [
            place
            for place, node in enumerate(self._tree.body)
            if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        ]
        parts = [self._segment(self._tree.body[p]) for p in sorted({*future, *self._taken})]
        return "\n\n".join([*parts, *self._lifted.values()])

    def _take_inner(self, node: ast.ClassDef | ast.FunctionDef, name: str) -> str:
        segment = textwrap.dedent(self._segment(node))
        free = _free_names(self._tree, node)
        if free:
            return (
                f"{name!r} is defined within a function, and uses {', '.join(map(repr, free))} of "
                "it"
            )
        self._lifted[name] = segment
        for used in _names(node):
            self._take_statements(used)
        return ""

    def _take_statements(self, name: str) -> None:
        for place in self._definitions.get(name, ()):
            if place not in self._taken:
                self._taken.add(place)
                for used in _names(self._tree.body[place]):
                    self._take_statements(used)

    def _segment(self, node: ast.stmt) -> str:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        assert node.end_lineno is not None
        return "".join(self._lines[first - 1 : node.end_lineno]).rstrip() + "\n"


def _defined(statement: ast.stmt) -> Iterator[str]:
    """Yields the names that a statement at the top level of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
                # Within `if` or `try`.
                yield from _defined(node)


def _imports(node: ast.AST) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _changed(statement: ast.stmt, imported: Collection[str]) -> Iterator[str]:
    """Yields the names of objects that a statement at the top level of a module changes.

    As ``table["a"] = 1`` does, ``names.append(x)``, and ``Layer.call = call``.

    Args:
        statement: The statement.
        imported: The module's imports: mostly modules, which are not changed so.
    """
    function = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    if function or "__name__" in _names(statement):
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


def _free_names(tree: ast.Module, node: ast.ClassDef | ast.FunctionDef) -> list[str]:
    """Returns the local variables of the functions around a definition that it uses."""
    code = compile(tree, "<own code>", "exec")
    found = _inner_code(code, node)
    return sorted(set(found.co_freevars) - {"__class__", *dir(builtins)}) if found else []


def _inner_code(code: CodeType, node: ast.ClassDef | ast.FunctionDef) -> CodeType | None:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            decorators = [d.lineno for d in node.decorator_list]
            first = min([node.lineno, *decorators])
            if constant.co_name == node.name and constant.co_firstlineno in (first, node.lineno):
                return constant
            found = _inner_code(constant, node)
            if found is not None:
                return found
    return None
