"""Decides when a study ends: by number of trials, time, value or patience."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tracking.records import StudyDescription, TrialRecord

EndedBy = Literal["trials", "space", "timeout", "stop_at", "patience", "interrupt", "error"]

AtTheEnd = Literal["finish", "cut"]
"""Whether to finish or to cut running trials when a study's budget is spent."""


class Ending(NamedTuple):
    """Why a launch ended."""

    by: EndedBy
    text: str


INTERRUPTED = Ending("interrupt", "interrupted; launch again to resume")


def why_it_ended(
    *, total: int, finished: int, begun: int, exhausted: bool, early: Ending | None, stopped: bool
) -> Ending:
    """Returns why a launch ended.

    Args:
        total: How many trials were asked for.
        finished: How many it has.
        begun: How many it has, with those that were cut.
        exhausted: Whether there is nothing left to try.
        early: Why it ended early, if it did.
        stopped: Whether a user stopped it. Ignored if nothing was left to do.
    """
    done = finished >= total or exhausted or early is not None
    if stopped and (finished < begun or not done):
        return INTERRUPTED
    if finished >= total:
        return Ending("trials", f"all {total} trials are done")
    if exhausted:
        return Ending("space", f"all {finished} configurations of the space were tried")
    assert early is not None, "trials are left"
    return early


def reached(
    description: StudyDescription,
    seconds: float,
    since_best: int,
    best: TrialRecord | None,
) -> Ending | None:
    """Decides whether a study ends early.

    Args:
        description: The study.
        seconds: How long this launch has run.
        since_best: How many trials with a higher number than the best one have finished.
        best: The best trial, if one has a value.

    Returns:
        Why it ends, or None if it continues.
    """
    if best is not None and best.best is not None:
        objective, value = description.objective, best.best.value
        wanted = description.stop_at
        if wanted is not None and (value == wanted or objective.is_better(value, wanted)):
            return Ending(
                "stop_at",
                f"{objective.metric} reached {wanted:.6g}: {value:.6g} in trial {best.number}",
            )
    if description.patience is not None and since_best >= description.patience:
        than = "no value" if best is None else f"nothing better than trial {best.number}"
        return Ending("patience", f"{since_best} trials in a row found {than}")
    if description.timeout is not None and seconds >= description.timeout:
        return Ending(
            "timeout", f"the time of {spelled(description.timeout)} is up; launch again to resume"
        )
    return None


def spelled(seconds: float) -> str:
    """Returns a time in words, such as ``"1 h 30 min"``."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [
        (f"{hours:.0f}", "h", hours),
        (f"{minutes:.0f}", "min", minutes),
        (f"{rest:g}", "s", rest),
    ]
    return " ".join(f"{text} {unit}" for text, unit, size in parts if size) or "0 s"
