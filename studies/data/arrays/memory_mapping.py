"""Large arrays in npy files that are mapped to memory (`np.memmap`), and shared by processes.

The operating system reads a file page by page when its array is used, keeps each page in memory
once for all processes, and drops pages when it needs memory. So arrays may be larger than memory.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import IO, Literal, TypeVar
from zipfile import ZipFile

import numpy as np
from filelock import FileLock, Timeout

from tracking.store.atomic_writing import replacing

# Arrays of this size and more go into a file.
_LARGE_BYTES = 256 * 2**20
_BLOCK_BYTES = 16 * 2**20
_PREFIX = "kerastudy-data-"
_LOCK = "in-use"

# The folder for large arrays while `shared` loads data.
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)
_numbers = itertools.count()

_Data = TypeVar("_Data")


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Makes a folder for arrays, and removes the folders that killed processes left.

    The folder is in ``TMPDIR`` or, if that is not set, in ``/var/tmp``, because ``/tmp`` may be in
    memory: https://systemd.io/TEMPORARY_DIRECTORIES/.
    """
    large = Path("/var/tmp")
    usable = "TMPDIR" not in os.environ and large.is_dir() and os.access(large, os.W_OK)
    place = large if usable else Path(tempfile.gettempdir())
    _remove_abandoned(place)
    while True:
        folder = _TemporaryFolder(
            prefix=_PREFIX,
            dir=place,
            # Windows removes no file that a process still has open.
            ignore_cleanup_errors=True,
        )
        if folder.hold():
            return folder


class _TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A temporary folder with a lock file, which stays locked as long as the process lives."""

    def hold(self) -> bool:
        """Locks the folder. Returns False if another process removes it as abandoned."""
        self._lock = FileLock(Path(self.name) / _LOCK)
        try:
            self._lock.acquire()
        except OSError:
            return False
        return Path(self._lock.lock_file).exists()

    def cleanup(self) -> None:
        self._lock.release()
        super().cleanup()


def _remove_abandoned(place: Path) -> None:
    # A folder without a lock is new, so `glob` leaves it out.
    for lock in place.glob(f"{_PREFIX}*/{_LOCK}"):
        # These errors mean that the folder's process runs, or belongs to another user.
        with contextlib.suppress(Timeout, OSError), FileLock(lock).acquire(timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)


def copy_rows(array: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Copies some rows of an array, or all. A large copy is mapped to memory."""
    count = len(array) if rows is None else len(rows)
    # Arrays of Python objects, such as texts, can't be mapped.
    if array.dtype.hasobject or count * (array.nbytes // len(array)) < _LARGE_BYTES:
        return array.copy() if rows is None else array[rows]
    copy = empty_array((count, *array.shape[1:]), array.dtype)
    for start, end in blocks(copy):
        copy[start:end] = array[start:end] if rows is None else array[rows[start:end]]
    return copy


def empty_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns a new array to fill. A large array is mapped to memory."""
    if math.prod(shape) * dtype.itemsize < _LARGE_BYTES:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(_new_file(), mode="w+", dtype=dtype, shape=shape)


def mapped_member(archive: ZipFile, name: str) -> np.ndarray | None:
    """Returns a large array of an npz file, mapped to memory, or None if it is small or absent."""
    entry = archive.NameToInfo.get(name)
    if entry is None or entry.file_size < _LARGE_BYTES:
        return None
    file = _new_file()
    with archive.open(name) as source, file.open("wb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
    return _mapped(file)


def blocks(array: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields the start and the end of blocks of rows, of about 16 MiB each."""
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        yield start, min(start + rows, len(array))


def file_of(array: np.ndarray) -> Path | None:
    """Returns the npy file of an array that is a whole file, mapped to memory; else None."""
    file = array.filename if isinstance(array, np.memmap) else None
    if file is None or not str(file).endswith(".npy"):
        return None
    whole = _mapped(Path(file))
    same = (whole.dtype, whole.shape, whole.strides) == (array.dtype, array.shape, array.strides)
    return Path(file) if same else None


def _mapped(file: Path) -> np.ndarray:
    return np.load(file, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def _new_file() -> Path:
    folder = _folder.get() or Path(_own_folder().name)
    return folder / f"large-{os.getpid()}-{next(_numbers)}.npy"


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    # The cache keeps the object, so the folder is removed when the process ends.
    return temporary_folder()


def shared(load: Callable[[], _Data], folder: Path) -> _Data:
    """Returns the result of `load`, which one of the processes that pass this folder calls.

    The result is pickled into the folder, its arrays as npy files. All processes map them to
    memory. If `load` raises, the next process calls it.
    """
    pickled = folder / "splits"
    with FileLock(folder / "lock"):
        if not pickled.exists():
            token = _folder.set(folder)
            try:
                loaded = load()
            finally:
                _folder.reset(token)
            with replacing(pickled) as file, file.open("wb") as stream:
                _Writer(stream, folder).dump(loaded)
    with pickled.open("rb") as stream:
        data: _Data = MappingUnpickler(stream, folder, "r").load()
        return data


class _Writer(pickle.Pickler):
    """Pickles everything but arrays, and writes each array to an npy file."""

    def __init__(self, stream: IO[bytes], folder: Path) -> None:
        super().__init__(stream)
        self._folder = folder
        self._arrays = 0

    def persistent_id(self, thing: object) -> str | None:
        """Writes an array to a file, and returns its name. Returns None for other objects.

        Arrays of Python's strings can't be mapped to memory, so they are pickled too.
        """
        if not isinstance(thing, np.ndarray) or thing.dtype.hasobject:
            return None
        file = file_of(thing)
        if file is not None and file.parent == self._folder:
            return file.name
        name = f"{self._arrays}.npy"
        self._arrays += 1
        # numpy aligns saved arrays to 64 bytes, as TensorFlow wants.
        np.save(self._folder / name, thing)
        return name


class MappingUnpickler(pickle.Unpickler):
    """Unpickles a file of another process of the same launch, and maps its arrays to memory.

    `mode` is numpy's: with "r" arrays are read-only, with "c" changes stay in memory.
    """

    def __init__(self, stream: IO[bytes], folder: Path, mode: Literal["r", "c"]) -> None:
        super().__init__(stream)
        self._folder, self._mode = folder, mode

    def persistent_load(self, name: str) -> np.ndarray:
        return np.load(self._folder / name, mmap_mode=self._mode)  # type: ignore[no-any-return]
