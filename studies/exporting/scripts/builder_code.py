"""A study's builder as text that stands alone: without kerastudy, Optuna and Keras Tuner."""

from __future__ import annotations

import ast
import posixpath
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from search_spaces.errors import InternalError
from studies.exporting.scripts.code_edits import Edits, assigned, path_of
from studies.exporting.scripts.left_out import read_data, take_annotations, without_unused
from studies.training.building.module_parts import ModulePart
from tracking.records import CodeDescription

_LEFT_OUT: Final = ("kerastudy", "keras_tuner", "kerastuner", "optuna", "mlflow")
_OUTPUTS: Final = ("binary", "classes", "one_hot", "regression")
_ARGUMENTS: Final = ("build", "callbacks", "optimizer", "loss", "metrics")


class NotStandaloneError(InternalError):
    """A builder's text can't stand alone. Its text says why."""


@dataclass(frozen=True)
class BuilderCode:
    """A builder's text.

    Attributes:
        imports: Import statements, each on a line.
        text: Definitions, in an order in which they run.
        arguments: By the names of `Study`'s arguments: expressions for those that it was given.
        outputs: The functions of `kerastudy.outputs` that it calls.
        hypermodel: Whether it has a subclass of Keras Tuner's HyperModel.
        methods: The names of all attributes in it, such as ``suggest_float``.
        conditional: Whether it declares hyperparameters under a condition.
    """

    imports: tuple[str, ...]
    text: str
    arguments: Mapping[str, str]
    outputs: tuple[str, ...]
    hypermodel: bool
    methods: frozenset[str]
    conditional: bool

    @property
    def packages(self) -> list[str]:
        """The packages that it imports, other than Python's own."""
        names = {line.split()[1].partition(".")[0] for line in self.imports}
        return sorted(names - sys.stdlib_module_names)

    @property
    def defined(self) -> set[str]:
        """The names that its top level defines."""
        tree = ast.parse("\n".join([*self.imports, self.text]))
        return {name for statement in tree.body for name in assigned(statement)}


def builder_code(code: CodeDescription, builder: str) -> BuilderCode:
    """Cuts a builder, with all that it needs, from a study's recorded code.

    Args:
        code: The study's file and its modules, as texts.
        builder: The builder's name, if the call of `Study` can't be found in the file.

    Raises:
        NotStandaloneError: If it needs something else.
    """
    arguments = _arguments(code) or {"build": builder}
    cut = _Cut(code)
    text, arguments = cut.excerpt("", arguments)
    tree = ast.parse(text)
    walked = list(ast.walk(tree))
    return BuilderCode(
        tuple(sorted(cut.imports, key=lambda line: (line.startswith("from"), line))),
        text.strip("\n"),
        arguments,
        tuple(sorted(cut.outputs)),
        cut.hypermodel,
        frozenset(node.attr for node in walked if isinstance(node, ast.Attribute)),
        any(isinstance(node, ast.keyword) and node.arg == "parent_name" for node in walked),
    )


def _arguments(code: CodeDescription) -> dict[str, str]:
    """Returns expressions of the arguments that the study was made with; none if unknown."""
    tree = ast.parse(code.source)
    calls = [
        (getattr(node, "targets", []), node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.Expr) and _makes_study(node.value)
    ]
    named = [
        call
        for targets, call in calls
        if any(isinstance(each, ast.Name) and each.id == code.variable for each in targets)
    ]
    found = named or ([call for _, call in calls] if len(calls) == 1 else [])
    if len(found) != 1 or not isinstance(found[0], ast.Call):
        return {}
    given = {each.arg: each.value for each in found[0].keywords}
    return {
        name: text
        for name in _ARGUMENTS
        if name in given
        and (text := ast.get_source_segment(code.source, given[name]) or "None")
        and text != "None"
    }


