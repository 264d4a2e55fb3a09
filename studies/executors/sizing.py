"""Chooses the number of workers by the machine's cores, memory and GPUs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from search_spaces.errors import StudyError
from studies.definition.settings import check_count
from studies.executors.devices import visible_gpus
from tracking.diagnosis.numbers import counted

WORKERS_VARIABLE = "KERASTUDY_WORKERS"
"""The environment variable with the default number of workers."""

# More proposals at once would learn little from one another, and one process records them all.
MOST_WORKERS = 16
"""The most workers that a launch starts unless it is asked for more."""
# A worker on digits used 0.33 GiB of its own after a trial; kept programs add to that.
_WORKER_BYTES = 3 * 2**28
# Weights, gradients, an optimizer's two moments, and the best epoch's weights.
_COPIES_OF_WEIGHTS = 5
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """The resources that this process may use.

    Attributes:
        cores: At least 1.
        memory: Available bytes, or None if unknown.
        gpus: As CUDA names them.
    """

    cores: int
    memory: int | None = None
    gpus: tuple[str, ...] = ()


def this_machine(control_groups: Path = _CONTROL_GROUPS) -> Machine:
    """Returns the machine's present resources, within a container's limits."""
    return Machine(_cores(control_groups), _memory(control_groups), visible_gpus(os.environ))


def asked_workers(workers: int | None) -> int | None:
    """Returns the number of workers that the user chose; None leaves it to `suited_workers`.

    Args:
        workers: The launch's option; it has precedence over the environment.

    Raises:
        StudyError: If it is no whole number of at least 1.
    """
    if workers is not None:
        check_count("workers", workers)
        return workers
    text = os.environ.get(WORKERS_VARIABLE, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise StudyError(
            f"{WORKERS_VARIABLE} must be a whole number of at least 1. Received: {text!r}."
        )
    return int(text)


def suited_workers(
    machine: Machine, *, trials: int | None = None, threads: int = 1, model_bytes: int = 0
) -> int:
    """Returns the number of workers that suit a study, from what is known of it: 1 to 16.

    One for each GPU, or as many as there are cores for their threads; at most one for each trial,
    and as many as fit into memory.

    Args:
        machine: Its resources before any worker started.
        trials: The number of remaining trials, or None.
        threads: Of each trial, at least 1.
        model_bytes: Of the weights of the default hyperparameters' model.
    """
    limits = [MOST_WORKERS, len(machine.gpus) or machine.cores // threads]
    if trials is not None:
        limits.append(trials)
    if machine.memory is not None:
        limits.append(machine.memory // (_WORKER_BYTES + _COPIES_OF_WEIGHTS * model_bytes))
    return max(1, min(limits))


def described_workers(machine: Machine, workers: int, threads: int) -> str:
    """Returns the number of workers and their resources, for people to read."""
    shown = f"{counted(workers, 'worker')} of {counted(threads, 'thread')}"
    if machine.gpus:
        return f"{shown} ({counted(len(machine.gpus), 'GPU')})"
    return f"{shown} ({counted(machine.cores, 'core')})"


def too_many(machine: Machine, workers: int, threads: int) -> str:
    """Returns a message if workers have more threads than there are cores; else nothing."""
    if workers == 1 or workers * threads <= machine.cores:
        return ""
    return (
        f"{described_workers(machine, workers, threads)}: they will wait for one another. "
        f"{counted(max(1, machine.cores // threads), 'worker')} would do as much"
    )


def _cores(groups: Path) -> int:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    # https://docs.kernel.org/admin-guide/cgroup-v2.html, and its predecessor's names.
    quota, _, period = _read(groups / "cpu.max").partition(" ")
    if not quota:
        quota = _read(groups / "cpu" / "cpu.cfs_quota_us")
        period = _read(groups / "cpu" / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def _memory(groups: Path) -> int:
    free: int = psutil.virtual_memory().available
    for group, limit, used, cached in (
        (groups, "memory.max", "memory.current", "inactive_file"),
        (
            groups / "memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ):
        most, now = _read(group / limit), _read(group / used)
        if most.isdigit() and now.isdigit():
            # The system's cache of files counts as used, though it would be freed.
            kept = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines())
            free = min(free, int(most) - int(now) + int(kept.get(cached, 0)))
    return max(0, free)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
