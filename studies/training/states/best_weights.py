"""The weights of a trial's best epoch: kept in memory, written once, with a digest."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studies.training.models import as_built, assign, copy_of
from tracking.store.files import CheckpointError, checkpoint_digest, replacing

if TYPE_CHECKING:
    import keras


class BestWeights:
    """A copy of a model's weights and optimizer state after its best epoch so far.

    In memory until the trial ends: an epoch of a small model takes less time than writing a file,
    and most best epochs are soon surpassed.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        # Weights, then the optimizer's variables; None if nothing was taken.
        self.copy: Sequence[np.ndarray] | None = None
        self._sha256, self._weights = "", 0
        self._restored = False

    @property
    def sha256(self) -> str:
        """Digest of the weights; empty if nothing was taken."""
        if self.copy is not None and not self._sha256:
            self._sha256 = weights_digest(self.copy[: self._weights])
        return self._sha256

    def forget(self) -> None:
        """Drops the copy: the weights of the best epoch are not the model's."""
        self.copy, self._sha256, self._restored = None, "", False

    def take(self) -> None:
        """Copies the model's present state."""
        self.take_copy(copy_of(self._model))

    def take_copy(self, copy: Sequence[np.ndarray], sha256: str = "") -> None:
        """Takes an earlier copy, as `copy_of` returned it, with its digest if that is known."""
        self.copy, self._sha256, self._restored = copy, sha256, False
        self._weights = len(self._model.weights)

    def restore(self) -> None:
        """Sets the model, which no longer trains, to the copy."""
        assert self.copy is not None, "there is a best epoch"
        if not self._restored:
            assign(self._model, self.copy)
            self._restored = True

    def write(self, path: Path) -> str:
        """Writes the copy, whole or not at all, and returns the digest of the file's content.

        The model has its values afterwards, unless it fails: with an OSError, or what Keras raises
        for a model that can't be saved.
        """
        assert self.copy is not None, "there is a best epoch"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.restore()
        # If HDF5 can't close a file, the process crashes when it ends.
        if shutil.disk_usage(path.parent).free < 2 * sum(array.nbytes for array in self.copy):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with replacing(path) as partial:
            with as_built(self._model):
                self._model.save_weights(partial)
            try:
                return checkpoint_digest(partial)
            except CheckpointError as error:
                raise OSError(f"what was written can't be read back: {error}") from None


def weights_digest(weights: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 over the types, shapes and bytes of weights, in their order."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype.name}{weight.shape};".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
