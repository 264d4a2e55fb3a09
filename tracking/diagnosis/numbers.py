"""Small statistics, exact where that is cheap, and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def shown(value: object) -> str:
    """Returns a value as people read it: a number to four digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e6):
        return f"{int(value):,}"
    return f"{value:.4g}"


def difference(value: float) -> str:
    """Returns a difference or a spread as people read it: a number to two digits."""
    return f"{value:.2g}"


def counted(amount: int, noun: str) -> str:
    """Returns an amount with its noun: ``1 trial``, ``20 trials``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def of_best(amount: int, best: int) -> str:
    """Returns how many of the best ones: ``4 of the best 5``, ``all of the best 5``."""
    return f"{'all' if amount == best else amount} of the best {best}"


def at_least(successes: int, draws: int, share: float) -> float:
    """Returns how likely at least so many of some draws succeed: the binomial distribution's tail.

    Args:
        successes: How many.
        draws: Of how many.
        share: How likely one is.
    """
    return math.fsum(
        math.comb(draws, k) * share**k * (1 - share) ** (draws - k)
        for k in range(successes, draws + 1)
    )


def at_least_of(successes: int, drawn: int, marked: int, total: int) -> float:
    """Returns how likely at least so many drawn ones are marked: the hypergeometric tail.

    It is Fisher's exact test, one-sided.

    Args:
        successes: How many of the drawn ones.
        drawn: How many are drawn, without putting them back.
        marked: How many are marked.
        total: Of how many.
    """
    ways = math.comb(total, drawn)
    return math.fsum(
        math.comb(marked, k) * math.comb(total - marked, drawn - k) / ways
        for k in range(successes, min(drawn, marked) + 1)
        if drawn - k <= total - marked
    )


def ranks(values: Sequence[float] | Array) -> Array:
    """Returns ranks from 1; equal values share the mean of theirs."""
    array = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean: Array = (ends - (counts - 1) / 2).astype(np.float64)[inverse]
    return mean


def rank_correlation(left: Sequence[float] | Array, right: Sequence[float] | Array) -> float:
    """Returns Spearman's rank correlation; 0 if one of the two does not vary."""
    one, two = ranks(left), ranks(right)
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])


def upper_bound(correlation: float, pairs: int) -> float:
    """Returns the upper end of a correlation's 95 % interval, one-sided, by Fisher's z."""
    if pairs < 4 or abs(correlation) >= 1:
        return 1.0
    return math.tanh(math.atanh(correlation) + 1.645 / math.sqrt(pairs - 3))


def weights_of_best(total: int, draws: int) -> Array:
    """Returns how likely each value, from the best on, is the best of some that are drawn.

    Their sum with the sorted values is the mean of the best of `draws` distinct values: an unbiased
    estimate of what a search of so many trials finds, and the limit of a bootstrap of infinitely
    many resamples (Dodge et al. 2019, "Show Your Work", arXiv:1909.03004; without replacement: Tang
    et al. 2020, arXiv:2004.13705).

    Args:
        total: How many values.
        draws: How many of them are drawn, from 1 to `total`.
    """
    weights = np.zeros(total)
    weight = draws / total
    for place in range(total - draws + 1):
        weights[place] = weight
        left = total - place - 1
        weight *= (left - draws + 1) / left if left else 0.0
    return weights


def expected_best(losses: Array, draws: int) -> float:
    """Returns the mean of the lowest of some distinct values; see `weights_of_best`.

    Args:
        losses: The values, in any order; lower ones are better.
        draws: How many of them are drawn.
    """
    return float(np.sort(losses) @ weights_of_best(len(losses), draws))


def step_noise(losses: Array) -> float:
    """Returns the noise of a curve from epoch to epoch in its later half, apart from its trend.

    The median absolute deviation of the differences between neighbours, as a standard deviation
    (times 1.4826), by the square root of 2, as a difference has the noise of two epochs.
    """
    late = np.diff(losses[-max(4, len(losses) // 2) :])
    if not len(late):
        return 0.0
    deviation = float(np.median(np.abs(late - np.median(late))))
    return 1.4826 * deviation / math.sqrt(2)
