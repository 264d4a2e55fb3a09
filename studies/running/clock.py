"""Time during which this process runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

TICK = 0.25
# A tick takes longer on a busy machine, and much longer in a process that was stopped.
_LONGEST_TICK = 1.0
# By then, messages from before a stop, or from while only this process was stopped, are read.
_SECONDS_TO_CATCH_UP = 4 * TICK


class AwakeClock:
    """Counts the seconds that this process runs.

    While it is stopped (SIGSTOP, a closed lid) no time passes, so that no trial is cut for it: if a
    tick takes more than a second too long, only its CPU time counts. A shorter stop looks like a
    busy machine, and counts.

    Use it as a context.

    Attributes:
        seconds: Since it was started.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self.seconds = 0.0
        self._now, self._used = now, used
        self._last, self._last_used = now(), used()
        self._awake_since = -_SECONDS_TO_CATCH_UP
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def __enter__(self) -> AwakeClock:
        """Starts the clock."""
        self._last, self._last_used = self._now(), self._used()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the clock."""
        self._ended.set()
        self._thread.join()

    @property
    def caught_up(self) -> bool:
        """Whether this process has run long enough since a stop to know what others did."""
        # The thread that ticks may not have run yet after a stop.
        ticks = self._now() - self._last <= TICK + _LONGEST_TICK
        return ticks and self.seconds - self._awake_since >= _SECONDS_TO_CATCH_UP

    def tick(self) -> None:
        """Counts the time since the last tick."""
        now, used = self._now(), self._used()
        passed = now - self._last
        # A call that lets no other thread run is no stop, however long it takes.
        awake = min(passed, max(TICK, used - self._last_used))
        if passed - awake > _LONGEST_TICK:
            self._awake_since = self.seconds + awake
            passed = awake
        self.seconds += passed
        self._last, self._last_used = now, used

    def _run(self) -> None:
        while not self._ended.wait(TICK):
            self.tick()
