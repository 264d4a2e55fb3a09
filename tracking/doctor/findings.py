"""Findings of checks, and mending them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal

from search_spaces.errors import TrackingError

Kind = Literal[
    "store",  # store.json
    "database",  # mlflow.db
    "running",  # a run that is RUNNING without a process
    "unmade",  # a study whose process was killed while it was made
    "record",  # a run that can't be read, or is missing
    "definition",  # a study's definition
    "code",  # the text of a study file
    "checkpoint",  # the weights of a trial
    "scores",  # the scores of a trial's validation samples
    "state",  # the state of a training that may be resumed
    "champion",  # the registered model
    "leftover",  # a piece of a file
    "orphan",  # files without anything in the record
]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a store.

    Attributes:
        kind: The kind of damage.
        what: What is wrong, for people to read.
        how: How it is mended: a command to give, or what ``--fix`` does.
        study: The study, or empty.
        engine: Its engine, or empty.
        trial: The trial's number, or None.
        run: The MLflow run, or empty.
        path: The file or folder, or empty.
        mended: Whether it was mended.
    """

    kind: Kind
    what: str
    how: str
    study: str = ""
    engine: str = ""
    trial: int | None = None
    run: str = ""
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
