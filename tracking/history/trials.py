"""A study's trials: their ranks, values, reasons and curves, and the table `trials_table`."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

from search_spaces import SearchSpace, complete, parameter_from_dict
from tracking.journal import JournalReader
from tracking.records import (
    BestEpoch,
    EndedTrial,
    Objective,
    Rank,
    StudyDescription,
    TrialRecord,
    finished_trials,
)

if TYPE_CHECKING:
    import pandas as pd

    from tracking.history.study_history import StudyHistory


_Trial = TypeVar("_Trial", bound=TrialRecord)
Kind = Literal["infeasible", "cut short"]

_EPOCH = re.compile(r" (?:in|after) epoch \d+")
_COLUMNS = ("number", "state", "value", "epoch", "epochs", "started", "seconds", "seed", "reason")


def latest_attempts(attempts: Iterable[TrialRecord]) -> tuple[list[TrialRecord], int]:
    """Returns the last attempt at each trial, and the number of earlier infeasible attempts."""
    latest: dict[int, TrialRecord] = {}
    superseded = 0
    for trial in attempts:
        before = latest.get(trial.number)
        superseded += before is not None and before.state == "infeasible"
        latest[trial.number] = trial
    return [latest[number] for number in sorted(latest)], superseded


def ranked(trials: Iterable[TrialRecord], objective: Objective) -> list[EndedTrial]:
    """Returns the trials that have a value, the best first. Pruned trials count, too."""
    valued = [t for t in finished_trials(trials) if t.best is not None and t.state != "infeasible"]
    return sorted(valued, key=lambda trial: rank_of(trial, objective))


def rank_of(trial: TrialRecord, objective: Objective) -> Rank:
    """Returns the rank of a trial that has a value."""
    assert trial.best is not None, "it has a value"
    # If the value belongs to no epoch, the recorded metrics are those of one of several models.
    best = trial.best if trial.epoch is not None else replace(trial.best, metrics={})
    return best.rank(objective, trial.number)


def best_trial(trials: Iterable[TrialRecord | None], objective: Objective) -> EndedTrial | None:
    """Returns the best trial, or None. Ignores trials that `model.fit` contradicts, and None."""
    recorded = [trial for trial in trials if trial is not None]
    return next((trial for trial in ranked(recorded, objective) if trial.holds), None)


def with_joined(description: StudyDescription, trials: Iterable[TrialRecord]) -> StudyDescription:
    """Returns a study's definition with the hyperparameters that its trials added to the space.

    Tracing a builder may miss a branch with further hyperparameters. These join the space when a
    trial's builder declares them. That trial, and all before it, had their defaults.
    """
    if not description.discovered:
        return description
    space = description.space
    for trial in trials:
        if isinstance(trial, EndedTrial):
            space = joined(space, trial.result.joined)
    return replace(description, space=space)


def joined(space: SearchSpace, parameters: Iterable[object]) -> SearchSpace:
    """Returns a space with parameters, from `Parameter.to_dict`, added or replaced."""
    further = [parameter_from_dict(each) for each in parameters]
    return space.with_parameters(*further) if further else space


def completed(trial: _Trial, space: SearchSpace) -> _Trial:
    """Returns a trial with the defaults of hyperparameters that joined the space later."""
    if space.contains(trial.spec.values):
        return trial
    return replace(trial, spec=replace(trial.spec, values=complete(space, trial.spec.values)))


class Reason(NamedTuple):
    """Why trials ended early. `text` names no epoch, `trials` are the trials' numbers."""

    kind: Kind
    text: str
    trials: tuple[int, ...]


def reasons(trials: Iterable[TrialRecord]) -> list[Reason]:
    """Returns the reasons of finished trials: infeasible ones first, then the most frequent."""
    numbers: dict[tuple[Kind, str], list[int]] = {}
    for trial in finished_trials(trials):
        if not trial.result.reason:
            continue
        kind: Kind = "infeasible" if trial.state == "infeasible" else "cut short"
        text = _EPOCH.sub("", trial.result.reason)
        numbers.setdefault((kind, text), []).append(trial.number)
    counted = [Reason(kind, text, tuple(of)) for (kind, text), of in numbers.items()]
    return sorted(counted, key=lambda each: (each.kind != "infeasible", -len(each.trials)))


