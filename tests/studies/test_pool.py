"""Where trials run: in several worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conformance.executor import Collecting, ExecutorConformance, Open, make_spec

import kerastudy as ks
from studies.executors.pool import WorkerPool
from studies.executors.worker import WorkerExecutor
from studies.loading import Target
from tracking.records import Decision, EpochResult, TrialTask


@contextmanager
def in_pool(file: Path) -> Iterator[WorkerPool]:
    pool = WorkerPool([WorkerExecutor(Target(str(file))) for _ in range(2)])
    try:
        pool.load()
        yield pool
    finally:
        pool.close()


class TestPool(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls) -> Open:
        return in_pool

    def test_runs_two_at_once_and_one_that_dies_takes_no_other_along(
        self, executor: WorkerPool, tmp_path: Path
    ) -> None:
        while executor.free < 2:
            executor.wait(Collecting())
        killed: list[int] = []

        def kill_one(epoch: EpochResult) -> Decision:
            both = {each.number for each in handler.epochs} == {0, 1}
            if both and not killed:
                killed.append(epoch.number)
                # The other trial may have ended before this one began.
                busy = [worker for worker in executor._workers if worker._running is not None]
                (runs,) = (w for w in busy if w._running.number == epoch.number)
                os.kill(runs._process._process.pid, signal.SIGKILL)
            return "continue"

        handler = Collecting(kill_one)
        space = executor.description.space
        for number in (0, 1):
            spec = make_spec(executor, number=number, epochs=40)
            executor.submit(TrialTask(spec, space, tmp_path / f"{number}.weights.h5"))
        assert executor.free == 0
        while len(handler.results) + len(handler.lost) < 2:
            executor.wait(handler)
        assert [number for number, _ in handler.lost] == killed
        (result,) = handler.results
        assert (result.state, result.epochs) == ("complete", 40)
        while executor.free < 2:
            executor.wait(handler)

    def test_a_trial_that_is_cut_is_lost_and_no_other(
        self, executor: WorkerPool, tmp_path: Path
    ) -> None:
        while executor.free < 2:
            executor.wait(Collecting())

        def cut(epoch: EpochResult) -> Decision:
            if epoch.number == 7:
                executor.cut(7)
            return "continue"

        handler = Collecting(cut)
        space = executor.description.space
        for number in (6, 7):
            spec = make_spec(executor, number=number, epochs=3)
            executor.submit(TrialTask(spec, space, tmp_path / f"{number}.weights.h5"))
        while len(handler.results) + len(handler.lost) < 2:
            executor.wait(handler)
        assert [number for number, _ in handler.lost] == [7]
        assert [result.number for result in handler.results] == [6]

    def test_a_trial_goes_to_a_worker_that_has_its_program(
        self, executor: WorkerPool, tmp_path: Path
    ) -> None:
        """Where one is free; one that was replaced has none."""
        space = ks.SearchSpace(*executor.description.space, ks.epochs(1, 50), ks.initializer())
        handler = Collecting()

        def all_free() -> None:
            while executor.free < 2:
                executor.wait(handler)

        def submitted(number: int, units: int, epochs: int, initializer: str) -> WorkerExecutor:
            spec = make_spec(executor, number, epochs, units=units, kernel_initializer=initializer)
            spec = replace(spec, values={**spec.values, "epochs": epochs})
            executor.submit(TrialTask(spec, space, tmp_path / f"{number}.weights.h5"))
            (worker,) = [each for each in executor._workers if each.trial == number]
            return worker

        all_free()
        first = submitted(0, 14, 2, "he_normal")
        second = submitted(1, 15, 3, "orthogonal")
        assert first is not second
        all_free()
        assert submitted(2, 15, 4, "he_normal") is second
        # The one that has its program is at work.
        assert submitted(3, 15, 1, "he_normal") is first
        all_free()
        assert submitted(4, 16, 1, "he_normal") is first, "none has its program"
        assert submitted(5, 14, 1, "he_normal") is second
        all_free()
        assert submitted(6, 11, 40, "he_normal") is first
        lost = submitted(7, 12, 40, "he_normal")
        os.kill(lost.process._process.pid, signal.SIGKILL)
        all_free()
        assert [number for number, _ in handler.lost] == [7]
        assert lost is second and len(handler.results) == 7
        assert submitted(8, 12, 1, "he_normal") is first, "the new process has nothing"
        all_free()
