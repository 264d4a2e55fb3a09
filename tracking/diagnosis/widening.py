"""A range moved on: widened beyond an end, cut where trials fail, or narrowed to its good part.

The playbook gives no amount. Rules of thumb: a range grows by half of itself in its sampling scale,
and by a factor of ten at most; it shrinks to where the best trials lie, with a margin on each side,
and to a quarter of itself at least, so that "a refined search space comfortably contains the local
region around the best observed trial" (Deep Learning Tuning Playbook, "After exploration
concludes").
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.kinds import Float, Int
from search_spaces.spellings import read_domain, spell_domain

Way = Literal["lower", "upper"]

_LARGEST_FACTOR: Final = 10.0
_COUNTS: Final = ("epochs", "batch_size")


def widened(parameter: Float | Int, way: Way) -> str:
    """Returns a wider domain in the text form of `--set`; empty if there is nothing beyond.

    A rate or a factor of 0 has no other side, a share no more than 1.
    """
    if parameter.count is not None and parameter.step != parameter.usual_step:
        return _by_steps(parameter, way)
    low, high = float(parameter.low), float(parameter.high)
    if parameter.scale == "linear":
        low, high = _on_linear(parameter, way)
    elif parameter.scale == "log":
        factor = min(math.sqrt(high / low), _LARGEST_FACTOR)
        low, high = (low / factor, high) if way == "lower" else (low, high * factor)
        if isinstance(parameter, Int):
            low = max(low, 1.0)
    else:
        # What counts is the distance from low + high, which stays: 0.01 to 0.99 becomes 0.001 to
        # 0.999. Downwards that distance can't double, and it need not.
        if way == "lower":
            return ""
        factor = min(math.sqrt(high / low), _LARGEST_FACTOR)
        nearer = float(f"{low / factor:.2g}")
        low, high = nearer, float(f"{low + high - nearer:.12g}")
        return _spelled(parameter, low, high)
    return _spelled(parameter, low, high)


def between(parameter: Float | Int, low_unit: float, high_unit: float) -> str:
    """Returns the part of a domain between two places in its sampling scale; empty if it is all.

    Args:
        parameter: The hyperparameter.
        low_unit: From 0.
        high_unit: Up to 1.
    """
    low_unit, high_unit = max(low_unit, 0.0), min(high_unit, 1.0)
    if low_unit <= 0 and high_unit >= 1:
        return ""
    low, high = parameter.from_unit(low_unit), parameter.from_unit(high_unit)
    if parameter.count is None:
        # Outwards, so that no good value is cut off.
        low = parameter.low if low_unit <= 0 else max(_rounded(low, ROUND_FLOOR), parameter.low)
        high = parameter.high if high_unit >= 1 else min(_rounded(high, ROUND_CEILING), high * 2)
        high = min(high, parameter.high)
    return _spelled(parameter, low, high)


def _on_linear(parameter: Float | Int, way: Way) -> tuple[float, float]:
    low, high = float(parameter.low), float(parameter.high)
    width = high - low
    share = isinstance(parameter, Float) and low >= 0 and high <= 1
    if way == "upper":
        # Of a share, such as a dropout rate, half of what is left.
        return low, min(high + width / 2, (high + 1) / 2) if share else high + width / 2
    below = low - width / 2
    if low >= 0:
        # What has been a size or a rate stays one.
        below = max(below, 1.0 if _is_count(parameter) or (low >= 1 and below < 1) else 0.0)
    return below, high


def _by_steps(parameter: Float | Int, way: Way) -> str:
    """Widens a grid by half of its steps, in decimal arithmetic."""
    assert parameter.count is not None
    steps = max(1, parameter.count // 2)
    step, end = Decimal(repr(parameter.step)), Decimal(repr(getattr(parameter, _END[way])))
    for _ in range(steps):
        if parameter.scale == "log":
            beyond = end * step if way == "upper" else end / step
            if isinstance(parameter, Int) and beyond != beyond.to_integral_value():
                break
        else:
            beyond = end + step if way == "upper" else end - step
            share = isinstance(parameter, Float) and parameter.low >= 0 and parameter.high <= 1
            if share and beyond >= 1:
                break
            if parameter.low >= 0 and beyond < (1 if _is_count(parameter) else 0):
                break
        end = beyond
    ends = {"lower": parameter.low, "upper": parameter.high}
    ends[way] = int(end) if isinstance(parameter, Int) else float(end)
    return _spelled(parameter, ends["lower"], ends["upper"])


_END: Final = {"lower": "low", "upper": "high"}


def _spelled(parameter: Float | Int, low: float, high: float) -> str:
    """Returns a range in the text form of `--set`; empty if it is the present one, or none."""
    if isinstance(parameter, Int):
        low, high = round(low), round(high)
    elif parameter.count is None:
        low = low if low == parameter.low else float(f"{low:.2g}")
        digits = 12 if parameter.scale == "reverse_log" else 2
        high = high if high == parameter.high else float(f"{high:.{digits}g}")
    if (low, high) == (parameter.low, parameter.high) or not low < high:
        return ""
    try:
        return spell_domain(read_domain(parameter, f"{low!r}..{high!r}:{parameter.scale}"))
    except SearchSpaceError:
        # Beyond what a range can be.
        return ""


def _is_count(parameter: Float | Int) -> bool:
    return parameter.name in _COUNTS


def _rounded(value: float, rounding: str) -> float:
    """Rounds to two digits, up or down."""
    if value == 0 or not math.isfinite(value):
        return value
    exact = Decimal(repr(float(value)))
    return float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), rounding=rounding))
