"""The weights of a trial's best epoch: kept in memory, written once, digested."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tracking.atomic import replacing

if TYPE_CHECKING:
    import keras


class BestWeights:
    """A copy of a model's weights and optimizer state after its best epoch so far.

    In memory until the trial ends: an epoch of a small model takes less time than writing a
    file, and most best epochs are soon surpassed.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._copy: list[np.ndarray] = []
        self._file: Path | None = None
        self.sha256 = ""

    def take(self) -> None:
        """Copies the model's present state."""
        self._file = None
        self._copy = [np.array(variable.numpy()) for variable in state_of(self._model)]
        self.sha256 = weights_digest(self._copy[: len(self._model.weights)])

    def take_file(self, path: Path, sha256: str) -> None:
        """Takes the state that a file holds in place of a copy in memory."""
        self._file, self._copy, self.sha256 = path, [], sha256

    def write(self, path: Path) -> None:
        """Writes what was taken, whole or not at all; sets the model back to a copy."""
        if self._file is not None:
            with replacing(path) as partial:
                shutil.copyfile(self._file, partial)
            return
        for variable, value in zip(state_of(self._model), self._copy, strict=True):
            variable.assign(value)
        write_state(self._model, path)


def state_of(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables of a model's weights and of its optimizer."""
    # A HyperModel that trains by itself may leave its model without one.
    optimizer = getattr(model, "optimizer", None)
    return [*model.weights, *(optimizer.variables if optimizer is not None else [])]


def write_state(model: keras.Model, path: Path) -> str:
    """Writes a model's weights and its optimizer's state; returns the digest of the weights."""
    with replacing(path) as partial:
        model.save_weights(partial)
    return weights_digest([np.array(variable.numpy()) for variable in model.weights])


def read_state(model: keras.Model, path: Path, sha256: str) -> None:
    """Reads what `write_state` wrote into a model that is built, its optimizer too.

    Raises:
        ValueError: If the weights are not those of the digest.
        Exception: Whatever Keras and HDF5 raise for a file that is damaged or of another model.
    """
    model.load_weights(path)
    found = weights_digest([np.array(variable.numpy()) for variable in model.weights])
    if found != sha256:
        raise ValueError(f"{str(path)!r} holds other weights than were recorded.")


def weights_digest(weights: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 over the types, shapes and bytes of weights, in their order."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype.name}{weight.shape};".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
