"""Runs a command, and measures its seconds, and the CPU seconds of all its processes."""

from __future__ import annotations

import bisect
import contextlib
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.peers.ray_cluster import RayCluster

_SECONDS_BETWEEN_SAMPLES = 0.5


@dataclass(frozen=True)
class Measured:
    """The times of a command.

    Attributes:
        code: Its exit code.
        seconds: From its start to its end.
        cpu_seconds: CPU seconds of all its processes, also of those that it did not wait for.
        samples: Unix times, each with the CPU seconds that were spent until then.
    """

    code: int
    seconds: float
    cpu_seconds: float
    samples: Sequence[tuple[float, float]]

    def cpu_until(self, moment: float) -> float:
        """Returns the CPU seconds spent until a Unix time, interpolated between samples."""
        after = bisect.bisect_left(self.samples, (moment,))
        if after == 0:
            return self.samples[0][1]
        if after == len(self.samples):
            return self.samples[-1][1]
        (began, low), (ended, high) = self.samples[after - 1 : after + 1]
        return low + (high - low) * (moment - began) / (ended - began)


def measure(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    cluster: RayCluster | None = None,
) -> Measured:
    """Runs a command to its end, and ends the processes that it leaves.

    Args:
        command: Program and arguments.
        folder: Its current folder.
        environment: Its environment.
        log: Takes its output.
        cluster: The cluster that it runs on, whose CPU seconds count too.

    Raises:
        RuntimeError: If the cluster's head has died.
    """
    waited_for = _cpu_of_ended_children()
    others = None if cluster is None else _Family(cluster.process.pid)
    before = 0.0 if others is None else others.cpu_seconds()
    began, samples = time.time(), [(time.time(), 0.0)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        family = _Family(process.pid)

        def spent() -> float:
            theirs = 0.0 if others is None else others.cpu_seconds() - before
            return family.cpu_seconds() + theirs

        try:
            while process.poll() is None:
                if cluster is not None:
                    cluster.check()
                samples.append((time.time(), spent()))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_SECONDS_BETWEEN_SAMPLES)
            seconds = time.time() - began
        finally:
            family.end()
    # Samples miss the time of a process after the last sample. The operating system counts that
    # time, too, but only of processes whose parents waited for them. Not all of Ray's do.
    whole = max(samples[-1][1], _cpu_of_ended_children() - waited_for)
    samples.append((time.time(), whole))
    return Measured(process.returncode, seconds, whole, samples)


def _cpu_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _Family:
    """A process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._members: dict[psutil.Process, float] = {self._root: 0.0}

    def cpu_seconds(self) -> float:
        """Returns the CPU seconds of all processes, those of ended ones as they were last read."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in self._root.children(recursive=True):
                self._members.setdefault(child, 0.0)
        for member in self._members:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times = member.cpu_times()
                # The times of a zombie may read as 0.
                self._members[member] = max(self._members[member], times.user + times.system)
        return sum(self._members.values())

    def end(self) -> None:
        """Ends the processes that still run."""
        survivors = [member for member in self._members if member.is_running()]
        for member in survivors:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(survivors, timeout=10)
