"""Trains recorded trials again by plain `model.fit`: to verify them, or to get their weights.

- `Verifier` checks the future champion. Training it again with the compiled trainer would not show
  a fault of that trainer. So before a trial is registered, plain Keras must get the same result:
  every metric of every epoch, and the weights of the best epoch.
- `Rerun` repeats one training, to compare the results or to restore lost weights.
- `AllFolds` trains on all folds together, to get the model of a cross-validated trial.

`Verifier` does not check a trial that `model.fit`, a HyperModel's own `fit` or an objective
function trained, because the same code would only run again. ``kerastudy reproduce`` checks such a
trial, in a new process.
"""

from __future__ import annotations

import contextlib
import math
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces.errors import InternalError, StudyError, WorkerError
from search_spaces.texts import counted
from studies.champion.runnable_recorded_study import RunnableStudy
from studies.data import temporary_folder
from studies.definition import Verify
from studies.executors import Executor, Job, Jobs, run_jobs
from studies.progress import Progress
from studies.training import environment_differences
from tracking.history import StudyHistory, fit_metrics, record_verified
from tracking.records import (
    ALL_FOLDS,
    DIFFERS,
    IDENTICAL,
    NOT_COMPARABLE,
    NOT_RUN,
    OFF,
    TRAINED_BY_FIT,
    TRAINED_BY_ITSELF,
    TRAINED_BY_OBJECTIVE,
    TRAINED_BY_OWN_FIT,
    Decision,
    EndedTrial,
    EpochResult,
    Repeat,
    TrialResult,
    TrialSpec,
    TrialTask,
    identical,
    is_partial,
    is_reproduction,
    is_whole,
)
from tracking.shell_commands import study_command
from tracking.store import checkpoint_fault, replacing

# With --verify some, a comparison takes at most this share of the launch's time.
_SHARE_OF_LAUNCH = 0.1
# Trials that these trainers trained are not compared. Their `verified` gets the text given here.
_NOT_COMPARED = {
    "plain": TRAINED_BY_FIT,
    "hypermodel": TRAINED_BY_OWN_FIT,
    "objective": TRAINED_BY_OBJECTIVE,
}


class VerificationStopped(InternalError):  # noqa: N818 - no error: a person has asked for it
    """A user stopped the training that a future champion needs, so nothing is registered."""


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


@dataclass(frozen=True)
class RecordedTraining:
    """A recorded training, to run again from its first epoch."""

    spec: TrialSpec
    uuid: str
    result: TrialResult | Repeat


def trainings_of(trial: EndedTrial) -> list[RecordedTraining]:
    """Returns a trial's trainings: one, or one for each repeat or fold.

    If a training on all folds together is recorded, it is the last of the list.
    """
    trainings = [
        RecordedTraining(
            replace(trial.spec, seed=fit.seed, repeat=place, fold=fit.fold), fit.uuid, fit
        )
        for place, fit in enumerate(trial.result.repeats)
    ]
    if trial.whole is not None:
        trainings.append(RecordedTraining(trial.whole_spec, trial.whole.uuid, trial.whole))
    return trainings or [RecordedTraining(trial.spec, trial.uuid, trial.result)]


def best_training_of(trial: EndedTrial) -> RecordedTraining:
    """Returns a trial's only training, or its best repeat or fold."""
    return trainings_of(trial)[trial.result.best_repeat]


