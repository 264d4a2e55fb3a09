"""The most memory that this process has had while it ran a trial."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
# https://docs.kernel.org/filesystems/proc.html: the peak begins anew.
_PEAK = "5"


class PeakMemory:
    """Begins when it is made."""

    def __init__(self) -> None:
        # Else it is the peak of the process, or what it has when the trial ends.
        with contextlib.suppress(OSError):
            _RESET.write_text(_PEAK)

    @property
    def size(self) -> int:
        """The most bytes since; 0 if that can't be told."""
        try:
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
            return int(psutil.Process().memory_info().rss)
        except (OSError, ValueError, psutil.Error):
            return 0
