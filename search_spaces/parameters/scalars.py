"""Plain values: what a parameter may be set to, distinguished by type, and written as JSON."""

from __future__ import annotations

import enum
import json
import math
from typing import Any, Final, Literal, TypeAlias

from search_spaces.errors import SearchSpaceError

Scalar: TypeAlias = str | int | float | bool | None
"""A JSON scalar. Floats are finite."""


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`. An enum, so that it stays the same object when pickled."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        """Its name, as users import it."""
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""Marks an argument that was left out, where `None` is a value like any other."""

MaybeScalar: TypeAlias = Scalar | Literal[NotGiven.NOT_GIVEN]


def is_number(value: object) -> bool:
    """Returns whether a value is an int or a float. Booleans are not numbers here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: object) -> bool:
    """Returns whether a value is an int. Booleans and floats such as `3.0` are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_object(value: object) -> bool:
    """Returns whether a value is a tuple, list or dict; see `spelled`."""
    return isinstance(value, tuple | list | dict)


def plain_scalar(value: object, what: str) -> Scalar:
    """Returns a value as one of the five JSON types exactly, however it was subclassed.

    Enum members that are strings or ints, and numpy's float64, become their plain values. Minus
    zero becomes zero: the two are equal and would print differently.

    Args:
        value: Anything.
        what: What the value is, for the message, such as "a value of Choice 'optimizer'".

    Returns:
        The plain value.

    Raises:
        SearchSpaceError: If it is not a scalar that JSON can hold.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SearchSpaceError(f"{what} must be finite, received {value!r}: leave it out.")
        return float(value) + 0.0
    raise SearchSpaceError(
        f"{what} must be a string, an int, a float, a bool or None, received {value!r} of type "
        f"{type(value).__name__}: give a name or a number, and build the object from it in the "
        f"model builder."
    )


def identity(value: object) -> tuple[str, object]:
    """Returns what makes two values the same value: their type and their content.

    `1`, `1.0` and `True` are equal in Python; as hyperparameters they are three values.

    Args:
        value: A scalar, or a tuple, list or dict; anything else is only equal to itself.

    Returns:
        A key to compare and hash by.
    """
    if value is None or isinstance(value, bool):
        return type(value).__name__, value
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain.__name__, value
    if is_object(value):
        # As they are spelled in a space: see `spelled`.
        return "str", repr(value)
    return type(value).__name__, id(value)


def canonical_json(content: Any) -> str:
    """Returns JSON with one spelling for one content: keys sorted, no spaces, ASCII only."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