class Rerun(Jobs):
    """Runs a recorded training again, up to the epoch at which the recorded training ended.

    Attributes:
        training: The recorded training.
        recorded: The recorded metrics by epoch.
        epochs: The new metrics by epoch.
        difference: The first difference between recorded and new metrics, or empty.
        result: The new result, or None.
    """

    def __init__(
        self,
        history: StudyHistory,
        trial: EndedTrial,
        training: RecordedTraining,
        progress: Progress,
    ) -> None:
        super().__init__()
        self._history, self._trial = history, trial
        self.training, self.recorded = training, fit_metrics(history.folder, training.uuid)
        # An objective function may also report values by `trial.report`. The steps of these reports
        # are not epochs, so `_difference_of` compares each report by itself.
        self._by_objective = trial.result.trainer == "objective"
        self._progress = progress
        self.result: TrialResult | None = None
        self.begin_attempt()

    def begin_attempt(self) -> None:
        """Forgets the epochs and differences of an earlier attempt."""
        self.difference = ""
        self.epochs: dict[int, dict[str, float]] = {}

    def run(self, executor: Executor, checkpoint: Path) -> TrialResult | None:
        """Runs the training by `model.fit`, and writes its best weights into the file `checkpoint`.

        Returns the result, or None if the training was stopped. Raises WorkerError if the worker
        process died in every attempt.
        """
        space = self._history.description.space
        task = TrialTask(self.training.spec, space, checkpoint, by_fit=True)

        def begin() -> list[TrialTask]:
            self.begin_attempt()
            return [task]

        self.queue.append(Job(task.spec.number, begin))
        try:
            run_jobs(executor, self, self._progress)
        finally:
            self._progress.trial_gone(task.spec.number)
        return self.result

    def restore(self, weights: Path) -> Path | None:
        """Copies the new weights to the trial's checkpoint, and returns the checkpoint's path.

        If the weights are not the recorded ones, copies nothing and returns None.
        """
        fault = checkpoint_fault(weights, self.training.result.checkpoint_sha256)
        if fault or not self.same_weights:
            return None
        spec = self.training.spec
        path = self._history.files.checkpoint(spec.number, spec.repeat)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            shutil.copyfile(weights, partial)
        return path

    @property
    def same_weights(self) -> bool:
        """Whether the rerun has ended with the recorded weights."""
        digest = self.training.result.weights_sha256
        return self.result is not None and self.result.weights_sha256 == digest

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Compares an epoch with the record. Ends the rerun where the recorded training ended."""
        self.epochs.setdefault(epoch.epoch, {}).update(epoch.metrics)
        self.difference = self.difference or self._difference_of(epoch)
        training = self.training
        if self._by_objective:
            pruned = self._trial.cut_short and self._was_pruned_after(epoch)
            return "prune" if pruned else "continue"
        if epoch.epoch < training.result.epochs or epoch.epoch >= training.spec.epochs:
            return "continue"
        # The recorded training ended after this epoch. If that training was pruned, this one is
        # pruned, too. If a callback ended that training, the same callback ends this one.
        return "prune" if self._trial.cut_short else "continue"

    def _was_pruned_after(self, epoch: EpochResult) -> bool:
        """Returns whether an objective function's trial was cut short after this report.

        A pruner ends a trial right after a value of the objective. So a report of the objective
        is compared with the last recorded value. The time limit ends a trial after any epoch. So
        after an epoch, this method checks whether all recorded metrics have been reported again.
        """
        metric = self.training.spec.objective.metric
        if metric in epoch.metrics:
            steps = (step for step, metrics in self.recorded.items() if metric in metrics)
            return epoch.epoch >= max(steps, default=0)
        return all(
            metrics.keys() <= self.epochs.get(step, {}).keys()
            for step, metrics in self.recorded.items()
        )

    def _difference_of(self, epoch: EpochResult) -> str:
        now = {name: value for name, value in epoch.metrics.items() if math.isfinite(value)}
        then = self.recorded.get(epoch.epoch, {})
        if self._by_objective:
            # An objective function's own values and its epochs' metrics come in separate reports.
            # So only the metrics of this report are compared.
            then = {name: value for name, value in then.items() if name in now}
        for name in sorted({**then, **now}):
            if then.get(name) != now.get(name):
                values = [then.get(name, "no number"), now.get(name, "no number")]
                return f"{name} of epoch {epoch.epoch} was {values[0]}, and is {values[1]}"
        return ""

    def on_result(self, result: TrialResult) -> None:
        """Keeps the result, and compares the value that an objective function returned."""
        self.result, then, now = result, self.training.result.best, result.best
        if self._by_objective and then is not None and (now is None or now.value != then.value):
            self.difference = self.difference or f"it had {then.value}, and has {now and now.value}"

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> None:
        """Raises WorkerError if the process of the last attempt died."""
        if why:
            raise WorkerError(f"Trial {spec.number} could not be run again: {error}.")


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


class AllFolds(Jobs):
    """Trains one model on the data of all folds, with a cross-validated trial's hyperparameters.

    Records this training with the trial, as `EndedTrial.whole`.
    """

    def __init__(self, history: StudyHistory, trial: EndedTrial, progress: Progress) -> None:
        super().__init__()
        self._trial, self._progress = trial, progress
        self._history, self._journal = history, history.writing()
        # The uuid of the present attempt's fit. It is empty while no attempt runs.
        self._fit = ""
        self._result: TrialResult | None = None
        self._attempts = 0

    def train(self, executor: Executor) -> EndedTrial:
        """Trains the trial, or resumes an interrupted training.

        Returns the trial with the new training. Raises VerificationStopped if the training was
        stopped.
        """
        number, epochs = self._trial.number, self._trial.whole_spec.epochs
        self._progress.say(
            f"training trial {number} on all folds together by model.fit, {epochs} epochs"
        )
        self.queue.append(Job(number, self._begin))
        try:
            run_jobs(executor, self, self._progress)
            if self._result is None:
                raise VerificationStopped
            return self._recorded(self._result)
        finally:
            self._progress.trial_gone(number)
            if self._result is None:
                self._close()
            self._journal.close()

    def taking(self) -> AbstractContextManager[object]:
        """Returns a context. When it ends, the epochs logged in it go to the journal."""
        return self._journal.flushing()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Records an epoch. Ends the training if `stop` was called."""
        self._journal.log_epoch(self._fit, epoch)
        ends = epoch.epoch >= self._trial.whole_spec.epochs
        return "stop" if self.stopped and not ends else "continue"

    def on_result(self, result: TrialResult) -> None:
        """Keeps the result."""
        self._result = result

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> None:
        """Records that an attempt's process died. If `why` is empty, the job begins again."""
        if not why:
            self._close()

    def _begin(self) -> list[TrialTask]:
        files, space = self._history.files, self._history.description.space
        self._attempts += 1
        spec = replace(self._trial.whole_spec, attempt=self._attempts)
        self._fit = self._journal.begin_fit(self._trial.uuid, spec)
        checkpoint = files.checkpoint(spec.number, spec.repeat)
        state = files.state(spec.number, spec.repeat)
        return [TrialTask(spec, space, checkpoint, state, by_fit=True)]

    def _close(self) -> None:
        fit, self._fit = self._fit, ""
        if fit:
            self._journal.end_fit(fit, None)

    def _recorded(self, result: TrialResult) -> EndedTrial:
        spec, best = self._trial.whole_spec, self._trial.best
        assert best is not None, "it has a value"
        # This training has no validation data, so it is recorded without a value. Otherwise its
        # training loss would be shown as its value.
        recorded, why = replace(result, best=None), result.reason or result.unsaved
        if result.state != "complete" or why:
            self._journal.end_fit(self._fit, recorded)
            if result.state == "interrupted":
                raise VerificationStopped
            raise StudyError(
                f"Trial {spec.number} can't be trained on all folds together: "
                f"{why or f'it is {result.state}'}"
            )
        whole = Repeat(
            spec.seed,
            self._fit,
            result.epochs,
            replace(best, epoch=result.epochs),
            result.weights_sha256,
            result.seconds,
            result.checkpoint_sha256,
            fold=ALL_FOLDS,
        )
        # These two changes are one transaction. If the process were killed between them, the next
        # launch would train the trial on all folds a second time.
        with self._journal.together():
            self._journal.end_fit(self._fit, recorded)
            self._journal.set_whole(self._trial.uuid, whole)
        self._history.files.state(spec.number, spec.repeat).unlink(missing_ok=True)
        return replace(self._trial, whole=whole)


