"""Trials that begin or end together, and processes that are left behind: none waits for others."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, make_spec
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, run_study
from stores import history_at

import kerastudy as ks
from studies.engines import OptunaEngine
from studies.executors import Handler, LoadStudy, Worker, WorkerPool, job_runner
from studies.progress import NoProgress
from studies.user_code import Target
from tracking.records import TrialResult, TrialTask


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(math.inf, ["ask"] * 3 + ["train"] * 3), (-1.0, ["ask", "train"] * 3)],
    ids=["found at once", "found one after the other"],
)
def test_no_trial_waits_while_an_engine_thinks_about_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, wanted: list[str]
) -> None:
    events: list[str] = []
    ask = OptunaEngine.ask

    def noted(engine: OptunaEngine, *arguments: Any) -> Any:
        events.append("ask")
        return ask(engine, *arguments)

    class Noting(ScriptedExecutor):
        def submit(self, *fits: TrialTask) -> None:
            events.append("train")
            super().submit(*fits)

    monkeypatch.setattr(job_runner, "_SECONDS_TOGETHER", seconds)
    monkeypatch.setattr(OptunaEngine, "ask", noted)
    description = describe(name=f"together {seconds}", trials=3)
    run_study(Noting(description, workers=3), store=folder)
    assert events == wanted


def test_what_has_ended_stays_so_whatever_comes_then(folder: Path) -> None:
    """Ctrl-C when all three are in the record, and of one it was shown."""

    class Interrupted(NoProgress):
        def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
            raise KeyboardInterrupt

    description = describe(name="interrupted", trials=3, seed=3)
    executor = ScriptedExecutor(description, workers=3)
    with pytest.raises(KeyboardInterrupt):
        run_study(executor, store=folder, progress=Interrupted())
    history = history_at(folder, "interrupted")
    assert [trial.state for trial in history.trials] == ["complete"] * 3
    # The curve of the best so far has each that was the best when it ended.
    values = [trial.best.value for trial in history.trials if trial.best]
    assert values[0] > values[1], "or this shows nothing"
    shown = InMlflow(history)
    best = [n + 1 for n in range(3) if values[n] == min(values[: n + 1])]
    assert [step for step, _ in shown.points(shown.parent, "study/best_val_loss")] == best


class OneByOne(ScriptedExecutor):
    """Ends one of its trials at each wait, those that were begun first, or last."""

    last_first = False

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if self._replacing:
            self._replacing = False
        else:
            job = self._waiting.pop() if self.last_first else self._waiting.popleft()
            self._run_job(job, handler)


def test_what_mlflow_shows_as_the_best_is_the_best_whichever_trial_ended_last(folder: Path) -> None:
    """MLflow shows the value at the highest step, of all launches."""
    for trials in (8, 20):
        description = describe(name="last first", trials=trials)
        executor = OneByOne(description, workers=4, infeasible={1, 2})
        executor.last_first = True
        history = run_study(executor, store=folder)
        assert history.best is not None and history.best.best is not None
        shown = InMlflow(history)
        assert shown.parent.data.metrics["study/best_val_loss"] == history.best.best.value
        points = shown.points(shown.parent, "study/best_val_loss")
        assert [step for step, _ in points] == sorted({step for step, _ in points})
        assert all(1 <= step <= trials for step, _ in points)
        values = [value for _, value in points]
        assert values == sorted(set(values), reverse=True) and len(values) > 1


@pytest.mark.parametrize("repeats", [1, 2])
def test_what_shows_late_joins_trials_that_run_and_begin_again(folder: Path, repeats: int) -> None:
    """Trial 1 shows it while trial 2 runs, which then loses its process, or has a next repeat."""
    description = describe(
        name=f"late in {repeats}", trials=5, epochs=2, discovered=True, repeats=repeats
    )
    executor = OneByOne(
        description,
        workers=2,
        joined={1: [ks.Float("late", 0.0, 1.0, default=0.25)]},
        lost=[2] if repeats == 1 else [],
    )
    history = run_study(executor, store=folder)
    assert [trial.state for trial in history.trials] == ["complete"] * 5
    assert [trial.spec.values["late"] for trial in history.trials[:3]] == [0.25] * 3


def test_a_trial_that_loses_its_worker_at_the_end_is_finished(folder: Path) -> None:
    """The target is reached by one, and another runs then; what has not begun is not."""
    description = describe(name="lost at the end", trials=5, epochs=2, stop_at=1000.0)
    executor = OneByOne(description, workers=2, lost=[1])
    history = run_study(executor, store=folder)
    assert (history.ended_by, history.status) == ("stop_at", "FINISHED")
    assert executor.ran == [(0, 1), (1, 1), (1, 2)]
    assert [trial.state for trial in history.trials] == ["complete"] * 2


@pytest.mark.exhaustive
def test_processes_of_the_users_that_go_on_hold_up_nobody(tmp_path: Path) -> None:
    """One has the pipe that its worker printed to.

    What a worker forked, as `multiprocessing` does, holds its end of the connection too.
    """
    file, noted = tmp_path / "forks.py", tmp_path / "pids"
    forks = (
        "import os, pathlib, subprocess, sys, time\n"
        "started = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "forked = os.fork()\n"
        "if not forked:\n"
        "    time.sleep(600)\n"
        f"with pathlib.Path({str(noted)!r}).open('a') as file:\n"
        "    print(started.pid, forked, file=file)\n"
    )
    file.write_text(forks + STUDY_FILE, encoding="utf-8")
    load = LoadStudy(Target(str(file)), tmp_path)
    worker, handler = Worker(load), Collecting()
    executor = WorkerPool([worker])
    try:
        executor.load()
        spec = make_spec(executor, epochs=100_000)
        executor.submit(TrialTask(spec, executor.description.space, tmp_path / "0.weights.h5"))
        connection = worker.process.connection
        worker.process._process.kill()
        while not handler.lost:
            assert connection.closed or connection.poll(30), "nobody knows that it has ended"
            executor.wait(handler)
        # There is another, which has not died.
        while worker.loading:
            executor.wait(handler)
    finally:
        executor.close()
    assert "signal 9" in handler.lost[0][1]
    others = [each for each in threading.enumerate() if not each.daemon]
    assert others == [threading.main_thread()], "this process can end"
    processes = [psutil.Process(int(pid)) for pid in noted.read_text().split()]
    assert len(processes) == 4
    for process in processes:
        assert process.is_running()
        process.kill()
