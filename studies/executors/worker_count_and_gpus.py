"""Starts the workers of a launch: as many as cores, memory and GPUs suit, each with its GPU.

NVIDIA's GPUs are found without TensorFlow, and each worker gets one of them. This was never tested
on a machine with a GPU: tests check only the environment variables that a worker gets.
"""

from __future__ import annotations

import abc
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError
from search_spaces.texts import counted
from studies.executors.worker_pool import WorkerPool
from studies.executors.worker_process import LoadStudy, OnOutput, ProcessLike, Worker, WorkerProcess

WORKERS_VARIABLE = "KERASTUDY_WORKERS"
"""The environment variable with the default number of workers."""

# With more workers, each proposal would lack the results of many running trials. Also, a single
# process, the driver, records the trials of all workers, and could become the bottleneck.
MOST_WORKERS = 16
"""The most workers that a launch starts, unless the user asks for more."""
# The memory that a worker is expected to need, besides its copies of the weights. After a trial on
# digits, a worker used 0.33 GiB that it shared with no other process. Compiled programs need more.
_WORKER_BYTES = 3 * 2**28
# Training needs memory for the weights, the gradients, an optimizer's two moments, and the weights
# of the best epoch. Each of them is as large as the weights.
_COPIES_OF_WEIGHTS = 5
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


class LaunchWorkers(abc.ABC):
    """Starts the workers of a launch, and adapts them to the study once it is loaded.

    The processes start before anything is known of the study, because importing TensorFlow takes
    longest. `trials` is the study's number of trials, or None if it is not known yet. `workers` is
    the number of workers that the user has chosen, or None.
    """

    pool: WorkerPool

    def __init__(
        self, load: LoadStudy, *, trials: int | None, workers: int | None, on_output: OnOutput
    ) -> None:
        self._load, self._on_output = load, on_output
        self._asked = asked_workers(workers)
        # The number of workers, including those that start later.
        self.count = self._asked or self._suited(trials)
        self.pool = self._start_pool(self._asked or self._first())

    def load(self) -> None:
        """Waits until one worker has loaded the study. If none can, raises the study's error."""
        self.pool.load()

    def suit(self, *, threads: int | None, finished: int) -> None:
        """Adapts the workers to the study: their threads, and how many workers there are.

        If the user has chosen the number of workers, it stays. `threads` is the number of threads
        in the record, or None for a new study. `finished` is the number of finished trials in the
        record.
        """
        if threads is not None and threads != self.pool.description.threads:
            self.pool.close()
            self._load = replace(self._load, threads=threads)
            self.pool = self._start_pool(self._asked or self._first())
            self.load()
        description = self.pool.description
        # Workers that start later run the same source, even if the user's modules change.
        self._load = replace(self.pool.load_study, threads=description.threads)
        if self._asked is None:
            open_trials, model_bytes = description.trials - finished, self.pool.loaded.model_bytes
            self.count = self._suited(open_trials, model_bytes)
            self.pool.resize(min(self._first(), self.count), self._start_worker)
            self.pool.grow(self.count, self._start_worker, open_trials)
        if line := self._described():
            self._on_output(line)

    def close(self) -> None:
        self.pool.close()

    def _first(self) -> int:
        """Returns how many workers start before the first trial."""
        return self.count

    @abc.abstractmethod
    def _suited(self, trials: int | None, model_bytes: int = 0) -> int:
        """Returns how many workers suit the number of remaining trials and the model's size."""

    @abc.abstractmethod
    def _described(self) -> str:
        """Returns a line about the workers for the user, or an empty text."""

    def _start_pool(self, count: int) -> WorkerPool:
        return WorkerPool([self._start_worker(n) for n in range(count)], self._on_output)

    def _start_worker(self, number: int) -> Worker:
        return Worker(self._load, self._on_output, partial(self._start_process, number))

    @abc.abstractmethod
    def _start_process(self, number: int, load: LoadStudy, on_output: OnOutput) -> ProcessLike:
        """Starts the process of the worker with this number."""


class LocalWorkers(LaunchWorkers):
    """The workers of a launch on this machine.

    The workers' working folder is `folder`. If `folder` is empty or does not exist, the workers use
    the working folder of this process. At first, one worker starts. The others start later, if the
    remaining trials take long enough. With `at_once`, or on a machine with GPUs, all start
    immediately.
    """

    def __init__(
        self, load: LoadStudy, *, folder: str = "", at_once: bool = False, **of_launch: Any
    ) -> None:
        self._folder, self._machine, self._at_once = folder, this_machine(), at_once
        # The warnings that a worker has shown, so that the others don't repeat them.
        self._warned: set[str] = set()
        super().__init__(load, **of_launch)

    def _first(self) -> int:
        # Trials on GPUs usually take long, so it saves time to start all workers at once.
        return self.count if self._at_once or self._machine.gpus else 1

    def load(self) -> None:
        super().load()
        if self._machine.gpus and not self.pool.loaded.gpus:
            # TensorFlow does not use the GPUs, e.g. because it is built for CPUs. So they don't
            # count.
            self._machine = replace(self._machine, gpus=())

    def _suited(self, trials: int | None, model_bytes: int = 0) -> int:
        return suited_workers(
            self._machine, trials=trials, threads=self._load.threads, model_bytes=model_bytes
        )

    def _described(self) -> str:
        if self._asked is None:
            return described_workers(self._machine, self.count, self._load.threads)
        warning = too_many(self._machine, self._asked, self._load.threads)
        return warning and f"warning: {warning}"

    def _start_process(self, number: int, load: LoadStudy, on_output: OnOutput) -> ProcessLike:
        folder = self._folder if os.path.isdir(self._folder) else None
        variables = variables_of(self._machine.gpus, number)
        return WorkerProcess(load, on_output, folder, variables, warned=self._warned)


