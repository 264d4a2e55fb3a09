"""Learning curves: the metrics of recorded trials by epoch, and their means over folds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tracking.journal import JournalReader
from tracking.records import (
    BestEpoch,
    EndedTrial,
    Objective,
    StudyDescription,
    TrialRecord,
    finished_trials,
)

Epochs = dict[int, dict[str, float]]
"""The metrics of epochs, by the number of the epoch, from 1."""


def _curves(folder: Path, uuids: Iterable[str]) -> dict[str, Epochs]:
    """Reads the finite metrics of fits, by the uuid of the fit and by the epoch.

    `folder` is the study's folder. In `uuids`, the uuid of a trial selects all fits of the trial.
    """
    return {
        fit: {
            epoch: finite
            for epoch, metrics in sorted(epochs.items())
            if (finite := {n: value for n, value in metrics.items() if math.isfinite(value)})
        }
        for fit, epochs in JournalReader(folder).curves(uuids).items()
    }


def epoch_metrics(folder: Path, trial: TrialRecord) -> Epochs:
    """Reads a trial's finite metrics by epoch. If the trial has several fits, reads their means."""
    curves = _curves(folder, [trial.uuid])
    if trial.uuid in curves:
        return curves[trial.uuid]
    repeats = trial.result.repeats if isinstance(trial, EndedTrial) else ()
    folds = any(repeat.fold is not None for repeat in repeats)
    # The training on all folds has no validation data. It is not in `repeats`, so it does not count
    # in the mean.
    fits = [curves[repeat.uuid] for repeat in repeats if repeat.uuid in curves]
    return mean_epochs(fits or list(curves.values()), len(fits) if folds else 0)


def fit_metrics(folder: Path, fit: str) -> Epochs:
    """Reads the finite metrics of a fit by epoch."""
    return _curves(folder, [fit]).get(fit, {})


def metric_by_epoch(
    folder: Path, trials: Iterable[TrialRecord], metric: str
) -> dict[int, dict[int, float]]:
    """Reads the finite values of one metric, by trial number and epoch.

    A repeated trial has the values of its first repeat. A cross-validated trial has the means over
    its folds.
    """
    trial_list = list(trials)
    curves = _curves(folder, (trial.uuid for trial in trial_list))
    values: dict[int, dict[int, float]] = {}
    for trial in trial_list:
        repeats = trial.result.repeats if isinstance(trial, EndedTrial) else ()
        epochs = curves.get(repeats[0].uuid if repeats else trial.uuid, {})
        if repeats and repeats[0].fold is not None:
            folds = [curves.get(fold.uuid, {}) for fold in repeats]
            epochs = mean_epochs(folds, len(folds))
        values[trial.number] = _values(epochs, metric)
    return {number: curve for number, curve in values.items() if curve}


def _values(epochs: Epochs, metric: str) -> dict[int, float]:
    """Returns the values of a metric by epoch."""
    return {epoch: metrics[metric] for epoch, metrics in epochs.items() if metric in metrics}


def mean_epochs(curves: Sequence[Mapping[int, Mapping[str, float]]], least: int) -> Epochs:
    """Returns the mean metrics of fits, for each epoch that at least `least` fits have."""
    by_epoch: dict[int, list[Mapping[str, float]]] = {}
    for curve in curves:
        for epoch, metrics in curve.items():
            by_epoch.setdefault(epoch, []).append(metrics)
    return {
        epoch: means
        for epoch, several in sorted(by_epoch.items())
        if len(several) >= least and (means := mean_metrics(several))
    }


def mean_metrics(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean of each metric that all dictionaries have."""
    names = [name for name in several[0] if all(name in metrics for metrics in several)]
    return {name: statistics.fmean(metrics[name] for metrics in several) for name in names}


def common_best(
    curves: Sequence[Mapping[int, Mapping[str, float]]], objective: Objective
) -> BestEpoch | None:
    """Returns the epoch at which the objective's mean over the folds is best, or None.

    Only epochs with a finite objective and finite losses in all folds count.
    """
    metric = objective.metric
    finite = [{e for e, metrics in curve.items() if _sound(metrics, metric)} for curve in curves]
    means = {e: mean_metrics([curve[e] for curve in curves]) for e in set.intersection(*finite)}
    epochs = [BestEpoch(e, metrics[metric], metrics) for e, metrics in sorted(means.items())]
    return min(epochs, key=lambda epoch: epoch.rank(objective), default=None)


def _sound(metrics: Mapping[str, float], metric: str) -> bool:
    """Returns whether an epoch's metric and losses are finite."""
    watched = [metrics.get(name, 0.0) for name in ("loss", "val_loss")]
    return all(map(math.isfinite, [*watched, metrics.get(metric, math.nan)]))


class RecordedCurves:
    """Reads the objective of trials by epoch, as `metric_by_epoch` does.

    The first call reads all finished trials in one query.
    """

    def __init__(self, folder: Path, recorded: Iterable[TrialRecord]) -> None:
        self._folder, self._trials = folder, finished_trials(recorded)
        self._finished: dict[int, dict[int, float]] | None = None

    def __call__(self, trial: TrialRecord) -> dict[int, float]:
        """Returns a trial's objective by epoch."""
        metric = trial.spec.objective.metric
        if self._finished is None:
            self._finished = metric_by_epoch(self._folder, self._trials, metric)
        if trial.number in self._finished:
            return self._finished[trial.number]
        return metric_by_epoch(self._folder, [trial], metric).get(trial.number, {})


def pruner_step(fold: int, epoch: int, longest: int) -> int:
    """Returns the step under which a pruner gets the value of a fold's epoch.

    The same epoch of the same fold has the same step in all trials, so a pruner can compare trials.

    Folds count from 0, epochs from 1. `longest` is the largest number of epochs of a trial.
    """
    return fold * longest + epoch


def mean_so_far(curves: Mapping[int, Mapping[int, float]], fold: int, epoch: int) -> float | None:
    """Returns the objective's mean at an epoch, over the folds 0 to `fold`.

    Returns None if one of these folds has no value at the epoch.
    """
    values = [curves.get(n, {}).get(epoch, math.nan) for n in range(fold + 1)]
    return statistics.fmean(values) if all(map(math.isfinite, values)) else None


class FoldCurves:
    """Reads the values that a pruner got from cross-validated trials.

    The value at each step is `mean_so_far`.
    """

    def __init__(
        self,
        folder: Path,
        description: StudyDescription,
        recorded: Iterable[TrialRecord],
        longest: int,
    ) -> None:
        self._longest, self._metric = longest, description.objective.metric
        self._curves = _curves(folder, (trial.uuid for trial in finished_trials(recorded)))

    def __call__(self, trial: TrialRecord) -> dict[int, float]:
        """Returns the values that a pruner got from a trial, by step."""
        folds = trial.result.repeats if isinstance(trial, EndedTrial) else ()
        curves = {
            fold: _values(self._curves.get(fit.uuid, {}), self._metric)
            for fold, fit in enumerate(folds)
        }
        means = {
            pruner_step(fold, epoch, self._longest): mean_so_far(curves, fold, epoch)
            for fold, curve in curves.items()
            for epoch in curve
        }
        return {step: mean for step, mean in sorted(means.items()) if mean is not None}
