"""Where trials run: in this process, in a worker process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, ExecutorConformance, Open, make_spec

from search_spaces.errors import StudyError
from studies.executors.executor import Executor
from studies.executors.in_process import InProcessExecutor
from studies.executors.pool import WorkerPool
from studies.executors.session import Session
from studies.executors.worker import WorkerExecutor
from studies.user_code.loading import Target, load_study
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
def in_worker(
    file: Path, threads: int | None = None, memory: int | None = None
) -> Iterator[WorkerExecutor]:
    executor = WorkerExecutor(Target(str(file)), threads=threads, memory=memory)
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


class TestWorker(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls) -> Open:
        return in_worker


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    file = tmp_path / "study.py"
    file.write_text(STUDY_FILE, encoding="utf-8")
    return file


def test_both_give_the_same_bits(study_file: Path, tmp_path: Path) -> None:
    """With one thread each: threads belong to the spec."""
    digests = []
    for opened in (in_worker(study_file), in_worker(study_file, threads=1)):
        with opened as executor:
            handler = Collecting()
            digests.append(handler.run(executor, make_spec(executor), tmp_path).weights_sha256)
    with in_process(study_file) as executor:
        if executor.description.threads == 1:
            digests.append(Collecting().run(executor, make_spec(executor), tmp_path).weights_sha256)
    assert len(set(digests)) == 1


def worker_pid() -> int:
    (child,) = [c for c in psutil.Process().children() if "worker_main" in " ".join(c.cmdline())]
    return child.pid


def test_a_killed_worker_is_replaced_and_its_trial_reported_lost(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one runs the study's text as it was, though its file has changed meanwhile.

    As it had more memory than it might, that is taken to be why it was killed. What is left of
    either in the folder for temporary files is what the user's own code made there, such as logs.
    """
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    own = "import tempfile\ntempfile.mkdtemp(prefix='logs-')\n"
    study_file.write_text(STUDY_FILE + REWRITTEN + own, encoding="utf-8")
    with in_worker(study_file, memory=2**20) as executor:
        before = worker_pid()

        def kill(epoch: object) -> str:
            while not executor.process.memory.peak:
                time.sleep(0.01)
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
        assert re.search(r"ran out of memory: it had 0\.\d GiB of 0\.0 GiB.*signal 9", reason)
        assert handler.out_of_memory
        assert worker_pid() != before
        handler = Collecting()
        assert handler.run(executor, make_spec(executor), tmp_path).state == "complete"
        assert len([*temporary.rglob("__autograph_generated_file*")]) >= 2
    assert [path.name[:5] for path in temporary.iterdir()] == ["logs-", "logs-"]


def test_closing_ends_the_process(study_file: Path) -> None:
    with in_worker(study_file):
        process = psutil.Process(worker_pid())
    assert not process.is_running()


# The last one lets no other thread of the worker run.
@pytest.mark.parametrize("busy", ["", "time.sleep(3600)", "sum(range(10**13))"])
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
        f"sys.path.append({str(Path(__file__).parents[1] / 'support')!r})\n"
        "from pathlib import Path\n"
        "from conformance.executor import make_spec\n"
        "from studies.executors.worker import WorkerExecutor\n"
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


def test_a_worker_that_was_killed_before_the_champion_is_saved_is_replaced(
    study_file: Path, tmp_path: Path
) -> None:
    with in_worker(study_file) as executor:
        spec, space = make_spec(executor), executor.description.space
        Collecting().run(executor, spec, tmp_path)
        os.kill(worker_pid(), signal.SIGKILL)
        checkpoint, folder = tmp_path / "0.weights.h5", tmp_path / "champion"
        assert "val_loss" in executor.save_champion(spec, checkpoint, space, folder)
    assert (folder / "MLmodel").exists()


def test_a_worker_that_is_killed_while_loading_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "study.py"
    killed = (
        f"import os, pathlib\nmark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "if not mark.exists():\n    mark.touch()\n    os.kill(os.getpid(), 9)\n"
    )
    file.write_text(killed + STUDY_FILE, encoding="utf-8")
    with in_worker(file) as executor:
        assert executor.description.name == "작은 연구"


def test_the_studys_threads_are_the_workers(tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    file.write_text(STUDY_FILE.replace("epochs=3,", "epochs=3, threads=2,"), encoding="utf-8")
    with in_worker(file) as executor:
        assert executor.description.threads == 2


def test_a_worker_that_dies_while_loading_is_told(tmp_path: Path) -> None:
    file = tmp_path / "dies.py"
    file.write_text("import os\nprint('last words', flush=True)\nos._exit(3)\n")
    with pytest.raises(StudyError, match=r"exit code 3.*last words"), in_worker(file):
        pass


def test_what_a_study_prints_reaches_the_driver(tmp_path: Path) -> None:
    file = tmp_path / "prints.py"
    file.write_text("print('hello from the file')\n" + STUDY_FILE, encoding="utf-8")
    lines: list[str] = []
    executor = WorkerExecutor(Target(str(file)), on_output=lines.append)
    executor.load()
    executor.close()
    assert lines == ["hello from the file"]


def test_a_worker_prints_on_though_what_takes_its_lines_fails(tmp_path: Path) -> None:
    """More than a pipe holds."""
    file = tmp_path / "prints.py"
    file.write_text("for _ in range(3000):\n    print('x' * 99)\n" + STUDY_FILE, encoding="utf-8")

    def fails(line: str) -> None:
        raise OSError("nobody reads this")

    executor = WorkerExecutor(Target(str(file)), on_output=fails)
    try:
        executor.load()
    finally:
        executor.close()


def test_workers_hold_the_data_once(study_file: Path, tmp_path: Path) -> None:
    """Both train on the same files, mapped to memory, and come to what one alone does."""
    folder = tmp_path / "shared"
    folder.mkdir()
    pool = WorkerPool([WorkerExecutor(Target(str(study_file)), shared=folder) for _ in range(2)])
    try:
        pool.load()
        while pool.free < 2:
            pool.wait(Collecting())
        handler = Collecting()
        for number in (0, 1):
            spec = make_spec(pool)
            task = TrialTask(spec, pool.description.space, tmp_path / f"{number}.weights.h5")
            pool.submit(task)
        while len(handler.results) < 2:
            pool.wait(handler)
        mapped = [
            {m.path for m in psutil.Process(w._process._process.pid).memory_maps()}
            for w in pool._workers
        ]
    finally:
        pool.close()
    files = {str(file) for file in folder.glob("*.npy")}
    assert files
    if psutil.LINUX:
        # The sealed part is read by nobody, so that the system may not keep it.
        assert all(files & paths for paths in mapped)
    with in_worker(study_file) as alone:
        digest = Collecting().run(alone, make_spec(alone), tmp_path).weights_sha256
    assert [result.weights_sha256 for result in handler.results] == [digest, digest]
