"""Defaults and bounds of ready-made parameters whose range is overridden."""

from __future__ import annotations

import math

from search_spaces.errors import SearchSpaceError


def usual(given: float | None, customary: float, low: float, high: float) -> float | None:
    """The default to declare.

    Args:
        given: What the caller asked for, or None.
        customary: The field's usual value.
        low: The lower end of the range, perhaps the caller's own.
        high: The upper end of the range, perhaps the caller's own.

    Returns:
        What was asked for; else the usual value if the range holds it; else None, which stands
        for the middle of the range.
    """
    if given is not None:
        return given
    try:
        return customary if low <= customary <= high else None
    except TypeError:
        # Bounds that aren't numbers: the parameter has a better message.
        return None


def check_bounds(what: str, low: object, high: object, least: float, most: float) -> None:
    """Checks that a range stays where its quantity has a meaning.

    Args:
        what: The quantity, for the message, such as "a dropout rate".
        low: The lower end of the range.
        high: The upper end of the range.
        least: The least that has a meaning.
        most: The most that has a meaning.

    Raises:
        SearchSpaceError: If an end of the range is beyond.
    """
    for bound in (low, high):
        # The parameter itself refuses what isn't a number, with a better message.
        if isinstance(bound, int | float) and not least <= bound <= most:
            wanted = f"{least!r} or more" if most == math.inf else f"from {least!r} to {most!r}"
            raise SearchSpaceError(
                f"{what} must be {wanted}, received low={low!r}, high={high!r}: narrow the range."
            )
