"""Trials run in this process, or in worker processes, as many as suit the machine."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, ExecutorConformance, Open, make_spec
from worker_here import ThreadInPlaceOfProcess

from search_spaces import StudyError, WorkerError
from studies.executors import (
    Executor,
    InProcessExecutor,
    LoadStudy,
    LocalWorkers,
    Machine,
    Session,
    Worker,
    WorkerPool,
    asked_workers,
    described_workers,
    suited_workers,
    this_machine,
    too_many,
    variables_of,
    visible_gpus,
)
from studies.user_code import Target, load_study, with_source
from tracking.records import Decision, EpochResult, TrialTask


@contextmanager
def in_process(file: Path) -> Iterator[Executor]:
    study, code = load_study(Target(str(file)))
    with closing(InProcessExecutor(Session.open(study, code, None))) as executor:
        yield executor


@contextmanager
def in_pool(file: Path, workers: int = 2) -> Iterator[WorkerPool]:
    with tempfile.TemporaryDirectory() as shared:
        load = LoadStudy(Target(str(file)), Path(shared))
        with closing(WorkerPool([Worker(load) for _ in range(workers)])) as pool:
            pool.load()
            yield pool


class TestInProcess(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls) -> Open:
        return in_process


def all_free(pool: WorkerPool) -> None:
    while pool.free < len(pool):
        pool.wait(Collecting())


def pid_of(worker: Worker) -> int:
    return int(worker.process._process.pid)  # type: ignore[attr-defined]


def number_of_trial(worker: Worker) -> int | None:
    return worker._fits[0].number if worker._fits else None


class TestPool(ExecutorConformance):
    """Two worker processes."""

    @pytest.fixture(scope="class")
    @classmethod
    def open_file(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
        counts = tmp_path_factory.mktemp("counts") / "vmstat"
        counts.write_text("pgfault 7\noom_kill 4\n", encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            # The file counts processes that were killed for lack of memory.
            patch.setattr("studies.executors.worker_process.COUNTS", counts)
            yield in_pool

    def test_comes_to_the_bits_of_a_training_in_this_process(
        self, executor: WorkerPool, file: Path, tmp_path: Path
    ) -> None:
        """Both have one thread, because threads belong to the spec."""
        with in_process(file) as here:
            assert executor.description.threads == here.description.threads == 1
            spec = make_spec(executor)
            digests = [
                Collecting().run(place, spec, tmp_path).weights_sha256 for place in (executor, here)
            ]
        assert digests[0] == digests[1] != ""

    def test_workers_open_no_database_and_hold_the_data_once(self, executor: WorkerPool) -> None:
        """Only the driver writes the record. Workers use neither MLflow nor Optuna."""
        all_free(executor)
        mapped = []
        for worker in executor._workers:
            process = psutil.Process(pid_of(worker))
            paths = {file.path for file in [*process.memory_maps(), *process.open_files()]}
            assert any("/tensorflow/" in path for path in paths), "or nothing was seen"
            assert not [path for path in paths if path.endswith((".db", ".db-wal", ".db-shm"))]
            assert not [path for path in paths if "/sqlalchemy/" in path], "nor what does"
            mapped.append({path for path in paths if path.endswith(".npy")})
        assert mapped[0] & mapped[1]

    def test_a_trial_goes_to_a_worker_that_has_its_program(
        self, executor: WorkerPool, tmp_path: Path
    ) -> None:
        """The worker must be free."""

        def trained_by(number: int, units: int) -> Worker:
            spec = make_spec(executor, number, 1, units=units)
            path = tmp_path / f"{number}.weights.h5"
            executor.submit(TrialTask(spec, executor.description.space, path))
            (worker,) = [w for w in executor._workers if number_of_trial(w) == number]
            return worker

        all_free(executor)
        first, second = trained_by(0, 14), trained_by(1, 15)
        assert first is not second
        all_free(executor)
        assert trained_by(2, 15) is second
        assert trained_by(3, 15) is first, "the one that is free"
        all_free(executor)

    def test_one_that_is_killed_is_replaced_and_takes_no_other_trial_along(
        self, executor: WorkerPool, tmp_path: Path
    ) -> None:
        """The new one runs the study's text as it was, though its file has changed meanwhile."""
        from studies.executors import worker_process

        killed: list[int] = []

        def kill_one(epoch: EpochResult) -> Decision:
            if {epoch.number for epoch in handler.epochs} == {0, 1} and not killed:
                killed.append(epoch.number)
                (runs,) = (w for w in executor._workers if number_of_trial(w) == epoch.number)
                worker_process.COUNTS.write_text("pgfault 9\noom_kill 5\n", encoding="utf-8")
                file = Path(executor.description.code.path)
                file.write_text("raise RuntimeError('half saved')", encoding="utf-8")
                os.kill(pid_of(runs), signal.SIGKILL)
            return "continue"

        all_free(executor)
        handler = Collecting(kill_one)
        space = executor.description.space
        for number in (0, 1):
            spec = make_spec(executor, number=number, epochs=40)
            executor.submit(TrialTask(spec, space, tmp_path / f"{number}.weights.h5"))
        assert executor.free == 0
        while len(handler.results) + len(handler.lost) < 2:
            executor.wait(handler)
        reason = "the worker process ended by signal 9; probably out of memory"
        assert handler.lost == [(killed[0], reason)]
        (result,) = handler.results
        assert (result.state, result.epochs) == ("complete", 40)
        all_free(executor)
        assert Collecting().run(executor, make_spec(executor), tmp_path).state == "complete"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "study.py"
    file.write_text(STUDY_FILE, encoding="utf-8")
    return file


