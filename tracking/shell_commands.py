"""Shell commands, such as ``kerastudy reproduce digits --trial 7``, for people to copy.

A command on a recorded study has the option ``--store``, unless the study is in the default store.
A study that was made in a notebook or by ``python -`` has no file for a command to run. So commands
that would run its code are calls in Python, such as ``study.confirm()``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from search_spaces import Tailoring
from tracking.history import StudyHistory
from tracking.records import DEFAULT_ENGINE, StudyDescription, option_of
from tracking.store import default_store_path, real_folder

# `kerastudy launch` takes the studies in this folder by name.
_CATALOG: Final = Path(__file__).parents[1] / "studies" / "catalog"
# The commands that run a study's code. `Study` has methods of the same names.
_RUNNING: Final = ("confirm", "evaluate", "promote", "reproduce")


def shell_command(
    verb: str,
    description: StudyDescription,
    options: str = "",
    *,
    trial: int | str = "",
    store: Path | None = None,
) -> str:
    """Returns a command on a study, e.g. ``kerastudy confirm NAME``.

    `options` must already be quoted for a shell. `trial` adds ``--trial``, `store` ``--store``.
    """
    if verb in _RUNNING and not description.code.path:
        return _call(verb, str(trial), store)
    words = [f"kerastudy {verb} {shlex.quote(description.name)}", options]
    return _joined([*words, f"--trial {trial}" if trial != "" else "", _store_option(store)])


def study_command(
    history: StudyHistory, verb: str, options: str = "", *, trial: int | str = ""
) -> str:
    """Returns a command on a recorded study."""
    return shell_command(verb, history.description, options, trial=trial, store=history.store.root)


def reproduce_command(history: StudyHistory, number: int | str) -> str:
    """Returns ``kerastudy reproduce NAME --trial N``."""
    return study_command(history, "reproduce", trial=number)


def launch_command(history: StudyHistory, name: str, options: Sequence[str] = ()) -> str:
    """Returns the command that launches a recorded study under a name, with further options."""
    description = history.description
    if not description.code.path:
        return _call("launch", "", history.store.root)
    words = [f"kerastudy launch {shlex.quote(target_of(description))}"]
    if name != (description.code.study_name or name):
        words.append(f"--name {shlex.quote(name)}")
    if description.engine != DEFAULT_ENGINE:
        words.append(f"--engine {shlex.quote(description.engine)}")
    data = _data_options(description)
    return _joined([*words, *options, *data, _store_option(history.store.root)])


def launch_options(tailoring: Tailoring, settings: Mapping[str, Any]) -> list[str]:
    """Returns the options of ``kerastudy launch``, quoted for a shell."""
    options = [f"--only {shlex.quote(name)}" for name in tailoring.only or ()]
    options += [f"--set {shlex.quote(f'{name}={text}')}" for name, text in tailoring.ranges.items()]
    for name, value in settings.items():
        option = option_of(name)
        options.append(option if value is True else f"{option} {shlex.quote(str(value))}")
    return options


def data_command(description: StudyDescription) -> str:
    """Returns the command that checks a study's data. In a notebook, it is a Python call."""
    if not description.code.path:
        return "print(kerastudy.check_data(study))"
    words = [f"kerastudy data {shlex.quote(target_of(description))}"]
    return _joined([*words, *_data_options(description)])


def _call(method: str, argument: str, store: Path | None) -> str:
    """Returns a call of a method of a study object, e.g. ``study.reproduce(3)``."""
    store_argument = f"store={str(store)!r}" if _store_option(store) else ""
    return f"study.{method}({', '.join(filter(None, [argument, store_argument]))})"


def _joined(words: Iterable[str]) -> str:
    return " ".join(filter(None, words))


def _store_option(store: Path | None) -> str:
    """Returns ``--store`` with the folder of a store. The text is empty for the default store."""
    if store is None or store == real_folder(default_store_path()):
        return ""
    return f"--store {shlex.quote(str(store))}"


def _data_options(description: StudyDescription) -> list[str]:
    """Returns the options ``--data`` and ``--target`` with which the study was launched."""
    # `override` has the form FILE?target=COLUMN, which `studies.data.datasets` writes.
    file, _, column = description.data.override.partition("?target=")
    options = [f"--data {shlex.quote(file)}"] if file else []
    return [*options, f"--target {shlex.quote(column)}"] if column else options


def target_of(description: StudyDescription) -> str:
    """Returns the argument that names a study in a command: its file, or its catalog name."""
    code = description.code
    path = Path(code.path)
    if path.parent == _CATALOG:
        return path.stem.replace("_", "-")
    # A relative path is enough in the folder from which the study was launched.
    if code.folder and path.is_relative_to(code.folder) and Path(code.folder) == Path.cwd():
        path = path.relative_to(code.folder)
    return f"{path}:{code.variable}" if code.variable not in ("", "study") else str(path)
