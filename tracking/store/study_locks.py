"""Locks, so that only one process at a time runs a study, or writes `store.json`.

A study's folder has a file lock, and ``lock.json`` with the process that has the lock. On a network
disk, a machine may not see the locks of other machines. Then ``lock.json`` keeps other machines
out.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from search_spaces.errors import StoreLockedError
from tracking.journal import on_network_disk
from tracking.store.atomic_writing import remove_pieces, write_atomically

_SECONDS_TO_WAIT: Final = 0.3
_LOCK: Final = "lock"
_HOLDER: Final = "lock.json"


@contextlib.contextmanager
def locked_store(root: Path) -> Iterator[None]:
    """Locks `store.json` within the context. Waits for other processes."""
    with FileLock(root / "store.lock"):
        yield


@contextlib.contextmanager
def locked_study(folder: Path, study: str) -> Iterator[None]:
    """Locks a study for this process. Raises StoreLockedError if another process has the lock."""
    folder.mkdir(exist_ok=True)
    holder, lock = folder / _HOLDER, FileLock(folder / _LOCK)
    former = _read_holder(holder)
    elsewhere = former and former["host"] != platform.node()
    if elsewhere and on_network_disk(folder):
        raise StoreLockedError(
            f"The study {study!r} is on a network disk, and {_in_words(former)} is running it. "
            f"Wait for it, or stop it; if that machine is gone, delete {str(holder)!r}."
        )
    try:
        # `holder_of` in another process may have the lock for an instant, so this waits a little.
        lock.acquire(timeout=_SECONDS_TO_WAIT)
    except Timeout:
        raise StoreLockedError(
            f"Another process is running the study {study!r} in {str(folder.parent)!r} "
            f"({_in_words(_read_holder(holder))}). Wait for it, stop it, or launch under another "
            "name with --name."
        ) from None
    try:
        remove_pieces(folder)
        write_atomically(holder, json.dumps({"process": os.getpid(), "host": platform.node()}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def holder_of(folder: Path) -> str:
    """Returns the process that has the lock of a study's folder, in words, or an empty text."""
    if not (folder / _LOCK).exists():
        return ""
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _in_words(_read_holder(folder / _HOLDER))
    except OSError:
        # The folder can't be written, so no process can run the study.
        return ""
    lock.release()
    return ""


def _read_holder(path: Path) -> Mapping[str, Any]:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return {"process": int(holder["process"]), "host": str(holder["host"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _in_words(holder: Mapping[str, Any]) -> str:
    return f"process {holder['process']} on {holder['host']}" if holder else "process unknown"
