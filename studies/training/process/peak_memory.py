"""The peak memory of this process while it runs a trial."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
# https://docs.kernel.org/filesystems/proc.html: this resets the peak.
_PEAK = "5"


class PeakMemory:
    """Measures from the time when it is made."""

    def __init__(self) -> None:
        # Otherwise it is the peak of the process, or its memory when the trial ends.
        with contextlib.suppress(OSError):
            _RESET.write_text(_PEAK)

    @property
    def size(self) -> int:
        """The peak in bytes since then; 0 if unknown."""
        try:
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
            return int(psutil.Process().memory_info().rss)
        except (OSError, ValueError, psutil.Error):
            return 0
