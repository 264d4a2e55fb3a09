"""Plain values: what a parameter may be set to, distinguished by type, and written as JSON.

Tuples, lists and dicts may be values of a choice. They are spelled as Python writes them: `(50,)`
is "(50,)" in the space, to every engine, in MLflow and on the command line, and the tuple itself to
the builder. They may hold scalars, and tuples, lists and dicts of them.
"""

from __future__ import annotations

import ast
import enum
import json
import math
from collections.abc import Iterable
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
    """Returns whether a value is a tuple, list or dict."""
    return isinstance(value, tuple | list | dict)


def plain_scalar(value: object, what: str) -> Scalar:
    """Returns a value as one of the five JSON types exactly, however it was subclassed.

    Enum members that are strings or ints, and numpy's float64, become their plain values. Minus
    zero becomes zero: the two are equal and would print differently.
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


def plain_value(value: object, what: str) -> Any:
    """Returns what `plain_scalar` does, also of what tuples, lists and dicts hold."""
    if type(value) in (tuple, list):
        return type(value)(plain_value(each, what) for each in value)  # type: ignore[attr-defined, call-arg]
    if isinstance(value, dict):
        return {plain_value(k, what): plain_value(each, what) for k, each in value.items()}
    if is_object(value):
        raise SearchSpaceError(
            f"{what} must be a plain tuple, list or dict, received {value!r} of type "
            f"{type(value).__name__}: give tuple(…) of it."
        )
    return plain_scalar(without_numpy(value), what)


def without_numpy(value: Any) -> Any:
    """Returns a numpy scalar as Python's own; anything else unchanged. numpy is not imported."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def opened(spelling: str) -> Any:
    """Returns a new tuple, list or dict of how Python writes it."""
    return ast.literal_eval(spelling)


def read_object(text: str) -> Any:
    """Returns the tuple, list or dict that a text spells in Python or JSON; None if none."""
    for read in (ast.literal_eval, json.loads):
        try:
            content = read(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if is_object(content):
            return content
    return None


def meant(value: object, spellings: Iterable[str]) -> str | None:
    """Returns the spelling whose object has the same content, tuple or list."""
    try:
        wanted = json.dumps(value)
        equal = [each for each in spellings if json.dumps(opened(each)) == wanted]
    except (TypeError, ValueError):
        return None
    return equal[0] if len(equal) == 1 else None


def identity(value: object) -> tuple[str, object]:
    """Returns what makes two values the same value: their type and their content.

    `1`, `1.0` and `True` are equal in Python; as hyperparameters they are three values.
    """
    if value is None or isinstance(value, bool):
        return type(value).__name__, value
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain.__name__, value
    if is_object(value):
        # As they are spelled in a space.
        return "str", repr(value)
    return type(value).__name__, id(value)


def canonical_json(content: Any) -> str:
    """Returns JSON with one spelling for one content: keys sorted, no spaces, ASCII only."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
