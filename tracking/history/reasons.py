"""Counts the reasons why trials are infeasible, or ended before their last epoch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from tracking.records import TrialRecord, finished_trials

Kind = Literal["infeasible", "cut short"]

_EPOCH = re.compile(r" (?:in|after) epoch \d+")


class Reason(NamedTuple):
    """A reason, and the trials that ended for it.

    Attributes:
        kind: Whether they have no value, or one of earlier epochs.
        text: The reason, without the epoch.
        trials: Their numbers, at least one.
    """

    kind: Kind
    text: str
    trials: tuple[int, ...]


def reasons(trials: Iterable[TrialRecord]) -> list[Reason]:
    """Returns the reasons of finished trials: infeasible ones first, then the most frequent."""
    found: dict[tuple[Kind, str], list[int]] = {}
    for trial in finished_trials(trials):
        if not trial.result.reason:
            continue
        kind: Kind = "infeasible" if trial.state == "infeasible" else "cut short"
        text = _EPOCH.sub("", trial.result.reason)
        found.setdefault((kind, text), []).append(trial.number)
    counted = [Reason(kind, text, tuple(numbers)) for (kind, text), numbers in found.items()]
    return sorted(counted, key=lambda each: (each.kind != "infeasible", -len(each.trials)))
