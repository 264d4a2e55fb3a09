"""The best trial of those that a study's engine was told of, and the curve of it in the record."""

from __future__ import annotations

from collections.abc import Iterable

from tracking.records import TrialRecord
from tracking.runs import StudyRuns
from tracking.selection import best_trial


class BestSoFar:
    """Follows the best trial, and adds a point to its curve whenever there is a better one.

    Args:
        runs: Where the curve is.
        counted: The trials that count at the beginning.

    Attributes:
        trial: The best one, or None.
    """

    def __init__(self, runs: StudyRuns, counted: Iterable[TrialRecord]) -> None:
        self._runs, self._objective = runs, runs.description.objective
        self.trial = best_trial(counted, self._objective)

    def complete(self) -> None:
        """Adds the point of the best trial, if a kill came between its result and the point."""
        if self.trial is not None and self.trial.best is not None:
            self._runs.complete_best_so_far(self.trial.number, self.trial.best.value)

    def take(self, trial: TrialRecord, *, told_before: bool) -> None:
        """Takes a trial that has ended.

        Args:
            trial: The trial.
            told_before: Whether an earlier launch may have taken it too.
        """
        before, self.trial = self.trial, best_trial([self.trial, trial], self._objective)
        if self.trial is before:
            return
        if told_before:
            self.complete()
        elif trial.best is not None:
            self._runs.log_best_so_far(trial.number, trial.best.value)
