"""The paths and digests of checkpoints, and the paths of training states and scores.

A checkpoint is a ``.weights.h5`` file of Keras, which has no checksum. So the journal has a digest
of the checkpoint's arrays. A digest of the whole file would differ when the same model is built
again, because Keras writes layer names into the file, and these change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import InternalError
from tracking.records import EndedTrial

if TYPE_CHECKING:
    import h5py


class CheckpointError(InternalError):
    """A checkpoint can't be read, or has another digest than the recorded one."""


def checkpoint_digest(path: Path) -> str:
    """Returns the SHA-256 over the names, types, shapes and bytes of a checkpoint's arrays.

    Raises CheckpointError if the file can't be read.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _digest_in(file)
    except FileNotFoundError:
        raise CheckpointError("it is gone") from None
    # h5py raises different errors for damage in different places. With a damaged length, memory may
    # run out.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise CheckpointError(f"it can't be read: {error}") from None


def _digest_in(file: h5py.File) -> str:
    import h5py
    import numpy as np

    datasets: dict[str, h5py.Dataset] = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            datasets[name] = item

    file.visititems(note)
    digest = hashlib.sha256()
    for name in sorted(datasets):
        # Reading into an array takes half the time of `dataset[...]`.
        array = np.empty(datasets[name].shape, datasets[name].dtype)
        datasets[name].id.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        digest.update(f"{name}:{array.dtype.str}{array.shape};".encode())
        # A layer's `save_own_variables` may write texts, which h5py reads as objects.
        has_texts = array.dtype.hasobject
        digest.update(repr(array.tolist()).encode() if has_texts else array.tobytes())
    return digest.hexdigest()


def checkpoint_fault(path: Path, digest: str) -> str:
    """Returns why a checkpoint can't be used, or an empty text if it can.

    A checkpoint can't be used if the file can't be read, or has another digest than `digest`. An
    empty `digest` is not compared.
    """
    try:
        present = checkpoint_digest(path)
    except CheckpointError as error:
        return str(error)
    return "it does not have the content that was written" if digest not in ("", present) else ""


def recorded_checkpoints(trial: EndedTrial) -> Iterator[tuple[int, str]]:
    """Yields the number of each training of a trial that wrote a checkpoint, and its digest.

    In a cross-validated trial, only the training on the data of all folds writes a checkpoint. A
    checkpoint's digest may be empty.
    """
    result = trial.result
    if result.best is None or trial.state not in ("complete", "pruned"):
        return
    if not result.repeats and not result.unsaved:
        yield 0, result.checkpoint_sha256
    for number, repeat in enumerate(result.repeats):
        if not repeat.unsaved and repeat.fold is None:
            yield number, repeat.checkpoint_sha256
    if trial.whole is not None:
        yield trial.checkpoint_of, trial.whole.checkpoint_sha256


@dataclass(frozen=True)
class StudyFiles:
    """The paths of the files of trials. `folder` may not exist yet."""

    folder: Path

    def checkpoint(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the checkpoint of a trial's training."""
        return self.folder / f"{_stem(number, repeat)}.weights.h5"

    def state(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the file with a training's state after its last epoch so far."""
        return self.folder / f"{_stem(number, repeat)}.state.safetensors"

    def scores(self, number: int, repeat: int = 0) -> Path:
        """Returns the path of the file with a training's scores of its validation samples."""
        return self.folder / f"{_stem(number, repeat)}.scores.safetensors"


def files_of(folder: Path) -> StudyFiles:
    """Returns the paths of the files of trials in a study's folder."""
    return StudyFiles(folder / "checkpoints")


def _stem(number: int, repeat: int) -> str:
    return f"trial-{int(number):05}" + (f".repeat-{int(repeat)}" if repeat else "")
