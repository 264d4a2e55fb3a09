"""Asks a study's engine for trials until the budget is spent, and tells the engine their results.

A study ends when it has all its trials, or earlier because of `timeout`, `stop_at` or `patience`,
or if its first trials all fail with the same error.

The engine gets a result as soon as the trial ends. With several workers, timing decides which trial
ends first, so the proposals depend on timing.
"""

from __future__ import annotations

import bisect
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from search_spaces.errors import EngineError, FailedAlikeError, KerastudyError
from search_spaces.texts import duration
from studies.engines import Curve, Engine
from studies.error_texts import describe
from tracking.records import (
    EndedTrial,
    EpochResult,
    Proposal,
    StudyDescription,
    TrialRecord,
    best_trial,
)
from tracking.store import as_store_errors

if TYPE_CHECKING:
    from studies.launching.driver_and_running_trials import Running, StudyTrials

EndedBy = Literal["trials", "space", "timeout", "stop_at", "patience", "interrupt", "error"]


class Ending(NamedTuple):
    """The reason why a launch ended."""

    by: EndedBy
    text: str


INTERRUPTED = Ending("interrupt", "interrupted; launch again to resume")


class Proposals:
    """The engine of a running study, and the decision when the study ends.

    Attributes:
        engine: The engine, made from the recorded trials.
        description: The study.
        exhausted: Whether the engine has no more trials to propose.
        ending: Why the study ends early, or None.
    """

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        curve: Curve,
        description: StudyDescription,
        trials: StudyTrials,
    ) -> None:
        self._trials, self.description = trials, description
        self.exhausted = False
        self.ending: Ending | None = None
        self._objective = self.description.objective
        # Finished trials whose results the engine does not have yet.
        self._new: list[EndedTrial] = []
        # The numbers of the trials whose results the engine has.
        self._known = sorted(trials.finished)
        self._best = best_trial(trials.finished.values(), self._objective)
        with _naming("engine", "when it was made from the record"):
            self.engine = make_engine()
            self.engine.restore([trials.all[number] for number in sorted(trials.all)], curve)
        # The time counts only from here, so the time limit does not include the import of the
        # engine's library.
        self._began = time.monotonic()

    def prunes(self, running: Running, epoch: EpochResult) -> bool:
        """Reports an epoch if pruners see it; returns whether the pruner ends the trial."""
        step = running.for_pruner(epoch, self.description)
        value = None if step is None else step.metrics.get(self._objective.metric)
        if step is None or value is None:
            return False
        with _naming("pruner", f"over trial {step.number} after epoch {step.epoch}"):
            return self.engine.report(step.number, step.epoch, value)

    def take(self, trial: EndedTrial) -> None:
        """Adds a finished trial. The next `tell_all` gives its result to the engine."""
        self._new.append(trial)

    def tell_all(self) -> None:
        """Gives the engine the results of the trials that `take` has added since the last call."""
        trials, self._new = self._new, []
        for trial in trials:
            with _naming("engine", f"over the result of trial {trial.number}"):
                self.engine.tell(trial.number, trial.result)
            bisect.insort(self._known, trial.number)
            self._best = best_trial([self._best, trial], self._objective)
            self.spent()

    def ask(self) -> Proposal | None:
        """Returns the next proposal, or None.

        None means that no further trial begins, or that the engine must first know the results of
        running trials.
        """
        if self.spent():
            return None
        with _naming("engine", "when it was asked for a trial"):
            choice = self.description.first_values(len(self._trials.all))
            proposal = self.engine.ask(choice)
        self.exhausted = proposal is None and not self._trials.running
        return proposal

    def spent(self) -> bool:
        """Returns whether the study must end before it has all its trials."""
        self.ending = self.ending or self._early_ending()
        return self.ending is not None

    def _early_ending(self) -> Ending | None:
        """Returns the reason to end the study before it has all its trials, or None to go on."""
        description, best = self.description, self._best
        target, patience, timeout = description.stop_at, description.patience, description.timeout
        if target is not None and best is not None and best.value is not None:
            value, metric = best.value, self._objective.metric
            if value == target or self._objective.is_better(value, target):
                text = f"{metric} reached {target:.6g}: {value:.6g} in trial {best.number}"
                return Ending("stop_at", text)
        since_best = len(self._known) - bisect.bisect(self._known, best.number if best else -1)
        if patience is not None and since_best >= patience:
            than = f"nothing better than trial {best.number}" if best else "no value"
            return Ending("patience", f"{since_best} trials in a row found {than}")
        if timeout is not None and time.monotonic() - self._began >= timeout:
            return Ending(
                "timeout", f"the time of {duration(timeout)} is up; launch again to resume"
            )
        return None


@contextlib.contextmanager
def _naming(part: str, when: str) -> Iterator[None]:
    """Turns exceptions of Optuna and Keras Tuner into an EngineError that says what to do."""
    try:
        with as_store_errors():
            yield
    except KerastudyError:
        raise
    except Exception as error:
        raise EngineError(
            f"The {part} raised {describe(error)} {when}. The trials so far are recorded",
            hint=f"Launch under another name (--name), with another --{part} or other settings.",
        ) from error


# If the first trials of a launch all fail with the same error, the launch ends after this many.
_FIRST_TRIALS = 3


class FirstTrials:
    """Ends a launch whose first trials all fail with the same error.

    The launch goes on if a recorded trial of the same code has a value.
    """

    def __init__(self, description: StudyDescription, recorded: Iterable[TrialRecord]) -> None:
        same = description.code.same_as
        self._name = description.name
        self._failed: list[str] = []
        self._wanted = min(_FIRST_TRIALS, description.trials)
        self._over = any(t.best is not None and same(t.code_digest) for t in recorded)

    def take(self, trial: EndedTrial) -> None:
        """Notes the error of an ended trial, or that it ended without an error."""
        raised = trial.result.raised
        self._over = self._over or not raised or any(raised != other for other in self._failed)
        self._failed.append(raised)

    def check(self) -> None:
        """Raises FailedAlikeError if enough trials have ended, and all failed alike."""
        if self._over or len(self._failed) < self._wanted:
            return
        count = len(self._failed)
        trials = f"first {count} trials" if count > 1 else "first trial"
        alike = " alike" if count > 1 else ""
        raise FailedAlikeError(
            f"The {trials} of {self._name!r} failed{alike}: {self._failed[0]}",
            hint="Correct the error, and launch with --retry-infeasible to train them again.",
        )