def trials_table(history: StudyHistory) -> pd.DataFrame:
    """Returns a table with a row for each trial of a study, by number.

    Columns are named as by Optuna's `Study.trials_dataframe`:

    - ``number``, ``state``, ``value`` (the objective at the best epoch), ``epoch`` (the best epoch,
      from 1), ``epochs`` (their number), ``started`` (UTC), ``seconds``, ``seed``, ``reason`` (why
      it is infeasible or ended early),
    - ``params_NAME`` for each hyperparameter; missing where it was not active,
    - ``metrics_NAME`` for each metric at the best epoch.
    """
    import pandas as pd

    names = history.description.space.names
    rows = [_row(trial, names) for trial in history.trials]
    metrics = dict.fromkeys(n for row in rows for n in row if n.startswith("metrics_"))
    columns = [*_COLUMNS, *(f"params_{name}" for name in names), *sorted(metrics)]
    table = pd.DataFrame(rows, columns=columns)
    table["started"] = pd.to_datetime(table["started"], unit="ms", utc=True)
    # "Int64" allows missing values.
    return table.astype({"epoch": "Int64", "value": "float64", "seconds": "float64"})


def _row(trial: TrialRecord, names: Iterable[str]) -> dict[str, Any]:
    result = trial.result
    row: dict[str, Any] = {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "epoch": trial.epoch,
        "epochs": 0 if result is None else result.epochs,
        "started": trial.started,
        "seconds": None if result is None else result.seconds,
        "seed": trial.spec.seed,
        "reason": "" if result is None else result.reason,
    }
    row |= {f"params_{name}": trial.params.get(name) for name in names}
    if trial.best is not None:
        row |= {f"metrics_{name}": value for name, value in trial.best.metrics.items()}
    return row


_BARS: Final = "▁▂▃▄▅▆▇█"
Epochs = dict[int, dict[str, float]]
"""Metrics by epoch, from 1."""


def epoch_metrics(folder: Path, trial: TrialRecord) -> Epochs:
    """Reads a trial's finite metrics by epoch. If it has several fits, reads their means.

    `folder` is the study's folder.
    """
    curves = JournalReader(folder).curves([trial.uuid])
    if trial.uuid in curves:
        return _finite(curves[trial.uuid])
    repeats = trial.result.repeats if isinstance(trial, EndedTrial) else ()
    folds = any(each.fold is not None for each in repeats)
    # `repeats` lacks the training on all folds, which has no validation data.
    of_fits = [curves[each.uuid] for each in repeats if each.uuid in curves]
    return _finite(mean_epochs(of_fits or list(curves.values()), len(of_fits) if folds else 0))


def fit_metrics(folder: Path, fit: str) -> Epochs:
    """Reads the finite metrics of a fit by epoch."""
    return _finite(JournalReader(folder).curves([fit]).get(fit, {}))


def metric_by_epoch(
    folder: Path, trials: Iterable[TrialRecord], metric: str
) -> dict[int, dict[int, float]]:
    """Reads the finite values of one metric, by trial number and epoch.

    A repeated trial has the values of its first repeat. A cross-validated trial has the means over
    its folds.
    """
    chosen = list(trials)
    curves = JournalReader(folder).curves(each.uuid for each in chosen)
    read: dict[int, dict[int, float]] = {}
    for trial in chosen:
        repeats = trial.result.repeats if isinstance(trial, EndedTrial) else ()
        if not repeats:
            epochs: Mapping[int, Mapping[str, float]] = curves.get(trial.uuid, {})
        elif repeats[0].fold is None:
            epochs = curves.get(repeats[0].uuid, {})
        else:
            epochs = mean_epochs([curves.get(each.uuid, {}) for each in repeats], len(repeats))
        read[trial.number] = {
            epoch: metrics[metric]
            for epoch, metrics in epochs.items()
            if math.isfinite(metrics.get(metric, math.nan))
        }
    return {number: curve for number, curve in read.items() if curve}


def mean_epochs(curves: Sequence[Mapping[int, Mapping[str, float]]], least: int) -> Epochs:
    """Returns the mean metrics of fits, for each epoch that at least `least` fits have."""
    by_epoch: dict[int, list[Mapping[str, float]]] = {}
    for curve in curves:
        for epoch, metrics in curve.items():
            by_epoch.setdefault(epoch, []).append(metrics)
    return {
        epoch: mean_metrics(several)
        for epoch, several in sorted(by_epoch.items())
        if len(several) >= least
    }


