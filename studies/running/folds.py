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
    which nothing diverged. A trial without all its folds has no value:
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
    curves: list[dict[int, Mapping[str, float]]] = [{} for _ in range(folds)]
    for epoch in epochs:
        curves[epoch.repeat][epoch.epoch] = epoch.metrics
    found = common_best(curves, objective)
    if found is None:
        reason = f"no epoch of all {folds} folds has a finite {objective.metric}"
        return replace(common, state="infeasible", reason=common.reason or reason)
    values = [curve[found.epoch][objective.metric] for curve in curves]
    of_folds = [
        BestEpoch(found.epoch, v, c[found.epoch]) for v, c in zip(values, curves, strict=True)
    ]
    number = min(range(folds), key=lambda fold: of_folds[fold].rank(objective, fold))
    repeats = tuple(
        replace(fold, value=value) for fold, value in zip(common.repeats, values, strict=True)
    )
    return replace(
        common,
        best=found,
        repeats=repeats,
        best_repeat=number,
        weights_sha256=repeats[number].weights_sha256,
    )


def common_best(
    curves: Sequence[Mapping[int, Mapping[str, float]]], objective: Objective
) -> BestEpoch | None:
    """Returns the epoch with the best mean over folds; None if no epoch of all has a finite value.

    Args:
        curves: The metrics of each fold by epoch.
        objective: The study's.
    """
    metric = objective.metric
    sound = [{e for e, metrics in curve.items() if _sound(metrics, metric)} for curve in curves]
    everywhere = sorted(set.intersection(*sound))
    if not everywhere:
        return None
    means = ((e, mean_metrics([curve[e] for curve in curves])) for e in everywhere)
    found = [BestEpoch(e, metrics[metric], metrics) for e, metrics in means]
    return min(found, key=lambda each: each.rank(objective))


def mean_metrics(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean of each metric that all have."""
    names = [name for name in several[0] if all(name in metrics for metrics in several)]
    return {name: statistics.fmean(metrics[name] for metrics in several) for name in names}


def _sound(metrics: Mapping[str, float], metric: str) -> bool:
    """Returns whether the training did not diverge in an epoch."""
    watched = [metrics.get(name, 0.0) for name in ("loss", "val_loss")]
    return all(map(math.isfinite, [*watched, metrics.get(metric, math.nan)]))
