"""The commands that people copy from pages and terminals."""

from __future__ import annotations

import shlex
from pathlib import Path

from tracking.records import StudyDescription


def shell_command(
    verb: str,
    description: StudyDescription,
    options: str = "",
    *,
    store: Path | None = None,
    several: bool = False,
) -> str:
    """Returns a command on a study, to copy into a shell.

    Args:
        verb: The command, such as ``"show"``.
        description: The study, under the engine that is meant.
        options: Options of the command, quoted.
        store: The store's folder; None: the command need not name it.
        several: Whether the study has several engines, so that the command must name one.
    """
    words = [f"kerastudy {verb} {shlex.quote(description.name)}", options]
    words.append(f"--engine {shlex.quote(description.engine)}" if several else "")
    words.append(f"--store {shlex.quote(str(store))}" if store is not None else "")
    return " ".join(word for word in words if word)


def reproduce_command(
    description: StudyDescription, number: int | str, store: Path | None, *, several: bool
) -> str:
    """Returns the command that reproduces a trial; see `shell_command`."""
    options = f"--trial {number}"
    return shell_command("reproduce", description, options, store=store, several=several)
