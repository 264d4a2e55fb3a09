"""A study's trials, as a launch follows them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from search_spaces import SearchSpace
from studies.running.running_trial import Running
from tracking.history.joining import completed
from tracking.records import FINISHED_STATES, EndedTrial, TrialRecord, finished_trials


class StudyTrials:
    """The trials that have ended, run, or wait to be trained again.

    Args:
        recorded: The recorded trials by number, from 0.

    Attributes:
        all: All trials by number; a running one as when it began.
        finished: Those that have ended, by number.
        finished_before: Numbers of those that an earlier launch finished.
        running: Those that run, by number.
        repeats: Numbers of running ones whose next repeat has not begun.
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
        if trial.state in FINISHED_STATES:
            self.all[trial.number] = self.finished[trial.number] = trial

    def lose(self, number: int, *, alone: bool) -> Running:
        """Takes a running trial whose process ended; it is trained again, before all others.

        ``alone`` lets no other trial run then.
        """
        running = self.running.pop(number)
        if alone:
            self._alone.add(number)
        trial = running.trial
        self.again.appendleft(replace(trial, losses=trial.losses + 1))
        return running

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
