"""Numbers, amounts and durations as people read them."""

from __future__ import annotations

import math


def number(value: float, digits: int = 4) -> str:
    """Returns a number with some significant digits: ``0.9833``, ``1,079``, ``3.2e-05``."""
    if isinstance(value, int) or (abs(value) < 1e6 and value == int(value)):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.{digits}g}"
    if not math.isfinite(value):
        return str(value)
    if 10**digits <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def shown(value: object) -> str:
    """Returns a value as people read it: a number to four digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return number(value)


def counted(amount: int, noun: str) -> str:
    """Returns an amount with its noun: ``1 trial``, ``2,000 trials``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def duration(seconds: float) -> str:
    """Returns a duration in its two largest units: ``2 h 5 min``, ``41 s``, ``0.3 s``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for unit, size, smaller, part in (("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def significant(value: float | None, digits: int = 6) -> float | None:
    """Returns a number rounded to significant digits; None if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{digits}g}")


def training_name(number: int, folds: int = 0) -> str:
    """Returns the name of one of a trial's trainings, such as ``repeat 0`` or ``fold 1 of 5``.

    The number after the last fold is that of the training on all folds.
    """
    if not folds:
        return f"repeat {number}"
    return "all folds" if number >= folds else f"fold {number + 1} of {folds}"
