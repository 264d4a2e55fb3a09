"""Handles Ctrl-C and SIGTERM: the first finishes cleanly, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# A closed terminal sends SIGHUP, and nothing must be lost. Windows lacks this signal.
_LIKE_CTRL_C = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Makes SIGTERM and a closed terminal raise `KeyboardInterrupt`, as Ctrl-C does.

    The former handlers are restored at the end. Outside the main thread, where signals can't be
    caught, this changes nothing.
    """
    with _handling(_LIKE_CTRL_C, signal.default_int_handler):
        yield


@contextmanager
def catching_interrupts(on_first: Callable[[], None]) -> Iterator[None]:
    """Calls ``on_first`` at the first Ctrl-C or SIGTERM, and raises at the second.

    Outside the main thread, where signals can't be caught, this changes nothing.
    """
    seen = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True
        on_first()

    with _handling([signal.SIGINT, *_LIKE_CTRL_C], handle):
        yield


@contextmanager
def _handling(
    signals: list[signal.Signals], handler: Callable[[int, FrameType | None], Any]
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Ignored signals stay ignored, as `nohup` demands. Handlers that Python did not set stay, too,
    # since Python can't restore them.
    heard = [s for s in signals if signal.getsignal(s) not in (signal.SIG_IGN, None)]
    before = {s: signal.getsignal(s) for s in heard}
    try:
        for number in heard:
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
