"""Folds of one trial on several workers: the record is that of one worker, whatever the timing."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedExecutor, describe, run_study

from search_spaces import WorkerError
from studies.executors import Handler
from studies.progress import NoProgress
from tracking.history import StudyHistory, epoch_metrics
from tracking.records import Decision, EpochResult, TrialSpec, TrialTask

FOLDS, WORKERS = 4, 3
ORDERS = [0, *(pytest.param(order, marks=pytest.mark.exhaustive) for order in (1, 2))]


@dataclass
class Training:
    """A scripted training in a thread of its own, which takes a step when it is told to."""

    task: TrialTask
    steps: queue.Queue[tuple[str, tuple[Any, ...]]] = field(default_factory=queue.Queue)
    decisions: queue.Queue[Decision] = field(default_factory=queue.Queue)
    begun: bool = False

    def begin(self, run: Callable[[TrialTask, Handler], None]) -> None:
        self.begun = True
        threading.Thread(target=run, args=(self.task, self), daemon=True).start()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        self.steps.put(("on_epoch", (epoch,)))
        return self.decisions.get()

    def on_result(self, *arguments: Any) -> None:
        self.steps.put(("on_result", arguments))

    def on_lost(self, *arguments: Any) -> None:
        self.steps.put(("on_lost", arguments))


@dataclass
class Interleaved(ScriptedExecutor):
    """Runs trainings at once, and takes their steps in an order drawn from a seed."""

    order: int = 0
    dies: set[tuple[int, int, int]] = field(default_factory=set)
    fails: set[tuple[int, int]] = field(default_factory=set)
    pairs: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.random, self.trainings = random.Random(self.order), list[Training]()

    @property
    def free(self) -> int:
        return WORKERS - len(self.trainings)

    def submit(self, task: TrialTask) -> None:
        assert self.free
        self.trainings.append(Training(task))
        runs = [each.task.spec for each in self.trainings]
        self.pairs |= {(a.number, b.number) for a in runs for b in runs if a is not b}

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        training = self.random.choice(self.trainings)
        if not training.begun:
            training.begin(self._run)
        name, arguments = training.steps.get(timeout=60)
        if name != "on_epoch":
            self.trainings.remove(training)
            getattr(handler, name)(*arguments)
            return
        spec, epoch = training.task.spec, arguments[0].epoch
        place = (spec.number, spec.repeat, epoch)
        if place in self.dies:
            self.dies.remove(place)
            self.trainings.remove(training)
            training.decisions.put("stop")
            handler.on_lost(spec, WorkerError("the worker process ended by signal 9", killed=True))
            return
        training.decisions.put(handler.on_epoch(*arguments))

    def _run(self, task: TrialTask, handler: Handler) -> None:
        failing = (task.spec.number, task.spec.repeat) in self.fails
        self.infeasible = {task.spec.number} if failing else set()
        super()._run(task, handler)


def folded(name: str, **settings: Any) -> Any:
    engine = {"engine": "optuna:random", "trials": 4, "keep": 2, **settings}
    return describe(name=name, folds=FOLDS, cross_validation=str(FOLDS), **engine)


def launch(folder: Path, executor: ScriptedExecutor) -> StudyHistory:
    return run_study(executor, store=folder, progress=NoProgress())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: making its databases takes longer than any study here."""
    return tmp_path_factory.mktemp("side by side") / "store"


@pytest.fixture(scope="module")
def one_worker(folder: Path) -> list[Any]:
    executor = ScriptedExecutor(folded("one worker"))
    return outcome(launch(folder, executor))


def outcome(history: StudyHistory) -> list[Any]:
    """What is recorded of the trials and of the runs below them, but for times."""
    client, found = history.store.client, []
    for trial in history.ended:
        run = client.get_run(trial.run_id)
        children = client.search_runs(
            [history.experiment_id], f"tags.`mlflow.parentRunId` = '{trial.run_id}'"
        )
        found.append(
            (
                run.info.run_name,
                run.info.status,
                trial.state,
                trial.value,
                trial.epoch,
                trial.params,
                trial.result.reason,
                [(f.seed, f.fold, f.value, f.best, f.weights_sha256) for f in trial.result.repeats],
                None if trial.whole is None else trial.whole.weights_sha256,
                sorted((c.info.run_name, c.info.status, c.info.lifecycle_stage) for c in children),
                [epoch_metrics(history.store, f.run_id) for f in trial.result.repeats],
                epoch_metrics(history.store, trial.run_id),
            )
        )
    return found


@pytest.mark.parametrize("order", ORDERS)
def test_several_workers_leave_the_record_of_one(
    folder: Path, one_worker: list[Any], order: int
) -> None:
    executor = Interleaved(folded(f"order {order}"), order=order)
    history = launch(folder, executor)
    assert outcome(history) == one_worker
    assert {(n, n) for n in range(4)} <= executor.pairs, "folds of one trial ran together"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fold", [pytest.param(0, marks=pytest.mark.exhaustive), 2])
def test_a_fold_that_fails_ends_the_trial_as_on_one_worker(
    folder: Path, order: int, fold: int
) -> None:
    def failing(name: str, of: type[Interleaved], **fields: Any) -> list[Any]:
        description = folded(name, trials=2)
        executor = of(description, fails={(1, fold)}, **fields)
        return outcome(launch(folder, executor))

    class OneAtATime(Interleaved):
        @property
        def free(self) -> int:
            return 0 if self.trainings else 1

    found = failing(f"failing {fold} {order}", Interleaved, order=order)
    assert found == failing(f"failing {fold} {order} alone", OneAtATime)
    assert f"in fold {fold + 1} of {FOLDS}" in found[1][6]


@pytest.mark.parametrize("order", ORDERS)
def test_a_fold_whose_process_dies_is_trained_again_with_the_others(
    folder: Path, one_worker: list[Any], order: int
) -> None:
    dies = {(0, 1, 2), (2, 3, 1), (2, 0, 3)}
    executor = Interleaved(folded(f"dying {order}"), order=order, dies=dies)
    history = launch(folder, executor)
    assert [each[3:9] for each in outcome(history)] == [each[3:9] for each in one_worker]
    assert not dies and history.ended[0].losses == 1
    runs = history.store.client.search_runs([history.experiment_id])
    assert not [run for run in runs if run.info.status == "RUNNING"]


def test_stopped_with_folds_side_by_side_it_resumes_as_if_it_had_not(
    folder: Path, one_worker: list[Any]
) -> None:
    def interrupt(spec: TrialSpec) -> None:
        if (spec.number, spec.repeat) == (2, 2):
            raise KeyboardInterrupt

    class Interrupted(Interleaved):
        def submit(self, task: TrialTask) -> None:
            interrupt(task.spec)
            super().submit(task)

    with pytest.raises(KeyboardInterrupt):
        launch(folder, Interrupted(folded("interrupted")))
    history = launch(folder, Interleaved(folded("interrupted"), order=1))
    assert [each[3:9] for each in outcome(history)] == [each[3:9] for each in one_worker]


def test_where_something_may_end_a_trial_its_folds_run_one_after_another(folder: Path) -> None:
    assert folded("timed", trial_timeout=3600.0).folds_together == 1
    executor = Interleaved(folded("pruned", pruner="median"))
    launch(folder, executor)
    assert executor.pairs, "trials ran together"
    assert not {(n, n) for n in range(4)} & executor.pairs
