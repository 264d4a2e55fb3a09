"""The findings of checks, and mending them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Final, Literal

from search_spaces.errors import TrackingError

Kind = Literal[
    "store",  # store.json
    "journal",  # a study's journal
    "running",  # a study that is RUNNING without a process
    "name",  # two studies have one name
    "code",  # the text of a study file
    "checkpoint",  # the weights of a trial
    "state",  # the state of a training that may be resumed
    "champion",  # the saved model
    "leftover",  # a piece of a file, or a half deleted study
    "orphan",  # files without anything in the record
]


@dataclass(frozen=True)
class Finding:
    """A fault in a store."""

    kind: Kind
    what: str  # For people to read.
    how: str  # A command to give, or what ``--fix`` does.
    study: str = ""
    engine: str = ""
    trial: int | None = None
    path: str = ""
    mended: bool = False


@dataclass(frozen=True)
class Ailment(Finding):
    """A finding, and the function that mends it; None if only a person can."""

    mend: Callable[[], object] | None = None


def attended(ailments: Iterable[Ailment], *, fix: bool) -> Iterator[Finding]:
    """Yields a check's findings, mended if possible and asked for, once it has found all."""
    for ailment in list(ailments):
        finding = Finding(**{each.name: getattr(ailment, each.name) for each in fields(Finding)})
        if not fix or ailment.mend is None:
            yield finding
            continue
        try:
            ailment.mend()
        except (OSError, TrackingError) as error:
            why = getattr(error, "strerror", None) or error
            yield replace(finding, how=f"{finding.how} (that failed: {why})")
        else:
            yield replace(finding, mended=True)


# See `StudyFiles` and `one_before`.
_FILE: Final = re.compile(
    r"trial-(\d{5,})(?:\.repeat-(\d+))?\.(weights\.h5|(?:state|scores)\.safetensors)(?:\.before)?"
)


def file_of_trial(name: str) -> tuple[int, str] | None:
    """Returns a file's trial by number, and the kind of file; None for other files."""
    match = _FILE.fullmatch(name)
    return None if match is None else (int(match[1]), match[3])
