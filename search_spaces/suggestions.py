"""What to suggest to someone who mistyped a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(received: object, known: Iterable[str]) -> str:
    """Returns a sentence with the nearest known names, or with all of them if none is near."""
    names = list(known)
    if not names:
        return "There are none to choose from."
    return near_match(received, names) or f"Choose from {_listed(names, 'and')}."


def near_match(received: object, known: Iterable[str]) -> str:
    """Returns what `suggestion` does if a known name is near, else an empty text."""
    near = difflib.get_close_matches(received, list(known)) if isinstance(received, str) else []
    return f"Did you mean {_listed(near, 'or')}?" if near else ""


def _listed(names: list[str], last: str) -> str:
    quoted = [repr(name) for name in names]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
