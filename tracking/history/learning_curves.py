"""Learning curves: the recorded metrics of trials by epoch, their means over folds, sparklines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from tracking.journal import JournalReader
from tracking.records import (
    BestEpoch,
    EndedTrial,
    Objective,
    StudyDescription,
    TrialRecord,
    finished_trials,
)

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
