"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_BARS: Final = "▁▂▃▄▅▆▇█"


def sparkline_if_curve(values: Sequence[float], columns: int = 40) -> str:
    """Returns what `sparkline` does, but nothing of a single value, which is no curve."""
    return sparkline(values, columns) if len(values) > 1 else ""


def sparkline(values: Sequence[float], columns: int = 40) -> str:
    """Returns a curve in one line, from its lowest to its highest value.

    Args:
        values: The values. One that is not finite leaves a gap.
        columns: The most columns. A longer curve shows the mean of neighbours.
    """
    size = max(1, math.ceil(len(values) / columns))
    means = []
    for start in range(0, len(values), size):
        finite = [v for v in values[start : start + size] if math.isfinite(v)]
        means.append(math.fsum(finite) / len(finite) if finite else math.nan)
    known = [mean for mean in means if math.isfinite(mean)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(
        " "
        if math.isnan(mean)
        else _BARS[round((mean - low) / (high - low) * (len(_BARS) - 1)) if high > low else 3]
        for mean in means
    )