def weights_of(
    study: RunnableStudy, trial: EndedTrial, executor: Executor, folder: Path
) -> tuple[Path, EndedTrial]:
    """Returns the path of a trial's best weights, and the trial.

    If the checkpoint is lost, `model.fit` trains the trial again, and the new weights are written
    into `folder`. If the training gives identical results, the trial is recorded as verified.
    """
    history, repeat = study.history, trial.checkpoint_of
    if trial.result.unsaved:
        name = shlex.quote(history.description.name)
        hint = f"To see its hyperparameters: kerastudy show {name} --trial {trial.number}"
        wrong = f"Trial {trial.number} has no checkpoint: {trial.result.unsaved}."
        raise StudyError(wrong, hint=hint if trial.result.of_no_epoch else "")
    if trial.result.folds and trial.whole is None:
        raise _no_model_error(history, trial)
    if repeat not in history.checkpoint_faults(trial):
        return history.files.checkpoint(trial.number, repeat), trial
    training = trainings_of(trial)[repeat]
    study.progress.say(
        f"the checkpoint of trial {trial.number} is not kept: training it again by model.fit, "
        f"{counted(training.result.epochs, 'epoch')}"
    )
    rerun = Rerun(history, trial, training, study.progress)
    weights = folder / "again.weights.h5"
    result = rerun.run(executor, weights)
    if result is None or not rerun.same_weights:
        raise StudyError(
            f"Trial {trial.number} did not get the same weights again, so it can't be used",
            hint="`kerastudy reproduce` shows what differs.",
        )
    if result.trainer == "plain" and not rerun.difference and not is_whole(trial.verified):
        trial = record_verified(history, trial, IDENTICAL)
    return weights, trial


def _no_model_error(history: StudyHistory, trial: EndedTrial) -> StudyError:
    """Returns the error for a cross-validated trial that was not trained on all folds together."""
    name, number = history.description.name, trial.number
    return StudyError(
        f"Trial {number} of {name!r} was trained on folds alone, so it has no model",
        hint="To train it on all folds together, as the champion: "
        + study_command(history, "promote", trial=number),
    )


def save_model(study: RunnableStudy, trial: EndedTrial, folder: Path) -> None:
    """Saves a trial's model, with its best weights, into a new folder for MLflow."""
    command = f"study.history().trial({trial.number}).load_model()"
    if study.history.description.code.path:
        command = study_command(study.history, "export", "--as keras", trial=trial.number)
    with study.executor(trial, command) as worker, tempfile.TemporaryDirectory() as temporary:
        weights, trial = weights_of(study, trial, worker, Path(temporary))
        spec, _ = trial.best_training
        worker.save_champion(spec, weights, study.history.description.space, folder)
