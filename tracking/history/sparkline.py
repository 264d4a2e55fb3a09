"""A curve in one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_BARS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Returns a curve as bars, the lowest for the lowest value; empty if there are no values.

    Args:
        values: Finite numbers.
        width: The most bars, at least 1. Of more values an even share is taken, and the last.
    """
    if len(values) > width:
        step = len(values) / width
        values = [values[min(len(values), round((i + 1) * step)) - 1] for i in range(width)]
    if not values:
        return ""
    low, high = min(values), max(values)
    span = high - low or 1.0
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)
