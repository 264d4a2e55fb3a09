"""Arrays in npy files that are mapped to memory (`np.memmap`).

The system reads such a file page by page when the array is used. It keeps the pages in memory once
for all processes, and drops them when it needs memory. So the array may be larger than the memory.
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

_folder: ContextVar[Path | None] = ContextVar("folder", default=None)
_numbers = itertools.count()

_Thing = TypeVar("_Thing")
_FACTS = "splits"
"""The file of the pickled data. It is written after the files of the arrays."""
_LOADING = "lock"
"""The lock of the process that loads the data."""


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Makes a folder for arrays, on a disk if possible. The caller removes it.

    It is in ``TMPDIR`` or, if that is not set, in ``/var/tmp``, because ``/tmp`` may be in memory:
    https://systemd.io/TEMPORARY_DIRECTORIES/. Folders that killed processes left are removed.
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
    """A temporary folder with a lock file, which its process holds for as long as it lives."""

    def hold(self) -> bool:
        """Takes the lock. Returns False if another process is removing the folder as abandoned."""
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
    for folder in place.glob(f"{_PREFIX}*"):
        lock = FileLock(folder / _LOCK)
        if not Path(lock.lock_file).exists():
            # The folder is new: its process has not made the lock yet.
            continue
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):
            # The folder's process still runs, or belongs to another user.
            continue


@contextlib.contextmanager
def large_arrays_in(folder: Path) -> Iterator[None]:
    """Within the `with` block, large arrays go into `folder`."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def taken(array: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Copies some rows of an array, or all. A large copy is in a file."""
    count = len(array) if rows is None else len(rows)
    # Arrays of Python objects, such as texts, can't be mapped.
    if array.dtype.hasobject or count * (array.nbytes // len(array)) < _LARGE_BYTES:
        return array.copy() if rows is None else array[rows]
    copy = allocated((count, *array.shape[1:]), array.dtype)
    for start, end in blocks(copy):
        copy[start:end] = array[start:end] if rows is None else array[rows[start:end]]
    return copy


def allocated(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns a new array to fill. A large one is in a file."""
    if math.prod(shape) * dtype.itemsize < _LARGE_BYTES:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(_new_file(), mode="w+", dtype=dtype, shape=shape)


def member(archive: ZipFile, name: str) -> np.ndarray | None:
    """Returns an array of an npz file, mapped to memory. Returns None if it is small or absent."""
    entry = archive.NameToInfo.get(name)
    if entry is None or entry.file_size < _LARGE_BYTES:
        return None
    file = _new_file()
    with archive.open(name) as source, file.open("wb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
    return _mapped(file)


def blocks(array: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields start and end of slices along the first axis, each of about 16 MiB."""
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        yield start, min(start + rows, len(array))


def file_of(array: np.ndarray) -> Path | None:
    """Returns the npy file that an array maps to memory as a whole, or None."""
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
    # The cache keeps the object until the process ends. Then the folder is removed.
    return temporary_folder()


def shared(load: Callable[[], _Thing], folder: Path) -> _Thing:
    """Calls `load` in one process only. All processes that share `folder` map the arrays to memory.

    If `load` raises, the next process calls it.
    """
    description = folder / _FACTS
    with FileLock(folder / _LOADING):
        if not description.exists():
            with large_arrays_in(folder):
                loaded = load()
            with replacing(description) as file, file.open("wb") as stream:
                _Writer(stream, folder).dump(loaded)
    with description.open("rb") as stream:
        thing: _Thing = MappingUnpickler(stream, folder, "r").load()
        return thing


class _Writer(pickle.Pickler):
    """Pickles everything but arrays, and writes each array to an npy file."""

    def __init__(self, stream: IO[bytes], folder: Path) -> None:
        super().__init__(stream)
        self._folder = folder
        self._arrays = 0

    def persistent_id(self, thing: object) -> str | None:
        """Returns the name of an array's file. Returns None for anything else, which is pickled."""
        # Arrays of Python's texts can't be mapped.
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
    """Unpickles what another process of the same launch wrote, and maps its arrays to memory.

    With the mode "r", arrays are read-only. With "c", they are copied on write.
    """

    def __init__(self, stream: IO[bytes], folder: Path, mode: Literal["r", "c"]) -> None:
        super().__init__(stream)
        self._folder, self._mode = folder, mode

    def persistent_load(self, name: str) -> np.ndarray:
        return np.load(self._folder / name, mmap_mode=self._mode)  # type: ignore[no-any-return]
