"""The text of a study file that is made from a script."""

from __future__ import annotations

import ast
import contextlib
import itertools
import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

from search_spaces.errors import StudyFileError
from studies.importing.excerpt import Excerpt
from studies.importing.statements import names_used
from studies.importing.watching import Call, Search

_WIDTH = 88


@dataclass
class StudyFile:
    """What a script says of its study, as it is read.

    Attributes:
        script: The script's file name.
        search: The script's search.
        excerpt: The part of the script that the study needs.
        origin: What the script used, such as ``Keras Tuner's Hyperband``.
        name: The study's name.
        sections: Texts between the script's part and the study: its data, its callbacks.
        arguments: Arguments of `Study` by name, as text, each perhaps with a comment.
        notes: What of the script is not carried over, and why.
        imports: Modules that the sections need.
        options: What to launch it with, such as ``--only units``.
    """

    script: str
    search: Search
    excerpt: Excerpt
    origin: str = ""
    name: str = ""
    sections: list[str] = field(default_factory=list)
    arguments: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    options: str = ""

    def give(self, name: str, text: str, comment: str = "") -> None:
        """Gives the study an argument."""
        self.arguments[name] = text, comment

    def spelled(self, what: str, value: Any, written: ast.expr | None, call: Call) -> str:
        """Returns an expression for a value, and includes what it needs.

        Args:
            what: Its name in messages.
            value: The value.
            written: How the script writes it, if it does.
            call: The call that it is given to.

        Raises:
            StudyFileError: If the script has no expression for it that can be taken.
        """
        values = self.excerpt.values
        around = self.search.call.frames
        text = self.excerpt.written(written) if written is not None else ""
        if text and call.frames[-1] not in around:
            # Within a helper that has ended. Its own names are gone.
            names = names_used(text)
            if names & call.frames[-1].f_locals.keys():
                text = ""
        if not text:
            text = next((n for n, v in values.items() if v is value and n[:2] != "__"), "")
        if not text and isinstance(value, bool | int | float | str | None):
            text = repr(value)
        if not text:
            raise StudyFileError(
                f"The script's {what} is made where it can't be taken from: {value!r:.100}. Give "
                "it a name at the top level of the script."
            )
        self.excerpt.take(names_used(text))
        return text

    def shown(self, value: Any, written: ast.expr | None) -> str:
        """Returns a value for a note: as the script writes it, if it does, shortened."""
        text = self.excerpt.written(written) if written is not None else repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."

    def free_name(self, name: str) -> str:
        """Returns a name that the script's part doesn't define."""
        while name in self.excerpt.defined:
            name = f"study_{name}"
        return name

    def text(self) -> str:
        """Returns the study file."""
        self.excerpt.take_settings()
        study = self.free_name("study")
        face = "ks" if self.excerpt.values.get("ks") is None else "kerastudy"
        imports = "import kerastudy as ks\n" if face == "ks" else "import kerastudy\n"
        own = self.excerpt.imports()
        future = [line for line in own.splitlines() if line.startswith("from __future__")]
        own = "\n".join(line for line in own.splitlines() if line not in future)
        known = set(own.splitlines())
        own_modules = sorted(
            f"import {n}"
            for n in {*self.imports, *self.excerpt.modules}
            if f"import {n}" not in known
        )
        head = "".join(f"{line}\n" for line in [*future, *own_modules])
        left = [*textwrap.wrap(f"Made by kerastudy import from {self.script}: {self.origin}.", 78)]
        docstring = '"""' + "\n".join([*left, "", f"kerastudy launch {_FILE}"]) + '\n"""\n'
        own = f"{own.strip()}\n" if own.strip() else ""
        parts = [f"{docstring}\n{head}{own}{imports}"]
        body = self.excerpt.text()
        parts += [body] if body else []
        own_parts = [*self.sections, self._notes(), f"{study} = {self._call()}\n"]
        parts += [re.sub(r"\bks\.(?=datasets|Study|Objective)", f"{face}.", p) for p in own_parts]
        return _joined([part for part in parts if part])

    def _notes(self) -> str:
        if not self.notes:
            return ""
        lines = [f"# Not carried over from {self.script}:"]
        for note in self.notes:
            lines += textwrap.wrap(note, 84, initial_indent="# - ", subsequent_indent="#   ")
        return "\n".join(lines) + "\n"

    def _call(self) -> str:
        lines = []
        for name, (text, comment) in self.arguments.items():
            told = f"  # {comment}" if comment else ""
            given = f"    {name}={text},{told}"
            if len(given) > 100:
                lines.append(f"    # {comment[:1].upper()}{comment[1:]}.")
                given = f"    {name}={text},"
            lines.append(given)
        return "\n".join(["ks.Study(", f"    {literal(self.name)},", *lines, ")"])


_FILE = "@FILE"


def literal(value: Any) -> str:
    """Returns a value as Python, with double quotes where that is the same."""
    text = repr(value)
    quoted = text.replace("'", '"')
    with contextlib.suppress(SyntaxError, ValueError):
        if ast.literal_eval(quoted) == value:
            return quoted
    return text


def named(text: str, file: str) -> str:
    """Returns a study file's text with the name of the file in it."""
    return text.replace(_FILE, file, 1)


def call_text(function: str, arguments: list[str], before: str = "") -> str:
    """Returns a call, on one line or with a line for each argument."""
    line = f"{before}{function}({', '.join(arguments)})"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    return "\n".join([f"{before}{function}(", *(f"    {each}," for each in arguments), ")"])


def _joined(parts: list[str]) -> str:
    text = parts[0]
    for before, part in itertools.pairwise(parts):
        defines = part.startswith(("def ", "class ", "@"))
        last = [line for line in before.splitlines() if line.strip()][-1]
        text += "\n\n" if defines or last.startswith((" ", "\t")) else "\n"
        text += part
    return text
