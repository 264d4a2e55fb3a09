"""The shell commands that pages and terminals show to be copied."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tracking.history.study_history import StudyHistory
from tracking.records import StudyDescription, TrialRecord

_USUAL: Final = "optuna:tpe"
# `kerastudy launch` takes the studies in this folder by name.
_CATALOG: Final = Path(__file__).parents[2] / "studies" / "catalog"


def shell_command(
    verb: str,
    description: StudyDescription,
    options: str = "",
    *,
    store: Path | None = None,
    several: bool = False,
) -> str:
    """Returns a command on a study, e.g. ``kerastudy confirm NAME``.

    `options` must be quoted already. `several` adds ``--engine``, `store` adds ``--store``.
    """
    words = [f"kerastudy {verb} {shlex.quote(description.name)}", options]
    words.append(f"--engine {shlex.quote(description.engine)}" if several else "")
    words.append(f"--store {shlex.quote(str(store))}" if store is not None else "")
    return " ".join(word for word in words if word)


def launch_command(
    description: StudyDescription,
    name: str,
    options: Sequence[str],
    *,
    store: Path | None = None,
) -> str:
    """Returns the command that launches a study under a name, perhaps with changed settings."""
    code = description.code
    words = [f"kerastudy launch {shlex.quote(target_of(description))}"]
    words.append("" if name == (code.study_name or name) else f"--name {shlex.quote(name)}")
    words.append(
        "" if description.engine == _USUAL else f"--engine {shlex.quote(description.engine)}"
    )
    words += [*options, *_data_options(description)]
    words.append(f"--store {shlex.quote(str(store))}" if store is not None else "")
    return " ".join(word for word in words if word)


def data_command(description: StudyDescription, store: Path | None = None) -> str:
    """Returns the command that checks a study's data. In a notebook, it is a Python call."""
    if not description.code.path:
        return "print(kerastudy.check_data(study))"
    words = [f"kerastudy data {shlex.quote(target_of(description))}"]
    words += _data_options(description)
    words += [f"--store {shlex.quote(str(store))}"] if store is not None else []
    return " ".join(words)


def _data_options(description: StudyDescription) -> list[str]:
    """Returns ``--data`` and ``--target``, if the study was launched with them."""
    # `studies.data.datasets` writes FILE?target=COLUMN.
    file, _, column = description.data.override.partition("?target=")
    options = [f"--data {shlex.quote(file)}"] if file else []
    return [*options, f"--target {shlex.quote(column)}"] if column else options


def target_of(description: StudyDescription) -> str:
    """Returns the argument that names a study in a command: its file, or its catalog name."""
    code = description.code
    path = Path(code.path)
    if path.parent == _CATALOG:
        return path.stem.replace("_", "-")
    # In the launch's folder, a relative path is enough.
    if code.folder and path.is_relative_to(code.folder) and Path(code.folder) == Path.cwd():
        path = path.relative_to(code.folder)
    return f"{path}:{code.variable}" if code.variable not in ("", "study") else str(path)


def reproduce_command(
    description: StudyDescription, number: int | str, store: Path | None, *, several: bool
) -> str:
    """Returns the command that reproduces a trial."""
    options = f"--trial {number}"
    return shell_command("reproduce", description, options, store=store, several=several)


def again_command(history: StudyHistory, trial: TrialRecord, without: Path | None = None) -> str:
    """Returns the command that reproduces a trial. It has ``--store`` unless this is `without`."""
    store = None if history.store.root == without else history.store.root
    several = len(history.engines) > 1
    return reproduce_command(history.description, trial.number, store, several=several)
