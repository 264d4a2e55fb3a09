"""Texts for people: numbers, lists, amounts and durations in messages, tables and pages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping


def number(value: float, digits: int = 4) -> str:
    """Returns a number as a text of about ``digits`` digits: ``0.9833``, ``1,079``, ``3.2e-05``."""
    if isinstance(value, int) or (abs(value) < 1e6 and value == int(value)):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.{digits}g}"
    if not math.isfinite(value):
        return str(value)
    if 10**digits <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def readable(value: object, digits: int = 4) -> str:
    """Returns the value of a hyperparameter as text. Floats are rounded."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if value is None or isinstance(value, str | bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def listed(items: Iterable[object], last: str = "and", most: int | None = None) -> str:
    """Returns items in one phrase: ``a, b and c``, or ``a, b and 5 more`` beyond ``most``."""
    texts = [str(item) for item in items]
    if most is not None and len(texts) > most:
        texts[most:] = [f"{len(texts) - most:,} more"]
    return f" {last} ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def quoted(names: Iterable[object], last: str = "and", most: int | None = None) -> str:
    """Returns names in one phrase, each in quotes: ``'a', 'b' and 'c'``."""
    return listed([repr(name) for name in names], last, most)


def counted(amount: int, noun: str) -> str:
    """Returns an amount with its noun: ``1 trial``, ``2,000 trials``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def amounts(counts: Mapping[str, int]) -> str:
    """Returns the amounts that are not 0, with their names: ``30 complete, 2 pruned``."""
    return ", ".join(f"{amount:,} {name}" for name, amount in counts.items() if amount)


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
