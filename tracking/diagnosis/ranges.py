"""A range moved on: wider beyond an end, or cut to a part, in the text form of ``--set``.

The playbook gives no amount. By a rule of thumb a range grows by half of itself in its sampling
scale, and by a factor of ten at most.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.ranges import Float, Int
from search_spaces.tailoring import read_domain, spell_domain

Way = Literal["lower", "upper"]

_LARGEST_FACTOR: Final = 10.0
_COUNTS: Final = ("epochs", "batch_size")


def wider(parameter: Float | Int, way: Way) -> str:
    """Returns a wider domain; empty if nothing lies beyond its end.

    A rate of 0 has no other side, a share no more than 1; a grid keeps its steps.
    """
    low, high, up = float(parameter.low), float(parameter.high), way == "upper"
    factor = min(math.sqrt(high / low), _LARGEST_FACTOR) if parameter.scale != "linear" else 0.0
    if parameter.scale == "reverse_log":
        # What counts is the distance from low + high, which stays: 0.01 to 0.99 becomes 0.001 to
        # 0.999. Downwards that distance can't double, and it need not.
        nearer = float(f"{low / factor:.2g}")
        return _spelled(parameter, nearer, low + high - nearer) if up else ""
    share = isinstance(parameter, Float) and not factor and low >= 0 and high <= 1
    whole = parameter.name in _COUNTS or low >= 1 or (factor and isinstance(parameter, Int))
    least = -math.inf if low < 0 else 1.0 if whole else 0.0
    stepped = parameter.count is not None and parameter.step != parameter.usual_step
    steps = range(max(1, (parameter.count or 0) // 2), 0, -1) if stepped else (1,)
    for count in steps:
        if factor:
            by = float(parameter.step or 0) ** count if stepped else factor
            end = high * by if up else low / by
        else:
            by = float(parameter.step or 0) * count if stepped else (high - low) / 2
            end = float(f"{high + by if up else low - by:.12g}")
        if not stepped:
            # Of a share, such as a dropout rate, half of what is left.
            if share and up and end > (high + 1) / 2:
                # In the digits of what is left.
                end = 1 - float(f"{(1 - high) / 2:.2g}")
                return _spelled(parameter, low, end, digits=12) if high < 1 else ""
            end = max(end, least)
        elif end < least or (share and end >= 1) or (isinstance(parameter, Int) and end % 1):
            continue
        return _spelled(parameter, low, end) if up else _spelled(parameter, end, high)
    return ""


def part(parameter: Float | Int, low_unit: float, high_unit: float) -> str:
    """Returns the part of a domain between two places in its sampling scale; empty if it is all.

    Args:
        parameter: The hyperparameter.
        low_unit: From 0.
        high_unit: Up to 1.
    """
    low, high = parameter.low, parameter.high
    # Outwards, so that no good value is cut off.
    if low_unit > 0:
        low = max(_rounded(parameter, parameter.from_unit(low_unit), ROUND_FLOOR), low)
    if high_unit < 1:
        high = min(_rounded(parameter, parameter.from_unit(high_unit), ROUND_CEILING), high)
    return _spelled(parameter, low, high)


def _rounded(parameter: Float | Int, value: float, rounding: str) -> float:
    """Rounds a value of a continuous domain to two digits, up or down."""
    if parameter.count is not None or value == 0:
        return value
    exact = Decimal(repr(float(value)))
    return float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), rounding=rounding))


def _spelled(parameter: Float | Int, low: float, high: float, digits: int = 2) -> str:
    """Returns a range in the text form of `--set`; empty if it is the present one, or none."""
    if isinstance(parameter, Int):
        low, high = round(low), round(high)
    elif parameter.count is None:
        digits = 12 if parameter.scale == "reverse_log" else digits
        low = low if low == parameter.low else float(f"{low:.2g}")
        high = high if high == parameter.high else float(f"{high:.{digits}g}")
    if (low, high) == (parameter.low, parameter.high) or not low < high:
        return ""
    try:
        return spell_domain(read_domain(parameter, f"{low!r}..{high!r}:{parameter.scale}"))
    except SearchSpaceError:
        # Beyond what a range can be.
        return ""
