"""Where trials run: in several worker processes."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, ExecutorConformance, Open, make_spec
from suite import exhaustive
from worker_here import ThreadInPlaceOfProcess

import kerastudy as ks
from search_spaces import StudyError
from studies.executors import InProcessExecutor, LoadStudy, Session, WorkerExecutor, WorkerPool
from studies.user_code import Target, load_study, with_source
from tracking.records import Decision, EpochResult, TrialTask


@contextmanager
def in_pool(file: Path, workers: int = 2) -> Iterator[WorkerPool]:
    with tempfile.TemporaryDirectory() as shared:
        target, folder = Target(str(file)), Path(shared)
        pool = WorkerPool([WorkerExecutor(target, shared=folder) for _ in range(workers)])
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

    # Its workers come to the bits of a training in this process, below.
    test_the_same_spec_gives_the_same_bits = exhaustive(
        ExecutorConformance.test_the_same_spec_gives_the_same_bits
    )

    @pytest.mark.exhaustive
    def test_what_is_wrong_with_the_study_is_told(self, open_file: Open, tmp_path: Path) -> None:
        """As a worker tells it; see also one that dies, below."""
        super().test_what_is_wrong_with_the_study_is_told(open_file, tmp_path)

    # One that is cut takes none along either, below; a killed worker is in `test_executors`.
    @pytest.mark.exhaustive
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
                (runs,) = (w for w in executor._workers if w.trial == epoch.number)
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

    @pytest.mark.exhaustive
    def test_a_trial_goes_to_a_worker_that_has_its_program(
        self, executor: WorkerPool, tmp_path: Path
    ) -> None:
        """Where one is free. Only the trial that is cut is lost; its new process has none."""
        space = ks.SearchSpace(*executor.description.space, ks.epochs(1, 50), ks.initializer())
        handler = Collecting()

        def cut(epoch: EpochResult) -> Decision:
            if epoch.number == 7:
                executor.cut(7)
            return "continue"

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
        assert submitted(2, 14, 4, "orthogonal") is first
        assert submitted(3, 16, 1, "he_normal") is second, "the one that is free"
        all_free()
        assert submitted(4, 15, 1, "he_normal") is second
        # The one that has its program is at work.
        assert submitted(5, 15, 1, "he_normal") is first
        all_free()
        assert submitted(6, 14, 40, "he_normal") is first
        lost = submitted(7, 16, 40, "he_normal")
        handler.decide = cut
        all_free()
        assert [number for number, _ in handler.lost] == [7]
        assert lost is second and {result.number for result in handler.results} == {*range(7)}
        assert submitted(8, 16, 1, "he_normal") is first, "the new process has nothing"
        all_free()

    def test_comes_to_the_bits_of_a_training_in_this_process(
        self, executor: WorkerPool, tmp_path: Path
    ) -> None:
        """With one thread each: threads belong to the spec."""
        assert executor.description.threads == 1
        file, spec = tmp_path / "study.py", make_spec(executor)
        file.write_text(STUDY_FILE, encoding="utf-8")
        study, code = load_study(Target(str(file)))
        here = InProcessExecutor(Session.open(study, code, None))
        if here.description.threads != 1:
            pytest.skip("TensorFlow has more threads in this process")
        digests = [
            Collecting().run(each, spec, tmp_path).weights_sha256 for each in (executor, here)
        ]
        here.close()
        assert digests[0] == digests[1] != ""

    def test_workers_open_no_database(self, executor: WorkerPool) -> None:
        """The driver alone writes the record: they have nothing to do with MLflow or Optuna."""
        for worker in executor._workers:
            process = psutil.Process(worker.process._process.pid)
            seen = {each.path for each in [*process.memory_maps(), *process.open_files()]}
            assert any("/tensorflow/" in path for path in seen), "or nothing was seen"
            assert not [path for path in seen if path.endswith((".db", ".db-wal", ".db-shm"))]
            assert not [path for path in seen if "/sqlalchemy/" in path], "nor what does"

    @pytest.mark.exhaustive
    def test_workers_hold_the_data_once(self, executor: WorkerPool, tmp_path: Path) -> None:
        """Both train on the same files, mapped to memory, to the same bits."""
        handler = Collecting()
        while executor.free < 2:
            executor.wait(handler)
        for number in (0, 1):
            path = tmp_path / f"{number}.weights.h5"
            executor.submit(TrialTask(make_spec(executor), executor.description.space, path))
        while len(handler.results) < 2:
            executor.wait(handler)
        assert len({result.weights_sha256 for result in handler.results}) == 1
        pids = [worker.process._process.pid for worker in executor._workers]
        mapped = [{m.path for m in psutil.Process(pid).memory_maps()} for pid in pids]
        files = set.intersection(*({p for p in paths if p.endswith(".npy")} for paths in mapped))
        # The sealed part is read by nobody, so that the system may not keep it.
        assert files or not psutil.LINUX


# The other one goes on without it, below.
@pytest.mark.exhaustive
def test_a_worker_that_dies_while_loading_is_told(tmp_path: Path) -> None:
    file = tmp_path / "dies.py"
    file.write_text("import os\nprint('last words', flush=True)\nos._exit(3)\n")
    with pytest.raises(StudyError, match=r"exit code 3.*last words"), in_pool(file, workers=1):
        pass


def test_one_worker_that_can_not_load_is_done_without(tmp_path: Path) -> None:
    """Though no other has loaded the study yet. They are threads here."""
    file = tmp_path / "study.py"
    file.write_text(STUDY_FILE, encoding="utf-8")

    class Dies(ThreadInPlaceOfProcess):
        @staticmethod
        def _serve(connection: Connection, load: LoadStudy) -> None:
            connection.close()

    said: list[str] = []
    started = [
        WorkerExecutor(Target(str(file)), start=start) for start in (Dies, ThreadInPlaceOfProcess)
    ]
    pool = WorkerPool(started, said.append)
    try:
        pool.load()
        assert len(pool) == 1
    finally:
        pool.close()
    assert said == ["continuing with 1 of the workers: the thread of the worker has ended"]


@pytest.mark.exhaustive
def test_one_process_that_dies_while_loading_is_done_without(tmp_path: Path) -> None:
    """Though no other has loaded the study yet."""
    file, mark = tmp_path / "one fails.py", tmp_path / "mark"
    fails = (
        "import os, pathlib\n"
        "try:\n"
        f"    pathlib.Path({str(mark)!r}).touch(exist_ok=False)\n"
        "except FileExistsError:\n"
        "    pass\n"
        "else:\n"
        "    os._exit(3)\n"
    )
    file.write_text(fails + STUDY_FILE, encoding="utf-8")
    said: list[str] = []
    pool = WorkerPool([WorkerExecutor(Target(str(file))) for _ in range(2)], said.append)
    try:
        pool.load()
        assert len(pool) == 1
    finally:
        pool.close()
    (told,) = said
    assert told.startswith("continuing with 1 of the workers") and "exit code 3" in told


@pytest.mark.exhaustive
def test_workers_that_load_different_studies_are_told(tmp_path: Path) -> None:
    """As if a file that theirs imports is saved while they start."""
    (tmp_path / "beside.py").write_text("MOST = 16\n")
    file = tmp_path / "study.py"
    assert "ks.units(4, 16)" in STUDY_FILE
    text = STUDY_FILE.replace("ks.units(4, 16)", "ks.units(4, MOST)")
    file.write_text("from beside import MOST\n" + text, encoding="utf-8")
    pool = WorkerPool([WorkerExecutor(Target(str(file)))])
    try:
        pool.load()
        (tmp_path / "beside.py").write_text("MOST = 18\n")
        pool.resize(2, lambda number: WorkerExecutor(Target(str(file))))
        with pytest.raises(StudyError, match="changed while it was loaded"):
            while True:
                pool.wait(Collecting())
    finally:
        pool.close()


def test_a_file_that_is_saved_while_workers_start_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text(STUDY_FILE, encoding="utf-8")
    target = with_source(Target(str(file)))
    file.write_text("half of what is be", encoding="utf-8")
    assert load_study(target)[1].source == STUDY_FILE
