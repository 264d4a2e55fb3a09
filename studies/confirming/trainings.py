"""Runs the trainings of a confirmation, records each, and trains none twice."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces.errors import WorkerError
from studies.confirming.executors import AnyExecutor
from studies.confirming.plan import DEFAULTS, Plan, Training
from studies.confirming.test_scores import TestScores, scores_in_worker
from studies.progress import Progress
from studies.running.running_trial import common_best
from tracking.history.confirmations import ConfirmationTraining
from tracking.history.curves import epoch_metrics
from tracking.records import (
    ALL_FOLDS,
    Decision,
    EpochResult,
    StudyDescription,
    TrainerName,
    TrialResult,
    TrialSpec,
    TrialTask,
)
from tracking.runs.confirmation_runs import ConfirmationRuns
from tracking.store.files import CheckpointError, check_checkpoint

# A training whose process ends by itself so often is the cause.
_ATTEMPTS = 3
_SECONDS_TO_NOTICE = 0.5


@dataclass
class _Running:
    """A training that runs."""

    training: Training
    spec: TrialSpec
    run_id: str


class Trainings:
    """Runs trainings as an executor has places. A `Handler` of the executor's.

    Args:
        executor: Trains them.
        runs: Records them.
        recorded: Those that have ended, by identity.
        folder: Where checkpoints stay until the confirmation ends, to score samples by.
        description: The study.
        progress: Shows them.
        trainer: What trains them; None: what the study says.
    """

    def __init__(
        self,
        executor: AnyExecutor,
        runs: ConfirmationRuns,
        recorded: dict[str, ConfirmationTraining],
        folder: Path,
        description: StudyDescription,
        progress: Progress,
        trainer: TrainerName | None,
    ) -> None:
        self._executor, self._runs, self._recorded = executor, runs, recorded
        self.folder, self._description = folder, description
        self._progress, self._trainer = progress, trainer
        self._waiting: deque[Training] = deque()
        self._running: dict[int, _Running] = {}
        self._losses: dict[str, int] = {}
        self._begun = 0
        self._epochs: dict[str, Mapping[int, Mapping[str, float]]] = {}
        # At once; None: as many as the executor has places for.
        self._most: int | None = None

    def checkpoint(self, training: Training) -> Path:
        """Returns the path of a training's best weights."""
        return self.folder / f"{training.identity[:24]}.weights.h5"

    def count_of(self, plan: Plan) -> int:
        """Returns how many of a plan's trainings are recorded."""
        who = [DEFAULTS, *(each.number for each in plan.racers)]
        raced = [t for n in who[1:] for t in plan.race_trainings(n, 0, len(plan.seeds))]
        tested = [t for n in who for t in plan.test_trainings(n)]
        found = {t.identity for t in raced if self.knows(t)}
        found |= {t.identity for t in tested if self._has_weights(t)}
        return min(len(found), plan.trainings)

    def knows(self, training: Training) -> bool:
        """Returns whether a training has run."""
        return training.identity in self._recorded

    def result(self, training: Training) -> TrialResult:
        """Returns the result of a training that has run."""
        return self._recorded[training.identity].result

    def value(self, training: Training) -> float | None:
        """Returns the objective of a training that has run; None if it is infeasible."""
        best = self.result(training).best
        return None if best is None else best.value

    def value_at(self, plan: Plan, trial: int, place: int) -> float | None:
        """Returns a racer's objective under a seed, as a trial has it; None if it is infeasible.

        Args:
            plan: The plan.
            trial: The racer.
            place: Of the seed, from 0.
        """
        trainings = plan.trainings_at(trial, place)
        if not plan.folds:
            return self.value(trainings[0])
        if any(self.value(each) is None for each in trainings):
            return None
        epochs = [self._of_epochs(each) for each in trainings]
        best = common_best(epochs, self._description.objective)
        return None if best is None else best.value

    def _of_epochs(self, training: Training) -> Mapping[int, Mapping[str, float]]:
        """Returns the metrics of a training that has run by epoch, of those that have all."""
        if training.identity not in self._epochs:
            run_id = self._recorded[training.identity].run_id
            found = epoch_metrics(self._runs.store, run_id)
            # MLflow has no metric that is not finite.
            names = set().union(*found.values())
            whole = {epoch: each for epoch, each in found.items() if set(each) == names}
            self._epochs[training.identity] = whole
        return self._epochs[training.identity]

    def run(self, racing: Sequence[Training], testing: Sequence[Training]) -> None:
        """Runs those trainings that are not recorded yet.

        Args:
            racing: They need their values.
            testing: They need their weights, to read the test part.
        """
        self._waiting.extend(t for t in racing if not self.knows(t))
        self._waiting.extend(t for t in testing if not self._has_weights(t))
        while self._waiting or self._running:
            self._submit()
            # With nothing running it waits for a worker that is being replaced.
            self._executor.wait(self, None if self._running else _SECONDS_TO_NOTICE)

    def scored(self, training: Training, *, compared: bool) -> TestScores:
        """Returns the scores of the test samples, by the weights of a training.

        Args:
            training: It has a value.
            compared: See `scores_in_worker`.

        Raises:
            StudyError: If they can't be scored.
        """
        best = self.result(training).best
        assert best is not None, "it has a value"
        path, space = self.checkpoint(training), self._description.space
        found: TestScores = self._executor.ask(
            scores_in_worker, training.spec, path, space, best, compared
        )
        return found

    def clear(self) -> None:
        """Removes the checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _has_weights(self, training: Training) -> bool:
        """Returns whether a training is recorded, with weights if it has a value."""
        known = self._recorded.get(training.identity)
        if known is None or known.result.best is None:
            return known is not None
        try:
            check_checkpoint(self.checkpoint(training), known.result.checkpoint_sha256)
        except CheckpointError:
            return False
        return True

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """See `Handler.on_epoch`."""
        running = self._running[epoch.number]
        self._runs.log_epoch(running.run_id, epoch)
        self._progress.epoch_ended(epoch)
        limit = self._description.trial_timeout
        over = limit is not None and epoch.seconds >= limit
        # As a trial whose time is up: it keeps its best epoch.
        return "prune" if over and epoch.epoch < running.spec.epochs else "continue"

    def on_result(self, result: TrialResult) -> None:
        """See `Handler.on_result`."""
        running = self._running.pop(result.number)
        self._record(running, result)

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """See `Handler.on_lost`."""
        running = self._running.pop(spec.number)
        training = running.training
        # A machine that is gone is not the training's fault.
        losses = self._losses.get(training.identity, 0) + (not error.machine_gone)
        self._losses[training.identity] = losses
        self._progress.say(f"{training.name}: {error}")
        if error.out_of_memory:
            self._most = 1
        if losses >= _ATTEMPTS:
            reason = f"{_ATTEMPTS} attempts, and in each {error}"
            self._record(running, TrialResult(spec.number, "infeasible", reason=reason))
            return
        self._progress.trial_gone(spec.number)
        self._runs.give_up_training(running.run_id)
        self._waiting.appendleft(training)

    def _submit(self) -> None:
        while self._waiting and self._executor.free:
            if self._most is not None and len(self._running) >= self._most:
                return
            training = self._waiting.popleft()
            number, self._begun = self._begun, self._begun + 1
            spec = replace(training.spec, number=number)
            what = {"identity": training.identity, "trial": training.trial, "seed": spec.seed}
            run_id = self._runs.begin_training(spec, training.name, what)
            self._running[number] = _Running(training, spec, run_id)
            self._progress.trial_begins(spec, training.name)
            self.folder.mkdir(parents=True, exist_ok=True)
            checkpoint, space = self.checkpoint(training), self._description.space
            self._executor.submit(TrialTask(spec, space, checkpoint, trainer=self._trainer))

    def _record(self, running: _Running, result: TrialResult) -> None:
        # On all folds together there is nothing to validate on.
        valued = running.spec.fold != ALL_FOLDS
        self._runs.finish_training(running.run_id, result, valued=valued)
        training = running.training
        self._recorded[training.identity] = ConfirmationTraining(
            training.identity, result, running.run_id
        )
        self._progress.trial_ended(result if valued else replace(result, best=None), None)
