"""Trains the future champion again by plain `model.fit`, and compares the results.

If the compiled trainer has a fault, training a trial again with the compiled trainer would not show
it. So before a trial is registered, plain Keras must get the same result: every metric of every
epoch, and the weights of the best epoch.

A trial that `model.fit`, a HyperModel's own `fit` or an objective function trained is not compared,
because the same code would only run again. ``kerastudy reproduce`` compares such a trial, in a new
process.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

from search_spaces.errors import StudyError, WorkerError
from studies.champion.trainings_by_model_fit import (
    AllFolds,
    RecordedTraining,
    Rerun,
    VerificationStopped,
    trainings_of,
)
from studies.data import temporary_folder
from studies.definition import Verify
from studies.executors import Executor
from studies.progress import Progress
from studies.training import environment_differences
from tracking.history.champions import record_verified
from tracking.history.study_history import StudyHistory
from tracking.records import Decision, EndedTrial, EpochResult, TrialResult
from tracking.records.verification_texts import (
    DIFFERS,
    IDENTICAL,
    NOT_COMPARABLE,
    NOT_RUN,
    OFF,
    TRAINED_BY_FIT,
    TRAINED_BY_ITSELF,
    TRAINED_BY_OBJECTIVE,
    TRAINED_BY_OWN_FIT,
    identical,
    is_partial,
    is_reproduction,
    is_whole,
)

# With --verify some, a comparison takes at most this share of the launch's time.
_SHARE_OF_LAUNCH = 0.1
# Trials that these trainers trained are not compared. Their `verified` gets the text given here.
_NOT_COMPARED = {
    "plain": TRAINED_BY_FIT,
    "hypermodel": TRAINED_BY_OWN_FIT,
    "objective": TRAINED_BY_OBJECTIVE,
}


class Verifier:
    """Compares trials with `model.fit`, one at a time.

    `verify` is an option of launches: "full" compares all epochs, "off" compares none, and "some"
    compares as many as can be trained in a tenth of the launch's time so far. `started` is the
    time of `time.monotonic` when the launch began. `workers` is the number of trials that run at
    once.
    """

    def __init__(
        self,
        executor: Executor,
        progress: Progress,
        verify: Verify = "some",
        started: float = -math.inf,
        workers: int = 1,
    ) -> None:
        self.executor, self.progress = executor, progress
        self._verify, self._started, self._workers = verify, started, workers
        self._jobs: _Compared | AllFolds | None = None
        self.stopped = False

    def stop(self) -> bool:
        """Ends the comparison after its present epoch, and begins no other comparison.

        Returns whether a comparison was running.
        """
        self.stopped = True
        if self._jobs is None:
            return False
        self._jobs.stop()
        return True

    def verify(
        self, history: StudyHistory, trial: EndedTrial, *, restore: bool = False
    ) -> EndedTrial:
        """Compares a trial with `model.fit`, records and shows the outcome, and returns the trial.

        With `restore`, all epochs are compared, and the trial's lost checkpoint is written again.
        Raises VerificationStopped if `stop` was called.
        """
        outcome, say = self._outcome(history, trial, restore), self.progress.say
        if outcome == trial.verified:
            return trial
        trial = record_verified(history, trial, outcome)
        if trial.holds:
            if outcome.startswith(IDENTICAL):
                say(f"verified trial {trial.number}: {outcome}")
            elif outcome not in (OFF, *TRAINED_BY_ITSELF):
                say(f"warning: trial {trial.number} is not verified: {outcome}")
            return trial
        say(
            f"warning: trial {trial.number} differs from model.fit: {outcome.partition(': ')[2]}. "
            "It is skipped, and model.fit trains the study's trials from now on. Values of other "
            "trials that the compiled trainer trained may be wrong, too: `kerastudy reproduce` "
            "checks a trial."
        )
        return trial

    def _outcome(self, history: StudyHistory, trial: EndedTrial, restore: bool) -> str:
        """Compares a trial with `model.fit`; returns the new text for `TrialRecord.verified`."""
        own = _NOT_COMPARED.get(trial.result.trainer, "")
        outcome = trial.verified if is_reproduction(trial.verified) else own or trial.verified
        if not restore:
            if own or is_whole(outcome) or (is_partial(outcome) and self._verify != "full"):
                return outcome
            if self._verify == "off":
                return outcome or OFF
        number = trial.checkpoint_of if restore else trial.result.best_repeat
        training = trainings_of(trial)[number]
        try:
            compared = self._compare(history, trial, training, restore)
        except (StudyError, WorkerError) as error:
            self.progress.say(f"warning: {error}")
            return f"{NOT_RUN}{error}"
        if own:
            # The same trainer trained the trial both times, so this comparison says nothing about
            # the trainer. The outcome of the comparison with `model.fit` stays.
            return outcome
        if not compared.difference:
            return identical(len(compared.epochs), training.result.epochs)
        causes = environment_differences(trial.environment, self.executor.environment)
        if not history.description.code.same_as(trial.code_digest):
            causes.insert(0, "the study's code has changed since")
        if causes:
            return f"{NOT_COMPARABLE}{compared.difference}; but {'; '.join(causes)}"
        return DIFFERS + compared.difference

    def train_on_all_folds(self, history: StudyHistory, trial: EndedTrial) -> EndedTrial:
        """Trains the future champion of a cross-validated study on all folds together."""
        training = AllFolds(history, trial, self.progress)
        with self._stoppable(training):
            return training.train(self.executor)

    def _compare(
        self, history: StudyHistory, trial: EndedTrial, training: RecordedTraining, restore: bool
    ) -> _Compared:
        seconds = math.inf
        if self._verify == "some" and not restore:
            seconds = _SHARE_OF_LAUNCH * self._seconds_so_far(history, trial)
        compared = _Compared(history, trial, training, self.progress, seconds)
        number, epochs = training.spec.number, training.result.epochs
        why = " to restore its checkpoint" if restore else ""
        with self._stoppable(compared), temporary_folder() as folder:
            self.progress.say(f"verifying trial {number} by model.fit{why}, {epochs} epochs")
            weights = Path(folder) / "again.weights.h5"
            compared.compare_results(compared.run(self.executor, weights))
            if restore and not compared.difference and not compared.restore(weights):
                compared.difference = "its checkpoint differs"
        if compared.cut or compared.result is None:
            raise VerificationStopped
        if compared.short and not compared.difference:
            self.progress.say(
                f"model.fit repeated {len(compared.epochs)} of the trial's {epochs} epochs, as all "
                "would take longer than a tenth of this launch so far; --verify full repeats all"
            )
        return compared

    @contextlib.contextmanager
    def _stoppable(self, jobs: _Compared | AllFolds) -> Iterator[None]:
        """Lets `stop` end these jobs. Raises VerificationStopped if `stop` was called before."""
        self._jobs = jobs
        try:
            if self.stopped:
                raise VerificationStopped
            yield
        finally:
            self._jobs = None

    def _seconds_so_far(self, history: StudyHistory, trial: EndedTrial) -> float:
        """Returns how long the launch has run.

        If the launch resumes the study, the trial may have run in an earlier launch. In that case,
        the training time of all trials, divided by the number of workers, is returned if it is
        longer.
        """
        seconds = time.monotonic() - self._started
        if trial.started >= 1000 * (time.time() - seconds):
            return seconds
        training = math.fsum(ended.result.seconds for ended in history.ended)
        return max(seconds, training / self._workers)


class _Compared(Rerun):
    """A rerun that ends early if, with one more epoch, it would take longer than `seconds`."""

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
        self._seconds = 0.0
        # `cut` is set if `stop` ended the attempt, and `short` if its time limit ended it.
        self.cut = self.short = False

    def on_epoch(self, epoch: EpochResult) -> Decision:
        decision = super().on_epoch(epoch)
        before, self._seconds = self._seconds, epoch.seconds
        if self.difference:
            return "stop"
        if epoch.epoch >= self.training.result.epochs:
            return decision
        if self.stopped:
            self.cut = True
            return "stop"
        # The next epoch is expected to take as long as this epoch did. The first epoch says nothing
        # about the next, because the model is traced in it.
        following = epoch.seconds - before if epoch.epoch > 1 else 0.0
        if epoch.seconds + following >= self._limit:
            self.short = True
            # The decision "prune" keeps the weights of the best epoch. "stop" would not keep them.
            return "prune"
        return decision

    def compare_results(self, result: TrialResult | None) -> None:
        recorded = self.training.result
        if result is None or self.difference or self.cut:
            return
        reached = not self.short or recorded.best is None or recorded.best.epoch <= result.epochs
        if result.state == "infeasible":
            self.difference = f"it ends as infeasible: {result.reason}"
        elif not self.short and result.epochs != recorded.epochs:
            self.difference = f"it had {recorded.epochs} epochs, and has {result.epochs}"
        elif reached and not self.same_weights:
            self.difference = "the weights after its best epoch differ"
