"""A study's trials during a launch; whether the first all fail alike, and whether all compare."""

from __future__ import annotations

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
    TrialSpec,
    finished_trials,
)

# So many trials that fail alike at first end a launch.
_TRIALS = 3


class StudyTrials:
    """The trials that have begun: those that run, and those that have ended."""

    def __init__(self, recorded: Sequence[TrialRecord]) -> None:
        # By number; a running one as when it began.
        self.all = {trial.number: trial for trial in recorded}
        self.finished = {trial.number: trial for trial in finished_trials(recorded)}
        self.running: dict[int, Running] = {}

    def begin(self, trial: TrialRecord, fits: Sequence[TrialSpec]) -> Running:
        """Adds a trial that begins to run, with its fits."""
        running = Running(trial, fits)
        self.all[trial.number], self.running[trial.number] = trial, running
        return running

    def end(self, trial: EndedTrial) -> None:
        """Takes a trial that has finished, or was interrupted."""
        del self.running[trial.number]
        if trial.state in FINISHED_STATES:
            self.all[trial.number] = self.finished[trial.number] = trial

    def lose(self, number: int, losses: int) -> TrialRecord:
        """Takes a running trial whose process ended, and ``losses`` more that count against it.

        Returns it with them.
        """
        trial = self.running.pop(number).trial
        self.all[number] = lost = replace(trial, losses=trial.losses + losses)
        return lost

    def complete(self, space: SearchSpace) -> None:
        """Adds to all trials their values of hyperparameters that joined the space."""
        self.all = {number: completed(trial, space) for number, trial in self.all.items()}
        self.finished = {number: completed(trial, space) for number, trial in self.finished.items()}
        for running in self.running.values():
            # It may begin again.
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
        """Raises FailedAlikeError if enough trials have ended, and all failed alike."""
        if self._over or len(self._failed) < self._wanted:
            return
        count = len(self._failed)
        trials = f"first {count} trials" if count > 1 else "first trial"
        alike = " alike" if count > 1 else ""
        raise FailedAlikeError(
            f"The {trials} of {self._name!r} failed{alike}: {self._failed[0]}. Mend that and "
            "launch again; --retry-infeasible then trains these trials too."
        )


# As few trials of equal data as say that it does not depend on hyperparameters.
_ALIKE = 2


class ValidationParts:
    """Follows the validation parts of trials, if their data depends on hyperparameters.

    Values that were measured on different samples don't compare.
    """

    def __init__(self, recorded: Iterable[TrialRecord]) -> None:
        self._first: dict[str, int] = {}
        self._told = False
        # What objective functions trained on in earlier launches.
        self._before: dict[str, list[int]] = {}
        for trial in recorded:
            if isinstance(trial, EndedTrial):
                self._note(trial)
                if trial.result.trainer == "objective" and trial.result.data_digest:
                    self._before.setdefault(trial.result.data_digest, []).append(trial.number)

    @property
    def count(self) -> int:
        """The number of validation parts; 0 if all trials have the study's own data."""
        return len(self._first)

    def take(self, trial: EndedTrial) -> str:
        """Takes an ended trial; returns a warning, once, if its value can't be compared."""
        self._note(trial)
        if self._told:
            return ""
        self._told = self.count > 1
        if trial.result.trainer == "objective":
            return self._of_objective(trial)
        if not self._told:
            return ""
        first, other = list(self._first.values())[:2]
        return (
            f"warning: trial {other} was validated on other samples than trial {first}, as the "
            "data depends on hyperparameters: their values do not compare. Give all trials the "
            "same validation targets, by validation=(x, y)."
        )

    def _of_objective(self, trial: EndedTrial) -> str:
        """Returns a warning on a trial of an objective function, which loads its data itself."""
        if self._told:
            first, other = list(self._first.values())[:2]
            return (
                f"warning: trial {other} was validated on other samples than trial {first}: the "
                "data has changed, or the objective function draws the samples by chance. Their "
                "values do not compare. Split the data by a fixed seed, such as random_state=0."
            )
        before, now = self._before, trial.result.data_digest
        if len(before) != 1 or not now or now in before:
            return ""
        # Many trials of different hyperparameters had the same data; so those are not why.
        (numbers,) = before.values()
        if len(numbers) < _ALIKE:
            return ""
        self._told = True
        return (
            f"warning: trial {trial.number} was trained on other data than the {len(numbers)} "
            "trials before this launch: their values may not compare. To start a new study, give "
            "another name with --name."
        )

    def _note(self, trial: EndedTrial) -> None:
        digest = trial.result.validation_digest
        if digest:
            self._first.setdefault(digest, trial.number)
