"""The best trial of those that count for the engine, and its curve in the record."""

from __future__ import annotations

from collections.abc import Iterable

from tracking.history.selection import best_trial
from tracking.records import TrialRecord
from tracking.runs.study_runs import StudyRuns


class BestSoFar:
    """Follows the best trial, and adds a point to its curve for each better one.

    A point's step is the number of trials that had finished by then, over all launches. (Trials
    end in another order than that of their numbers.)

    Attributes:
        trial: The best one, or None.
    """

    def __init__(self, runs: StudyRuns, counted: Iterable[TrialRecord]) -> None:
        counted = list(counted)
        self._runs, self._objective = runs, runs.description.objective
        self._count = len(counted)
        self._last = runs.last_best_so_far()
        self.trial = best_trial(counted, self._objective)

    def complete(self) -> None:
        """Adds the point of the best trial if the curve does not end with it.

        A kill may have come between a trial's result and its point.
        """
        if self.trial is None or self.trial.best is None:
            return
        value = self.trial.best.value
        if self._last is None or self._objective.is_better(value, self._last[1]):
            self._log(value)

    def take(self, trial: TrialRecord, *, told_before: bool) -> None:
        """Takes a finished trial; ``told_before`` if an earlier launch may have taken it too."""
        self._count += 1
        before, self.trial = self.trial, best_trial([self.trial, trial], self._objective)
        if self.trial is before:
            return
        if told_before:
            self.complete()
        elif trial.best is not None:
            self._log(trial.best.value)

    def _log(self, value: float) -> None:
        # Records of older versions may have points at later steps.
        step = self._count if self._last is None else max(self._count, self._last[0] + 1)
        self._runs.log_best_so_far(step, value)
        self._last = step, value
