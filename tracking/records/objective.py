"""What a study optimizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Direction = Literal["max", "min"]


class Rank(NamedTuple):
    """The rank of an epoch in its trial, or of a trial in its study: the lowest is the best.

    The only rule for ties of the objective: they go to the lower validation loss, then to the
    earlier epoch, then to the earlier trial. `BestEpoch.rank` makes it.

    Attributes:
        key: See `Objective.sort_key`.
        loss: ``val_loss`` after the epoch, lower the better whatever the objective's direction;
            infinite if there is none, or it is NaN.
        epoch: The epoch; of a trial its best one.
        number: The trial's number.
    """

    key: float
    loss: float
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
