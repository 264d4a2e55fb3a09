"""What a study optimizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Direction = Literal["max", "min"]


class Rank(NamedTuple):
    """A trial's rank in its study: the lowest is the best.

    Ties of value go to the earlier epoch, then to the earlier trial.

    Attributes:
        key: See `Objective.sort_key`.
        epoch: The trial's best epoch.
        number: The trial's number.
    """

    key: float
    epoch: int
    number: int


@dataclass(frozen=True)
class Objective:
    """What a study optimizes.

    Attributes:
        metric: A metric that the model logs, such as ``"val_accuracy"``.
        direction: ``"max"`` or ``"min"``.

    Example:
        >>> ks.Objective("val_f1", "max").is_better(0.9, than=0.8)
        True
    """

    metric: str
    direction: Direction

    def is_better(self, value: float, than: float) -> bool:
        """Returns whether ``value`` is strictly better than another value."""
        return value > than if self.direction == "max" else value < than

    def sort_key(self, value: float) -> float:
        """Returns a number that sorts better values first."""
        return -value if self.direction == "max" else value

    def rank(self, value: float, epoch: int, number: int) -> Rank:
        """Returns the rank of a trial by its value, its best epoch and its number."""
        return Rank(self.sort_key(value), epoch, number)