@dataclass(frozen=True)
class Machine:
    """The resources that this process may use."""

    cores: int
    memory: int | None = None  # Available bytes, or None if unknown.
    gpus: tuple[str, ...] = ()  # The names that CUDA uses.


def this_machine(control_groups: Path = _CONTROL_GROUPS) -> Machine:
    """Returns the resources that this machine has now, within the limits of a container."""
    return Machine(_cores(control_groups), _memory(control_groups), visible_gpus(os.environ))


def asked_workers(workers: int | None) -> int | None:
    """Returns the number of workers that the user has asked for, or None.

    It is `workers`, or the number in the environment variable `WORKERS_VARIABLE`.
    """
    text = os.environ.get(WORKERS_VARIABLE, "").strip()
    if workers is not None or not text:
        return workers
    count = int(text) if text.isdecimal() else text
    return checks.whole_number(WORKERS_VARIABLE, count, StudyError)


def suited_workers(
    machine: Machine, *, trials: int | None = None, threads: int = 1, model_bytes: int = 0
) -> int:
    """Returns the number of workers that suit a study, 1 to 16.

    Each worker gets one GPU. Without GPUs, it gets a core for each of its threads. There are never
    more workers than remaining trials, or than fit into memory. `model_bytes` is the size of the
    default model's weights. `machine` has the resources that were free before any worker started.
    """
    limits = [MOST_WORKERS, len(machine.gpus) or machine.cores // threads]
    if trials is not None:
        limits.append(trials)
    if machine.memory is not None:
        limits.append(machine.memory // (_WORKER_BYTES + _COPIES_OF_WEIGHTS * model_bytes))
    return max(1, min(limits))


def described_workers(machine: Machine, workers: int, threads: int) -> str:
    """Returns a text such as "4 workers of 2 threads (8 cores)"."""
    gpus = len(machine.gpus)
    resources = counted(gpus, "GPU") if gpus else counted(machine.cores, "core")
    return f"{counted(workers, 'worker')} of {counted(threads, 'thread')} ({resources})"


def too_many(machine: Machine, workers: int, threads: int) -> str:
    """Returns a warning if all workers together have more threads than there are cores, else ""."""
    if workers == 1 or workers * threads <= machine.cores:
        return ""
    return (
        f"{described_workers(machine, workers, threads)}: they will wait for one another. "
        f"{counted(max(1, machine.cores // threads), 'worker')} would be as fast"
    )


def _cores(groups: Path) -> int:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    # https://docs.kernel.org/admin-guide/cgroup-v2.html
    quota, _, period = _read(groups / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def _memory(groups: Path) -> int:
    free: int = psutil.virtual_memory().available
    most, used = _read(groups / "memory.max"), _read(groups / "memory.current")
    if most.isdigit() and used.isdigit():
        # The memory in use includes the file cache. Linux frees the cache when a process needs
        # memory, so the cache counts as free.
        counters = dict(line.split(" ", 1) for line in _read(groups / "memory.stat").splitlines())
        free = min(free, int(most) - int(used) + int(counters.get("inactive_file", 0)))
    return max(0, free)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""The variable from which CUDA reads the GPUs to use, as numbers or identifiers, e.g. "0,1"."""

_LISTING = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
_SECONDS_TO_LIST = 10.0


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the GPUs that a process with this environment may use, as CUDA names them.

    Like CUDA, ignores a negative number or a repeated name in the environment variable, and
    everything after it.

    Source: https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
    """
    devices = environment.get(DEVICES_VARIABLE)
    if devices is None:
        return _listed_gpus()
    names: list[str] = []
    for name in map(str.strip, devices.split(",")):
        if not name or name.startswith("-") or name in names:
            break
        names.append(name)
    return tuple(names)


def variables_of(gpus: Sequence[str], worker: int) -> dict[str, str]:
    """Returns the environment variable that makes a worker see only one of the GPUs.

    `worker` is the worker's number. Without GPUs, the result is empty.
    """
    return {DEVICES_VARIABLE: gpus[worker % len(gpus)]} if gpus else {}


def _listed_gpus() -> tuple[str, ...]:
    """Returns the numbers of the GPUs that `nvidia-smi` lists; empty if it is not installed."""
    try:
        listed = subprocess.run(
            _LISTING, capture_output=True, text=True, timeout=_SECONDS_TO_LIST, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(filter(str.isdigit, listed.stdout.split()))
