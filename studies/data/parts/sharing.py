"""Data that the processes of a machine share: arrays in files that each maps to memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal, TypeVar

import numpy as np
from filelock import FileLock

from studies.data.arrays.large import file_of, large_arrays_in
from tracking.store.atomic import replacing

_Thing = TypeVar("_Thing")

SPLITS = "splits"
"""The file that describes the data, written last."""

LOCK = "lock"
"""The lock of the process that loads the data."""


def shared(load: Callable[[], _Thing], folder: Path) -> _Thing:
    """Loads data in the first process that needs it, and maps it to memory in all.

    The system keeps the pages of a file in memory once for all processes, and drops unused ones
    when it needs memory.

    Raises:
        DataError: If `load` raises it; the next process that needs the data then loads it.
        OSError: The folder can't be written to.
    """
    description = folder / SPLITS
    with FileLock(folder / LOCK):
        if not description.exists():
            with large_arrays_in(folder):
                loaded = load()
            with replacing(description) as file, file.open("wb") as stream:
                _Writer(stream, folder).dump(loaded)
    with description.open("rb") as stream:
        thing: _Thing = MappingUnpickler(stream, folder, "r").load()
        return thing


class _Writer(pickle.Pickler):
    """Pickles all but arrays, which it writes to files of their own."""

    def __init__(self, stream: IO[bytes], folder: Path) -> None:
        super().__init__(stream)
        self._folder = folder
        self._arrays = 0

    def persistent_id(self, thing: object) -> str | None:
        """Returns the name of an array's file; None: pickle it."""
        # Python's texts can't be mapped: pickle them.
        if not isinstance(thing, np.ndarray) or thing.dtype.hasobject:
            return None
        file = file_of(thing)
        if file is not None and file.parent == self._folder:
            return file.name
        name = f"{self._arrays}.npy"
        self._arrays += 1
        # numpy aligns what it saves to 64 bytes, as TensorFlow wants it.
        np.save(self._folder / name, thing)
        return name


class MappingUnpickler(pickle.Unpickler):
    """Reads what another process of the same launch wrote, its arrays mapped to memory.

    They are read only in the mode "r", and copied on write in the mode "c".
    """

    def __init__(self, stream: IO[bytes], folder: Path, mode: Literal["r", "c"]) -> None:
        super().__init__(stream)
        self._folder, self._mode = folder, mode

    def persistent_load(self, name: str) -> np.ndarray:
        """Maps an array to memory."""
        return np.load(self._folder / name, mmap_mode=self._mode)  # type: ignore[no-any-return]
