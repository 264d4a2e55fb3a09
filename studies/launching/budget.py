"""Decides when a study ends: at its target, after its patience, or when its time is up."""

from __future__ import annotations

from typing import Literal, NamedTuple

from search_spaces.texts import duration
from tracking.records import StudyDescription, TrialRecord

EndedBy = Literal["trials", "space", "timeout", "stop_at", "patience", "interrupt", "error"]


class Ending(NamedTuple):
    """The reason why a launch ended."""

    by: EndedBy
    text: str


INTERRUPTED = Ending("interrupt", "interrupted; launch again to resume")


def reached(
    description: StudyDescription,
    seconds: float,
    since_best: int,
    best: TrialRecord | None,
) -> Ending | None:
    """Returns why a study ends before all its trials are done, or None.

    `seconds` is compared with the study's `timeout`. `since_best` is the number of finished trials
    after the best trial.
    """
    if best is not None and best.best is not None:
        objective, value = description.objective, best.best.value
        target = description.stop_at
        if target is not None and (value == target or objective.is_better(value, target)):
            return Ending(
                "stop_at",
                f"{objective.metric} reached {target:.6g}: {value:.6g} in trial {best.number}",
            )
    if description.patience is not None and since_best >= description.patience:
        than = "no value" if best is None else f"nothing better than trial {best.number}"
        return Ending("patience", f"{since_best} trials in a row found {than}")
    if description.timeout is not None and seconds >= description.timeout:
        return Ending(
            "timeout", f"the time of {duration(description.timeout)} is up; launch again to resume"
        )
    return None