class Dies(ThreadInPlaceOfProcess):
    @staticmethod
    def _serve(connection: Connection, load: LoadStudy) -> None:
        connection.close()


def thread(load: LoadStudy) -> Worker:
    return Worker(load, start=ThreadInPlaceOfProcess)


def train_one(pool: WorkerPool, folder: Path) -> None:
    pool.submit(TrialTask(make_spec(pool, epochs=1), pool.description.space, folder / "0"))
    all_free(pool)


def test_one_worker_that_can_not_load_is_done_without(file: Path) -> None:
    """No other worker has loaded the study yet. The workers are threads here."""
    messages: list[str] = []
    load = LoadStudy(Target(str(file)), file.parent)
    with closing(WorkerPool([Worker(load, start=Dies), thread(load)], messages.append)) as pool:
        pool.load()
        assert len(pool) == 1
    assert messages == ["continuing with 1 of the workers: the thread of the worker has ended"]


def test_no_other_worker_starts_if_the_jobs_left_are_not_worth_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the first of a hundred jobs decides. The next test has jobs that are worth it."""
    monkeypatch.setattr("studies.executors.worker_pool._SECONDS_TO_JUDGE", 0.0)
    monkeypatch.setattr("studies.executors.worker_pool._SECONDS_WORTH", 1e6)
    load = LoadStudy(Target(str(file)), tmp_path)
    with closing(WorkerPool([thread(load)])) as pool:
        pool.load()
        pool.grow(2, lambda number: thread(load), jobs=100)
        assert len(pool) == 1
        train_one(pool, tmp_path)
        assert len(pool) == 1


class InThreads(LocalWorkers):
    def _start_process(self, number: int, load: LoadStudy, on_output: Any) -> Any:
        return ThreadInPlaceOfProcess(load)


def test_a_module_that_is_saved_before_another_worker_starts(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker runs the texts that the first one has loaded."""
    monkeypatch.setattr("studies.executors.worker_pool._SECONDS_TO_JUDGE", 0.0)
    monkeypatch.setattr("studies.executors.worker_pool._SECONDS_WORTH", 0.0)
    monkeypatch.setattr("studies.executors.worker_count_and_gpus.this_machine", lambda: Machine(2))
    monkeypatch.delenv("KERASTUDY_WORKERS", raising=False)
    module = tmp_path / "module_of_a_later_worker.py"
    module.write_text("LEAST = 4\n", encoding="utf-8")
    text = STUDY_FILE.replace("units(4,", "units(LEAST,")
    file.write_text(f"from {module.stem} import LEAST\n{text}", encoding="utf-8")
    try:
        with closing(local(file, InThreads)) as workers:
            workers.load()
            workers.suit(threads=None, finished=0)
            assert (len(workers.pool), workers.count) == (1, 2)
            module.write_text("LEAST = half of what is be", encoding="utf-8")
            train_one(workers.pool, tmp_path)
            assert len(workers.pool) == 2
    finally:
        del sys.modules[module.stem]


def test_a_file_that_is_saved_while_workers_start(file: Path) -> None:
    """The file is read once. A module that the study imports may still differ."""
    target = with_source(Target(str(file)))
    load = LoadStudy(target, file.parent)
    with closing(WorkerPool([thread(load)])) as pool:
        pool.load()
        file.write_text("half of what is be", encoding="utf-8")
        assert load_study(target)[1].source == STUDY_FILE
        file.write_text(STUDY_FILE.replace("units(4, 16)", "units(4, 18)"), encoding="utf-8")
        other = replace(load, target=with_source(Target(str(file))))
        pool.resize(2, lambda number: thread(other))
        with pytest.raises(StudyError, match="changed while it was loaded"):
            while True:
                pool.wait(Collecting())


WARNS = """
print("study.py:3: UserWarning: few samples")
print("  warnings.warn('few samples')")
print("  a line of the study's own")
print("loaded")
"""


