"""Checks of users' arguments and settings, such as "a whole number of at least 1".

A check takes the name of a setting, its value, and an error class such as `DataError`. It returns
the value in a plain Python type, or raises the error.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any, Final, TypeGuard, TypeVar

from search_spaces.errors import KerastudyError
from search_spaces.texts import near_match, quoted

Error = type[KerastudyError]

LARGEST_SEED: Final = 2**32 - 1
"""The largest seed of numpy's RandomState, which scikit-learn uses."""

_Kind = TypeVar("_Kind")
_Name = TypeVar("_Name", bound=str)


def is_whole(value: object) -> TypeGuard[int]:
    """Returns whether a value is a whole number. For True and False, returns False."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: object) -> TypeGuard[float]:
    """Returns whether a value is a finite number. For True and False, returns False."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False  # An int is too large for a float.


def whole_number(
    setting: str,
    value: object,
    error: Error,
    *,
    least: int = 1,
    most: int | None = None,
    hint: str = "",
) -> int:
    """Checks that a value is a whole number from `least` to `most`."""
    if is_whole(value) and least <= value and (most is None or value <= most):
        return int(value)
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise error.of_setting(setting, f"a whole number {limits}", value, hint)


def seed(setting: str, value: object, error: Error) -> int:
    """Checks that a seed is a whole number from 0 to 2**32 - 1."""
    return whole_number(setting, value, error, least=0, most=LARGEST_SEED)


def finite_number(setting: str, value: object, error: Error, *, least: float = -math.inf) -> float:
    """Checks that a value is a finite number of at least `least`."""
    if is_real(value) and value >= least:
        return value
    limit = f" of at least {least}" if least > -math.inf else ""
    raise error.of_setting(setting, f"a finite number{limit}", value)


def positive_number(setting: str, value: object, error: Error) -> float:
    """Checks that a value is a finite number above 0."""
    if is_real(value) and value > 0:
        return value
    raise error.of_setting(setting, "a number above 0", value)


def truth(setting: str, value: object, error: Error) -> bool:
    """Checks that a value is True or False."""
    if isinstance(value, bool):
        return value
    raise error.of_setting(setting, "True or False", value)


def choice(setting: str, value: object, names: Iterable[_Name], error: Error) -> _Name:
    """Checks that a value is one of a few names. The error lists the names."""
    choices = list(names)
    for name in choices:
        if isinstance(value, str) and value == name:
            return name
    in_quotes = quoted(map(str, choices), "or")
    raise error.of_setting(setting, f"one of {in_quotes}", value, near_match(value, choices))


def names(setting: str, value: object, error: Error) -> tuple[str, ...]:
    """Checks that a value is a list of texts. A single text counts as a list with one text."""
    texts = (value,) if isinstance(value, str) else value
    if isinstance(texts, Iterable) and all(isinstance(text, str) for text in (*texts,)):
        return tuple(texts)
    raise error.of_setting(setting, "a list of texts, such as ['id']", value)


def instance(
    setting: str,
    value: object,
    error: Error,
    kind: type[_Kind] | tuple[type[_Kind], ...],
    expected: str,
    hint: str = "",
) -> _Kind:
    """Checks that a value is an object of a class, or of one of a few classes."""
    if isinstance(value, kind):
        return value
    raise error.of_setting(setting, expected, value, hint)


def text(setting: str, value: object, error: Error) -> str:
    """Checks that a value is a text."""
    return instance(setting, value, error, str, "a text")


def function(setting: str, value: Any, error: Error, of: str) -> Any:
    """Checks that a value can be called.

    `of` completes the error: with "of hp", the setting must be "a function of hp".
    """
    if callable(value):
        return value
    raise error.of_setting(setting, f"a function {of}", value)
