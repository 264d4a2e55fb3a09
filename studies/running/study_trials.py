"""A study's trials, as a launch follows them, and whether the first ones all fail alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from search_spaces import SearchSpace
from search_spaces.errors import FailedAlikeError
from studies.running.running_trial import Running
from tracking.history.trials import completed
from tracking.records import (
    FINISHED_STATES,
    EndedTrial,
    StudyDescription,
    TrialRecord,
    finished_trials,
)

# So many trials that fail alike at first end a launch.
_TRIALS = 3


class StudyTrials:
    """The trials that have ended, run, or wait to be trained again.

    Args:
        recorded: The recorded trials by number, from 0.

    Attributes:
        all: All trials by number; a running one as when it began.
        finished: Those that have ended, by number.
        finished_before: Numbers of those that an earlier launch finished.
        running: Those that run, by number.
        repeats: Numbers of running ones whose next repeat, or fold, can begin.
        again: Those to train again, the next one first.
    """

    def __init__(self, recorded: Sequence[TrialRecord]) -> None:
        self.all = {trial.number: trial for trial in recorded}
        self.finished = {trial.number: trial for trial in finished_trials(recorded)}
        self.finished_before = frozenset(self.finished)
        self.running: dict[int, Running] = {}
        self.repeats: deque[int] = deque()
        self.again = deque(t for n, t in self.all.items() if n not in self.finished)
        # They ran out of memory next to others.
        self._alone: set[int] = set()

    def begin(self, trial: TrialRecord) -> Running:
        """Adds a trial that begins to run."""
        running = Running(trial)
        self.all[trial.number], self.running[trial.number] = trial, running
        return running

    def end(self, trial: EndedTrial) -> None:
        """Takes a trial that has finished, or was interrupted."""
        del self.running[trial.number]
        self.repeats = deque(number for number in self.repeats if number != trial.number)
        if trial.state in FINISHED_STATES:
            self.all[trial.number] = self.finished[trial.number] = trial

    def lose(self, number: int, *, alone: bool, losses: int) -> Running:
        """Takes a running trial whose process ended; it is trained again, before all others.

        ``alone`` lets no other trial run then. ``losses`` count against it.
        """
        running = self.running.pop(number)
        self.repeats = deque(each for each in self.repeats if each != number)
        if alone:
            self._alone.add(number)
        trial = running.trial
        self.again.appendleft(replace(trial, losses=trial.losses + losses))
        return running

    def train_next(self, number: int) -> None:
        """Lets the next repeat, or fold, of a running trial begin."""
        if number not in self.repeats:
            self.repeats.append(number)

    def was_alone(self, number: int) -> bool:
        """Returns whether a trial must run alone, for lack of memory."""
        return number in self._alone

    @property
    def keep_free(self) -> bool:
        """Whether running trials must end first, as a trial runs alone, or waits to."""
        waits = bool(self.again) and self.again[0].number in self._alone
        return bool(self.running) and (waits or not self._alone.isdisjoint(self.running))

    def complete(self, space: SearchSpace) -> None:
        """Adds to all trials their values of hyperparameters that joined the space."""
        self.all = {number: completed(trial, space) for number, trial in self.all.items()}
        self.finished = {number: completed(trial, space) for number, trial in self.finished.items()}
        self.again = deque(completed(trial, space) for trial in self.again)
        for running in self.running.values():
            # It, or its next repeat, may begin again.
            running.trial = completed(running.trial, space)


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