def test_a_warning_is_shown_once_by_all_workers(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "in_place_of_worker_main.py"
    program.write_text(WARNS, encoding="utf-8")
    monkeypatch.setattr("studies.executors.worker_main.__file__", str(program))
    shown: list[str] = []
    load = LoadStudy(Target(str(file)), tmp_path)
    workers = LocalWorkers(load, trials=None, workers=2, on_output=shown.append, at_once=True)
    with closing(workers), pytest.raises(WorkerError, match="exit code 0"):
        workers.load()
    assert shown.count("study.py:3: UserWarning: few samples") == 1
    assert shown.count("  warnings.warn('few samples')") == 1
    assert shown.count("loaded") == shown.count("  a line of the study's own") > 1


# The default number of workers

GIB = 2**30
LARGE = Machine(64, 256 * GIB)
TWO_GPUS = replace(LARGE, gpus=("0", "1"))


@pytest.mark.parametrize(
    ("machine", "study", "workers"),
    [
        (Machine(4, 16 * GIB), {}, 4),
        (Machine(4, 16 * GIB), {"threads": 2}, 2),
        (Machine(4, 16 * GIB), {"threads": 8}, 1),
        (Machine(4), {"trials": 2}, 2),
        (Machine(4), {"trials": 0}, 1),
        (LARGE, {}, 16),
        (Machine(8, 3 * GIB), {}, 4),
        (Machine(8, 0), {}, 1),
        # Ten million weights are nothing; a billion take 20 GiB to train.
        (Machine(8, 16 * GIB), {"model_bytes": 40 * 2**20}, 8),
        (Machine(8, 48 * GIB), {"model_bytes": 4 * GIB}, 2),
        (TWO_GPUS, {"threads": 48}, 2),
        (TWO_GPUS, {"trials": 1}, 1),
    ],
)
def test_as_many_as_suit_the_machine_and_the_study(
    machine: Machine, study: dict[str, int], workers: int
) -> None:
    assert suited_workers(machine, **study) == workers


def test_what_is_told_of_them() -> None:
    assert described_workers(Machine(2), 2, 1) == "2 workers of 1 thread (2 cores)"
    assert described_workers(Machine(1), 1, 2) == "1 worker of 2 threads (1 core)"
    assert described_workers(Machine(9, gpus=("0",)), 1, 1) == "1 worker of 1 thread (1 GPU)"
    assert too_many(Machine(4), 4, 1) == too_many(Machine(4), 1, 8) == ""
    assert too_many(Machine(4), 4, 2) == (
        "4 workers of 2 threads (4 cores): they will wait for one another. 2 workers would be as "
        "fast"
    )


def test_the_launch_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERASTUDY_WORKERS", "3")
    assert (asked_workers(None), asked_workers(2)) == (3, 2)
    monkeypatch.setenv("KERASTUDY_WORKERS", "")
    assert asked_workers(None) is None
    for wrong in ("many", "0", "-1", "1.5", "²"):
        monkeypatch.setenv("KERASTUDY_WORKERS", wrong)
        with pytest.raises(StudyError, match=f"KERASTUDY_WORKERS must .* Received: '?{wrong}"):
            asked_workers(None)


def test_a_containers_limits_count(tmp_path: Path) -> None:
    files = {
        "cpu.max": "150000 100000\n",
        "memory.max": "5000\n",
        "memory.current": "3000\n",
        "memory.stat": "anon 2000\nfile 1000\ninactive_file 700\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    machine = this_machine(tmp_path)
    assert (machine.cores, machine.memory) == (1, 2700)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    machine = this_machine(tmp_path)
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert 2**20 < machine.memory <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [
        ("", ()),
        ("-1", ()),
        ("0", ("0",)),
        ("1, 0", ("1", "0")),
        ("2,-1,3", ("2",)),
        ("0,0,1", ("0",)),
        ("GPU-8f7d,MIG-1/2/3", ("GPU-8f7d", "MIG-1/2/3")),
    ],
)
def test_the_gpus_that_the_environment_names(variable: str, gpus: tuple[str, ...]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": variable}) == gpus


def test_the_gpus_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}) == ()
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0\necho 1\n", encoding="ascii")
    program.chmod(0o700)
    assert visible_gpus({}) == ("0", "1")
    gpus = [variables_of(("a", "b"), n)["CUDA_VISIBLE_DEVICES"] for n in range(3)]
    assert (gpus, variables_of((), 0)) == (["a", "b", "a"], {})


def local(file: Path, kind: type[LocalWorkers] = LocalWorkers) -> LocalWorkers:
    load = LoadStudy(Target(str(file)), file.parent)
    return kind(load, trials=None, workers=None, on_output=print)


def test_a_worker_for_each_gpu_sees_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is set before the worker imports anything."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.delenv("KERASTUDY_WORKERS", raising=False)
    with closing(local(tmp_path / "study.py")) as workers:
        pids = map(pid_of, workers.pool._workers)
        gpus = [psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] for pid in pids]
    assert gpus == ["GPU-a", "GPU-b"]
