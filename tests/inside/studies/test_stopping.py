"""Stopping a study at awkward moments, and trials that begin or end together."""

import dataclasses
import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, make_spec
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, WithModel, describe, run_study
from stores import history_at

import kerastudy as ks
from search_spaces import WorkerError
from studies import Study, catching_interrupts, raising_interrupts
from studies.engines import OptunaEngine
from studies.executors import Handler, LoadStudy, Worker, WorkerPool, executor_protocol_and_jobs
from studies.progress import NoProgress
from studies.user_code import Target
from tracking.history import StudyHistory
from tracking.journal import Journal
from tracking.records import TrialResult, TrialSpec, TrialTask

# Stopping: what is recorded, and that it comes to an end.


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def running(history: StudyHistory) -> list[str]:
    fits = [fit for trial in history.trials for fit in history.journal.fits(trial.uuid)]
    return [row.state for row in (*history.trials, *fits) if row.state == "running"]


def test_a_worker_that_the_same_signal_ends_is_no_loss(folder: Path) -> None:
    """A service manager or a closing terminal sends it. The trial is not run again now."""
    description = describe(name="one signal for all", trials=3)

    def stop(spec: TrialSpec) -> None:
        if spec.number == 1:
            ctrl_c()

    for attempt in (1, 2):
        executor = ScriptedExecutor(description, stop, lost=[1])
        with pytest.raises(KeyboardInterrupt):
            run_study(executor, store=folder)
        assert executor.ran[-1] == (1, attempt)
        assert not running(history_at(folder, description.name))
    # Three losses would make the trial infeasible.
    history = run_study(ScriptedExecutor(description, lost=[1, 1]), store=folder)
    assert history.counts()["complete"] == 3


class StoppedAtTheEnd(ScriptedExecutor):
    """Its user presses Ctrl-C when the last epoch of the last trial has been told."""

    def _train(self, task: object, handler: Handler) -> TrialResult:
        result = super()._train(task, handler)  # type: ignore[arg-type]
        if result.number == self.description.trials - 1:
            ctrl_c()
        return result


def test_stopping_a_study_that_has_its_trials_changes_nothing(folder: Path) -> None:
    """The study has come to its champion too, which can't be saved here."""
    history = run_study(StoppedAtTheEnd(describe(name="at the end", trials=3)), store=folder)
    assert (history.status, history.ended_by) == ("FINISHED", "trials")


class Replacing(ScriptedExecutor):
    """Its only worker dies in trial 1, and the next one never comes to load the study."""

    fails = False
    waits = 0

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if not self._replacing:
            super().wait(handler, seconds)
            return
        self.waits += 1
        assert self.waits < 50, "nobody looks whether to stop"
        if self.waits == 2:
            ctrl_c()
        assert seconds is not None, "it would wait for ever"
        if self.waits == 2 and self.fails:
            raise WorkerError("the worker process ended by signal 15")
        threading.Event().wait(min(seconds, 0.1))


@pytest.mark.parametrize("fails", [False, True])
def test_a_stop_is_noticed_while_a_worker_is_replaced(folder: Path, fails: bool) -> None:
    description = describe(name=f"replaced, {fails}", trials=3)
    executor = Replacing(description, lost=[1])
    executor.fails = fails
    with pytest.raises(KeyboardInterrupt):
        run_study(executor, store=folder)
    assert executor.waits == 2
    stopped = history_at(folder, description.name)
    assert (stopped.status, stopped.counts()["complete"]) == ("KILLED", 1)


@contextmanager
def handled(number: signal.Signals, handler: Any) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_signals_that_are_ignored_stay_so() -> None:
    """nohup ignores signals."""
    lines: list[str] = []
    with handled(signal.SIGHUP, signal.SIG_IGN):
        with catching_interrupts(lambda: lines.append("stop")):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)
            assert lines == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert lines == ["stop"]
        with raising_interrupts():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)


def launch_script(folder: Path) -> None:
    """Launches in a script, which the system ends while the data is read."""

    def read() -> NoReturn:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    data = dataclasses.replace(ks.datasets.digits(), read=read)
    Study("script", data=data, build=print).launch(store=folder)


def test_a_launch_in_a_script_is_stopped_by_sigterm_from_its_beginning(folder: Path) -> None:
    heard: list[int] = []
    with handled(signal.SIGTERM, lambda number, frame: heard.append(number)):
        with pytest.raises(KeyboardInterrupt):
            launch_script(folder)
        assert not heard
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM], "the script's own handler is back"


def test_a_launch_in_another_thread_leaves_signals_alone(folder: Path) -> None:
    heard: list[int] = []
    with (
        handled(signal.SIGTERM, lambda number, frame: heard.append(number)),
        ThreadPoolExecutor(1) as threads,
    ):
        with pytest.raises(AssertionError, match="it went on"):
            threads.submit(launch_script, folder).result()
        assert heard == [signal.SIGTERM]


class SavingAChampion(WithModel):
    """Hears signals while the champion is saved."""

    sends: Sequence[signal.Signals] = ()

    def save_champion(self, *arguments: Any, **options: Any) -> dict[str, float]:
        for number in self.sends:
            os.kill(os.getpid(), number)
        return super().save_champion(*arguments, **options)


