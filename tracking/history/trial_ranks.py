"""Ranks a study's recorded trials, and makes a table of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tracking.records import (
    EndedTrial,
    Objective,
    Rank,
    TrialRecord,
    finished_trials,
)

if TYPE_CHECKING:
    import pandas as pd

    from tracking.history.study_history import StudyHistory


Kind = Literal["infeasible", "cut short"]

_EPOCH = re.compile(r" (?:in|after) epoch \d+")
_COLUMNS = ("number", "state", "value", "epoch", "epochs", "started", "seconds", "seed", "reason")


def latest_attempts(attempts: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Returns the last attempt at each trial, by number."""
    latest = {trial.number: trial for trial in attempts}
    return [latest[number] for number in sorted(latest)]


def ranked(trials: Iterable[TrialRecord], objective: Objective) -> list[EndedTrial]:
    """Returns the trials that have a value, the best first. Pruned trials count, too."""
    valued = [t for t in finished_trials(trials) if t.best is not None and t.state != "infeasible"]
    return sorted(valued, key=lambda trial: rank_of(trial, objective))


def rank_of(trial: TrialRecord, objective: Objective) -> Rank:
    """Returns the rank of a trial that has a value."""
    assert trial.best is not None, "the trial has a value"
    # Of trials with equal values, the one with the lower validation loss ranks first. If an
    # objective function trained several models, the loss of only one model is recorded, so no loss
    # counts.
    best = trial.best if trial.epoch is not None else replace(trial.best, metrics={})
    return best.rank(objective, trial.number)


def best_trial(trials: Iterable[TrialRecord | None], objective: Objective) -> EndedTrial | None:
    """Returns the best trial whose value counts (`TrialRecord.holds`), or None.

    Entries of `trials` that are None are ignored.
    """
    candidates = [trial for trial in trials if trial is not None]
    return next((trial for trial in ranked(candidates, objective) if trial.holds), None)


class Reason(NamedTuple):
    """A reason why trials are infeasible or ended early."""

    kind: Kind
    text: str  # The reason without an epoch's number, which may differ between the trials.
    trials: tuple[int, ...]  # The trials' numbers.


def reasons(trials: Iterable[TrialRecord]) -> list[Reason]:
    """Returns the reasons why trials are infeasible, then the reasons why trials ended early.

    Both groups begin with their most frequent reason.
    """
    numbers: dict[tuple[Kind, str], list[int]] = {}
    for trial in finished_trials(trials):
        if not trial.result.reason:
            continue
        kind: Kind = "infeasible" if trial.state == "infeasible" else "cut short"
        text = _EPOCH.sub("", trial.result.reason)
        numbers.setdefault((kind, text), []).append(trial.number)
    unsorted = [Reason(kind, text, tuple(trials)) for (kind, text), trials in numbers.items()]
    return sorted(unsorted, key=lambda reason: (reason.kind != "infeasible", -len(reason.trials)))


def trials_table(history: StudyHistory) -> pd.DataFrame:
    """Returns a table with a row for each trial of a study, by number.

    Columns are named as in Optuna's `Study.trials_dataframe`:

    - ``number``, ``state``, ``value`` (the objective at the best epoch), ``epoch`` (the best epoch,
      from 1), ``epochs`` (how many were trained), ``started`` (UTC), ``seconds``, ``seed``,
      ``reason`` (why the trial is infeasible or ended early),
    - ``params_NAME`` for each hyperparameter; missing if it was not active in the trial,
    - ``metrics_NAME`` for each metric at the best epoch.
    """
    import pandas as pd

    names = history.description.space.names
    rows = [_row(trial, names) for trial in history.trials]
    metrics = {name for row in rows for name in row if name.startswith("metrics_")}
    columns = [*_COLUMNS, *(f"params_{name}" for name in names), *sorted(metrics)]
    table = pd.DataFrame(rows, columns=columns)
    table["started"] = pd.to_datetime(table["started"], unit="ms", utc=True)
    # "Int64" allows missing values.
    return table.astype({"epoch": "Int64", "value": "float64", "seconds": "float64"})


def _row(trial: TrialRecord, names: Iterable[str]) -> dict[str, Any]:
    result, metrics = trial.result, trial.best.metrics if trial.best is not None else {}
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "epoch": trial.epoch,
        "epochs": 0 if result is None else result.epochs,
        "started": trial.started,
        "seconds": None if result is None else result.seconds,
        "seed": trial.spec.seed,
        "reason": "" if result is None else result.reason,
        **{f"params_{name}": trial.params.get(name) for name in names},
        **{f"metrics_{name}": value for name, value in metrics.items()},
    }
