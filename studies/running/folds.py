"""The result of a cross-validated trial: its value is the mean of folds at one epoch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tracking.records import BestEpoch, EpochResult, Objective, TrialResult


def with_folds(
    common: TrialResult,
    last: TrialResult,
    epochs: Sequence[EpochResult],
    objective: Objective,
    folds: int,
) -> TrialResult:
    """Returns the result of a cross-validated trial.

    Its value is the best mean over folds at an epoch, of the epochs that all folds have, and in
    which nothing diverged; the earlier one of equals. A trial without all its folds has no value:
    it would not compare with those of other trials.

    Args:
        common: What its folds have in common, and the folds themselves.
        last: The result of the last fold.
        epochs: The epochs of all folds.
        objective: The study's.
        folds: Folds of a trial.
    """
    if last.state in ("complete", "pruned"):
        common = replace(
            common,
            model_parameters=last.model_parameters,
            trainer=last.trainer,
            trainer_reason=last.trainer_reason,
        )
    if last.state != "complete" or len(common.repeats) < folds:
        return common
    curves: dict[int, dict[int, Mapping[str, float]]] = {}
    for epoch in epochs:
        if _sound(epoch.metrics, objective.metric):
            curves.setdefault(epoch.repeat, {})[epoch.epoch] = epoch.metrics
    everywhere = set.intersection(*(set(curves.get(fold, {})) for fold in range(folds)))
    if not everywhere:
        reason = f"no epoch of all {folds} folds has a finite {objective.metric}"
        return replace(common, state="infeasible", reason=common.reason or reason)
    by_epoch = {e: [curves[fold][e] for fold in range(folds)] for e in sorted(everywhere)}
    means = {
        e: statistics.fmean(metrics[objective.metric] for metrics in several)
        for e, several in by_epoch.items()
    }
    best = min(means, key=lambda e: (objective.sort_key(means[e]), e))
    values = [metrics[objective.metric] for metrics in by_epoch[best]]
    number = min(range(folds), key=lambda fold: (objective.sort_key(values[fold]), fold))
    repeats = tuple(
        replace(fold, value=value) for fold, value in zip(common.repeats, values, strict=True)
    )
    return replace(
        common,
        best=BestEpoch(best, means[best], mean_metrics(by_epoch[best])),
        repeats=repeats,
        best_repeat=number,
        weights_sha256=repeats[number].weights_sha256,
    )


def mean_metrics(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean of each metric that all have."""
    names = [name for name in several[0] if all(name in metrics for metrics in several)]
    return {name: statistics.fmean(metrics[name] for metrics in several) for name in names}


def _sound(metrics: Mapping[str, float], metric: str) -> bool:
    """Returns whether the training did not diverge in an epoch."""
    watched = [metrics.get(name, 0.0) for name in ("loss", "val_loss")]
    return all(map(math.isfinite, [*watched, metrics.get(metric, math.nan)]))
