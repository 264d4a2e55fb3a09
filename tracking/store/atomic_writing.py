"""Atomic writing of files: after a kill, a file has its old content or the new one."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs


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
