"""Jobs that run on an executor: their order, their losses, a stop; and many workers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from scripted import ScriptedExecutor, describe, loss, run_study

from benchmarks.many_workers.cluster import Faults, SimulatedCluster
from search_spaces import WorkerError
from studies.executors import Job, Jobs, run_jobs
from studies.progress import NoProgress
from studies.running import driver
from tracking.history import StudyHistory
from tracking.records import Decision, EpochResult, TrialResult, TrialSpec, TrialTask


class Trained(Jobs):
    """Trains so many jobs of some fits; keeps what it is told."""

    def __init__(self, folder: Path, count: int, fits: int = 1) -> None:
        super().__init__()
        self._folder, self._fits = folder, fits
        self.begun: list[int] = []
        self.ended: list[tuple[int, str]] = []
        self.results: list[TrialResult] = []
        self.before_epoch: Callable[[], None] = lambda: None
        for number in range(count):
            self.queue.append(Job(number, lambda number=number: self._begin(number)))  # type: ignore[misc]

    def _begin(self, number: int) -> list[TrialTask]:
        self.begun.append(number)
        description = describe()
        values = description.space.defaults()
        first = TrialSpec(number, 1, values, 7, 2, 32, 1, "d" * 64, description.objective)
        return [
            TrialTask(spec, description.space, self._folder / f"{number}-{spec.repeat}.weights.h5")
            for spec in (replace(first, repeat=repeat) for repeat in range(self._fits))
        ]

    def on_epoch(self, epoch: EpochResult) -> Decision:
        self.before_epoch()
        return "stop" if self.stopped else "continue"

    def on_result(self, result: TrialResult) -> None:
        self.results.append(result)
        self.ended.append((result.number, result.state))

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> None:
        assert error.killed or error.out_of_memory


def run(jobs: Jobs, **executor: Any) -> ScriptedExecutor:
    scripted = ScriptedExecutor(describe(), **executor)
    run_jobs(scripted, jobs, NoProgress())
    return scripted


def test_jobs_run_in_order_as_there_are_places(tmp_path: Path) -> None:
    jobs = Trained(tmp_path, 5, fits=2)
    executor = run(jobs, workers=2)
    assert executor.together == [{0, 1}, {2, 3}, {4}]
    assert jobs.ended == [(n, "complete") for n in (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)]


def test_a_lost_job_begins_again_before_others_and_ends_after_three_losses(tmp_path: Path) -> None:
    jobs = Trained(tmp_path, 3)
    run(jobs, lost=[0, 1, 1, 1])
    assert jobs.begun == [0, 0, 1, 1, 1, 2]
    assert jobs.ended == [(0, "complete"), (1, "infeasible"), (2, "complete")]
    assert jobs.results[1].reason.startswith("3 attempts, and in each ")


def test_a_job_that_ran_out_of_memory_runs_alone(tmp_path: Path) -> None:
    jobs = Trained(tmp_path, 6)
    executor = run(jobs, workers=3, out_of_memory=[1])
    assert executor.together == [{0, 1, 2}, {1}, {3, 4, 5}]
    jobs = Trained(tmp_path, 2)
    run(jobs, workers=3, out_of_memory=[1, 1])
    assert jobs.begun == [0, 1, 1] and jobs.ended[-1] == (1, "infeasible")
    assert jobs.results[-1].reason.endswith(", with no other trial running")


def test_a_stop_ends_what_runs_and_begins_no_more(tmp_path: Path) -> None:
    jobs = Trained(tmp_path, 4)
    jobs.before_epoch = jobs.stop
    run(jobs, workers=2)
    assert jobs.ended == [(0, "interrupted"), (1, "interrupted")]


TRIALS, EPOCHS = 48, 2
ROOM = str(Path(driver.__file__).parent)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("many") / "store"


def launch(store: Path, workers: int, **options: Any) -> tuple[StudyHistory, SimulatedCluster]:
    cluster = SimulatedCluster(
        describe(name=f"by {workers}", trials=TRIALS, epochs=EPOCHS, engine="optuna:random"),
        workers,
        lambda spec, epoch: {"val_loss": loss(spec, epoch)},
        spent=lambda: 0.0,
        **options,
    )
    return run_study(cluster, store=store, progress=NoProgress(), report=False), cluster


def test_the_work_for_a_trial_does_not_grow_with_the_workers(store: Path) -> None:
    """Counted in calls of the driver's functions, as time says little on a busy machine."""
    counts = {}
    for workers in (2, 48):
        called = Counter[str]()

        def count(frame: FrameType, event: str, _: object, called: Counter[str] = called) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(ROOM):
                called[frame.f_code.co_qualname] += 1

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            launch(store, workers)
        finally:
            sys.setprofile(before)
        counts[workers] = called
    more = counts[48] - counts[2]
    assert counts[48].total() < 1.2 * counts[2].total(), more.most_common(5)


def test_what_comes_late_or_twice_from_lost_workers_is_recorded_once(store: Path) -> None:
    faults = Faults(dies=0.2, silent=0.2, twice=0.5, nodes=60.0)
    history, cluster = launch(store, 7, faults=faults)
    assert cluster.figures.lost > 5
    assert cluster.figures.dropped > 5
    assert [trial.state for trial in history.ended] == ["complete"] * TRIALS
    for trial in history.ended:
        curve = history.curve(trial)
        assert curve == {e: {"val_loss": loss(trial.spec, e)} for e in range(1, EPOCHS + 1)}
