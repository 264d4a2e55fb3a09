"""How much better than the space's defaults the winner is, on the same seeds and samples."""

from __future__ import annotations

import math

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.confirmations import Interval
from tracking.records.objective import Direction
from tracking.statistics.crossed import check_level, crossed


def gain(
    winner: np.ndarray, default: np.ndarray, direction: Direction, level: float = 0.95
) -> Interval:
    """Returns how much better the winner is than the defaults: above 0 is better.

    Both were trained under the same seeds and scored on the same samples, so their differences vary
    less than either: the variance is that of `tracking.statistics.crossed.crossed`, of the
    differences, and the interval Student's. About one tuned configuration in ten is worse than the
    default on new data: Overtuning in hyperparameter optimization, PMLR 293. If the interval
    holds 0, no gain is shown.

    Args:
        winner: Shape (R, n): of each of at least 2 seeds, the score of each sample.
        default: Shape (R, n), of the same seeds and samples.
        direction: Whether high or low scores are better.
        level: See `Interval.level`: above 0, below 1.

    Raises:
        StatisticsError: If there are too few values, values that are no numbers, or two shapes.
    """
    check_level(level)
    winner, default = np.asarray(winner, np.float64), np.asarray(default, np.float64)
    if winner.shape != default.shape:
        raise StatisticsError(
            "a gain is of the same seeds and samples, but the winner has scores of shape "
            f"{winner.shape}, the defaults {default.shape}"
        )
    differences = winner - default if direction == "max" else default - winner
    found = crossed(differences)
    half = found.quantile(level) * math.sqrt(found.variance)
    return Interval(found.mean, found.mean - half, found.mean + half, level)
