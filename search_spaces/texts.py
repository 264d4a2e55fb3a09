"""Texts for people: numbers, lists, durations and similar names in messages, tables and pages."""

from __future__ import annotations

import difflib
import inspect
import json
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, Final

_LONGEST_SHOWN: Final = 200
_MOST_SIMILAR: Final = 3


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
