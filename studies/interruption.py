"""Handles Ctrl-C and SIGTERM: the first signal lets work end cleanly, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Signals that are handled like Ctrl-C. A terminal sends SIGHUP when it is closed. Windows has no
# SIGHUP.
_LIKE_CTRL_C = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Makes SIGTERM and a closed terminal raise `KeyboardInterrupt`, as Ctrl-C does.

    Has no effect outside the main thread, because Python handles signals only there.
    """
    with _handling(_LIKE_CTRL_C, signal.default_int_handler):
        yield


@contextmanager
def catching_interrupts(on_first: Callable[[], None]) -> Iterator[None]:
    """Calls ``on_first`` at the first Ctrl-C or SIGTERM. The second raises KeyboardInterrupt.

    Has no effect outside the main thread, because Python handles signals only there.
    """
    received = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        if received:
            raise KeyboardInterrupt
        received = True
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
    # A signal that this process ignores stays ignored, because `nohup` relies on that. For a
    # handler that was not set by Python, `getsignal` returns None. Such a handler stays, because
    # Python could not restore it at the end.
    before = {number: signal.getsignal(number) for number in signals}
    before = {number: h for number, h in before.items() if h not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
