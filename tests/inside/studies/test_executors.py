"""Where trials run: in this process, in a worker process."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, ExecutorConformance, Open, make_spec

from studies.executors import Executor, InProcessExecutor, Session, WorkerExecutor
from studies.user_code import Target, load_study
from tracking.records import TrialTask

# What TensorFlow rewrites is written to a file that it removes when its process ends well.
REWRITTEN = "\nimport tensorflow as tf\ntf.autograph.to_graph(lambda x: x)\n"


@contextmanager
def in_process(file: Path) -> Iterator[Executor]:
    study, code = load_study(Target(str(file)))
    executor = InProcessExecutor(Session.open(study, code, None))
    yield executor
    executor.close()


@contextmanager
def in_worker(file: Path, **options: Any) -> Iterator[WorkerExecutor]:
    executor = WorkerExecutor(Target(str(file)), **options)
    try:
        executor.load()
        yield executor
    finally:
        executor.close()


class TestInProcess(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls) -> Open:
        return in_process


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    file = tmp_path / "study.py"
    file.write_text(STUDY_FILE, encoding="utf-8")
    return file


def worker_pid() -> int:
    (child,) = [c for c in psutil.Process().children() if "worker_main" in " ".join(c.cmdline())]
    return child.pid


@pytest.mark.parametrize("twice", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_a_killed_worker_is_replaced_and_its_trial_reported_lost(
    twice: bool, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one runs the study's text as it was, though its file has changed meanwhile.

    So does one that takes the place of one killed just before the champion is saved.

    As the system's count of processes killed for lack of memory rises, that is taken to be why it
    was killed. What is left of either in the folder for temporary files is what the user's own code
    made there, such as logs.
    """
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    own = "import tempfile\ntempfile.mkdtemp(prefix='logs-')\n"
    study_file.write_text(STUDY_FILE + REWRITTEN + own, encoding="utf-8")
    counts = tmp_path / "vmstat"
    counts.write_text("pgfault 7\noom_kill 4\n", encoding="utf-8")
    monkeypatch.setattr("studies.executors.worker.COUNTS", counts)
    with in_worker(study_file) as executor:
        before = worker_pid()

        def kill(epoch: object) -> str:
            counts.write_text("pgfault 9\noom_kill 5\n", encoding="utf-8")
            study_file.write_text("raise RuntimeError('half saved')", encoding="utf-8")
            os.kill(before, signal.SIGKILL)
            return "continue"

        handler = Collecting(kill)  # type: ignore[arg-type]
        space = executor.description.space
        executor.submit(TrialTask(make_spec(executor), space, tmp_path / "a.weights.h5"))
        while not handler.lost:
            executor.wait(handler)
        ((number, reason),) = handler.lost
        assert number == 0
        assert reason == "the worker process ended by signal 9; probably out of memory"
        assert handler.out_of_memory
        assert worker_pid() != before
        handler = Collecting()
        assert handler.run(executor, make_spec(executor), tmp_path).state == "complete"
        assert len([*temporary.rglob("__autograph_generated_file*")]) >= 2
        if twice:
            os.kill(worker_pid(), signal.SIGKILL)
        checkpoint, folder = tmp_path / "0.weights.h5", tmp_path / "champion"
        assert "val_loss" in executor.save_champion(make_spec(executor), checkpoint, space, folder)
        assert (folder / "MLmodel").exists()
    assert [path.name[:5] for path in temporary.iterdir()] == ["logs-"] * (3 if twice else 2)


# The last one lets no other thread of the worker run. Workers of a killed launch, which train as
# usual, are in `test_signals`, each time.
BUSY = ["", "time.sleep(3600)", "sum(range(10**13))"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("busy", BUSY)
def test_a_worker_ends_when_its_driver_is_gone(study_file: Path, tmp_path: Path, busy: str) -> None:
    """One that trains does too, however long its epoch would take, and its data go along."""
    import subprocess
    import sys

    slow = f"if hp['units'] == 13:\n        print('busy', flush=True)\n        {busy}\n"
    text = study_file.read_text(encoding="utf-8")
    text = text.replace('if hp["units"] == 13:\n', slow + '    if hp["units"] == 13:\n')
    study_file.write_text(f"import time\n{text}{REWRITTEN}", encoding="utf-8")
    script = (
        "import os, psutil, sys\n"
        f"sys.path.append({str(Path(__file__).parents[2] / 'support')!r})\n"
        "from pathlib import Path\n"
        "from conformance.executor import make_spec\n"
        "from studies.executors import WorkerExecutor\n"
        "from studies.user_code.loading import Target\n"
        "from tracking.records import TrialTask\n"
        "def on_output(line):\n"
        "    if line == 'busy':\n"
        "        os.kill(os.getpid(), 9)\n"
        f"executor = WorkerExecutor(Target({str(study_file)!r}), on_output=on_output)\n"
        "executor.load()\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        f"if {bool(busy)}:\n"
        "    spec = make_spec(executor, units=13)\n"
        f"    path = Path({str(tmp_path)!r}) / 'a.weights.h5'\n"
        "    executor.submit(TrialTask(spec, executor.description.space, path))\n"
        "    executor.wait(None)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    driver = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert driver.returncode == -signal.SIGKILL, driver.stderr
    with contextlib.suppress(psutil.NoSuchProcess):
        worker = psutil.Process(int(driver.stdout))
        _, alive = psutil.wait_procs([worker], timeout=10)
        for process in alive:
            process.kill()
        assert not alive
    assert not list(temporary.iterdir())


@pytest.mark.exhaustive
def test_a_worker_that_is_killed_while_loading_is_replaced(tmp_path: Path) -> None:
    """The new one, too, has the study's threads and prints what the study prints.

    More than a pipe holds, though what takes the lines fails; when closed, its process ends.
    """
    file, mark = tmp_path / "study.py", tmp_path / "mark"
    killed = (
        f"import os, pathlib\nmark = pathlib.Path({str(mark)!r})\n"
        "if not mark.exists():\n    mark.touch()\n    os.kill(os.getpid(), 9)\n"
        "for _ in range(3000):\n    print('x' * 99)\n"
    )
    text = STUDY_FILE.replace("epochs=3,", "epochs=3, threads=2,")
    file.write_text(killed + text, encoding="utf-8")
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        raise OSError("nobody reads this")

    with in_worker(file, on_output=take) as executor:
        assert executor.description.name == "작은 연구"
        assert executor.description.threads == 2
        process = psutil.Process(worker_pid())
    assert not process.is_running()
    assert lines == ["x" * 99] * 3000
