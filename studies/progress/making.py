"""The progress that suits standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from studies.progress.events import NoProgress, Progress
from studies.progress.live import LiveProgress
from studies.progress.plain import LineProgress


def make_progress(wanted: bool = True) -> Progress:
    """Returns the progress that suits standard error: live at a terminal, lines elsewhere."""
    if not wanted:
        return NoProgress()
    return LiveProgress() if _can_redraw() else LineProgress()


@contextlib.contextmanager
def showing(wanted: bool = True) -> Iterator[Progress]:
    """Yields what `make_progress` returns, and ends it, whatever happens."""
    progress = make_progress(wanted)
    try:
        yield progress
    finally:
        progress.end()


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows at a terminal what the user waits for; elsewhere nothing."""
    if not _can_redraw():
        yield
        return
    with showing() as progress:
        progress.wait(what)
        yield


def _can_redraw() -> bool:
    """Returns whether standard error is a terminal whose lines can be erased."""
    from rich.console import Console

    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal
