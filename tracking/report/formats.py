"""Numbers, durations and hyperparameters as people read them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# No XML can hold them, an SVG neither: https://www.w3.org/TR/xml/#charsets
_UNDRAWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def number(value: float, digits: int = 4) -> str:
    """Returns a number with some significant digits: ``0.9833``, ``1,079``, ``3.2e-05``."""
    if isinstance(value, int) or (abs(value) < 1e6 and value == int(value)):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.{digits}g}"
    if not math.isfinite(value):
        return str(value)
    if 10**digits <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def significant(value: float | None, digits: int = 6) -> float | None:
    """Returns a number rounded to significant digits; None if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{digits}g}")


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


def count(amount: int, noun: str) -> str:
    """Returns an amount with its noun: ``1 trial``, ``2,000 trials``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def value_text(value: object) -> str:
    """Returns a hyperparameter's value as in Python: strings plainly, floats to six digits."""
    if value is None or isinstance(value, bool):
        return str(value)
    if not isinstance(value, float):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return str(drawable(text))
    return f"{value:.6g}"


def drawable(value: Any, key: str = "") -> Any:
    r"""Returns a chart's specification in which users' texts do no harm.

    Characters that no SVG can hold are escaped, as ``\x1b``: vl-convert ends the whole process at
    one. So are backslashes in the titles of tooltips, which Vega-Lite writes into an expression.

    Args:
        value: The specification, or a part of it.
        key: What it is in the whole; empty: the whole.
    """
    if isinstance(value, str):
        return _UNDRAWABLE.sub(lambda found: ascii(found[0])[1:-1], value)
    if isinstance(value, dict):
        made = {drawable(name): drawable(item, name) for name, item in value.items()}
        if key == "tooltip" and isinstance(made.get("title"), str):
            made["title"] = made["title"].replace("\\", "\\\\")
        return made
    return [drawable(item, key) for item in value] if isinstance(value, list) else value
