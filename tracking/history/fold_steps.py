"""What pruners see of cross-validated trials: one fold after another."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping

from tracking.history.curves import curves_of_runs
from tracking.records import EndedTrial, StudyDescription, TrialRecord, finished_trials
from tracking.store.folder import Store


def pruner_step(fold: int, epoch: int, longest: int) -> int:
    """Returns the step of an epoch, so that all trials have the same samples at the same step.

    Args:
        fold: From 0.
        epoch: From 1.
        longest: The most epochs of any trial.
    """
    return fold * longest + epoch


def mean_so_far(curves: Mapping[int, Mapping[int, float]], fold: int, epoch: int) -> float | None:
    """Returns the mean at an epoch of the folds up to one; None if one of them lacks the epoch."""
    values = [curves.get(each, {}).get(epoch, math.nan) for each in range(fold + 1)]
    return statistics.fmean(values) if all(map(math.isfinite, values)) else None


class FoldCurves:
    """Reads what pruners saw of recorded trials, by step.

    Args:
        store: Where they are.
        description: Their study.
        recorded: The trials.
        longest: The most epochs of any trial.
    """

    def __init__(
        self,
        store: Store,
        description: StudyDescription,
        recorded: Iterable[TrialRecord],
        longest: int,
    ) -> None:
        self._longest = longest
        run_ids = [each.run_id for t in finished_trials(recorded) for each in t.result.repeats]
        self._curves = curves_of_runs(store, run_ids, description.objective.metric)

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
