"""Runs a recorded training again, from its first epoch to its end."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces import SearchSpace
from search_spaces.errors import WorkerError
from studies.executors.executor import Executor
from studies.executors.jobs import Job, Jobs, run_jobs
from studies.progress import Progress
from tracking.history.study_history import StudyHistory
from tracking.records import (
    Decision,
    EndedTrial,
    EpochResult,
    Repeat,
    TrainerName,
    TrialResult,
    TrialSpec,
    TrialTask,
)
from tracking.store.files import CheckpointError, check_checkpoint, recorded_checkpoints, replacing


@dataclass(frozen=True)
class RecordedTraining:
    """A recorded training to run again from its first epoch.

    A trial that continued another one is trained without a break, which must give the same.
    """

    spec: TrialSpec
    uuid: str
    epochs: int
    weights_sha256: str
    checkpoint_sha256: str
    best_epoch: int
    # An objective function reports values at other steps, next to the epochs of its trainings.
    by_objective: bool


def trainings_of(trial: EndedTrial) -> list[RecordedTraining]:
    """Returns the trainings of a finished trial: its repeats, or the trial itself.

    Of a cross-validated trial those are its folds, and then the training on all of them, if there
    is one.
    """
    spec = replace(trial.spec, goes_on_from=None, initial_epoch=0)
    trainings: list[tuple[TrialSpec, str, TrialResult | Repeat]] = [
        (replace(spec, seed=each.seed, repeat=repeat, fold=each.fold), each.uuid, each)
        for repeat, each in enumerate(trial.result.repeats)
    ]
    if not trainings:
        trainings = [(spec, trial.uuid, trial.result)]
    elif trial.whole is not None:
        trainings.append((trial.whole_spec, trial.whole.uuid, trial.whole))
    return [
        RecordedTraining(
            spec,
            uuid,
            each.epochs,
            each.weights_sha256,
            each.checkpoint_sha256,
            0 if each.best is None else each.best.epoch,
            trial.result.trainer == "objective",
        )
        for spec, uuid, each in trainings
    ]


class Rerun(Jobs):
    """Runs a recorded training again: one job. Stops it where the recorded training ended.

    `recorded` has the metrics by epoch.
    """

    def __init__(
        self,
        training: RecordedTraining,
        pruned: bool,
        recorded: Mapping[int, Mapping[str, float]],
        progress: Progress,
    ) -> None:
        super().__init__()
        self.training, self.recorded = training, recorded
        self._pruned, self.progress = pruned, progress
        self.result: TrialResult | None = None
        self.begin_attempt()

    def begin_attempt(self) -> None:
        """Forgets what an earlier attempt had."""
        # The first from the record.
        self.difference = ""
        self.epochs: dict[int, Mapping[str, float]] = {}

    def run(
        self,
        executor: Executor,
        space: SearchSpace,
        checkpoint: Path,
        trainer: TrainerName | None = "plain",
    ) -> TrialResult | None:
        """Trains until it ends; the best weights go into a new file.

        Returns its result, or None if it was stopped before there was one. Raises WorkerError if
        each attempt ends with its process.
        """
        task = TrialTask(self.training.spec, space, checkpoint, trainer=trainer)

        def begin() -> list[TrialTask]:
            self.begin_attempt()
            return [task]

        self.queue.append(Job(task.spec.number, begin))
        try:
            run_jobs(executor, self, self.progress)
        finally:
            self.progress.trial_gone(task.spec.number)
        return self.result

    @property
    def same_weights(self) -> bool:
        """Whether it has ended with the recorded weights."""
        digest = self.training.weights_sha256
        return self.result is not None and self.result.weights_sha256 == digest

    def other_data(self, trial: EndedTrial) -> bool:
        """Whether a function of `hp` has made other data than for the recorded trial."""
        now = self.result.data_digest if self.result is not None else ""
        then = trial.result.data_digest
        return bool(now and then) and now != then

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Compares an epoch, and stops where the recorded training ended."""
        self.epochs[epoch.epoch] = {**self.epochs.get(epoch.epoch, {}), **epoch.metrics}
        self.compared = self._difference_of(epoch)
        self.difference = self.difference or self.compared
        training = self.training
        if training.by_objective:
            return "prune" if self._pruned and self._was_pruned_after(epoch) else "continue"
        if epoch.epoch < training.epochs or epoch.epoch >= training.spec.epochs:
            return "continue"
        # A pruned trial is pruned again, at the same epoch; a callback may have ended it too.
        return "prune" if self._pruned else "continue"

    def _was_pruned_after(self, epoch: EpochResult) -> bool:
        """Returns whether the trial of an objective function was pruned after what it reports now.

        By its pruner, after the last value that it reported; or after an epoch, when its time was
        over, and nothing more is recorded.
        """
        metric = self.training.spec.objective.metric
        if metric in epoch.metrics:
            return epoch.epoch >= max(s for s, then in self.recorded.items() if metric in then)
        return all(
            not math.isfinite(value) or name in self.epochs.get(step, {})
            for step, metrics in self.recorded.items()
            for name, value in metrics.items()
        )

    def _difference_of(self, epoch: EpochResult) -> str:
        """Returns the metric in which an epoch differs; records have no infinite metrics."""
        now = {name: value for name, value in epoch.metrics.items() if math.isfinite(value)}
        recorded = self.recorded.get(epoch.epoch, {})
        then = {name: value for name, value in recorded.items() if math.isfinite(value)}
        if self.training.by_objective:
            # What a function reports itself comes apart from its epochs' metrics.
            then = {name: value for name, value in then.items() if name in now}
        for name in sorted({**then, **now}):
            if then.get(name) != now.get(name):
                values = [then.get(name, "no number"), now.get(name, "no number")]
                return f"{name} of epoch {epoch.epoch} was {values[0]}, and is {values[1]}"
        return ""

    def on_result(self, result: TrialResult) -> None:
        """Keeps the result."""
        self.result = result

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> None:
        """Tells the loss; raises it if it was one too many."""
        said = f"Trial {spec.number} could not be run again: {error}."
        if why:
            raise WorkerError(said)
        how = f"{said} It begins again on another machine."
        self.progress.say(how if error.machine_gone else f"warning: {said}")


def unsound_checkpoints(history: StudyHistory, trial: EndedTrial) -> Iterator[tuple[int, str]]:
    """Yields the repeats of a trial whose weights are missing or damaged, and the fault."""
    for repeat, digest in recorded_checkpoints(trial):
        path = history.files.checkpoint(trial.number, repeat)
        try:
            check_checkpoint(path, digest)
        except CheckpointError as error:
            yield repeat, str(error)


def put_back(history: StudyHistory, rerun: Rerun, written: Path) -> Path | None:
    """Moves the weights of a rerun to the recorded place, and returns that; None if they differ."""
    training = rerun.training
    try:
        check_checkpoint(written, training.checkpoint_sha256)
    except CheckpointError:
        return None
    if not rerun.same_weights:
        return None
    spec = training.spec
    path = history.files.checkpoint(spec.number, spec.repeat)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        shutil.copyfile(written, partial)
    return path
