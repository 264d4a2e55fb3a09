"""Private parts of Ray, each use with the reason why nothing public suffices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from search_spaces.library_parts import AttributePart, MissingPartError, ModulePart

_worker = ModulePart("ray", "ray._private", "worker")
_prints = AttributePart("ray", "ray._private.worker", "_worker_logs_enabled")


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Lets Ray print nothing about nodes that die: twenty lines each, on standard output.

    Publicly only the lines of workers can be turned off. Does nothing if it can't.
    """
    try:
        worker = _worker.get()
        before = _prints.of(worker)
    except MissingPartError:
        yield
        return
    _prints.set(worker, False)
    try:
        yield
    finally:
        _prints.set(worker, before)
