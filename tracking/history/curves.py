"""What was recorded of trials by epoch: curves, what pruners see of folds, a curve in a line."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

from tracking.history.trials import metric_by_step
from tracking.records import EndedTrial, StudyDescription, TrialRecord, finished_trials
from tracking.runs.run_contents import from_mlflow, to_mlflow
from tracking.store.folder import Store

_BARS: Final = "▁▂▃▄▅▆▇█"


def epoch_metrics(store: Store, run_id: str) -> dict[int, dict[str, float]]:
    """Reads every metric that Keras logged in a run, by epoch."""
    client = store.client
    epochs: dict[int, dict[str, float]] = {}
    for name in client.get_run(run_id).data.metrics:
        for metric in client.get_metric_history(run_id, name):
            # Steps count from 1; metrics of the trial as a whole have step 0.
            if metric.step > 0:
                epochs.setdefault(metric.step, {})[from_mlflow(name)] = metric.value
    return dict(sorted(epochs.items()))


class RecordedCurves:
    """Reads the objective of recorded trials by epoch.

    Of a repeated one that of its first repeat; of a cross-validated one the mean over folds.
    """

    def __init__(self, store: Store, recorded: Iterable[TrialRecord]) -> None:
        self._store = store
        self._ended = finished_trials(recorded)

    def __call__(self, trial: TrialRecord) -> dict[int, float]:
        """Returns a trial's objective by epoch."""
        run_id, metric = _run_of(trial), trial.spec.objective.metric
        if run_id in self._together:
            return self._together[run_id]
        return _curve_of_run(self._store, run_id, metric)

    @cached_property
    def _together(self) -> dict[str, dict[int, float]]:
        if not self._ended:
            return {}
        run_ids = [_run_of(trial) for trial in self._ended]
        name = to_mlflow(self._ended[0].spec.objective.metric)
        return metric_by_step(self._store, run_ids, name) or {}


def pruner_step(fold: int, epoch: int, longest: int) -> int:
    """Returns the step of an epoch, so that all trials have the same samples at the same step.

    Folds count from 0, epochs from 1; the longest trial has so many epochs.
    """
    return fold * longest + epoch


def mean_so_far(curves: Mapping[int, Mapping[int, float]], fold: int, epoch: int) -> float | None:
    """Returns the mean at an epoch of the folds up to one; None if one of them lacks the epoch."""
    values = [curves.get(each, {}).get(epoch, math.nan) for each in range(fold + 1)]
    return statistics.fmean(values) if all(map(math.isfinite, values)) else None


class FoldCurves:
    """Reads what pruners saw of cross-validated trials, by step: one fold after another."""

    def __init__(
        self,
        store: Store,
        description: StudyDescription,
        recorded: Iterable[TrialRecord],
        longest: int,
    ) -> None:
        self._longest = longest
        run_ids = [each.run_id for t in finished_trials(recorded) for each in t.result.repeats]
        self._curves = _curves_of_runs(store, run_ids, description.objective.metric)

    def __call__(self, trial: TrialRecord) -> dict[int, float]:
        """Returns the values that pruners saw of a trial."""
        folds = trial.result.repeats if isinstance(trial, EndedTrial) else ()
        curves = {fold: self._curves.get(each.run_id, {}) for fold, each in enumerate(folds)}
        seen = {}
        for fold, curve in curves.items():
            for epoch in curve:
                mean = mean_so_far(curves, fold, epoch)
                if mean is not None:
                    seen[pruner_step(fold, epoch, self._longest)] = mean
        return dict(sorted(seen.items()))


def sparkline_if_curve(values: Sequence[float], columns: int = 40) -> str:
    """Returns what `sparkline` does, but nothing of a single value, which is no curve."""
    return sparkline(values, columns) if len(values) > 1 else ""


def sparkline(values: Sequence[float], columns: int = 40) -> str:
    """Returns a curve in one line, from its lowest to its highest value.

    A value that is not finite leaves a gap. A longer curve than the columns shows the mean of
    neighbours.
    """
    size = max(1, math.ceil(len(values) / columns))
    means = []
    for start in range(0, len(values), size):
        finite = [v for v in values[start : start + size] if math.isfinite(v)]
        means.append(math.fsum(finite) / len(finite) if finite else math.nan)
    known = [mean for mean in means if math.isfinite(mean)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(
        " "
        if math.isnan(mean)
        else _BARS[round((mean - low) / (high - low) * (len(_BARS) - 1)) if high > low else 3]
        for mean in means
    )


def _run_of(trial: TrialRecord) -> str:
    repeats = trial.result.repeats if isinstance(trial, EndedTrial) else ()
    return repeats[0].run_id if repeats and repeats[0].fold is None else trial.run_id


def _curves_of_runs(
    store: Store, run_ids: Sequence[str], metric: str
) -> Mapping[str, Mapping[int, float]]:
    """Reads a metric of runs by epoch."""
    together = metric_by_step(store, run_ids, to_mlflow(metric))
    if together is not None:
        return together
    return {run_id: _curve_of_run(store, run_id, metric) for run_id in run_ids}


def _curve_of_run(store: Store, run_id: str, metric: str) -> dict[int, float]:
    epochs = epoch_metrics(store, run_id)
    return {epoch: metrics[metric] for epoch, metrics in epochs.items() if metric in metrics}
