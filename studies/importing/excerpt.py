"""The part of a script that a study needs, as text that stands alone.

The statements before the search, in their order, with their comments; of the functions that led to
it, such as ``main()``, the bodies. What the study does not need is left out: the tuner, baselines,
plots, prints.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from search_spaces.errors import StudyFileError
from studies.importing.statements import Statement, made_up, statement_of, takes_all
from studies.importing.watching import Search, call_at

_GIVEN = {*vars(builtins), "__file__", "__name__"}


class Excerpt:
    """A script up to its search.

    Attributes:
        values: What names stand for at the search.
        within: Statements around the search whose heads are left out, such as ``with …:``.
        modules: Modules that it needs besides those that it imports.
    """

    def __init__(self, source: str, search: Search) -> None:
        self._tree = ast.parse(source)
        self._source, self._lines = source, source.splitlines(keepends=True)
        self._search = search
        self.values: dict[str, Any] = {}
        for names in search.namespaces:
            self.values |= names
        self.within: list[str] = []
        self.modules: set[str] = set()
        self._statements: list[Statement] = []
        for depth, frame in enumerate(search.call.frames):
            body = self._body(depth, frame.f_code.co_name, frame.f_code.co_firstlineno)
            self._before(body, search.call.places[depth], depth)
        self._taken: set[int] = set()

    def take(self, names: Collection[str]) -> None:
        """Includes what some names need.

        Raises:
            StudyFileError: If the script defines one of them where it can't be taken from.
        """
        names = set(names)
        while True:
            before = len(self._taken)
            for place in reversed(range(len(self._statements))):
                each = self._statements[place]
                if place not in self._taken and (each.defines | each.changes) & names:
                    self._taken.add(place)
                    names |= each.uses
            if len(self._taken) == before:
                break
        defined = {name for place in self._taken for name in self._statements[place].defines}
        stars = any(takes_all(each.node) for each in self._statements)
        for name in sorted(names - defined - _GIVEN):
            if name in self.values and not stars:
                self._add(name)
        self._check_names()

    def take_settings(self) -> None:
        """Includes the settings of libraries, such as seeds, with what they need."""
        for place, each in enumerate(self._statements):
            if each.always and place not in self._taken:
                self._taken.add(place)
                self.take(each.uses)

    @property
    def defined(self) -> set[str]:
        """The names that the included part defines."""
        taken = (self._statements[place] for place in self._taken)
        return {name for each in taken for name in each.defines}

    def written(self, node: ast.expr) -> str:
        """Returns an expression as the script writes it, on one line."""
        text = ast.get_source_segment(self._source, node) or "\n"
        return ast.unparse(node) if "\n" in text else text

    def assignment(self, name: str) -> ast.expr | None:
        """Returns the value of a name's only assignment, ``name = …``."""
        found = [each for each in self._statements if name in each.defines | each.changes]
        node = found[0].node if len(found) == 1 else None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return node.value if isinstance(node.targets[0], ast.Name) else None
        return None

    def changed_after(self, names: Collection[str]) -> bool:
        """Returns whether the script changes one of these names after its search."""
        last = self._search.call.places[0][0] or 0
        later = [s for s in self._tree.body if s.lineno > last]
        read = [statement_of(each, self._lines, 0, self.values) for each in later]
        return any((each.defines | each.changes) & set(names) for each in read)

    def imports(self) -> str:
        """Returns the imports at the beginning of the included part."""
        return self._joined(self._parts()[0])

    def text(self) -> str:
        """Returns the rest of it."""
        return self._joined(self._parts()[1])

    def left_out(self) -> list[int]:
        """Returns the first lines of the statements before the search that are not included.

        Without imports, and without that which makes the tuner or the study.
        """
        made = self._search.made
        maker = None if made is None else made.places[-1][0]
        return [
            each.line
            for place, each in enumerate(self._statements)
            if place not in self._taken and not _says_nothing(each)
            if maker is None or not each.line <= maker <= each.end
        ]

    def _parts(self) -> tuple[list[Statement], list[Statement]]:
        taken = [self._statements[place] for place in sorted(self._taken)]
        count = 0
        while count < len(taken) and isinstance(taken[count].node, ast.Import | ast.ImportFrom):
            count += 1
        return taken[:count], taken[count:]

    def _joined(self, statements: list[Statement]) -> str:
        text = ""
        for place, each in enumerate(statements):
            last = statements[place - 1] if place else None
            defines = [s for s in (each, last) if s and isinstance(s.node, _DEFINITIONS)]
            above = "\n\n" if defines else "\n" if each.blank else ""
            text += f"{above if place else ''}{each.text}\n"
        return text

    def _add(self, name: str) -> None:
        """Adds a name that no statement defines where it can be taken, such as a loop's."""
        value = self.values[name]
        if not isinstance(value, bool | int | float | str):
            raise StudyFileError(
                f"The study needs {name!r}, a {type(value).__name__}, which the script makes where "
                "it can't be taken from: in a loop, or as a parameter of a function. Assign it "
                "by a statement before the search."
            )
        self._statements.insert(0, made_up(name, repr(value), 0))
        self._taken = {0, *(place + 1 for place in self._taken)}

    def _check_names(self) -> None:
        """Checks that no two functions give one name to different things."""
        depths: dict[str, int] = {}
        for place in sorted(self._taken):
            each = self._statements[place]
            for name in each.defines:
                before = depths.setdefault(name, each.depth)
                names = self._search.namespaces
                if before != each.depth and names[before].get(name) is not names[each.depth].get(
                    name
                ):
                    raise StudyFileError(
                        f"The script calls two things {name!r}, at its top level and in the "
                        f"function that searches (line {each.line}). Rename one of them."
                    )

    def _body(self, depth: int, function: str, line: int) -> list[ast.stmt]:
        if depth == 0:
            return self._tree.body
        for node in ast.walk(self._tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name == function
                and min([node.lineno, *(d.lineno for d in node.decorator_list)]) == line
            ):
                self._bind(node, depth)
                return node.body
        raise StudyFileError(
            f"The search is called within {function!r} (line {line}), which can't be cut from the "
            "script. Call it at the top level of the script, or in a function of it."
        )

    def _bind(self, function: ast.FunctionDef | ast.AsyncFunctionDef, depth: int) -> None:
        """Adds the values of a function's parameters, as the call gives them."""
        given = function.args
        names = [each.arg for each in (*given.posonlyargs, *given.args)]
        named = [each.arg for each in given.kwonlyargs]
        texts: dict[str, ast.expr] = {}
        texts |= dict(zip(names[len(names) - len(given.defaults) :], given.defaults, strict=True))
        texts |= {n: d for n, d in zip(named, given.kw_defaults, strict=True) if d is not None}
        call = call_at(self._tree, self._search.call.places[depth - 1])
        if call is not None and getattr(call.func, "id", "") == function.name:
            if not any(isinstance(each, ast.Starred) for each in call.args):
                texts |= dict(zip(names, call.args, strict=False))
            texts |= {each.arg: each.value for each in call.keywords if each.arg}
        for name in (*names, *named):
            text = self.written(texts[name]) if name in texts else ""
            if text and text != name:
                own = made_up(name, text, depth)
                self._statements.append(self._without_command_line(own))

    def _without_command_line(self, each: Statement) -> Statement:
        """Returns a statement that does not read the command line: with the value that it read."""
        names = sorted(each.defines)
        if len(names) != 1 or not re.search(r"\bparse_args\b|\bargv\b", each.text):
            return each
        value = self.values.get(names[0])
        if isinstance(value, argparse.Namespace):
            self.modules.add("argparse")
            text = made_up(names[0], f"argparse.{value!r}", each.depth)
            return replace(text, uses=frozenset(), blank=each.blank)
        if isinstance(value, bool | int | float | str):
            return replace(made_up(names[0], repr(value), each.depth), blank=each.blank)
        return each

    def _before(self, body: list[ast.stmt], place: tuple[int | None, ...], depth: int) -> None:
        """Adds the statements before a place, along the blocks around it."""
        line = place[0] or 0
        for node in body:
            if not node.lineno <= line <= (node.end_lineno or 0):
                if (node.end_lineno or 0) < line:
                    own = statement_of(node, self._lines, depth, self.values)
                    self._statements.append(self._without_command_line(own))
                continue
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                return
            blocks = [getattr(node, each, []) for each in ("body", "orelse", "finalbody")]
            blocks += [each.body for each in getattr(node, "handlers", [])]
            for block in blocks:
                if block and block[0].lineno <= line <= (block[-1].end_lineno or 0):
                    if isinstance(node, ast.With | ast.For | ast.While):
                        self.within.append(self._lines[node.lineno - 1].strip())
                    self._before(block, place, depth)
            return


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _says_nothing(each: Statement) -> bool:
    """Returns whether a statement is made up, an import or a docstring."""
    node = each.node
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return node is None or docstring or isinstance(node, ast.Import | ast.ImportFrom)


def expressions(call: ast.Call | None, parameters: Collection[str]) -> Mapping[str, ast.expr]:
    """Returns the expressions of a call's arguments, by the names of its parameters."""
    if call is None:
        return {}
    found: dict[str, ast.expr] = {}
    if not any(isinstance(each, ast.Starred) for each in call.args):
        found |= dict(zip(parameters, call.args, strict=False))
    return found | {each.arg: each.value for each in call.keywords if each.arg}
