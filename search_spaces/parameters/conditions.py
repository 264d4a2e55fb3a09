"""Conditions: under which values of its parents a parameter is active, and in which order."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.scalars import Scalar, identity, is_object, plain_value
from search_spaces.suggestions import suggestion

if TYPE_CHECKING:
    from search_spaces.parameters.parameter import Parameter

Condition: TypeAlias = dict[str, tuple[Scalar, ...]]
"""Parent names, each with the values that it may have. All parents must match."""


def check_condition(when: object, subject: str) -> Condition:
    """Returns a condition in its one spelling: parents and values sorted; empty for None.

    Raises:
        SearchSpaceError: If it is anything else.
    """
    if when is None:
        return {}
    if not isinstance(when, Mapping):
        raise SearchSpaceError(
            f"{subject}: when must map parent names to values, received {when!r}: write "
            f"when={{'optimizer': 'sgd'}}, or when={{'optimizer': ['sgd', 'rmsprop']}}."
        )
    condition: Condition = {}
    for parent in sorted(when, key=repr):
        if not isinstance(parent, str):
            raise SearchSpaceError(
                f"{subject}: a condition names its parent by a string, received {parent!r} in "
                f"when={dict(when)!r}."
            )
        condition[parent] = _checked_values(when[parent], parent, subject)
    return condition


def _checked_values(given: object, parent: str, subject: str) -> tuple[Scalar, ...]:
    several = isinstance(given, list | tuple | set | frozenset)
    values: Iterable[object] = given if isinstance(given, Iterable) and several else (given,)
    what = f"{subject}: the value of {parent!r} in when"
    found = (plain_value(each, what) for each in values)
    spelled = (repr(each) if is_object(each) else each for each in found)
    plain = {identity(value): value for value in spelled}
    if not plain:
        raise SearchSpaceError(
            f"{subject}: when gives no value for {parent!r}, received {given!r}: it would never "
            f"be active. Give at least one value."
        )
    return tuple(plain[key] for key in sorted(plain, key=_order))


def _order(key: tuple[str, object]) -> tuple[str, float, str]:
    """Returns a sorting key for identities: by type, then by value."""
    kind, value = key
    return (
        kind,
        value if isinstance(value, int | float) else 0,
        value if isinstance(value, str) else "",
    )


def holds(
    parameter: Parameter, parents: Mapping[str, Parameter], active: Mapping[str, Any]
) -> bool:
    """Returns whether a parameter is active, by the values of the active parameters before it."""
    for name, values in parameter.when.items():
        if name not in active:
            return False
        parent = parents[name]
        found = parent.identity(active[name])
        if all(parent.identity(value) != found for value in values):
            return False
    return True


def condition_in_words(parameter: Parameter) -> str:
    """When a parameter is active: "'momentum' is active when 'optimizer' is 'sgd'"."""
    if not parameter.when:
        return f"{parameter.name!r} is always active"
    parts = [
        f"{parent!r} is {' or '.join(repr(value) for value in values)}"
        for parent, values in parameter.when.items()
    ]
    return f"{parameter.name!r} is active when {' and '.join(parts)}"


def check_parents(parameters: Mapping[str, Parameter]) -> None:
    """Checks every condition of a space against the parents that it names.

    Raises:
        SearchSpaceError: If a condition names an unknown parameter, or a value that its parent
            can't take.
    """
    for parameter in parameters.values():
        for name, values in parameter.when.items():
            if name not in parameters:
                others = [other for other in parameters if other != parameter.name]
                raise SearchSpaceError(
                    f"{parameter.subject}: its condition names {name!r}, which is not in the "
                    f"space. {suggestion(name, others)}"
                )
            for value in values:
                reason = parameters[name].reason_outside(value)
                if reason is not None:
                    raise SearchSpaceError(
                        f"{parameter.subject}: its condition {name!r}: {value!r} can't be met. "
                        f"{reason}"
                    )


def parents_first(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Returns the parameters with every parent before its children, and otherwise as declared.

    Raises:
        SearchSpaceError: If conditions form a circle, naming it.
    """
    try:
        graphlib.TopologicalSorter({each.name: each.when for each in parameters}).prepare()
    except graphlib.CycleError as error:
        circle = " depends on ".join(map(repr, reversed(error.args[1])))
        raise SearchSpaceError(
            f"Conditions form a circle, so none of these could ever be decided: {circle}. Take one "
            f"of the conditions away."
        ) from None
    waiting = list(parameters)
    placed: dict[str, Parameter] = {}
    while waiting:
        # The first that can be placed, each time: this keeps the declared order where possible.
        ready = next(each for each in waiting if all(name in placed for name in each.when))
        placed[ready.name] = ready
        waiting.remove(ready)
    return tuple(placed.values())
