"""Time as far as this process was there to use it."""

from __future__ import annotations

import threading
import time

_TICK = 0.25
# A tick takes longer on a machine with much to do, and much longer in a process that was stopped.
_LONGEST_TICK = 5.0


class AwakeClock:
    """Counts the seconds that this process runs.

    While it is stopped (SIGSTOP, a closed lid) no time passes, so that no trial is cut for it. Use
    it as a context.

    Attributes:
        seconds: Since it was started.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def __enter__(self) -> AwakeClock:
        """Starts the clock."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the clock."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(_TICK):
            now = time.monotonic()
            self.seconds += min(now - last, _LONGEST_TICK)
            last = now
