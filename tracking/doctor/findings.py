"""Findings of checks, and mending them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from search_spaces.errors import TrackingError
from tracking.atomic import remove_pieces
from tracking.store import Store

Kind = Literal[
    "store",  # store.json
    "database",  # mlflow.db
    "running",  # a run that is RUNNING without a process
    "unmade",  # a study whose process was killed while it was made
    "record",  # a run that can't be read, or is missing
    "definition",  # a study's definition
    "code",  # the text of a study file
    "checkpoint",  # the weights of a trial
    "state",  # the state of a training that may be resumed
    "champion",  # the registered model
    "leftover",  # a piece of a file
    "orphan",  # files without anything in the record
]
FOLDER = "orphans"


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
class Ailment:
    """A finding, and the function that mends it; None if only a person can."""

    finding: Finding
    mend: Callable[[], object] | None = None


def attended(ailments: Iterable[Ailment], *, fix: bool) -> Iterator[Finding]:
    """Yields the findings, mended if possible and asked for.

    Args:
        ailments: Those of one check; it finds all before the first is mended.
        fix: Whether to mend.
    """
    for ailment in list(ailments):
        if not fix or ailment.mend is None:
            yield ailment.finding
            continue
        try:
            ailment.mend()
        except (OSError, TrackingError) as error:
            told = getattr(error, "strerror", None) or error
            yield replace(ailment.finding, how=f"{ailment.finding.how} (that failed: {told})")
        else:
            yield replace(ailment.finding, mended=True)


def move_to_orphans(store: Store, path: Path) -> Path:
    """Moves a file or folder of the store to its folder of orphans; returns the new path.

    Partial files of killed processes are removed instead.
    """
    to = store.root / FOLDER / store.inside(path).relative_to(store.root)
    for folder in (path, *(each for each in path.rglob("*") if each.is_dir())):
        remove_pieces(folder)
    to.parent.mkdir(parents=True, exist_ok=True)
    place, count = to, 1
    while os.path.lexists(place):
        count += 1
        place = to.with_name(f"{count}-{to.name}")
    # It may be on another disk, if one of the store's folders is a link.
    shutil.move(path, place)
    return place
