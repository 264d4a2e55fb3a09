"""Which values of a parameter deserve a build, and where between two of them something changes.

Small domains and choices are tried in full. Of a larger domain, the ends and the middle are tried,
and the values between two that differ, by bisection. Values between two that agree are assumed to
agree with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from search_spaces.parameters.choice_parameter import Listed
from search_spaces.parameters.parameter import Parameter

FEW: Final = 6
"""Numbers of up to so many values are tried in full: the depths of most networks. It takes at most
five builds, where bisection would take four or five as soon as anything depends on the number."""

MOST_LISTED: Final = 1000
"""A condition lists values; none is inferred on a number of more values than this."""

Seen = TypeVar("Seen")


def is_few(parameter: Parameter) -> bool:
    """Returns whether to try all values of a parameter."""
    if isinstance(parameter, Listed):
        return True
    return parameter.count is not None and parameter.count <= FEW


def values_of(parameter: Parameter) -> Sequence[Any]:
    """Returns all values of a finite parameter; of a continuous one its ends and its default."""
    values = parameter.grid_values()
    if values is not None:
        return values
    ends: Any = parameter
    return tuple(dict.fromkeys((ends.low, parameter.default, ends.high)))


def landmarks(count: int) -> tuple[int, ...]:
    """Returns the indices of the ends and of the middle."""
    return tuple(dict.fromkeys((0, count - 1, count // 2)))


def survey(count: int, given: Iterable[int], look: Callable[[int], Seen]) -> dict[int, Seen]:
    """Returns what is seen at indices from 0 to `count - 1`, wherever it changes.

    Args:
        count: How many indices there are.
        given: Indices to look at in any case.
        look: What is seen at an index.

    Returns:
        What was seen, by index, ascending: between two neighbours that differ lies no other index.
    """
    seen = {index: look(index) for index in given}
    while True:
        ordered = sorted(seen)
        between = [
            (low + high) // 2
            for low, high in itertools.pairwise(ordered)
            if high - low > 1 and seen[low] != seen[high]
        ]
        if not between:
            return {index: seen[index] for index in ordered}
        for index in between:
            seen[index] = look(index)
