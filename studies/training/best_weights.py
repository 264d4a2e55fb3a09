"""The weights of a trial's best epoch: kept in memory, written once, digested."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tracking.atomic import replacing
from tracking.checkpoints import CheckpointError, checkpoint_digest

if TYPE_CHECKING:
    import keras


class BestWeights:
    """A copy of a model's weights and optimizer state after its best epoch so far.

    In memory until the trial ends: an epoch of a small model takes less time than writing a
    file, and most best epochs are soon surpassed.

    Attributes:
        copy: Weights, then the optimizer's variables; empty if nothing was taken.
        sha256: Digest of the weights.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self.copy: Sequence[np.ndarray] = []
        self.sha256 = ""

    def take(self) -> None:
        """Copies the model's present state."""
        self.copy = copy_of(self._model)
        self.sha256 = weights_digest(self.copy[: len(self._model.weights)])

    def take_copy(self, copy: Sequence[np.ndarray], sha256: str) -> None:
        """Takes a copy that was made before."""
        self.copy, self.sha256 = copy, sha256

    def write(self, path: Path) -> str:
        """Sets the model back to the copy and writes it, whole or not at all.

        Returns:
            The digest of the file's content, by which damage to it is noticed.

        Raises:
            OSError: If it can't be written.
        """
        assign(self._model, self.copy)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            self._model.save_weights(partial)
            try:
                return checkpoint_digest(partial)
            except CheckpointError as error:
                raise OSError(f"what was written can't be read back: {error}") from None


def copy_of(model: keras.Model) -> list[np.ndarray]:
    """Returns copies of a model's weights and of its optimizer's variables."""
    return [np.array(variable.numpy()) for variable in _variables(model)]


def assign(model: keras.Model, copy: Sequence[np.ndarray]) -> None:
    """Sets a model, with its optimizer, to what `copy_of` returned.

    Raises:
        ValueError: If it is of another model.
    """
    for variable, value in zip(_variables(model), copy, strict=True):
        if tuple(variable.shape) != value.shape:
            raise ValueError(f"{variable.path} has the shape {variable.shape}, not {value.shape}")
        variable.assign(value)


def weights_digest(weights: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 over the types, shapes and bytes of weights, in their order."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype.name}{weight.shape};".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _variables(model: keras.Model) -> list[keras.Variable]:
    # A HyperModel that trains by itself may leave its model without one.
    optimizer = getattr(model, "optimizer", None)
    return [*model.weights, *(optimizer.variables if optimizer is not None else [])]
