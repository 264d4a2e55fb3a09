"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, *, keeping: bool = False) -> Iterator[Path]:
    """Yields a temporary path next to ``path``, and renames it to ``path`` at the end.

    The content is on disk before the name points to it, so that neither a kill nor a power
    failure leaves half a file under ``path``. On an error nothing changes. A device or a pipe, such
    as ``/dev/stdout``, can't be replaced: the path yielded is then ``path`` itself.

    Args:
        path: The file.
        keeping: Whether the replaced file stays, as `one_before`. If the process is killed at the
            wrong instant, it is the only one left.
    """
    if is_device(path):
        yield path
        return
    # Keras asks for the ending '.weights.h5', so the mark goes in front.
    partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        if keeping:
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, one_before(path))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """Returns whether a path is a device or a pipe, such as ``/dev/stdout``."""
    return path.exists() and not path.is_file() and not path.is_dir()


def followed(path: Path) -> Path:
    """Returns the file that a link names, so that the file is replaced and not the link."""
    return path.resolve() if path.is_symlink() and path.is_file() else path


def one_before(path: Path) -> Path:
    """Returns where `replacing` keeps the file that was replaced."""
    return path.with_name(f"{path.name}.before")


def remove_pieces(folder: Path, name: str | None = None) -> None:
    """Removes partial files that killed processes left in a folder.

    Args:
        folder: Where they may be; no process may be writing there.
        name: Only those of this file, if a process may be writing others.
    """
    for path in folder.glob("partial-*"):
        if is_piece(path, name):
            path.unlink(missing_ok=True)


def is_piece(path: Path, name: str | None = None) -> bool:
    """Returns whether a file is a partial one that a killed process left."""
    piece = rf"partial-\d+-{'.+' if name is None else re.escape(name)}"
    return re.fullmatch(piece, path.name) is not None and path.is_file()


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file whole or not at all, in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
