"""The best of several trials, the noise of a curve, and numbers as text."""

from __future__ import annotations

import math

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
