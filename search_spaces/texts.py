"""Texts for people: numbers, lists, durations and similar names in messages, tables and pages."""

from __future__ import annotations

import difflib
import inspect
import json
import math
import numbers
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

_LONGEST_SHOWN: Final = 200
_MOST_SIMILAR: Final = 3
# Units of time and the next smaller units, with their seconds.
_UNITS: Final = (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))
# Numbers below 1e15 are written without an exponent, and numbers of intervals only from 0.0001.
_SMALLEST: Final = 1e-4
_LARGEST: Final = 1e15
# If a bound of a gain would be rounded to 0, the bound gets up to this many more decimals.
_MORE: Final = 3


def number(value: float, digits: int = 4) -> str:
    """Returns a number as a text of about ``digits`` digits: ``0.9833``, ``1,079``, ``3.2e-05``."""
    if isinstance(value, numbers.Integral) or (abs(value) < _LARGEST and value == int(value)):
        return f"{int(value):,}" if abs(value) < _LARGEST else f"{value:.{digits}g}"
    if not math.isfinite(value):
        return str(value)
    if 10**digits <= abs(value) < _LARGEST:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def readable(value: object, digits: int = 4) -> str:
    """Returns the value of a hyperparameter as text. Floats are rounded."""
    if isinstance(value, float):
        text = f"{value:.{digits}g}"
        return f"{float(text):.0f}" if "e+" in text and abs(value) < _LARGEST else text
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


def counted(amount: float, noun: str) -> str:
    """Returns an amount with its noun: ``1 trial``, ``2,000 trials``, ``0.5 GPU``."""
    ending = "es" if noun.endswith("tch") else "s"
    return f"{number(amount)} {noun}{'' if 0 < amount <= 1 else ending}"


def amounts(counts: Mapping[str, int], nouns: Collection[str] = ()) -> str:
    """Returns the amounts that are not 0, with their names: ``30 complete, 2 pruned``.

    Names in `nouns` get a plural ending after numbers above 1: ``1 problem, 2 hints``.
    """
    return ", ".join(
        counted(amount, name) if name in nouns else f"{amount:,} {name}"
        for name, amount in counts.items()
        if amount
    )


def share(part: float) -> str:
    """Returns a share as a percentage: ``12.3 %``, ``under 0.1 %``, ``over 99.9 %``."""
    if 0 < part < 0.0005:
        return "under 0.1 %"
    if 0.9995 <= part < 1 and not math.isclose(part, 1):
        return "over 99.9 %"
    return f"{100 * part:.1f}".removesuffix(".0") + " %"


def difference(value: float) -> str:
    """Returns a difference or a spread as a text with two significant digits."""
    return readable(float(value), 2)


def with_spread(value: float, spread: float | None = None) -> str:
    """Returns a value, and its spread if it has one: ``0.98 ± 0.01``."""
    return readable(value, 6) + ("" if spread is None else f" ± {difference(spread)}")


def interval_text(
    value: float, low: float, high: float, level: float | None = None, *, nonzero: bool = False
) -> str:
    """Returns a value with its bounds: ``0.969 (0.961 to 0.976)``.

    With a level, the text is ``0.969 (0.961 to 0.976 at 95 %)``. With `nonzero`, a small bound
    gets more decimals, so that it is not written as 0.
    """
    middle, lower, upper = interval_numbers(low, high, value, low, high, nonzero=nonzero)
    return f"{middle} ({lower} to {upper}{'' if level is None else f' at {share(level)}'})"


def interval_numbers(
    low: float, high: float, *values: float, nonzero: bool = False
) -> tuple[str, ...]:
    """Returns values as texts, rounded to two significant digits of the interval's width."""
    width = high - low
    bounds = [abs(v) for v in (low, high) if math.isfinite(v)]
    largest = max([*bounds, *(abs(v) for v in values if math.isfinite(v))], default=0.0)
    if not math.isfinite(width) or width <= 0:
        # Without a width, values are rounded to four significant digits of the largest value.
        width = largest / 100
    decimals = 1 - _magnitude(width)
    smallest = min((bound for bound in bounds if bound), default=0.0)
    if nonzero and 0 < smallest < 0.5 * 10.0**-decimals:
        decimals = min(decimals + _MORE, -_magnitude(smallest))
    return tuple(_rounded(value, decimals, largest) for value in values)


def _rounded(value: float, decimals: int, largest: float) -> str:
    """Returns a number with `decimals` decimals. With -1, it is rounded to tens."""
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    rounded = round(value, decimals) + 0.0
    if not _SMALLEST <= largest < _LARGEST and rounded:
        return f"{rounded:.{max(0, _magnitude(rounded) + decimals)}e}"
    return f"{rounded:,.{max(0, decimals)}f}"


def _magnitude(value: float) -> int:
    """Returns the power of ten of a number's first digit: 0 for 9.99, -1 for 0.1."""
    return math.floor(math.log10(abs(value))) if value else 0


def duration(seconds: float) -> str:
    """Returns a duration in its two largest units: ``2 h 5 min``, ``41 s``, ``0.3 s``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for unit, size, smaller, part in _UNITS:
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def shown(value: object) -> str:
    """Returns a short form of a value for a message. For arrays, returns the type only."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return f"the function {value.__qualname__}"
    entries: Any = list(value.values()) if isinstance(value, dict) else value
    several = isinstance(entries, list | tuple)
    has_arrays = several and any(hasattr(type(entry), "shape") for entry in entries)
    plain = (numbers.Number, str, bytes, list, tuple, dict, type(None))
    if has_arrays or not isinstance(value, plain):
        return f"an object of type {type(value).__name__}"
    text = " ".join(repr(value).split("\n"))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def suggestion(received: object, names: Iterable[str]) -> str:
    """Returns a sentence with the most similar names, or with all names if none is similar."""
    choices = list(names)
    if not choices:
        return "There are no names to choose from."
    return near_match(received, choices) or f"Choose from {quoted(choices)}."


def near_match(received: object, names: Iterable[str]) -> str:
    """Returns a question such as "Did you mean 'adam'?", or an empty text if no name is similar.

    Upper and lower case count as the same.
    """
    text, folded = str(received).casefold(), dict[str, list[str]]()
    for name in names if isinstance(received, str) else ():
        folded.setdefault(name.casefold(), []).append(name)
    similar = difflib.get_close_matches(text, folded)
    # difflib does not find "curves" similar to "learning_curves". So names that contain the
    # received text count as similar, too.
    similar = similar or [name for name in folded if len(text) > 3 and text in name]
    near = [name for word in similar[:_MOST_SIMILAR] for name in folded[word]]
    return f"Did you mean {quoted(near, 'or')}?" if near else ""
