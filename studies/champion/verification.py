"""Trains the future champion once more by plain `model.fit`, and compares the results.

The compiled trainer would repeat its own faults. So a trial is compared with plain Keras before it
is registered: every metric of every epoch, and the weights of the best epoch.

Trials that `model.fit`, a HyperModel's own `fit` or an objective function trained are not compared:
the same code would run again. ``kerastudy reproduce`` compares them in a new process.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

from search_spaces.errors import InternalError, StudyError, WorkerError
from studies.champion.reruns import AllFolds, RecordedTraining, Rerun, trainings_of
from studies.data import temporary_folder
from studies.definition import Verify
from studies.executors import Executor
from studies.progress import Progress
from studies.training import environment_differences
from tracking.history.study_history import StudyHistory
from tracking.records import Decision, EndedTrial, EpochResult, TrialResult
from tracking.records.verification_texts import (
    OFF,
    TRAINED_BY_FIT,
    TRAINED_BY_OBJECTIVE,
    TRAINED_BY_OWN_FIT,
    differing,
    identical,
    is_partial,
    is_reproduction,
    is_whole,
    not_comparable,
    not_run,
)

_SHARE_OF_LAUNCH = 0.1


class VerificationStopped(InternalError):  # noqa: N818 - no error: a person has asked for it
    """A user stopped a verification, so the trial is not compared."""


class Verifier:
    """Compares trials with `model.fit`, one at a time.

    `verify` says how many epochs are compared: "full" all, "off" none. With "some", a comparison
    takes at most a tenth of the launch's time so far. `started` is when the launch began, by
    `time.monotonic`. `workers` is the number of trials that it runs at once.
    """

    def __init__(
        self,
        executor: Executor,
        progress: Progress,
        verify: Verify = "some",
        started: float = -math.inf,
        workers: int = 1,
    ) -> None:
        self._executor, self._progress = executor, progress
        self._verify, self._started, self._workers = verify, started, workers
        self._jobs: _Compared | AllFolds | None = None
        self.stopped = False

    def stop(self) -> bool:
        """Ends the comparison after its present epoch, and begins no other.

        Returns whether a comparison was running.
        """
        self.stopped = True
        if self._jobs is None:
            return False
        self._jobs.stop()
        return True

    def verify(self, history: StudyHistory, trial: EndedTrial, *, restore: bool = False) -> str:
        """Compares a trial, and returns its new `verified` text.

        With `restore`, all epochs are compared, and the trial's lost checkpoint is written again.
        Raises VerificationStopped if `stop` was called.
        """
        by_itself = {
            "plain": TRAINED_BY_FIT,
            "hypermodel": TRAINED_BY_OWN_FIT,
            "objective": TRAINED_BY_OBJECTIVE,
        }
        itself = by_itself.get(trial.result.trainer, "")
        outcome = trial.verified if is_reproduction(trial.verified) else itself or trial.verified
        if not restore:
            if itself or is_whole(outcome) or (is_partial(outcome) and self._verify != "full"):
                return outcome
            if self._verify == "off":
                return outcome or OFF
        which = trial.checkpoint_of if restore else trial.result.best_repeat
        training = trainings_of(trial)[which]
        try:
            compared = self._compare(history, trial, training, restore)
        except (StudyError, WorkerError) as error:
            self._progress.say(f"warning: {error}")
            return not_run(str(error))
        if itself:
            # The same trainer trained the trial both times, so it is not the cause of a difference.
            return outcome
        if compared.difference:
            return self._judged(history, trial, compared)
        return identical(len(compared.epochs), training.epochs)

    def train_on_all_folds(self, history: StudyHistory, trial: EndedTrial) -> EndedTrial:
        """Trains the future champion of a cross-validated study on all folds; returns it."""
        training = AllFolds(history, trial, self._progress)
        with self._stoppable(training):
            trained = training.train(self._executor)
        if trained is None:
            raise VerificationStopped
        return trained

    def _compare(
        self, history: StudyHistory, trial: EndedTrial, training: RecordedTraining, restore: bool
    ) -> _Compared:
        seconds = math.inf
        if self._verify == "some" and not restore:
            seconds = _SHARE_OF_LAUNCH * self._seconds_so_far(history, trial)
        compared = _Compared(history, trial, training, self._progress, seconds)
        number, epochs = training.spec.number, training.epochs
        why = " to restore its checkpoint" if restore else ""
        with self._stoppable(compared), temporary_folder() as folder:
            self._progress.say(f"verifying trial {number} by model.fit{why}, {epochs} epochs")
            written = Path(folder) / "again.weights.h5"
            compared.conclude(compared.run(self._executor, written))
            if restore and not compared.difference and not compared.put_back(written):
                compared.difference = "its checkpoint differs"
        if compared.cut or compared.result is None:
            raise VerificationStopped
        if compared.short and not compared.difference:
            self._progress.say(
                f"compared its first {len(compared.epochs)} of {epochs} epochs: all would take "
                "longer than a tenth of this launch so far; --verify full compares all"
            )
        return compared

    @contextlib.contextmanager
    def _stoppable(self, jobs: _Compared | AllFolds) -> Iterator[None]:
        """Lets `stop` end these jobs; raises VerificationStopped if `stop` was called before."""
        self._jobs = jobs
        try:
            if self.stopped:
                raise VerificationStopped
            yield
        finally:
            self._jobs = None

    def _seconds_so_far(self, history: StudyHistory, trial: EndedTrial) -> float:
        """Returns how long the launch has run.

        If the trial is of an earlier launch, this launch may have just begun. Then the time of all
        the study's trials counts if it is longer.
        """
        seconds = time.monotonic() - self._started
        if trial.started >= 1000 * (time.time() - seconds):
            return seconds
        spent = math.fsum(ended.result.seconds for ended in history.ended)
        return max(seconds, spent / self._workers)

    def _judged(self, history: StudyHistory, trial: EndedTrial, compared: _Compared) -> str:
        """Returns the text for a difference, which other code, data or versions may explain."""
        others = environment_differences(trial.environment, self._executor.environment)
        if not history.description.code.same_as(trial.code_digest):
            others.insert(0, "the study's code has changed since")
        if others:
            return not_comparable(f"{compared.difference}; but {'; '.join(others)}")
        return differing(compared.difference)


class _Compared(Rerun):
    """A rerun that compares epochs, and ends if the next epoch would end later than `seconds`."""

    def __init__(
        self,
        history: StudyHistory,
        trial: EndedTrial,
        training: RecordedTraining,
        progress: Progress,
        seconds: float,
    ) -> None:
        super().__init__(history, trial, training, progress)
        self._limit = seconds

    def begin_attempt(self) -> None:
        super().begin_attempt()
        self._last = 0.0
        # An attempt is `cut` if `stop` ended it, and `short` if its time was up.
        self.cut = self.short = False

    def on_epoch(self, epoch: EpochResult) -> Decision:
        decision = super().on_epoch(epoch)
        last, self._last = self._last, epoch.seconds
        if self.difference:
            return "stop"
        if epoch.epoch >= self.training.epochs:
            return decision
        if self.stopped:
            self.cut = True
            return "stop"
        # The first epoch takes longer than others, as it traces the model.
        next_one = epoch.seconds - last if epoch.epoch > 1 else 0.0
        if epoch.seconds + next_one >= self._limit:
            self.short = True
            # "prune" keeps the weights of the best epoch, and "stop" would not.
            return "prune"
        return decision

    def conclude(self, result: TrialResult | None) -> None:
        training = self.training
        if result is None or self.difference or self.cut:
            return
        if result.state == "infeasible":
            self.difference = f"it ends as infeasible: {result.reason}"
        elif not self.short and result.epochs != training.epochs:
            self.difference = f"it had {training.epochs} epochs, and has {result.epochs}"
        elif (not self.short or training.best_epoch <= result.epochs) and not self.same_weights:
            self.difference = "the weights after its best epoch differ"
