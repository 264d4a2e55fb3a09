"""Locks: one process at a time runs a study, or writes `store.json`.

A study's lock is bound to the id of its experiment, which stays when the study is renamed; that
of a folder without a study to its name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from search_spaces.errors import StoreLockedError
from tracking.store.files import remove_pieces, write_atomically

_SECONDS_TO_LOOK = 0.3


@contextlib.contextmanager
def locked_store(root: Path) -> Iterator[None]:
    """Waits until no other process makes a store, or writes its `store.json`; none can within."""
    with FileLock(root / "store.lock"):
        yield


@contextlib.contextmanager
def locked_study(root: Path, study: str, experiment_id: str = "") -> Iterator[None]:
    """Holds a study for this process. Raises StoreLockedError if another process holds it."""
    (root / "locks").mkdir(exist_ok=True)
    path = _lock(root, study, experiment_id)
    holder = path.with_suffix(".json")
    lock = FileLock(path)
    try:
        # A process that looks up the holder holds the lock for an instant.
        lock.acquire(timeout=_SECONDS_TO_LOOK)
    except Timeout:
        raise StoreLockedError(
            f"Another process is running the study {study!r} in {str(root)!r} "
            f"({_read_holder(holder)[1]}). Wait for it, stop it, or launch under another "
            "name with --name."
        ) from None
    try:
        remove_pieces(holder.parent, holder.name)
        facts = {"process": os.getpid(), "host": _host(), "study": study}
        write_atomically(holder, json.dumps(facts))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def study_holder(root: Path, study: str, experiment_id: str = "") -> str:
    """Returns which process holds a study; empty if none does. Changes nothing."""
    path = _lock(root, study, experiment_id)
    return _read_holder(path.with_suffix(".json"))[1] if _is_held(path) else ""


def study_holders(root: Path) -> dict[str, str]:
    """Returns the studies that processes hold, by name, and the process of each."""
    found = {}
    for path in sorted((root / "locks").glob("*.lock")):
        if _is_held(path):
            study, process = _read_holder(path.with_suffix(".json"))
            found[study or path.stem] = process
    return found


def _lock(root: Path, study: str, experiment_id: str) -> Path:
    # No study's name has an '@'.
    name = f"@{int(experiment_id)}" if experiment_id else study
    return root / "locks" / f"{name}.lock"


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        # A folder that can't be written: no process runs a study in it.
        return False
    lock.release()
    return False


def _read_holder(path: Path) -> tuple[str, str]:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return holder.get("study", ""), f"process {holder['process']} on {holder['host']}"
    except (OSError, ValueError, KeyError, AttributeError):
        return "", "process unknown"


def _host() -> str:
    import platform

    return platform.node()
