"""What the user asked for: the trial, and the file, which is written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_spaces.errors import StudyError, StudyNotFoundError
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial
from tracking.store.files import followed, is_device, replacing


def file_for(output: str | Path | None, default: str, force: bool) -> Path:
    """Returns the file or folder to write.

    Args:
        output: What the user named, if anything.
        default: Its name in this folder otherwise, made of a study's name.
        force: Whether it may exist.

    Raises:
        StudyError: If it exists, or its folder does not.
    """
    path = path_for(output, default)
    check_free(path, force)
    return followed(path)


def path_for(output: str | Path | None, default: str) -> Path:
    """Returns the path that the user named, or one made of a study's name; see `file_for`."""
    return Path(output or re.sub(r"[^\w.-]+", "-", default)).expanduser().absolute()


def check_free(path: Path, force: bool) -> None:
    """Checks that a file may be written.

    Raises:
        StudyError: If it exists and must not be replaced, or its folder is missing.
    """
    if path.is_dir():
        raise StudyError(f"{str(path)!r} is a folder. Name a file with --output.")
    if path.exists() and not force and not is_device(path):
        raise StudyError(
            f"{str(path)!r} exists. Name another file with --output, or replace it with --force."
        )
    if not path.parent.is_dir():
        raise StudyError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")


@contextmanager
def written(output: str | Path | None, default: str, force: bool) -> Iterator[tuple[Path, Path]]:
    """Yields a file, and the path to write instead, which becomes that file at the end.

    Args:
        output: See `file_for`; likewise the others.
        default: Likewise.
        force: Likewise.

    Raises:
        StudyError: If it can't be written.
    """
    file = file_for(output, default, force)
    with explained(file), replacing(file) as partial:
        yield file, partial


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Makes a clear error of a failure to write."""
    try:
        yield
    except OSError as error:
        raise StudyError(
            f"{str(path)!r} can't be written: {error.strerror or error}. Name another place with "
            "--output."
        ) from None


def trial_to_export(history: StudyHistory, number: int | None) -> EndedTrial:
    """Returns a trial with a value: the best one, or that of a number.

    Raises:
        StudyNotFoundError: If there is none.
    """
    trial = history.best if number is None else history.trial(number)
    name = history.description.name
    if trial is None:
        raise StudyNotFoundError(f"The study {name!r} has no trial with a value to export.")
    if not isinstance(trial, EndedTrial) or trial.best is None or trial.state == "interrupted":
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is {trial.state} and has no value to export."
        )
    return trial
