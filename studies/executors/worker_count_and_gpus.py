"""Chooses the number of workers by the cores, memory and GPUs, and gives each worker a GPU.

NVIDIA's GPUs are found without TensorFlow, and each worker gets one of them. This was never tested
on a machine with a GPU: tests check only the environment variables that a worker gets.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError
from search_spaces.texts import counted

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
