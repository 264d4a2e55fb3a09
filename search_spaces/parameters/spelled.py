"""Tuples, lists and dicts as values of a choice: spelled as Python writes them.

`(50,)` is "(50,)" in the space, to every engine, in MLflow and on the command line, and the tuple
itself to the builder. They may hold scalars, and tuples, lists and dicts of them.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from typing import Any

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.scalars import is_object, plain_scalar


def spell(value: object, what: str) -> str:
    """Returns a tuple, list or dict as Python writes it.

    Raises:
        SearchSpaceError: If something in it is neither a scalar nor a tuple, list or dict.
    """
    return repr(_plain(value, what))


def opened(spelling: str) -> Any:
    """Returns a new object of what `spell` wrote."""
    return ast.literal_eval(spelling)


def read_object(text: str) -> Any:
    """Returns the tuple, list or dict that a text spells in Python or JSON; None if none."""
    for read in (ast.literal_eval, json.loads):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if is_object(found):
            return found
    return None


def meant(value: object, spellings: Iterable[str]) -> str | None:
    """Returns the spelling whose object has the same content, tuple or list."""
    try:
        wanted = json.dumps(value)
        found = [each for each in spellings if json.dumps(opened(each)) == wanted]
    except (TypeError, ValueError):
        return None
    return found[0] if len(found) == 1 else None


def _plain(value: object, what: str) -> Any:
    if type(value) in (tuple, list):
        return type(value)(_plain(each, what) for each in value)  # type: ignore[attr-defined, call-arg]
    if isinstance(value, dict):
        return {_plain(key, what): _plain(each, what) for key, each in value.items()}
    if is_object(value):
        raise SearchSpaceError(
            f"{what} must be a plain tuple, list or dict, received {value!r} of type "
            f"{type(value).__name__}: give tuple(…) of it."
        )
    item = getattr(value, "item", None)
    # A scalar of numpy's, without importing it.
    return plain_scalar(item() if callable(item) else value, what)
