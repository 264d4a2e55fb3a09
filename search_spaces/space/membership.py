"""Whether values are in a space, with the reason; and completing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.conditions import holds
from search_spaces.parameters.parameter import Parameter
from search_spaces.suggestions import suggestion

if TYPE_CHECKING:
    from search_spaces.space.search_space import SearchSpace


# Not a dataclass: importing those takes as long as importing all of this package.
class Containment(NamedTuple):
    """Whether values are in a space: true or false in a condition, with the reason.

    Attributes:
        reason: Why the values are not in the space; empty if they are.
    """

    reason: str = ""

    def __bool__(self) -> bool:
        """Returns whether the values are in the space."""
        return not self.reason


def unknown_name(name: object, by_name: Mapping[str, Parameter]) -> str:
    """Returns what to say of a name that is not in the space."""
    return f"{name!r} is not in the search space. {suggestion(name, by_name)}"


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