def mean_metrics(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean of each metric that all dictionaries have."""
    names = [name for name in several[0] if all(name in metrics for metrics in several)]
    return {name: statistics.fmean(metrics[name] for metrics in several) for name in names}


def common_best(
    curves: Sequence[Mapping[int, Mapping[str, float]]], objective: Objective
) -> BestEpoch | None:
    """Returns the epoch with the best mean over folds.

    Only epochs with finite values in all folds count. Returns None if there is none.
    """
    metric = objective.metric
    sound = [{e for e, metrics in curve.items() if _sound(metrics, metric)} for curve in curves]
    everywhere = sorted(set.intersection(*sound))
    if not everywhere:
        return None
    means = ((e, mean_metrics([curve[e] for curve in curves])) for e in everywhere)
    epochs = [BestEpoch(e, metrics[metric], metrics) for e, metrics in means]
    return min(epochs, key=lambda each: each.rank(objective))


def _sound(metrics: Mapping[str, float], metric: str) -> bool:
    """Returns whether an epoch's metric and losses are finite."""
    watched = [metrics.get(name, 0.0) for name in ("loss", "val_loss")]
    return all(map(math.isfinite, [*watched, metrics.get(metric, math.nan)]))


def _finite(epochs: Mapping[int, Mapping[str, float]]) -> Epochs:
    finite = {
        epoch: {name: value for name, value in metrics.items() if math.isfinite(value)}
        for epoch, metrics in sorted(epochs.items())
    }
    return {epoch: metrics for epoch, metrics in finite.items() if metrics}


class RecordedCurves:
    """Reads the objective of trials by epoch, as `metric_by_epoch` does.

    The first call reads all recorded trials in one query.
    """

    def __init__(self, folder: Path, recorded: Iterable[TrialRecord]) -> None:
        self._folder = folder
        self._ended = finished_trials(recorded)

    def __call__(self, trial: TrialRecord) -> dict[int, float]:
        """Returns a trial's objective by epoch."""
        if trial.number in self._together:
            return self._together[trial.number]
        metric = trial.spec.objective.metric
        return metric_by_epoch(self._folder, [trial], metric).get(trial.number, {})

    @cached_property
    def _together(self) -> dict[int, dict[int, float]]:
        if not self._ended:
            return {}
        return metric_by_epoch(self._folder, self._ended, self._ended[0].spec.objective.metric)


def pruner_step(fold: int, epoch: int, longest: int) -> int:
    """Returns a pruner's step for an epoch of a fold. A step is the same fold in all trials.

    Folds count from 0, epochs from 1. `longest` is the largest number of epochs of a trial.
    """
    return fold * longest + epoch


def mean_so_far(curves: Mapping[int, Mapping[int, float]], fold: int, epoch: int) -> float | None:
    """Returns an epoch's mean over the folds 0 to `fold`, or None if a fold lacks the epoch."""
    values = [curves.get(each, {}).get(epoch, math.nan) for each in range(fold + 1)]
    return statistics.fmean(values) if all(map(math.isfinite, values)) else None


class FoldCurves:
    """Reads the values that a pruner saw of cross-validated trials: at each step, `mean_so_far`."""

    def __init__(
        self,
        folder: Path,
        description: StudyDescription,
        recorded: Iterable[TrialRecord],
        longest: int,
    ) -> None:
        self._longest, self._metric = longest, description.objective.metric
        trials = [trial.uuid for trial in finished_trials(recorded)]
        self._curves = JournalReader(folder).curves(trials) if trials else {}

    def __call__(self, trial: TrialRecord) -> dict[int, float]:
        """Returns the values that a pruner saw of a trial, by step."""
        folds = trial.result.repeats if isinstance(trial, EndedTrial) else ()
        curves = {
            fold: {
                epoch: metrics[self._metric]
                for epoch, metrics in self._curves.get(each.uuid, {}).items()
                if math.isfinite(metrics.get(self._metric, math.nan))
            }
            for fold, each in enumerate(folds)
        }
        seen = {}
        for fold, curve in curves.items():
            for epoch in curve:
                mean = mean_so_far(curves, fold, epoch)
                if mean is not None:
                    seen[pruner_step(fold, epoch, self._longest)] = mean
        return dict(sorted(seen.items()))


def sparkline_if_curve(values: Sequence[float], columns: int = 40) -> str:
    """Returns a `sparkline`, or an empty text for fewer than two values."""
    return sparkline(values, columns) if len(values) > 1 else ""


def sparkline(values: Sequence[float], columns: int = 40) -> str:
    """Returns a curve as a line of bars, such as ``▁▃▆█``.

    A NaN or an infinity leaves a gap. If the curve has more values than `columns`, a bar is the
    mean of neighbouring values.
    """
    size = max(1, math.ceil(len(values) / columns))
    means = []
    for start in range(0, len(values), size):
        finite = [v for v in values[start : start + size] if math.isfinite(v)]
        means.append(math.fsum(finite) / len(finite) if finite else math.nan)
    heights = [mean for mean in means if math.isfinite(mean)]
    low, high = min(heights, default=0.0), max(heights, default=0.0)
    return "".join(
        " "
        if math.isnan(mean)
        else _BARS[round((mean - low) / (high - low) * (len(_BARS) - 1)) if high > low else 3]
        for mean in means
    )
