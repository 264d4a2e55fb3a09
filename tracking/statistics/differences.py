"""Intervals of differences: between means over seeds, and between values that have intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance

from tracking.records.evaluation_records import Interval


def of_means(
    one: Sequence[float], other: Sequence[float], pairs: int = 1, level: float = 0.95
) -> Interval | None:
    """Returns the difference of two means, `one` minus `other`, of at least 2 values each.

    The method is Welch's: the variances and the numbers of values may differ. If the difference is
    one of several `pairs`, all intervals together hold at `level`, by Bonferroni's inequality. The
    result is None if neither `one` nor `other` varies, as the interval would have no width.

    In simulated searches over 3 to 10 seeds, 94 to 99 % of the intervals held the true difference
    of the mean best values, for losses and for accuracies. With 3 seeds against 8, it was 92 to
    94 %.
    """
    from scipy.special import stdtrit

    if len(set(one)) == len(set(other)) == 1:
        return None
    sizes = len(one), len(other)
    parts = [variance(each) / size for each, size in zip((one, other), sizes, strict=True)]
    freedom = sum(parts) ** 2 / sum(p**2 / (size - 1) for p, size in zip(parts, sizes, strict=True))
    half = float(stdtrit(freedom, 1 - (1 - level) / 2 / pairs)) * math.sqrt(sum(parts))
    value = fmean(one) - fmean(other)
    return Interval(value, value - half, value + half, level)


def of_intervals(one: Interval, other: Interval, pairs: int = 1) -> Interval:
    """Returns the difference of two values that have intervals, `one` minus `other`.

    The method is MOVER: G. Y. Zou and A. Donner, Construction of confidence limits about effect
    measures: a general approach, Statistics in Medicine 27, 2008. It takes the values for
    independent. Two values on the same test part are not, which makes the interval too wide rather
    than too narrow.

    If the difference is one of several `pairs`, Bonferroni's inequality widens its interval, as far
    as it would for a normal distribution.
    """
    level, normal = min(one.level, other.level), NormalDist()
    widening = normal.inv_cdf(1 - (1 - level) / 2 / pairs) / normal.inv_cdf((1 + level) / 2)
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value) * widening
    above = math.hypot(one.high - one.value, other.value - other.low) * widening
    return Interval(value, value - below, value + above, level)
