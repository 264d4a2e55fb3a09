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
from typing import IO, Any, Literal, TypeVar
from zipfile import ZipFile

import numpy as np
from filelock import FileLock, Timeout

from tracking.store import replacing

# Arrays of this size and more go into a file.
_LARGE_BYTES = 256 * 2**20
_BLOCK_BYTES = 16 * 2**20
_PREFIX = "kerastudy-data-"
_LOCK = "in-use"
_PICKLED = "splits"

# The folder for large arrays while `shared` loads data. At other times it is None, and large arrays
# go into a temporary folder of this process.
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)
_numbers = itertools.count()

_Data = TypeVar("_Data")


def temporary_folder(place: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """Makes a folder for arrays, and removes the folders that killed processes have left.

    The folder is in `place`. By default, it is in ``TMPDIR`` or, if that is not set, in
    ``/var/tmp``, because ``/tmp`` may be in memory: https://systemd.io/TEMPORARY_DIRECTORIES/.
    """
    if place is None:
        large = Path("/var/tmp")
        usable = "TMPDIR" not in os.environ and large.is_dir() and os.access(large, os.W_OK)
        place = large if usable else Path(tempfile.gettempdir())
    _remove_abandoned(place)
    while True:
        folder = _TemporaryFolder(
            prefix=_PREFIX,
            dir=place,
            # Windows can't remove a file that a process still has open.
            ignore_cleanup_errors=True,
        )
        if folder.hold():
            return folder


class _TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A temporary folder with a lock file, which stays locked as long as the process lives."""

    def hold(self) -> bool:
        """Locks the folder. Returns False if another process has removed it as abandoned."""
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
    # `glob` finds no folder without a lock file. Such a folder has only just been made, so it is
    # not abandoned.
    for lock in place.glob(f"{_PREFIX}*/{_LOCK}"):
        # These errors mean that the folder's process still runs, or that the folder belongs to
        # another user. So the folder stays.
        with contextlib.suppress(Timeout, OSError), FileLock(lock).acquire(timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)


def copy_rows(array: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Copies the rows with these indices, or all rows. A large copy is a file mapped to memory."""
    count = len(array) if rows is None else len(rows)
    # Arrays of Python objects, such as texts, can't be mapped.
    if array.dtype.hasobject or count * (array.nbytes // len(array)) < _LARGE_BYTES:
        return array.copy() if rows is None else array[rows]
    copy = empty_array((count, *array.shape[1:]), array.dtype)
    for start, end in blocks(copy):
        copy[start:end] = array[start:end] if rows is None else array[rows[start:end]]
    return copy


def empty_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns a new array for the caller to fill. A large array is a file mapped to memory."""
    if math.prod(shape) * dtype.itemsize < _LARGE_BYTES:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(_new_file(), mode="w+", dtype=dtype, shape=shape)


def mapped_member(archive: ZipFile, name: str) -> np.ndarray | None:
    """Copies a large array of an npz file into a file of its own, which is mapped to memory.

    Returns None if the npz file does not have the array, or if the array is small.
    """
    entry = archive.NameToInfo.get(name)
    if entry is None or entry.file_size < _LARGE_BYTES:
        return None
    file = _new_file()
    with archive.open(name) as source, file.open("wb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
    return _mapped(file)


def blocks(array: np.ndarray) -> Iterator[tuple[int, int]]:
    """Divides an array's rows into blocks of about 16 MiB. Yields the start and end of each."""
    rows = max(1, _BLOCK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        yield start, min(start + rows, len(array))


def file_of(array: np.ndarray) -> Path | None:
    """Returns the npy file that an array is mapped from.

    Returns None if the array is not mapped from an npy file, if it is only a part of the file, or
    if the file has been removed.
    """
    file = array.filename if isinstance(array, np.memmap) else None
    if file is None or not str(file).endswith(".npy") or not Path(file).exists():
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
    # The cache keeps the object alive, so the folder is not removed before the process ends.
    return temporary_folder()


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """Makes an empty temporary folder, which is removed at the latest when this process ends."""
    return tempfile.TemporaryDirectory(dir=_own_folder().name, ignore_cleanup_errors=True)


def shared(load: Callable[[], _Data], folder: Path) -> _Data:
    """Returns the result of `load`, which only one of several processes calls.

    Of the processes that pass the same folder, the first calls `load`. It pickles the result into
    the folder, and writes the arrays in it to npy files. All processes map these files to memory.
    If `load` raises an error in one process, the next process calls it again.
    """
    pickled = folder / _PICKLED
    with FileLock(folder / "lock"):
        if not pickled.exists():
            token = _folder.set(folder)
            try:
                loaded = load()
            finally:
                _folder.reset(token)
            with replacing(pickled) as file, file.open("wb") as stream:
                _Writer(stream, folder).dump(loaded)
    data: _Data = mapped(folder)
    return data


def mapped(folder: Path) -> Any:
    """Returns the data that `shared` has written into a folder. Its arrays are mapped to memory."""
    with (folder / _PICKLED).open("rb") as stream:
        return MappingUnpickler(stream, folder, "r").load()


class _Writer(pickle.Pickler):
    """Pickles everything but arrays, and writes each array to an npy file."""

    def __init__(self, stream: IO[bytes], folder: Path) -> None:
        super().__init__(stream)
        self._folder = folder
        self._arrays = 0

    def persistent_id(self, thing: object) -> str | None:
        """Writes an array to a file, and returns the file's name. Returns None for other objects.

        Arrays of Python's strings can't be mapped to memory, so they are pickled like other
        objects.
        """
        if not isinstance(thing, np.ndarray) or thing.dtype.hasobject:
            return None
        file = file_of(thing)
        if file is not None and file.parent == self._folder:
            return file.name
        name = f"{self._arrays}.npy"
        self._arrays += 1
        # numpy aligns saved arrays to 64 bytes, so TensorFlow can use the mapped array uncopied.
        np.save(self._folder / name, thing)
        return name


class MappingUnpickler(pickle.Unpickler):
    """Unpickles a file of another process of the same launch, and maps its arrays to memory.

    With the `mode` "r", the arrays are read-only. With "c", they can be changed, but the files
    don't change.
    """

    def __init__(self, stream: IO[bytes], folder: Path, mode: Literal["r", "c"]) -> None:
        super().__init__(stream)
        self._folder, self._mode = folder, mode

    def persistent_load(self, name: str) -> np.ndarray:
        return np.load(self._folder / name, mmap_mode=self._mode)  # type: ignore[no-any-return]
