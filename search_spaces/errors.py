"""The error of this package, and the words that its messages share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SearchSpaceError(ValueError):
    """A search space, a parameter or a set of values is wrong.

    The message says what is wrong, what was received, and what to do.
    """


def suggestion(received: object, known: Iterable[str]) -> str:
    """Words that help someone who mistyped a name.

    Args:
        received: What was written.
        known: The names that would have been right.

    Returns:
        A sentence that names the nearest known names, or, where none is near, all of them.
    """
    names = list(known)
    if not names:
        return "There are none to choose from."
    return near_match(received, names) or f"Choose from {_listed(names, 'and')}."


def near_match(received: object, known: Iterable[str]) -> str:
    """What `suggestion` says where a known name is near; empty where none is."""
    near = difflib.get_close_matches(received, list(known)) if isinstance(received, str) else []
    return f"Did you mean {_listed(near, 'or')}?" if near else ""


def _listed(names: list[str], last: str) -> str:
    quoted = [repr(name) for name in names]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
