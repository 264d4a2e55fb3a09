"""The weights of a trial's best epoch: kept in memory, written once, digested."""

from __future__ import annotations

import hashlib
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
        self.sha256 = ""

    def take(self) -> None:
        """Copies the model's present state."""
        self._copy = [np.array(variable.numpy()) for variable in self._variables()]
        self.sha256 = weights_digest(self._copy[: len(self._model.weights)])

    def write(self, path: Path) -> None:
        """Sets the model back to the copy and writes it, whole or not at all."""
        for variable, value in zip(self._variables(), self._copy, strict=True):
            variable.assign(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            self._model.save_weights(partial)

    def _variables(self) -> list[keras.Variable]:
        optimizer = self._model.optimizer
        return [*self._model.weights, *(optimizer.variables if optimizer is not None else [])]


def weights_digest(weights: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 over the types, shapes and bytes of weights, in their order."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype.name}{weight.shape};".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