def test_a_signal_while_the_champion_is_saved_lets_the_study_finish_but_not_two(
    folder: Path,
) -> None:
    executor = SavingAChampion(describe(name="champion", trials=2))
    executor.sends = (signal.SIGTERM,)
    try:
        with raising_interrupts():
            history = run_study(executor, store=folder)
    except KeyboardInterrupt:
        pytest.fail("it was interrupted")
    assert (history.status, history.ended_by) == ("FINISHED", "trials")
    assert history.registered is not None
    description = describe(name="champion, twice", trials=2)
    executor = SavingAChampion(description)
    executor.sends = (signal.SIGTERM, signal.SIGTERM)
    with raising_interrupts(), pytest.raises(KeyboardInterrupt):
        run_study(executor, store=folder)
    stopped = history_at(folder, description.name)
    assert (stopped.status, stopped.registered) == ("KILLED", None)
    history = run_study(SavingAChampion(description), store=folder)
    assert (history.status, history.counts()["complete"]) == ("FINISHED", 2)
    assert history.registered is not None


@pytest.mark.parametrize("stops", [0, 2])
def test_no_study_is_left_running_by_a_signal_while_its_end_is_recorded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stops: int
) -> None:
    """This holds after an interruption too. Closing a terminal often sends its signal twice."""
    description = describe(name=f"closing {stops}", trials=2)
    heard: list[bool] = []
    end = Journal.end

    def ending(journal: Journal, status: str, ended_by: str, stopped: str) -> None:
        if not heard:
            heard.append(True)
            ctrl_c()
        end(journal, status, ended_by, stopped)

    def stop(spec: TrialSpec) -> None:
        for _ in range(stops):
            ctrl_c()

    monkeypatch.setattr(Journal, "end", ending)
    interrupted = pytest.raises(KeyboardInterrupt) if stops else nullcontext()
    with interrupted:
        run_study(ScriptedExecutor(description, stop), store=folder)
    history = history_at(folder, description.name)
    assert heard and running(history) == []
    assert history.status == ("KILLED" if stops else "FINISHED")


# Trials that begin or end together, and processes that are left behind: none waits for others.


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(math.inf, ["ask"] * 3 + ["train"] * 3), (-1.0, ["ask", "train"] * 3)],
    ids=["found at once", "found one after the other"],
)
def test_no_trial_waits_while_an_engine_thinks_about_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: list[str]
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

    monkeypatch.setattr(executor_protocol_and_jobs, "_SECONDS_TOGETHER", seconds)
    monkeypatch.setattr(OptunaEngine, "ask", noted)
    description = describe(name=f"together {seconds}", trials=3)
    run_study(Noting(description, workers=3), store=folder)
    assert events == expected


def test_what_has_ended_stays_so_whatever_comes_then(folder: Path) -> None:
    """Ctrl-C comes when all three trials are in the record, and one of them was shown."""

    class Interrupted(NoProgress):
        def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
            raise KeyboardInterrupt

    description = describe(name="interrupted", trials=3, seed=3)
    executor = ScriptedExecutor(description, workers=3)
    with pytest.raises(KeyboardInterrupt):
        run_study(executor, store=folder, progress=Interrupted())
    history = history_at(folder, "interrupted")
    assert [trial.state for trial in history.trials] == ["complete"] * 3
    # The curve of the best so far has each trial that was the best when it ended.
    values = [trial.best.value for trial in history.trials if trial.best]
    assert values[0] > values[1], "or this shows nothing"
    in_mlflow = InMlflow(history)
    best = [n + 1 for n in range(3) if values[n] == min(values[: n + 1])]
    assert [step for step, _ in in_mlflow.points(in_mlflow.parent, "study/best_val_loss")] == best


class OneByOne(ScriptedExecutor):
    """Ends one of its trials at each wait: the first or the last one that began."""

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
        in_mlflow = InMlflow(history)
        assert in_mlflow.parent.data.metrics["study/best_val_loss"] == history.best.value
        points = in_mlflow.points(in_mlflow.parent, "study/best_val_loss")
        assert [step for step, _ in points] == sorted({step for step, _ in points})
        assert all(1 <= step <= trials for step, _ in points)
        values = [value for _, value in points]
        assert values == sorted(set(values), reverse=True) and len(values) > 1


def test_a_trial_that_loses_its_worker_at_the_end_is_finished(folder: Path) -> None:
    """Trial 0 reaches the target. Trial 1 lost its worker and is finished; no other begins."""
    description = describe(name="lost at the end", trials=5, epochs=2, stop_at=1000.0)
    executor = OneByOne(description, workers=2, lost=[1])
    history = run_study(executor, store=folder)
    assert (history.ended_by, history.status) == ("stop_at", "FINISHED")
    assert executor.ran == [(0, 1), (1, 1), (1, 2)]
    assert [trial.state for trial in history.trials] == ["complete"] * 2


@pytest.mark.exhaustive
def test_processes_of_the_users_that_go_on_hold_up_nobody(tmp_path: Path) -> None:
    """A started process has its worker's output, a forked one has the connection's end too."""
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
        with pytest.raises(WorkerError):
            for _ in range(10):
                worker.process.send(bytes(1_000_000))
        while not handler.lost:
            assert connection.closed or connection.poll(30), "nobody knows that it has ended"
            executor.wait(handler)
        # There is another process, which has not died.
        while worker.loading:
            executor.wait(handler)
    finally:
        executor.close()
    assert "signal 9" in handler.lost[0][1]
    others = [thread for thread in threading.enumerate() if not thread.daemon]
    assert others == [threading.main_thread()], "this process can end"
    processes = [psutil.Process(int(pid)) for pid in noted.read_text().split()]
    assert len(processes) == 4
    for process in processes:
        assert process.is_running()
        process.kill()
