"""Scales: how a number between 0 and 1 is spread over a range.

The three scales are those of Keras Tuner (https://keras.io/keras_tuner/api/hyperparameters/):
`linear`; `log`, for values that matter by their order of magnitude; and `reverse_log`, the mirror
image of `log`, with its fine end at the top of the range. `low + high - value` turns one into the
other, so a range with `low + high == 1` searches `1 - value` on a log scale.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.scalars import is_number

Scale: TypeAlias = Literal["linear", "log", "reverse_log"]

SCALES: Final[tuple[Scale, ...]] = ("linear", "log", "reverse_log")


def check_unit(unit: object, subject: str) -> float:
    """Returns the coordinate, if it lies in [0, 1].

    Raises:
        SearchSpaceError: If it is not a number from 0 to 1.
    """
    if isinstance(unit, int | float) and is_number(unit) and 0.0 <= unit <= 1.0:
        return float(unit)
    raise SearchSpaceError(
        f"{subject}: a coordinate must be a number from 0 to 1, received {unit!r}."
    )


def unit_to_value(unit: float, low: float, high: float, scale: Scale) -> float:
    """Returns the value at a coordinate.

    Args:
        unit: From 0 (gives `low`, exactly) to 1 (gives `high`, exactly).
        low: Lower end; above 0 unless the scale is linear.
        high: Upper end, above `low`.
        scale: The scale.

    Returns:
        A value in [low, high].
    """
    # The ends are returned as declared, without rounding.
    if unit <= 0.0:
        return low
    if unit >= 1.0:
        return high
    if scale == "linear":
        value = low * (1.0 - unit) + high * unit
    elif scale == "log":
        value = _exponential(unit, low, high)
    else:
        value = low + high - _exponential(1.0 - unit, low, high)
    return min(max(value, low), high)


def middle_of(low: float, high: float, scale: Scale) -> float:
    """Returns the middle of a range in its scale, to the same bit on every machine.

    Logarithms differ in their last bit between machines; square roots don't. The middle becomes a
    default, and so part of a space's digest, which must not differ.

    Args:
        low: Lower end; above 0 unless the scale is linear.
        high: Upper end, above `low`.
        scale: The scale.
    """
    if scale == "linear":
        return low * 0.5 + high * 0.5
    geometric = math.sqrt(low) * math.sqrt(high)
    return geometric if scale == "log" else low + high - geometric


def value_to_unit(value: float, low: float, high: float, scale: Scale) -> float:
    """Returns the coordinate of a value: the inverse of `unit_to_value`.

    Args:
        value: A value in [low, high].
        low: Lower end; above 0 unless the scale is linear.
        high: Upper end, above `low`.
        scale: The scale.

    Returns:
        A coordinate in [0, 1].
    """
    if scale == "linear":
        unit = (value - low) / (high - low)
    elif scale == "log":
        unit = _logarithmic(value, low, high)
    else:
        unit = 1.0 - _logarithmic(low + high - value, low, high)
    return min(max(unit, 0.0), 1.0)


def _exponential(unit: float, low: float, high: float) -> float:
    return math.exp(math.log(low) * (1.0 - unit) + math.log(high) * unit)


def _logarithmic(value: float, low: float, high: float) -> float:
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
