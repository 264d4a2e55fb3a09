"""Locks of stores and studies, and atomic writing of files.

Only one process at a time runs a study, or writes ``store.json``. A study's folder has a file lock,
and ``lock.json`` with the process that has the lock. On a network disk, a machine may not see the
locks of other machines. Then ``lock.json`` keeps other machines out.

Writing is atomic: after a kill, a file has its old content or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import platformdirs
from filelock import FileLock, Timeout

from search_spaces.errors import StoreLockedError
from tracking.journal import on_network_disk


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to ``path``. At the end, renames that file to ``path``.

    The content is synced to disk before the renaming, so that neither a kill nor a power failure
    leaves half a file under ``path``. If an error is raised, ``path`` keeps its content. If
    ``path`` is a device or a pipe, such as ``/dev/stdout``, the function yields ``path`` itself.
    """
    if is_device(path):
        yield path
        return
    # "partial-" is a prefix and not a suffix, because Keras writes weights only to files whose
    # names end with ".weights.h5".
    partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """Returns whether a path is a device or a pipe, such as ``/dev/stdout``."""
    return path.exists() and not path.is_file() and not path.is_dir()


def followed(path: Path) -> Path:
    """Resolves a symbolic link to a file, so that `replacing` replaces the file, not the link."""
    return path.resolve() if path.is_symlink() and path.is_file() else path


def pieces_in(folder: Path, pattern: str = "") -> list[Path]:
    """Returns the partial files that killed processes left in a folder.

    No process may be writing in the folder. With the `pattern` ``**/``, subfolders are searched,
    too.
    """
    pieces = folder.glob(f"{pattern}partial-*")
    # A user's file may also begin with "partial-", such as "partial-2nd-try.csv".
    return sorted(p for p in pieces if re.fullmatch(r"partial-\d+-.+", p.name) and p.is_file())


def remove_pieces(folder: Path) -> None:
    """Removes the partial files that killed processes left in a folder."""
    for path in pieces_in(folder):
        path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, by `replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """Returns the content of a file in the user's cache folder.

    If the file is missing, calls `make` for the content, and writes the file. If the cache folder
    can't be written, `make` is called each time.
    """
    path = platformdirs.user_cache_path("kerastudy") / name
    with contextlib.suppress(OSError):
        return path.read_bytes()
    content = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(content)
    return content


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
            f"The study {study!r} is on a network disk, and {_in_words(former)} is running it",
            hint=f"Wait for it, or stop it; if that machine is gone, delete {str(holder)!r}.",
        )
    try:
        # `holder_of` in another process may have the lock for an instant, so this waits a little.
        lock.acquire(timeout=_SECONDS_TO_WAIT)
    except Timeout:
        raise StoreLockedError(
            f"Another process is running the study {study!r} in {str(folder.parent)!r} "
            f"({_in_words(_read_holder(holder))})",
            hint="Wait for it, stop it, or launch under another name with --name.",
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
