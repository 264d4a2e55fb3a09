"""The weights that the value of an objective function was measured with, as far as that shows.

A function may return the best value of a metric over the epochs of its training, what
`model.evaluate` measured afterwards, or a number of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from studies.definition.objective import known_direction
from studies.training.variables import copy_of
from tracking.records import BestEpoch, Objective

if TYPE_CHECKING:
    import keras
    import numpy as np

# Evaluated in batches of another size, a value differs in its last digits.
_TOLERANCE = 1e-6


class Kept(NamedTuple):
    """Weights of a model, and the epoch that they are of."""

    epoch: int
    weights: Sequence[np.ndarray]


class _Best(NamedTuple):
    measured: BestEpoch
    kept: Kept


class MeasuredWeights:
    """Copies of a model's weights after the epochs that were best by a metric so far.

    Args:
        model: The model that is trained.
        objective: Its direction is that of metrics of unknown direction.
    """

    def __init__(self, model: keras.Model, objective: Objective) -> None:
        self.model, self._objective = model, objective
        self._best: dict[str, _Best] = {}
        self._last = 0
        # What was evaluated since the last training.
        self._evaluated: list[float] = []

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Takes the model's weights after an epoch, if they are the best by a metric."""
        self._last, self._evaluated = epoch, []
        validated = [name for name in metrics if name.startswith("val_")]
        kept: Kept | None = None
        for name in validated or metrics:
            now, before = BestEpoch(epoch, metrics[name], metrics), self._best.get(name)
            direction = known_direction(name.removeprefix("val_")) or self._objective.direction
            by = Objective(name, direction)
            if not math.isfinite(now.value) or (before and before.measured.rank(by) < now.rank(by)):
                continue
            kept = kept or Kept(epoch, copy_of(self.model))
            self._best[name] = _Best(now, kept)

    def evaluated(self, measured: Mapping[str, float]) -> None:
        """Takes what was measured after a training."""
        self._evaluated += measured.values()

    def of(self, value: float) -> Kept:
        """Returns the weights of a value.

        Those that the model has now, if they were evaluated to that value; else those of the epoch
        after which a metric was best and had that value; else those that it has now.
        """
        final = copy_of(self.model)
        if not any(_same(value, each) for each in self._evaluated):
            for best in self._best.values():
                if _same(value, best.measured.value):
                    return best.kept
        # A callback may have restored those of an earlier epoch.
        # The optimizer's state, which comes after the weights, stays.
        count = len(self.model.weights)
        for best in self._best.values():
            if _equal(best.kept.weights[:count], final[:count]):
                return best.kept
        return Kept(self._last, final)


def _same(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=_TOLERANCE)


def _equal(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    return all(
        a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True)
    )
