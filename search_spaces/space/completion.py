"""Values that leave something out, completed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.conditions import holds
from search_spaces.space.membership import unknown_name
from search_spaces.space.search_space import SearchSpace


def complete(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values of the active parameters, defaults where none is given.

    Args:
        space: The space.
        values: Some values. Those of parameters that are not active with them are left out.

    Returns:
        Values in the space, in declared order.

    Raises:
        SearchSpaceError: If a name is unknown, or a value is outside its domain.
    """
    by_name = {parameter.name: parameter for parameter in space}
    for name in values:
        if name not in by_name:
            raise SearchSpaceError(unknown_name(name, by_name))
    found: dict[str, Any] = {}
    for parameter in space.parents_first:
        if holds(parameter, by_name, found):
            value = values.get(parameter.name, parameter.default)
            found[parameter.name] = parameter.canonical(value)
    return {name: found[name] for name in by_name if name in found}
