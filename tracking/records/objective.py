"""What a study optimizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["max", "min"]


@dataclass(frozen=True)
class Objective:
    """What a study optimizes.

    Attributes:
        metric: A metric that the model logs, such as ``"val_accuracy"``.
        direction: ``"max"`` or ``"min"``.
    """

    metric: str
    direction: Direction

    def is_better(self, value: float, than: float) -> bool:
        """Tells whether ``value`` is strictly better than another value."""
        return value > than if self.direction == "max" else value < than

    def sort_key(self, value: float) -> float:
        """Returns a number that sorts better values first."""
        return -value if self.direction == "max" else value
