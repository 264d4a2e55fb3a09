"""Files of weights: whether their content is what was written.

Keras's ``.weights.h5`` is an HDF5 file with no checksum of its own. The record holds a digest of
its arrays, not of the file: Keras writes the layers' names into it, which differ between builds of
a model, and the same weights must have the same digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import InternalError
from tracking.records import EndedTrial

if TYPE_CHECKING:
    import h5py


class CheckpointError(InternalError):
    """A file of weights can't be read, or does not have the content that was written."""


def checkpoint_digest(path: Path) -> str:
    """Returns the SHA-256 over all arrays of a file of weights: names, types, shapes and bytes.

    Raises:
        CheckpointError: If one of them can't be read: the file is damaged, or none of HDF5.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _digest_in(file)
    except FileNotFoundError:
        raise CheckpointError("it is gone") from None
    # What h5py raises for damage depends on where it is; a length may also be out of all range.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise CheckpointError(f"it can't be read: {error}") from None


def _digest_in(file: h5py.File) -> str:
    import h5py
    import numpy as np

    found: dict[str, h5py.Dataset] = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(note)
    digest = hashlib.sha256()
    for name in sorted(found):
        # By h5py's low-level API: selections would double the time.
        array = np.empty(found[name].shape, found[name].dtype)
        found[name].id.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        digest.update(f"{name}:{array.dtype.str}{array.shape};".encode())
        # Texts, which a layer's own `save_own_variables` may keep, are objects.
        text = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
        digest.update(text)
    return digest.hexdigest()


def check_checkpoint(path: Path, digest: str) -> None:
    """Checks that a file of weights can be read, and has what was written.

    Raises:
        CheckpointError: If not.
    """
    found = checkpoint_digest(path)
    if digest and found != digest:
        raise CheckpointError("it does not have the content that was written")


def recorded_checkpoints(trial: EndedTrial) -> Iterator[tuple[int, str]]:
    """Yields the repeats of a trial, by number, whose weights were written, with their digests.

    Of a cross-validated trial it is the training on all folds. A digest is empty where the record
    is older than it.
    """
    result = trial.result
    if result.best is None or trial.state not in ("complete", "pruned"):
        return
    if not result.repeats and not result.unsaved:
        yield 0, result.checkpoint_sha256
    for repeat, each in enumerate(result.repeats):
        if not each.unsaved and each.fold is None:
            yield repeat, each.checkpoint_sha256
    if trial.whole is not None:
        yield trial.checkpoint_of, trial.whole.checkpoint_sha256
