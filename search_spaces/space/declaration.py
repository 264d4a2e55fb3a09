"""The arguments of a search space: parameters and groups of them, checked and by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.parameter import Parameter


def declared(given: Iterable[object]) -> dict[str, Parameter]:
    """Returns the parameters by name, in the order in which they were given.

    Raises:
        SearchSpaceError: If something is no parameter, or if two have the same name.
    """
    by_name: dict[str, Parameter] = {}
    for parameter in _flattened(given):
        if parameter.name in by_name:
            raise SearchSpaceError(
                f"{parameter.name!r} is declared twice, as {by_name[parameter.name]!r} and as "
                f"{parameter!r}: give one of them another name."
            )
        by_name[parameter.name] = parameter
    return by_name


def _flattened(given: Iterable[object]) -> Iterator[Parameter]:
    for each in given:
        if isinstance(each, Parameter):
            yield each
        elif isinstance(each, Iterable) and not isinstance(each, str | bytes | Mapping):
            yield from _flattened(each)
        else:
            raise SearchSpaceError(
                f"A search space takes parameters and groups of them, received {each!r} of type "
                f"{type(each).__name__}: declare it with Float, Int, Choice, Boolean or Fixed."
            )
