"""Intervals of shares: values between 0 and 1, such as accuracies and areas under ROC curves."""

from __future__ import annotations

import math

import numpy as np

from tracking.records.confirmations import Interval
from tracking.statistics.crossed import check_level, crossed

_AGREED = 1e-9


def share_bounds(
    low: float, high: float, samples: float, *, level: float = 0.95, freedom: float = math.inf
) -> tuple[float, float]:
    """Returns the bounds of a share that lies between two estimates of it.

    C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits illustrated in the
    case of the binomial, Biometrika 26, 1934. Unlike a mean ± standard errors, or a bootstrap, it
    has a width where all samples agree, and stays between 0 and 1. It holds for weighted, grouped
    and other shares too, with the number of independent samples that would vary as much: E. L.
    Korn and B. I. Graubard, Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data, Survey Methodology 24, 1998.

    Args:
        low: The lower estimate, 0 to 1; the lower bound is below it.
        high: The higher one, which may be the same; the upper bound is above it.
        samples: Independent samples, above 0; may be a fraction, for those that vary as much.
        level: See `Interval.level`: above 0, below 1.
        freedom: Degrees of freedom of the variance that `samples` is from.
    """
    from scipy.special import stdtrit
    from scipy.stats import beta

    check_level(level)
    tail = (1 - level) / 2
    if math.isfinite(freedom):
        samples *= float((stdtrit(math.inf, tail) / stdtrit(freedom, tail)) ** 2)
    hits, misses = samples * low, samples * (1 - high)
    below = beta.ppf(tail, hits, samples - hits + 1) if hits > 0 else 0.0
    above = beta.ppf(1 - tail, samples - misses + 1, misses) if misses > 0 else 1.0
    return min(float(below), low), max(float(above), high)


def independent_samples(
    values: np.ndarray, variances: np.ndarray, fewest: float, most: float
) -> float:
    """Returns how many independent samples shares are worth.

    The number is the one with the same variance, summed over the models: a single model near 1 may
    have no error, and no variance.

    Args:
        values: Shares of one model or several, on the same samples.
        variances: The variances of these shares.
        fewest: The least that is returned; see `SampleScores.fewest`.
        most: The most.
    """
    variance = float(np.sum(variances))
    spread = float(np.sum(np.asarray(values) * (1 - np.asarray(values))))
    # Rounding leaves a little of both where all samples agree.
    if variance <= 0 or spread < _AGREED:
        return fewest
    return min(max(spread / variance, fewest), most)


def crossed_share(
    values: np.ndarray, value: float, *, fewest: float, most: float, level: float = 0.95
) -> Interval:
    """Returns the expected share of a configuration on new data and under new seeds.

    Args:
        values: Shape (R, n): of each of at least 2 fresh seeds, the score of each sample of a part
            that no choice was made on; see `tracking.statistics.crossed.crossed`.
        value: The mean of the seeds' shares, 0 to 1.
        fewest: See `independent_samples`.
        most: See `independent_samples`.
        level: See `Interval.level`: above 0, below 1.

    Raises:
        StatisticsError: If there are too few values, or values that are no numbers.
    """
    mean = crossed(values)
    samples = independent_samples(np.array(value), np.array(mean.of_samples), fewest, most)
    spread = value * (1 - value)
    if spread > _AGREED:
        # More samples don't make seeds agree.
        samples = spread / (spread / samples + mean.of_seeds)
    low, high = share_bounds(value, value, samples, level=level, freedom=mean.freedom)
    return Interval(value, low, high, level)
