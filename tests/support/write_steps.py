"""Notes each step by which this process writes in a folder. Steps can be refused.

A step is a commit to a database, the opening of a file for writing, or the renaming, removal or
creation of a file or folder.
"""

import errno
import functools
import os
import re
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

# The disk is full, or it has become read-only.
Refusal = Literal["full", "read-only"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
NEEDS_NO_ROOM = ("os.rename", "os.remove", "os.rmdir")
_ERRORS = {
    "full": (errno.ENOSPC, "database or disk is full"),
    "read-only": (errno.EROFS, "attempt to write a readonly database"),
}


@dataclass
class Steps:
    """The steps of this process under a folder, in words. Refuses all steps from number `at` on."""

    root: Path
    fault: Refusal | None = None
    at: int = -1
    names: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begins to note steps. This has no end, as audit hooks stay for the life of a process."""
        sys.addaudithook(self._on_audit)
        _Watched.steps = self

        sqlite3.connect = functools.partial(sqlite3.connect, factory=_Watched)

    def step(self, what: str, error: Callable[[], Exception]) -> None:
        """Notes the next step. Raises the error if the step is refused."""
        number = len(self.names)
        self.names.append(what)
        if self.fault is None or number < self.at:
            return
        if self.fault != "full" or not what.startswith(NEEDS_NO_ROOM):
            raise error()

    def _on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not flags & _WRITES:
                return
            paths = (path,)
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            paths = arguments[: 2 if event == "os.rename" else 1]
        else:
            return
        if isinstance(paths[0], int):
            # The file is already open, e.g. a pipe.
            return
        if (event == "os.mkdir") == os.path.lexists(os.fsdecode(paths[0])) and event != "open":
            # The call will fail, so nothing is written: some code tries it to find out.
            return
        inside = [p for p in map(self._inside, paths) if p is not None]
        if not inside:
            return

        def error() -> Exception:
            number = _ERRORS[str(self.fault)][0]
            return OSError(number, os.strerror(number), str(self.root / inside[-1]))

        self.step(f"{event} {' '.join(inside)}", error)

    def _inside(self, path: object) -> str | None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        absolute = Path(os.path.abspath(os.fsdecode(path)))
        return str(absolute.relative_to(self.root)) if absolute.is_relative_to(self.root) else None


class _Watched(sqlite3.Connection):
    """A connection whose commits are steps."""

    steps: ClassVar[Steps]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._written: list[str] = []
        self.set_trace_callback(self._note)

    def _note(self, statement: str) -> None:
        match = re.match(
            r"(INSERT|UPDATE|DELETE)\b.*?(?:\b(?:INTO|FROM)|(?<=UPDATE))\s+(\w+)", statement
        )
        # Each transaction increases the revision in the table `study`.
        if match and not statement.startswith("UPDATE study SET revision"):
            self._written.append(" ".join(match.groups()))

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            path = Path(super().execute("PRAGMA database_list").fetchone()[2])
            if path.is_relative_to(self.steps.root):
                what = ", ".join(dict.fromkeys(self._written)) or "nothing else"
                self.steps.step(f"commit {path.name}: {what}", self._error)
            self._written.clear()
        return super().execute(statement, *arguments)

    def _error(self) -> Exception:
        return sqlite3.OperationalError(_ERRORS[str(self.steps.fault)][1])
