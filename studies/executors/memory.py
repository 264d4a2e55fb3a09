"""Watches the memory of a worker process, to know why it was killed.

A process that the system ends for lack of memory is killed like by `kill -9`, without a message. So
the driver watches its memory while it lives, and the system's own count of such kills.
"""

from __future__ import annotations

import threading
from pathlib import Path

import psutil

from studies.executors.sizing import memory_limit

_SECONDS_BETWEEN_LOOKS = 0.25
# A killed process above this share counts as killed for its memory. The last measurement may be
# old.
_NEARLY_ALL = 0.8
_PROC = Path("/proc")
_GROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")
_GIBIBYTE = 2**30


class ProcessMemory:
    """Measures a process's memory until it ends.

    Attributes:
        peak: The most bytes measured, in its present trial if the system can tell.
    """

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._limit = memory_limit()
        self._ended_before = _ended_by_system()
        self._over = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def begin_trial(self) -> None:
        """Notes that a trial begins."""
        self.peak, self._ended_before = 0, _ended_by_system()

    def close(self) -> None:
        """Ends measuring."""
        self._over.set()

    def ran_out(self) -> bool:
        """Returns whether the killed process was killed for lack of memory."""
        return _ended_by_system() > self._ended_before or self.peak >= _NEARLY_ALL * self._limit

    def __str__(self) -> str:
        """Returns its peak and its limit, for people to read."""
        return f"it had {in_gibibytes(self.peak)} of {in_gibibytes(self._limit)}"

    def _follow(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                self.peak = max(self.peak, _memory_of(self._pid))
            except (OSError, ValueError, psutil.Error):
                return


def in_gibibytes(size: int) -> str:
    """Returns a size for people to read."""
    return f"{size / _GIBIBYTE:.1f} GiB"


def _memory_of(pid: int) -> int:
    """Returns the peak of a process in bytes if the system knows it, else its present memory."""
    try:
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    return int(psutil.Process(pid).memory_info().rss)


def _ended_by_system() -> int:
    """Returns how many processes the system has killed for lack of memory, if it counts them."""
    found = 0
    for file in (_PROC / "vmstat", _GROUP_EVENTS):
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        found += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return found
