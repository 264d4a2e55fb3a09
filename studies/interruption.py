"""Ctrl-C and SIGTERM: once to finish cleanly, twice to stop at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# A closed terminal (SIGHUP, which Windows lacks) is no reason to lose anything either.
_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@contextmanager
def catching_interrupts(on_first: Callable[[], None]) -> Iterator[None]:
    """Calls ``on_first`` at the first Ctrl-C or SIGTERM, and raises at the second.

    Outside the main thread, where signals can't be caught, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True
        on_first()

    # What is ignored stays so: `nohup`, and `&` in a script, ask for that.
    heard = [s for s in _SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    before = {s: signal.signal(s, handle) for s in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
