"""A result of an earlier search, as its record has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """A result.

    Attributes:
        values: Its hyperparameters by name, as recorded.
        objective: Its objective, or None.
        reason: Why it has none.
    """

    values: Mapping[str, Any]
    objective: float | None
    reason: str = ""


def best_of(values: list[float], direction: str) -> float | None:
    """Returns the best of a training's values, as a study takes it; NaN is none."""
    sound = [value for value in values if not math.isnan(value)]
    return (max if direction == "max" else min)(sound, default=None)
