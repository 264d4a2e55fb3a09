"""How many workers there are, where nobody says, and what each has of the machine."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from conformance.executor import STUDY_FILE, Collecting, make_spec

import kerastudy as ks
from search_spaces import StudyError
from studies.definition import LaunchOptions
from studies.executors import (
    LocalWorkers,
    Machine,
    WorkerExecutor,
    WorkerPool,
    WorkerProcess,
    asked_workers,
    described_workers,
    suited_workers,
    this_machine,
    too_many,
    variables_of,
    visible_gpus,
)
from studies.user_code import Target

GIB = 2**30
LARGE = Machine(64, 256 * GIB)


class TestSuitedWorkers:
    @pytest.mark.parametrize(
        ("machine", "study", "workers"),
        [
            (Machine(1, 16 * GIB), {}, 1),
            (Machine(4, 16 * GIB), {}, 4),
            (Machine(4, 16 * GIB), {"threads": 2}, 2),
            (Machine(4, 16 * GIB), {"threads": 3}, 1),
            (Machine(4, 16 * GIB), {"threads": 8}, 1),
            (Machine(4), {"trials": 2}, 2),
            (Machine(4), {"trials": 0}, 1),
            (LARGE, {}, 16),
            (Machine(8, 3 * GIB), {}, 4),
            (Machine(8, 0), {}, 1),
            # Ten million weights are nothing; a billion take 20 GiB to train.
            (Machine(8, 16 * GIB), {"model_bytes": 40 * 2**20}, 8),
            (Machine(8, 48 * GIB), {"model_bytes": 4 * GIB}, 2),
            (Machine(64, 256 * GIB, ("0", "1")), {}, 2),
            (Machine(64, 256 * GIB, ("0", "1")), {"threads": 48}, 2),
            (Machine(64, 256 * GIB, ("0", "1")), {"trials": 1}, 1),
        ],
    )
    def test_by_cores_memory_gpus_and_trials(
        self, machine: Machine, study: dict[str, int], workers: int
    ) -> None:
        assert suited_workers(machine, **study) == workers

    def test_what_is_told(self) -> None:
        assert described_workers(Machine(2), 2, 1) == "2 workers of 1 thread (2 cores)"
        assert described_workers(Machine(1), 1, 2) == "1 worker of 2 threads (1 core)"
        assert described_workers(Machine(9, gpus=("0",)), 1, 1) == "1 worker of 1 thread (1 GPU)"

    def test_more_threads_than_cores_are_told(self) -> None:
        assert too_many(Machine(4), 4, 1) == too_many(Machine(4), 1, 8) == ""
        assert too_many(Machine(4), 4, 2).startswith("4 workers of 2 threads (4 cores)")
        assert too_many(Machine(4), 4, 2).endswith("2 workers would do as much")


class TestAskedWorkers:
    def test_the_launch_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KERASTUDY_WORKERS", "3")
        assert (asked_workers(None), asked_workers(2)) == (3, 2)
        monkeypatch.setenv("KERASTUDY_WORKERS", "")
        assert asked_workers(None) is None

    @pytest.mark.parametrize("wrong", ["many", "0", "-1", "1.5", "²"])
    def test_what_is_no_number(self, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
        monkeypatch.setenv("KERASTUDY_WORKERS", wrong)
        with pytest.raises(StudyError, match=f"KERASTUDY_WORKERS must .* Received: '{wrong}'"):
            asked_workers(None)

    @pytest.mark.parametrize(
        ("asked", "executor"),
        [
            ({}, "in-process"),
            ({"workers": 1}, "worker"),
            ({"executor": "worker"}, "worker"),
            ({"executor": "in-process"}, "in-process"),
        ],
    )
    def test_workers_are_processes(self, asked: dict[str, Any], executor: str) -> None:
        assert LaunchOptions(**asked).runs_in(otherwise="in-process") == executor

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"executor": "in-process", "workers": 2}, r"takes no number of workers. Received: 2"),
            ({"executor": "cloud"}, "Received: 'cloud'"),
            ({"workers": 0}, "workers must be a whole number of at least 1. Received: 0"),
            (
                {"at_the_end": "stop"},
                "at_the_end must be one of 'finish' or 'cut'. Received: 'stop'",
            ),
            ({"verify": "all"}, "verify must be one of 'full', 'some' or 'off'. Received: 'all'"),
            ({"tracking_uri": "here"}, "tracking URI must be .* Received: 'here'"),
        ],
    )
    def test_wrong_options_of_a_launch_are_refused_before_anything_is_loaded(
        self, options: dict[str, Any], said: str
    ) -> None:
        study = ks.Study("fast", data=lambda hp: None, build=lambda hp: None)
        with pytest.raises(ks.KerastudyError, match=said):
            study.launch(**options)


class TestMachine:
    def test_is_this_one(self, tmp_path: Path) -> None:
        machine = this_machine(tmp_path)
        assert 1 <= machine.cores <= (os.cpu_count() or 1)
        assert machine.memory is not None
        assert 0 < machine.memory <= psutil.virtual_memory().total

    def test_a_containers_limits_count(self, tmp_path: Path) -> None:
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

    def test_a_container_without_limits(self, tmp_path: Path) -> None:
        (tmp_path / "cpu.max").write_text("max 100000\n")
        (tmp_path / "memory.max").write_text("max\n")
        free = this_machine(tmp_path).memory
        assert free is not None and free > 2**20


class TestDevices:
    @pytest.mark.parametrize(
        ("given", "gpus"),
        [
            ("", ()),
            ("-1", ()),
            ("0", ("0",)),
            ("1, 0", ("1", "0")),
            ("2,-1,3", ("2",)),
            ("GPU-8f7d,MIG-1/2/3", ("GPU-8f7d", "MIG-1/2/3")),
        ],
    )
    def test_as_the_environment_says(self, given: str, gpus: tuple[str, ...]) -> None:
        assert visible_gpus({"CUDA_VISIBLE_DEVICES": given}) == gpus

    def test_as_the_driver_lists(self, tmp_path: Path) -> None:
        for address in ("0000:01:00.0", "0000:02:00.0"):
            (tmp_path / address).mkdir()
        assert visible_gpus({}, tmp_path) == ("0", "1")

    def test_each_worker_has_one_in_turn(self) -> None:
        assert [variables_of(("a", "b"), n)["CUDA_VISIBLE_DEVICES"] for n in range(3)] == [
            "a",
            "b",
            "a",
        ]
        assert variables_of((), 0) == {}


def test_a_worker_for_each_gpu_sees_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it imports anything."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.delenv("KERASTUDY_WORKERS", raising=False)
    local = start(tmp_path, tmp_path / "study.py", [])
    try:
        local.start_all()
        pids = [worker._process._process.pid for worker in local.pool._workers]
        seen = [psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] for pid in pids]
    finally:
        local.close()
    assert seen == ["GPU-a", "GPU-b"]


@pytest.mark.exhaustive
def test_the_study_decides_on_threads_and_so_on_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that there are no cores for end; the one that is left trains."""
    monkeypatch.delenv("KERASTUDY_WORKERS", raising=False)
    cores = this_machine().cores
    file = tmp_path / "study.py"
    threads = f"epochs=3, threads={cores},"
    file.write_text(STUDY_FILE.replace("epochs=3,", threads), encoding="utf-8")
    told: list[str] = []
    local = start(tmp_path, file, told)
    local.start_all()
    started = [worker._process._process.pid for worker in local.pool._workers]
    try:
        local.load()
        local.suit(threads=None, finished=0)
        assert len(local.pool) == 1
        assert [psutil.pid_exists(pid) for pid in started].count(True) == 1
        assert told == [described_workers(Machine(cores), 1, cores)]
        pool = local.pool
        assert pool.description.threads == cores
        assert Collecting().run(pool, make_spec(pool), tmp_path).state == "complete"
    finally:
        local.close()


def start(folder: Path, file: Path, told: list[str]) -> LocalWorkers:
    return LocalWorkers(
        Target(str(file)),
        overrides={},
        data="",
        trials=None,
        threads=None,
        workers=None,
        shared=folder,
        on_output=told.append,
    )


@pytest.mark.exhaustive
def test_a_worker_that_dies_while_it_loads_is_done_without(tmp_path: Path) -> None:
    """As when memory runs out for one more of them; `test_pool` has one of the first ones die."""
    file = tmp_path / "study.py"
    text = "import os\nif os.environ.get('DIES'):\n    os._exit(9)\n" + STUDY_FILE
    file.write_text(text, encoding="utf-8")
    told: list[str] = []
    pool = WorkerPool([WorkerExecutor(Target(str(file)))], told.append)
    try:
        pool.load()
        dies = partial(WorkerProcess, variables={"DIES": "yes"})
        pool.resize(2, lambda n: WorkerExecutor(Target(str(file)), start=dies))
        while len(pool) == 2:
            pool.wait(Collecting())
        assert "continuing with 1 of the workers" in told[0] and "exit code 9" in told[0]
        assert Collecting().run(pool, make_spec(pool), tmp_path).state == "complete"
    finally:
        pool.close()