def _makes_study(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and (
        getattr(node.func, "attr", getattr(node.func, "id", "")) == "Study"
    )


class _Cut:
    """Cuts definitions from a study's file and its modules."""

    def __init__(self, code: CodeDescription) -> None:
        self._texts = {"": code.source, **code.texts}
        self._before: dict[str, set[str]] = {}
        self._inlined_places: set[str] = set()
        # Names that are defined, and the modules they are from.
        self._defined: dict[str, str] = {}
        self.imports: set[str] = set()
        self.outputs: set[str] = set()
        self.hypermodel = False

    def excerpt(self, place: str, expressions: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Returns the part of a module that expressions need, and the expressions."""
        names = {f"__{name}__": name for name in expressions}
        wanted = "".join(f"{each} = {expressions[name]}\n" for each, name in names.items())
        part = ModulePart("", f"{self._texts[place]}\n{wanted}")
        for each in names:
            part.take(each)
        text = self._alone(place, part.part)
        edits, found = Edits(text), {}
        for statement in ast.parse(text).body:
            for each in assigned(statement) & names.keys():
                assert isinstance(statement, ast.Assign)
                found[names[each]] = ast.get_source_segment(text, statement.value) or ""
                edits.replace(statement, "")
        return edits.made(), found

    def _alone(self, place: str, text: str) -> str:
        """Returns a text without what must not be imported, after its own modules."""
        tree, edits = ast.parse(text), Edits(text)
        gone, above = self._imports(place, tree, edits)
        take_annotations(tree, gone, edits)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    if path_of(base, gone).endswith(".HyperModel"):
                        edits.replace(base, "HyperModel")
                        self.hypermodel = True
            elif isinstance(node, ast.Call):
                called = path_of(node.func, gone).removeprefix("kerastudy.")
                name = called.removeprefix("outputs.")
                if called != name and name in _OUTPUTS:
                    edits.replace(node.func, f"{name}_output")
                    self.outputs.add(name)
            elif isinstance(node, ast.Attribute):
                read_data(tree, node, gone, edits)
        text = without_unused(edits.made(), gone)
        used = next((n for n in ast.walk(ast.parse(text)) if path_of(n, gone)), None)
        if used is not None:
            raise NotStandaloneError(f"it uses {ast.unparse(used)}")
        for name in {n for statement in ast.parse(text).body for n in assigned(statement)}:
            if not name.startswith("__") and self._defined.setdefault(name, place) != place:
                raise NotStandaloneError(f"its modules define {name!r} more than once")
        return f"{above}{text}"

    def _imports(self, place: str, tree: ast.Module, edits: Edits) -> tuple[dict[str, str], str]:
        """Takes the imports out of a text.

        Returns:
            The names of what is left out, with what they are; and the text of own modules.
        """
        gone: dict[str, str] = {}
        # By module of the study's own: names in it, and what they are called here.
        wanted: dict[str, dict[str, str]] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            top = node in tree.body
            for alias in node.names:
                module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                level = node.level if isinstance(node, ast.ImportFrom) else 0
                whole = self._place(place, f"{module}.{alias.name}".strip("."), level)
                part = self._place(place, module, level) if module else None
                called = alias.asname or alias.name
                if f"{module}.{alias.name}".strip(".").partition(".")[0] in _LEFT_OUT:
                    first = called if alias.asname or module else called.partition(".")[0]
                    path = f"{module}.{alias.name}" if module else alias.name
                    gone[first] = path if alias.asname or module else first
                    if top:
                        continue
                elif whole is not None and top and called.isidentifier():
                    names = _attributes(tree, called, edits)
                    wanted.setdefault(whole, {}).update(zip(names, names, strict=True))
                    continue
                elif part is not None and top:
                    wanted.setdefault(part, {})[alias.name] = called
                    continue
                elif whole is None and part is None and not level:
                    if top and module != "__future__":
                        before = f"from {module} " if module else ""
                        self.imports.add(f"{before}import {ast.unparse(alias)}")
                    continue
                raise NotStandaloneError(f"it contains {ast.unparse(node)!r}")
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                edits.replace(node, "")
        return gone, "".join(self._inlined(own, names) for own, names in wanted.items())

    def _place(self, place: str, module: str, level: int) -> str | None:
        """Returns the place of a study's own module, imported from another; None: it is none."""
        folder = posixpath.dirname(place) if level else ""
        for _ in range(level - 1):
            folder = posixpath.join(folder, "..")
        path = module.replace(".", "/")
        for name in (f"{path}.py", f"{path}/__init__.py"):
            found = posixpath.normpath(posixpath.join(folder, name))
            # Imports that are not relative may start from a folder of the path.
            ends = [p for p in self._texts if p == found or (not level and p.endswith(f"/{name}"))]
            if ends:
                return ends[0]
        return None

    def _inlined(self, place: str, names: Mapping[str, str]) -> str:
        """Returns the part of an own module that is needed, if it is not there already."""
        before = self._before.setdefault(place, set(names))
        if before != set(names):
            raise NotStandaloneError(f"its modules import {place!r} more than once")
        if place in self._inlined_places:
            return ""
        self._inlined_places.add(place)
        text, _ = self.excerpt(place, {f"wanted_{i}": name for i, name in enumerate(names)})
        renamed = [f"{called} = {name}\n" for name, called in names.items() if called != name]
        return "".join([text.rstrip("\n"), "\n\n\n", *renamed, "\n" if renamed else ""])


def _attributes(tree: ast.Module, module: str, edits: Edits) -> list[str]:
    """Replaces ``module.name`` by the name alone; returns these names."""
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        inner = getattr(node, "value", None)
        if isinstance(node, ast.Attribute) and isinstance(inner, ast.Name) and inner.id == module:
            found[node.attr] = None
            edits.replace(node, node.attr)
    used = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == module]
    read = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    if len(used) != sum(isinstance(n.value, ast.Name) and n.value.id == module for n in read):
        raise NotStandaloneError(f"it uses its own module {module!r} as a whole")
    return list(found)
