"""How much better than the space's defaults the winner is, on the same seeds and samples."""

from __future__ import annotations

import math

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.confirmations import Interval
from tracking.records.objective import Direction
from tracking.statistics.crossed import check_level, crossed


def gain(
    winner: np.ndarray,
    default: np.ndarray,
    direction: Direction,
    level: float = 0.95,
    *,
    hits: int = 0,
) -> Interval:
    """Returns how much better the winner is than the defaults: above 0 is better.

    Both were trained under the same seeds and scored on the same samples, so their differences vary
    less than either: the variance is that of `tracking.statistics.crossed.crossed`, of the
    differences, and the interval Student's. About one tuned configuration in ten is worse than the
    default on new data: Overtuning in hyperparameter optimization, PMLR 293. If the interval
    holds 0, no gain is shown.

    Of hits, two samples are added, one that only the winner has right and one that only the
    defaults have: without, models that agree on all samples would have an interval without a width.
    D. G. Bonett and R. M. Price, Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data, Journal of Educational and Behavioral Statistics 37, 2012.

    Args:
        winner: Shape (R, n): of each of at least 2 seeds, the score of each sample.
        default: Shape (R, n), of the same seeds and samples.
        direction: Whether high or low scores are better.
        level: See `Interval.level`: above 0, below 1.
        hits: How many samples are each right or wrong, so that a difference is -1, 0 or 1; a column
            may be of several. 0: the scores are no hits.

    Raises:
        StatisticsError: If there are too few values, values that are no numbers, two shapes, or,
            but for hits, only equal differences.
    """
    check_level(level)
    winner, default = np.asarray(winner, np.float64), np.asarray(default, np.float64)
    if winner.shape != default.shape:
        raise StatisticsError(
            "a gain is of the same seeds and samples, but the winner has scores of shape "
            f"{winner.shape}, the defaults {default.shape}"
        )
    differences = winner - default if direction == "max" else default - winner
    value = float(differences.mean())
    if hits:
        seeds, columns = differences.shape
        added = np.tile([columns / hits, -columns / hits], (seeds, 1))
        differences = np.concatenate([differences, added], axis=1)
    mean = crossed(differences)
    if mean.variance == 0:
        raise StatisticsError("it is the same on all samples, so its interval has no width")
    half = mean.quantile(level) * math.sqrt(mean.variance)
    low, high = min(mean.mean - half, value), max(mean.mean + half, value)
    return Interval(value, max(low, -1.0) if hits else low, min(high, 1.0) if hits else high, level)
