"""A range moved on: wider beyond an end, or cut to a part, in the text form of ``--set``.

The playbook gives no amount. By a rule of thumb a range grows by half of itself in its sampling
scale, and by a factor of ten at most.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.kinds import Float, Int
from search_spaces.spellings import read_domain, spell_domain

Way = Literal["lower", "upper"]

_LARGEST_FACTOR: Final = 10.0
_COUNTS: Final = ("epochs", "batch_size")


def wider(parameter: Float | Int, way: Way) -> str:
    """Returns a wider domain; empty if there is nothing beyond.

    A rate or a factor of 0 has no other side, a share no more than 1.
    """
    low, high = float(parameter.low), float(parameter.high)
    if parameter.scale != "linear":
        factor = min(math.sqrt(high / low), _LARGEST_FACTOR)
        if parameter.scale == "reverse_log":
            # What counts is the distance from low + high, which stays: 0.01 to 0.99 becomes 0.001
            # to 0.999. Downwards that distance can't double, and it need not.
            nearer = float(f"{low / factor:.2g}")
            return _spelled(parameter, nearer, low + high - nearer) if way == "upper" else ""
        low, high = (low / factor, high) if way == "lower" else (low, high * factor)
        return _spelled(parameter, max(low, 1.0) if isinstance(parameter, Int) else low, high)
    grown = (high - low) / 2
    if parameter.step is not None:
        grown = max(1, round(grown / parameter.step)) * parameter.step
    if way == "upper":
        # Of a share, such as a dropout rate, half of what is left.
        share = isinstance(parameter, Float) and low >= 0 and high <= 1
        return _spelled(
            parameter, low, min(high + grown, (high + 1) / 2) if share else high + grown
        )
    least = 1.0 if parameter.name in _COUNTS or low >= 1 else 0.0
    # What has been a size or a rate stays one.
    return _spelled(parameter, max(low - grown, least) if low >= 0 else low - grown, high)


def part(parameter: Float | Int, low_unit: float, high_unit: float) -> str:
    """Returns the part of a domain between two places in its sampling scale; empty if it is all.

    Args:
        parameter: The hyperparameter.
        low_unit: From 0.
        high_unit: Up to 1.
    """
    low = parameter.low if low_unit <= 0 else parameter.from_unit(low_unit)
    high = parameter.high if high_unit >= 1 else parameter.from_unit(high_unit)
    return _spelled(parameter, low, high)


def _spelled(parameter: Float | Int, low: float, high: float) -> str:
    """Returns a range as text; empty if it is the present one, or none."""
    if isinstance(parameter, Int):
        low, high = round(low), round(high)
    else:
        # Near 1, what is left to it needs more of them.
        digits = 12 if parameter.scale == "reverse_log" or parameter.count is not None else 3
        low = low if low == parameter.low else float(f"{low:.{digits}g}")
        high = high if high == parameter.high else float(f"{high:.{digits}g}")
    if (low, high) == (parameter.low, parameter.high) or not low < high:
        return ""
    try:
        return spell_domain(read_domain(parameter, f"{low!r}..{high!r}:{parameter.scale}"))
    except SearchSpaceError:
        # Beyond what a range can be, or between its steps.
        return ""
