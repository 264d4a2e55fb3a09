"""Alters a space: fixes, replaces or adds parameters, and adapts the conditions on them.

A parameter is a child of the parents that its condition (`when`) names. If the domain of a parent
changes:

- The child's condition keeps only the values that the parent can still have.
- If no value is left, the child can never be active. The child is dropped, and so are its own
  children. A child with an `otherwise` becomes Fixed at that value, so that `hp[name]` still works.
- If the condition allows all values that the parent can still have, the parent's own condition
  takes its place.

Conditions on unchanged parents stay as they are. If a parameter that the user names could never be
active, SearchSpaceError is raised.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from search_spaces.errors import SearchSpaceError, suggestion
from search_spaces.parameters.base import Parameter, condition_in_words
from search_spaces.parameters.choices import Fixed, Listed
from search_spaces.parameters.ranges import Int
from search_spaces.parameters.values import (
    NOT_GIVEN,
    Scalar,
    identity,
    is_object,
    plain_scalar,
    plain_value,
)

ByName = Mapping[str, Parameter]

_LARGEST: Final = sys.float_info.max
_KINDS: Final[Mapping[type, str]] = {
    float: "a number",
    int: "an int",
    bool: "true or false",
    str: "a text",
    type(None): "None",
}


def declared(groups: Iterable[object]) -> dict[str, Parameter]:
    """Returns the parameters by name, in declared order. Groups may be nested."""
    by_name: dict[str, Parameter] = {}
    for parameter in _flattened(groups):
        if parameter.name in by_name:
            first = by_name[parameter.name]
            raise SearchSpaceError(
                f"{first.name!r} is declared twice, as {first!r} and as {parameter!r}: give one of "
                "them another name."
            )
        by_name[parameter.name] = parameter
    return by_name


def _flattened(groups: Iterable[object]) -> Iterator[Parameter]:
    for each in groups:
        if isinstance(each, Parameter):
            yield each
        elif isinstance(each, Iterable) and not isinstance(each, str | bytes | Mapping):
            yield from _flattened(each)
        else:
            hint = "Declare it with Float, Int, Choice, Boolean or Fixed."
            raise SearchSpaceError(
                "A search space takes parameters and groups of them", received=each, hint=hint
            )


def fixed_others(names: Iterable[str], parameters: ByName) -> dict[str, Parameter]:
    """Returns a Fixed at its default for each parameter that is neither in `names` nor Fixed."""
    varying = tuple(names)
    if not varying:
        raise SearchSpaceError(
            "only() needs the name of a parameter that varies. To fix some, use fix(name=value)."
        )
    for name in varying:
        check_known(name, parameters)
        if isinstance(parameters[name], Fixed):
            raise SearchSpaceError(
                f"{name!r} can't vary: it is {parameters[name]!r}. Give it a domain first, with "
                f"replace(Float({name!r}, …)), or leave it out."
            )
    return {
        name: _fixed(parameter, parameter.default)
        for name, parameter in parameters.items()
        if name not in varying and not isinstance(parameter, Fixed)
    }


def fixed(values: Mapping[str, object], parameters: ByName) -> dict[str, Parameter]:
    """Returns the named parameters, Fixed at the given values. They keep their conditions."""
    for name in values:
        check_known(name, parameters)
    return {
        name: _fixed(parameters[name], value_of_kind(parameters[name], value))
        for name, value in values.items()
    }


def replaced(new: ByName, parameters: ByName) -> dict[str, Parameter]:
    """Returns the new declarations, each with the old `when` and `otherwise` if it has none."""
    merged = {}
    for name, parameter in new.items():
        check_known(name, parameters)
        old = parameters[name]
        kept = old.otherwise if parameter.otherwise is NOT_GIVEN else parameter.otherwise
        merged[name] = parameter.conditioned(parameter.when or old.when, kept)
    return merged


def value_of_kind(parameter: Parameter, value: object) -> Any:
    """Checks that the type of a value suits a parameter, and returns the value.

    The value may lie outside the domain. A Float takes any finite number, an Int any int, a Boolean
    False or True. A Choice or a Fixed takes any value that has the type of one of its own values.
    If one of its values is a tuple, list or dict, it takes any tuple, list or dict.
    """
    what = f"The value to fix {parameter.subject} at"
    if isinstance(parameter, Listed) and parameter.objects:
        if parameter.contains(value):
            return parameter.opened(parameter.canonical(value))
        if is_object(value):
            return plain_value(value, what)
    plain = plain_scalar(value, what)
    types = kinds_of(parameter)
    if type(plain) in types:
        return plain
    if type(plain) is int and float in types and abs(plain) <= _LARGEST:
        return float(plain)
    accepted = " or ".join(name for kind, name in _KINDS.items() if kind in types)
    hint = "Another kind of value needs another declaration, by replace(…)."
    raise SearchSpaceError(f"{parameter.subject} takes {accepted}", received=value, hint=hint)


def kinds_of(parameter: Parameter) -> frozenset[type]:
    """Returns the types of the values that a parameter has."""
    if isinstance(parameter, Listed):
        return frozenset(type(value) for value in parameter.values)
    return frozenset({int if isinstance(parameter, Int) else float})


def unknown_name(name: object, by_name: Mapping[str, Parameter]) -> str:
    """Returns the message about a name that is not in the space."""
    return f"{name!r} is not in the search space. {suggestion(name, by_name)}"


def check_known(name: str, parameters: ByName) -> None:
    """Raises SearchSpaceError if no parameter has this name."""
    if name not in parameters:
        raise SearchSpaceError(unknown_name(name, parameters))


def altered(
    before: ByName, changes: ByName, named: Collection[str], with_new: Collection[str] = ()
) -> list[Parameter]:
    """Returns the parameters after changes. Adapts conditions as the module's docstring says.

    The conditions of the parameters in `with_new` are new, and stay as they are. Raises
    SearchSpaceError if a parameter in `named` could never be active.
    """
    after = {**before, **changes}
    settled: dict[str, Parameter] = {}
    never: set[str] = set()
    waiting = dict(after)
    while waiting:
        ready = [each for each in waiting.values() if not any(p in waiting for p in each.when)]
        if not ready:
            # The conditions form a circle. The new space raises the error.
            settled.update(waiting)
            break
        for parameter in ready:
            name = waiting.pop(parameter.name).name
            condition: Mapping[str, tuple[Scalar, ...]] | None = parameter.when
            if any(parent in never for parent in parameter.when):
                condition = None
            elif name not in with_new:
                condition = _settled_condition(parameter, before, changes, settled)
            if condition is not None:
                settled[name] = parameter.conditioned(condition, parameter.otherwise)
                continue
            if name in named:
                raise _never_active(parameter, settled, never)
            never.add(name)
            if parameter.otherwise is not NOT_GIVEN:
                settled[name] = Fixed(name, parameter.otherwise)
    return [settled[name] for name in after if name in settled]


def _settled_condition(
    parameter: Parameter, before: ByName, changes: ByName, settled: ByName
) -> dict[str, tuple[Scalar, ...]] | None:
    """Returns a parameter's condition after its parents changed. None if it can't be met."""
    demands: list[tuple[str, tuple[Scalar, ...]]] = []
    for name, values in parameter.when.items():
        if name not in changes or name not in settled:
            # The parent is unchanged, or unknown. The new space reports unknown parents.
            demands.append((name, values))
            continue
        parent = settled[name]
        left = _values_left(values, before.get(name), parent)
        if parent.count == len({parent.identity(value) for value in left}):
            # The condition is always met while the parent is active.
            demands += parent.when.items()
        else:
            demands.append((name, left))
    condition: dict[str, tuple[Scalar, ...]] = {}
    for name, values in demands:
        same = settled[name].identity if name in settled else identity
        others = {same(value) for value in condition.get(name, values)}
        condition[name] = tuple(value for value in values if same(value) in others)
    return condition if all(condition.values()) else None


def _values_left(
    values: Iterable[Scalar], old: Parameter | None, new: Parameter
) -> tuple[Scalar, ...]:
    """Returns a condition's values that the new parent can have, as that parent spells them."""
    possible = []
    for value in values:
        # A condition on a Float may say 1. A Fixed that replaces the Float has the value 1.0.
        spelled = old.canonical(value) if old is not None and old.contains(value) else value
        for each in (spelled, value):
            if new.contains(each):
                possible.append(new.canonical(each))
                break
    return tuple(possible)


def _never_active(parameter: Parameter, settled: ByName, never: set[str]) -> SearchSpaceError:
    parents = [
        f"{name!r} is never active" if name in never else f"{name!r} is {settled[name]!r}"
        for name in parameter.when
        if name in never or name in settled
    ]
    return SearchSpaceError(
        f"{parameter.subject} could never be active: {condition_in_words(parameter)}, and "
        f"{' and '.join(parents)}. Let the condition be met, or don't name {parameter.name!r}."
    )


def _fixed(parameter: Parameter, value: Any) -> Fixed:
    fixed = Fixed(parameter.name, parameter.opened(value))
    return fixed.conditioned(parameter.when, parameter.otherwise)
