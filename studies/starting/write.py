"""Writes a study file to start from."""

from __future__ import annotations

import re
from pathlib import Path

from search_spaces.errors import StudyFileError
from studies.starting.files import read_samples
from studies.starting.samples import DIGITS, Kind, Samples, quoted
from studies.starting.template import study_text
from studies.user_code.targets import resolve_target
from tracking.store.folder import check_study_name


def check_new(file: Path) -> Path:
    """Returns the file's path.

    Raises:
        StudyFileError: It exists, is no .py file, or its folder is missing.
    """
    file = file.expanduser()
    if file.suffix != ".py":
        raise StudyFileError(
            f"A study is a Python file, such as {file.with_suffix('.py').name}. "
            f"Received: {str(file)!r}."
        )
    if file.exists():
        raise StudyFileError(f"{str(file)!r} exists already. Give another name, or remove it.")
    if not file.parent.is_dir():
        raise StudyFileError(f"There is no folder {str(file.parent)!r}. Make it first.")
    return file


def write_study(
    file: Path,
    *,
    data: Path | None = None,
    target: str | None = None,
    kind: Kind | None = None,
    catalog: str | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Writes a study file, and returns the study's name, and what the user should know.

    Args:
        file: Where; it must not exist.
        data: The data file, or folder; None: scikit-learn's digits.
        target: The column to predict, for tables.
        kind: What the targets are; None: as they look.
        catalog: The catalog study to copy instead.

    Raises:
        StudyFileError: The file can't be written, or there is no such catalog study.
        DataError: The data can't be read.
    """
    file = check_new(file)
    name = check_study_name(file.stem.replace("_", " ").strip() or file.stem)
    notes: tuple[str, ...] = ()
    if catalog is not None:
        text = _copied(catalog, name)
    else:
        samples: Samples = DIGITS if data is None else read_samples(data, target, kind)
        text, notes = study_text(name, file.as_posix(), samples), samples.notes
    try:
        # Not over a file that was made in the meantime.
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise StudyFileError(f"{str(file)!r} can't be written: {error.strerror}.") from None
    return name, notes


def _copied(catalog: str, name: str) -> str:
    """Returns the text of a catalog study, under another name."""
    source = Path(resolve_target(catalog).path)
    text = source.read_text(encoding="utf-8")
    return re.sub(
        r'(ks\.Study\(\s*)"[^"\n]+"', lambda found: found[1] + quoted(name), text, count=1
    )
