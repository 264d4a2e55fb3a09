"""Runs the trainings of a confirmation, records each, and trains none twice."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import KerastudyError, WorkerError
from studies.champion.confirmation_plan import DEFAULTS, Plan, Training
from studies.champion.recorded import AnyExecutor
from studies.error_texts import describe
from studies.executors.jobs import Job, Jobs, run_jobs
from studies.progress import Progress
from tracking.history.confirmations import ConfirmationTraining, read_trainings
from tracking.history.curves import common_best, fit_metrics
from tracking.journal import Journal
from tracking.records import (
    ALL_FOLDS,
    BestEpoch,
    Decision,
    EpochResult,
    TrainerName,
    TrialResult,
    TrialSpec,
    TrialTask,
)
from tracking.records.checks import differs
from tracking.records.studies import ConstantGuess
from tracking.scores.sample_scores import SampleScores
from tracking.store.files import CheckpointError, check_checkpoint

if TYPE_CHECKING:
    from studies.executors.session import Session


@dataclass
class _Running:
    """A training that runs."""

    training: Training
    spec: TrialSpec
    uuid: str


class Trainings(Jobs):
    """Runs a plan's trainings, each a job of one fit."""

    def __init__(
        self, plan: Plan, executor: AnyExecutor, journal: Journal, progress: Progress
    ) -> None:
        super().__init__()
        self.plan, self.journal, self.progress = plan, journal, progress
        # The uuid of the confirmation, once that has begun.
        self.uuid = ""
        self._executor, self._description = executor, plan.history.description
        # Where checkpoints stay until the confirmation ends, to score samples by.
        self.folder = plan.history.files.folder / "confirming"
        # Those that have ended, by identity.
        self._recorded = read_trainings(plan.history)
        contradicted = any(differs(each.verified) for each in plan.history.trials)
        # None: what the study says.
        self._trainer: TrainerName | None = "plain" if contradicted else None
        self._running: dict[int, _Running] = {}
        self._planned = 0
        self._epochs: dict[str, Mapping[int, Mapping[str, float]]] = {}

    @property
    def count(self) -> int:
        """How many of the plan's trainings are recorded."""
        plan = self.plan
        racers = [each.number for each in plan.racers]
        raced = [t for n in racers for t in plan.race_trainings(n, 0, len(plan.seeds))]
        tested = [t for n in (DEFAULTS, *racers) for t in plan.test_trainings(n)]
        ended = {t.identity for t in raced if self.knows(t)}
        ended |= {t.identity for t in tested if self._has_weights(t)}
        return min(len(ended), plan.trainings)

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

    def value_at(self, trial: int, place: int) -> float | None:
        """Returns a racer's objective under a seed, as a trial has it; None if it is infeasible."""
        trainings = self.plan.trainings_at(trial, place)
        if not self.plan.folds:
            return self.value(trainings[0])
        if any(self.value(each) is None for each in trainings):
            return None
        epochs = [self._of_epochs(each) for each in trainings]
        best = common_best(epochs, self._description.objective)
        return None if best is None else best.value

    def _of_epochs(self, training: Training) -> Mapping[int, Mapping[str, float]]:
        """Returns the metrics of a training that has run by epoch, of epochs that have all."""
        if training.identity not in self._epochs:
            fit = self._recorded[training.identity].uuid
            metrics = fit_metrics(self.plan.history.folder, fit)
            # Metrics that are not finite are left out.
            names = set().union(*metrics.values())
            whole = {epoch: each for epoch, each in metrics.items() if set(each) == names}
            self._epochs[training.identity] = whole
        return self._epochs[training.identity]

    def run(self, racing: Sequence[Training], testing: Sequence[Training]) -> None:
        """Runs what is not recorded yet; the weights of `testing` are needed."""
        trainings = [t for t in racing if not self.knows(t)]
        trainings += [t for t in testing if not self._has_weights(t)]
        for number, training in enumerate(trainings, self._planned):
            self.queue.append(Job(number, partial(self._begin, number, training), training.name))
        self._planned += len(trainings)
        run_jobs(self._executor, self, self.progress)

    def scored(self, training: Training, *, compared: bool) -> TestScores | str:
        """Returns the scores of the test samples by a training's weights, or why there are none."""
        best = self.result(training).best
        assert best is not None, "it has a value"
        path, space = self.checkpoint(training), self._description.space
        scores: TestScores | str = self._executor.ask(
            scores_in_worker, training.spec, path, space, best, compared
        )
        return scores

    def checkpoint(self, training: Training) -> Path:
        """Returns the path of a training's best weights."""
        return self.folder / f"{training.identity[:24]}.weights.h5"

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

    def taking(self) -> AbstractContextManager[object]:
        """Writes epochs as they come."""
        return self.journal.flushing()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Records an epoch; ends a training whose time is up."""
        running = self._running[epoch.number]
        self.journal.log_epoch(running.uuid, epoch)
        limit = self._description.trial_timeout
        over = limit is not None and epoch.seconds >= limit
        # As a trial whose time is up: it keeps its best epoch.
        return "prune" if over and epoch.epoch < running.spec.epochs else "continue"

    def on_result(self, result: TrialResult) -> None:
        """Records a result."""
        self._record(self._running.pop(result.number), result)

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> None:
        """Tells the loss, and gives up the attempt."""
        running = self._running[spec.number]
        self.progress.say(f"{running.training.name}: {error}")
        if not why:
            self.journal.end_training(running.uuid, None)

    def _begin(self, number: int, training: Training) -> list[TrialTask]:
        spec = replace(training.spec, number=number)
        uuid = self.journal.begin_training(self.uuid, spec, training.name, training.identity)
        self._running[number] = _Running(training, spec, uuid)
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint, space = self.checkpoint(training), self._description.space
        return [TrialTask(spec, space, checkpoint, trainer=self._trainer)]

    def _record(self, running: _Running, result: TrialResult) -> None:
        # On all folds together there is nothing to validate on.
        valued = running.spec.fold != ALL_FOLDS
        self.journal.end_training(running.uuid, result)
        identity = running.training.identity
        self._recorded[identity] = ConfirmationTraining(identity, result, running.uuid)
        self.progress.trial_ended(result if valued else replace(result, best=None), None)


@dataclass(frozen=True)
class TestScores:
    """The scores of the test samples by one training."""

    # pytest takes it for tests otherwise.
    __test__ = False

    scores: SampleScores
    # SHA-256 of the test part, and of its targets: only scores of equal targets compare.
    digest: str
    targets: str
    # Its most frequent class; None if its targets are no classes.
    guess: ConstantGuess | None = None


def scores_in_worker(
    session: Session,
    spec: TrialSpec,
    checkpoint: Path,
    space: SearchSpace,
    best: BestEpoch,
    compared: bool,
) -> TestScores | str:
    """Scores the test samples by a training's best weights, where the study is loaded.

    Returns why that can't be, without a period, if its objective has no scores of samples, or its
    model can't predict them. `compared` is whether the scores are compared with the value that
    Keras computes, which traces the model.
    """
    from studies.data import guess_on
    from studies.training import (
        NotScoredError,
        evaluated,
        rebuilt,
        restore_settings,
        sample_scores,
        scalars,
    )

    try:
        hp = Hyperparameters(space, spec.values, number=spec.built_as)
        splits: Any = session.splits_of(hp, spec.fold)
        model = rebuilt(session.study, space, splits, spec, checkpoint)
        # In the place of the validation part, which Keras reads in the same way.
        splits = replace(splits, validation=splits.unseal_test())
        metric, recorded = spec.objective.metric, None
        if compared:
            measured = scalars(evaluated(model, splits, spec.batch_size))
            recorded = measured[metric.removeprefix("val_")]
        scores = sample_scores(
            model, splits, metric, epoch=best.epoch, batch_size=spec.batch_size, recorded=recorded
        )
        targets = splits.validation.targets_digest
        return TestScores(scores, splits.digests["test"], targets, guess_on(splits))
    except NotScoredError as error:
        return str(error)
    except KerastudyError:
        raise
    except Exception as error:
        return describe(error)
    finally:
        restore_settings()
