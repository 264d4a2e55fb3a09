"""The argument TARGET of commands, which names a study.

A target is a catalog name (``digits``), a file (``my_study.py``), or a file and a variable in the
file (``my_study.py:wide``). The file may be a script for Keras Tuner or Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from search_spaces.errors import StudyFileError
from studies.catalog import COURSE

_CATALOG = Path(__file__).parents[1] / "catalog"


@dataclass(frozen=True)
class Target:
    """The file that defines a study, and the study's name in the file.

    Attributes:
        path: The file. With ``source``, the file need not exist.
        variable: The variable of the study; empty if the file has one study.
        source: A recorded text that runs in place of the file. None: the file itself runs.
        study_name: The study's name, if ``variable`` is empty and the file has several studies.
        modules: Recorded texts of modules, by file. They run in place of the files.
    """

    path: str
    variable: str = ""
    source: str | None = None
    study_name: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)


def catalog_names() -> list[str]:
    """Returns the names of the catalog's studies, in the order of the course."""
    return [name for names in COURSE.values() for name in names]


def catalog_questions() -> dict[str, str]:
    """Returns the question of each study of the catalog, which is the first line of its file."""
    questions = {}
    for name in catalog_names():
        with Path(resolve_target(name).path).open(encoding="utf-8") as file:
            questions[name] = file.readline().strip().removeprefix('"""')
    return questions


def resolve_target(text: str) -> Target:
    """Returns the file and the study that the argument TARGET of a command names. Runs no code."""
    if text in catalog_names():
        return Target(str(_CATALOG / f"{text.replace('-', '_')}.py"))
    path, colon, variable = text.rpartition(":")
    # The colon in "C:\studies\mine.py" belongs to the path.
    if not colon or not variable.isidentifier() or Path(text).exists():
        path, variable = text, ""
    file = Path(path).expanduser()
    if file.suffix == ".py" and file.is_file():
        # As Python does, look for the file's own modules where the file is, not where a link is.
        return Target(str(file.resolve()), variable)
    raise _no_target(text, path, file)


_A_TARGET = "A target is a Python file (my_study.py, my_study.py:variable) or a catalog name."


def _no_target(text: str, path: str, file: Path) -> StudyFileError:
    if not text:
        return StudyFileError("The target is empty", hint=_A_TARGET)
    if file.is_dir():
        return StudyFileError(f"{path!r} is a folder", hint=f"Name a file in it. {_A_TARGET}")
    if file.is_file():
        return StudyFileError(f"{path!r} is no Python file, so it is not run", hint=_A_TARGET)
    # Names are compared without the suffix, because all files have the same suffix.
    targets = {} if file.suffix else {name: name for name in catalog_names()}
    targets |= {python_file.stem: str(python_file) for python_file in file.parent.glob("*.py")}
    near = get_close_matches(file.stem, targets, n=1, cutoff=0.7)
    hint = f"Did you mean {targets[near[0]]!r}? {_A_TARGET}" if near else _A_TARGET
    return StudyFileError(f"There is no study file or catalog study {path!r}", hint=hint)


def with_source(target: Target) -> Target:
    """Returns a target with the present text of its file as `source`.

    A target that already has a `source` is returned unchanged.
    """
    if target.source is not None:
        return target
    return replace(target, source=source_in(Path(target.path)))


def source_in(path: Path) -> str:
    """Returns the text of a study file. Raises StudyFileError if it can't be read."""
    try:
        # As Python does, ignore a byte order mark, which some editors on Windows write.
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"The study file {str(path)!r} cannot be read: {error}") from None


def what_is_loaded(target: Target) -> str:
    """Returns the progress message to show while the target is imported."""
    path = Path(target.path)
    if path.parent == _CATALOG:
        return f"loading {path.stem.replace('_', '-')}"
    here = Path.cwd()
    short_path = path.relative_to(here) if path.is_relative_to(here) else path
    return f"loading {short_path}"
