"""What is left when a worker ends: processes of the user's, trials that it was given."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, make_spec

from studies.executors import WorkerExecutor, WorkerPool
from studies.user_code import Target
from tracking.records import TrialTask


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
    executor, handler = WorkerExecutor(Target(str(file))), Collecting()
    try:
        executor.load()
        spec = make_spec(executor, epochs=100_000)
        executor.submit(TrialTask(spec, executor.description.space, tmp_path / "0.weights.h5"))
        connection = executor.process.connection
        executor.process.kill()
        while not handler.lost:
            assert connection.closed or connection.poll(30), "nobody knows that it has ended"
            executor.wait(handler)
        # There is another, which has not died.
        while executor.loading:
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


@pytest.mark.exhaustive
def test_a_trial_whose_worker_died_and_can_not_be_replaced_is_lost(tmp_path: Path) -> None:
    """It had been given to it before anybody knew that it was dead."""
    file, mark = tmp_path / "fails later.py", tmp_path / "mark"
    fails = f"import os\nif os.path.exists({str(mark)!r}):\n    os._exit(3)\n"
    file.write_text(fails + STUDY_FILE, encoding="utf-8")
    said: list[str] = []
    pool = WorkerPool([WorkerExecutor(Target(str(file))) for _ in range(2)], said.append)
    try:
        pool.load()
        handler = Collecting()
        while pool.free < 2:
            pool.wait(handler)
        mark.touch()
        process = pool._workers[1].process
        process.kill()
        # Its end of the connection is closed.
        assert process.connection.poll(30)
        for number in (0, 1):
            spec, space = make_spec(pool, number=number), pool.description.space
            pool.submit(TrialTask(spec, space, tmp_path / f"{number}.weights.h5"))
        assert [spec.number for spec in pool.delayed] == [1]
        assert pool.cut(1) is False, "there is no process to end"
        while len(handler.results) + len(handler.lost) < 2:
            pool.wait(handler)
    finally:
        pool.close()
    assert [result.number for result in handler.results] == [0]
    ((number, reason),) = handler.lost
    assert number == 1 and "exit code 3" in reason
    assert len(said) == 1 and said[0].startswith("continuing with 1 of the workers")
