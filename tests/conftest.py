"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Has processes that tests start hear signals, wherever the tests themselves were started.

    `nohup`, and `&` in a script, have a process and all that it starts ignore them, kerastudy too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
