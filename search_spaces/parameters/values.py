"""The values that parameters may have: scalars, and the texts that stand for tuples and dicts.

A value is a JSON scalar: a string, an int, a float, a bool or None. 1, 1.0 and True are three
values. A choice may also list tuples, lists and dicts. Such a value is stored as its `repr`: the
tuple `(50,)` is the text "(50,)" for engines, in MLflow and on the command line. Only the model
builder gets the tuple.
"""

from __future__ import annotations

import ast
import enum
import json
import math
from typing import Any, Final, Literal, TypeAlias, TypeGuard

from search_spaces.errors import SearchSpaceError

Scalar: TypeAlias = str | int | float | bool | None
"""A JSON scalar. Floats are finite."""


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`: an enum, because its member is the same object after pickling."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        """Returns the name by which users import this object."""
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""The default of arguments for which None is a value like any other."""

MaybeScalar: TypeAlias = Scalar | Literal[NotGiven.NOT_GIVEN]


def is_number(value: object) -> TypeGuard[float]:
    """Returns whether a value is an int or a float. Booleans are not numbers here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_object(value: object) -> bool:
    """Returns whether a value is a tuple, list or dict."""
    return isinstance(value, tuple | list | dict)


def plain_scalar(value: object, setting: str) -> Scalar:
    """Returns a value as a str, int, float, bool or None.

    numpy's float64 and other subclasses become Python's types. Minus zero becomes zero, because the
    two are equal but print differently.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, float):
        raise SearchSpaceError.of_setting(
            setting,
            "a string, an int, a float, a bool or None",
            value,
            "Give a name or a number, and build the object from it in the model builder.",
        )
    if not math.isfinite(value):
        raise SearchSpaceError.of_setting(setting, "finite", value)
    return float(value) + 0.0


def plain_value(value: object, setting: str) -> Any:
    """Returns a scalar as `plain_scalar` does, or a tuple, list or dict of such scalars."""
    if type(value) in (tuple, list):
        return type(value)(plain_value(item, setting) for item in value)  # type: ignore[attr-defined, call-arg]
    if isinstance(value, dict):
        return {plain_value(k, setting): plain_value(v, setting) for k, v in value.items()}
    if is_object(value):
        raise SearchSpaceError.of_setting(
            setting, "a plain tuple, list or dict", value, "Give tuple(…) of it."
        )
    return plain_scalar(without_numpy(value), setting)


def without_numpy(value: Any) -> Any:
    """Returns a numpy scalar as a Python number, without importing numpy.

    Returns other values as they are.
    """
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def spelling(value: Any) -> Scalar:
    """Returns the `repr` of a tuple, list or dict, and a scalar as it is."""
    return repr(value) if is_object(value) else value


def read_object(text: str) -> Any:
    """Reads a tuple, list or dict from a text in Python or JSON. Returns None for other texts."""
    for read in (ast.literal_eval, json.loads):
        try:
            content = read(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if is_object(content):
            return content
    return None


def identity(value: object) -> tuple[str, object]:
    """Returns a key with the type and the value.

    1, 1.0 and True are equal in Python, but have different keys.
    """
    value = spelling(value)
    for plain in (bool, str, int, float, type(None)):
        if isinstance(value, plain):
            return plain.__name__, value
    return type(value).__name__, id(value)


def canonical_json(content: Any) -> str:
    """Returns the same JSON for the same content: keys sorted, no spaces, ASCII only."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
