"""One name with several domains: parameters that a builder reads by the same name.

`hp.Float("learning_rate", …)` with one range for Adam and another for SGD is two parameters, as
in Keras Tuner's conditional scopes. Their names differ after " when " in the space and in every
record; the builder reads both as "learning_rate":

    learning_rate when optimizer is adam
    learning_rate when optimizer is sgd

If no condition separates the declarations, they become one parameter, with the first domain that
holds all values of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from search_spaces.inline.translations import same_domain
from search_spaces.parameters.choice_parameter import Choice, Listed
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.ranged import Float, Int
from search_spaces.parameters.scalars import Scalar, identity

_WHEN: Final = " when "
_LONGEST: Final = 120
"""Characters of a name: MLflow takes 250, with other names around it."""
_LISTED: Final = 4
"""Values of a parent that a name lists."""


def read_as(name: str) -> str:
    """Returns the name by which a builder reads a parameter."""
    return name.partition(_WHEN)[0]


def variant_name(name: str, condition: Mapping[str, Sequence[Scalar]], taken: set[str]) -> str:
    """Returns the name of one of several parameters that a builder reads by one name."""
    words = " and ".join(f"{read_as(p)} is {_in_words(v)}" for p, v in condition.items())
    made = f"{name}{_WHEN}{words}".replace("=", ":")
    if len(made) > _LONGEST:
        made = made[: _LONGEST - 1].rstrip() + "…"
    found, count = made, 1
    while found in taken:
        count += 1
        found = f"{made} ({count})"
    return found


def holding_all(declared: Sequence[Parameter]) -> Parameter | None:
    """Returns one parameter for several declarations of a name, without condition.

    The first that has all values of the others; else one made of all of them, with the first one's
    scale, step and default. None if they are of different kinds.
    """
    for each in declared:
        if all(_holds(each, other) for other in declared):
            return each
    first = declared[0]
    if all(isinstance(each, Listed) for each in declared):
        values: dict[tuple[str, object], Any] = {}
        for each in declared:
            for value in each.grid_values() or ():
                values.setdefault(identity(value), each.opened(value))
        return Choice(first.name, list(values.values()), default=first.opened(first.default))
    numbers = [each for each in declared if not isinstance(each, Listed)]
    kinds = {type(each) for each in numbers}
    if len(kinds) != 1 or not all(_is_number_of(numbers[0], each) for each in declared):
        return None
    return _hull(numbers[0], declared)


def _hull(like: Any, declared: Sequence[Any]) -> Parameter:
    """Returns a range over all declared ones, with the first one's steps if they fit."""
    lows = [each.default if isinstance(each, Listed) else each.low for each in declared]
    highs = [each.default if isinstance(each, Listed) else each.high for each in declared]
    low, high = min(lows), max(highs)
    scale = like.scale if low > 0 else "linear"
    kind: Any = type(like)
    default = declared[0].default
    same_step = {each.step for each in declared if not isinstance(each, Listed)} == {like.step}
    fits = like.scale == "linear" and same_step and like.step is not None
    if fits and kind is Int and all((each - low) % like.step == 0 for each in [*lows, *highs]):
        return Int(like.name, low, high, step=like.step, default=default)
    return kind(like.name, low, high, scale=scale, default=default)  # type: ignore[no-any-return]


def _is_number_of(like: Parameter, other: Parameter) -> bool:
    if isinstance(other, Listed):
        # A range of one value is a Fixed.
        return other.kind == "fixed" and like.kind == (
            "int" if type(other.default) is int else "float"
        )
    return type(other) is type(like)


def _holds(one: Parameter, other: Parameter) -> bool:
    """Returns whether a parameter has all values of another."""
    if same_domain(one, other):
        return True
    values = other.grid_values() if isinstance(other, Listed) else None
    if values is not None:
        return all(one.contains(value) for value in values)
    if isinstance(one, Int) and isinstance(other, Int):
        return one.contains(other.low) and one.contains(other.high) and other.step % one.step == 0
    if isinstance(one, Float) and isinstance(other, Float) and one.step is None:
        return one.low <= other.low and other.high <= one.high
    return False


def _in_words(values: Sequence[Scalar]) -> str:
    if len(values) > _LISTED:
        return f"{values[0]} or {len(values) - 1} others"
    return " or ".join(str(value) for value in values)
