"""Checks whether the first trials of a launch all fail alike, by a mistake in the code."""

from __future__ import annotations

from collections.abc import Iterable

from search_spaces.errors import FailedAlikeError
from tracking.records import EndedTrial, StudyDescription, TrialRecord

_TRIALS = 3


class FirstTrials:
    """Follows the first trials of a launch.

    Where a recorded trial of the same code has a value, others may fail.
    """

    def __init__(self, description: StudyDescription, recorded: Iterable[TrialRecord]) -> None:
        same = description.code.same_as
        self._name = description.name
        self._failed: list[str] = []
        self._wanted = min(_TRIALS, description.trials)
        self._over = any(t.best is not None and same(t.code_digest) for t in recorded)

    def take(self, trial: EndedTrial) -> None:
        """Takes a trial that has ended."""
        raised = trial.result.raised
        self._over = self._over or not raised or any(raised != each for each in self._failed)
        self._failed.append(raised)

    def check(self) -> None:
        """Checks that the ended trials do not all fail alike.

        Raises:
            FailedAlikeError: If enough trials have failed alike.
        """
        if self._over or len(self._failed) < self._wanted:
            return
        count = len(self._failed)
        trials = f"first {count} trials" if count > 1 else "first trial"
        alike = " alike" if count > 1 else ""
        raise FailedAlikeError(
            f"The {trials} of {self._name!r} failed{alike}: {self._failed[0]}. Mend that and "
            "launch again; --retry-infeasible then trains these trials too."
        )
