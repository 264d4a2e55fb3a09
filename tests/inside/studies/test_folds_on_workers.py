"""Trials with folds on several workers: the record is that of one worker, whatever the timing."""

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
from study_record import left_behind

from search_spaces import WorkerError
from studies.executors import Handler
from studies.progress import NoProgress
from tracking.history import StudyHistory, fit_metrics
from tracking.records import Decision, EpochResult, TrialSpec, TrialTask

FOLDS, WORKERS = 4, 3
ORDERS = [0, *(pytest.param(order, marks=pytest.mark.exhaustive) for order in (1, 2))]


@dataclass
class Running:
    """A scripted job in a thread of its own, which takes a step when it is told to."""

    fits: tuple[TrialTask, ...]
    steps: queue.Queue[tuple[str, tuple[Any, ...]]] = field(default_factory=queue.Queue)
    decisions: queue.Queue[Decision] = field(default_factory=queue.Queue)
    begun: bool = False
    fit: int = 0

    @property
    def spec(self) -> TrialSpec:
        return self.fits[self.fit].spec

    def begin(self, run: Callable[[tuple[TrialTask, ...], Handler], None]) -> None:
        self.begun = True
        threading.Thread(target=run, args=(self.fits, self), daemon=True).start()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        self.steps.put(("on_epoch", (epoch,)))
        return self.decisions.get()

    def on_result(self, *arguments: Any) -> None:
        self.steps.put(("on_result", arguments))

    def on_lost(self, *arguments: Any) -> None:
        self.steps.put(("on_lost", arguments))


@dataclass
class Interleaved(ScriptedExecutor):
    """Runs jobs at once, and takes their steps in an order drawn from a seed."""

    order: int = 0
    dies: set[tuple[int, int, int]] = field(default_factory=set)
    interrupts: set[tuple[int, int, int]] = field(default_factory=set)
    fails: set[tuple[int, int]] = field(default_factory=set)
    pairs: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.random, self.jobs = random.Random(self.order), list[Running]()

    @property
    def free(self) -> int:
        return WORKERS - len(self.jobs)

    def submit(self, *fits: TrialTask) -> None:
        assert self.free
        self.jobs.append(Running(fits))
        numbers = [job.spec.number for job in self.jobs]
        self.pairs |= {(a, b) for a in numbers for b in numbers if a != b}

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        job = self.random.choice(self.jobs)
        if not job.begun:
            job.begin(self._run_all)
        name, arguments = job.steps.get(timeout=60)
        spec = job.spec
        if name == "on_result":
            job.fit += 1
            if job.fit == len(job.fits) or arguments[0].state != "complete":
                self.jobs.remove(job)
            handler.on_result(*arguments)
            return
        place = (spec.number, spec.repeat, arguments[0].epoch)
        if place in self.interrupts:
            raise KeyboardInterrupt
        if place in self.dies:
            self.dies.remove(place)
            self.jobs.remove(job)
            job.decisions.put("stop")
            handler.on_lost(spec, WorkerError("the worker process ended by signal 9", killed=True))
            return
        job.decisions.put(handler.on_epoch(*arguments))

    def _run_all(self, fits: tuple[TrialTask, ...], handler: Handler) -> None:
        for fit in fits:
            failing = (fit.spec.number, fit.spec.repeat) in self.fails
            self.infeasible = {fit.spec.number} if failing else set()
            result = self._run(fit, handler)
            assert result is not None
            handler.on_result(result)
            if result.state != "complete":
                return


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
    """What is recorded of the trials and of the fits below them, but for times."""
    found = []
    for trial in history.ended:
        fits = [fit for fit in history.journal.fits() if fit.trial == trial.uuid]
        found.append(
            (
                trial.state,
                trial.value,
                trial.epoch,
                trial.params,
                trial.result.reason,
                [(f.seed, f.fold, f.value, f.best, f.weights_sha256) for f in trial.result.repeats],
                None if trial.whole is None else trial.whole.weights_sha256,
                sorted((fit.spec.repeat, fit.state) for fit in fits),
                [fit_metrics(history.folder, f.uuid) for f in trial.result.repeats],
                history.curve(trial),
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
    assert executor.pairs, "trials ran together"


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
            return 0 if self.jobs else 1

    found = failing(f"failing {fold} {order}", Interleaved, order=order)
    assert found == failing(f"failing {fold} {order} alone", OneAtATime)
    assert f"in fold {fold + 1} of {FOLDS}" in found[1][4]


@pytest.mark.parametrize("order", ORDERS)
def test_a_fold_whose_process_dies_is_trained_again_with_the_others(
    folder: Path, one_worker: list[Any], order: int
) -> None:
    dies = {(0, 1, 2), (2, 3, 1), (2, 0, 3)}
    executor = Interleaved(folded(f"dying {order}"), order=order, dies=dies)
    history = launch(folder, executor)
    assert [each[1:7] for each in outcome(history)] == [each[1:7] for each in one_worker]
    assert not dies and history.ended[0].losses == 1
    assert not left_behind(history.store.root)


def test_interrupted_in_a_fold_it_resumes_as_if_it_had_not(
    folder: Path, one_worker: list[Any]
) -> None:
    interrupted = Interleaved(folded("interrupted"), interrupts={(2, 2, 1)})
    with pytest.raises(KeyboardInterrupt):
        launch(folder, interrupted)
    history = launch(folder, Interleaved(folded("interrupted"), order=1))
    assert [each[1:7] for each in outcome(history)] == [each[1:7] for each in one_worker]
