"""Conditions: when a parameter is active, and how a change of the space changes its condition.

A parameter is a child of the parents that its condition (`when`) names. If `fix`, `replace` or
another method changes the domain of a parent:

- The child's condition keeps only the values that the parent can still have.
- If no value is left, the child can never be active. The space drops the child and the child's own
  children. A child with an `otherwise` becomes Fixed at that value, so that `hp[name]` still works.
- If the condition allows all values that the parent can still have, the child is active whenever
  the parent is. So the parent's own condition replaces the child's condition on this parent.

Conditions on unchanged parents stay as they are.
"""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters import NOT_GIVEN, Fixed, Parameter, Scalar
from search_spaces.texts import suggestion

ByName = Mapping[str, Parameter]


def holds(parameter: Parameter, parents: ByName, active: Mapping[str, Any]) -> bool:
    """Returns whether a parameter is active. `active` has the values of the active parents."""
    for name, values in parameter.when.items():
        same = parents[name].identity
        if name not in active or same(active[name]) not in map(same, values):
            return False
    return True


def condition_in_words(parameter: Parameter) -> str:
    """Returns a clause such as "'momentum' is active when 'optimizer' is 'sgd'"."""
    if not parameter.when:
        return f"{parameter.name!r} is always active"
    parts = [
        f"{parent!r} is {' or '.join(repr(value) for value in values)}"
        for parent, values in parameter.when.items()
    ]
    return f"{parameter.name!r} is active when {' and '.join(parts)}"


def check_parents(parameters: ByName) -> None:
    """Checks that conditions name parents in the space, and values in the parents' domains."""
    for parameter in parameters.values():
        for name, values in parameter.when.items():
            if name not in parameters:
                others = [other for other in parameters if other != parameter.name]
                raise SearchSpaceError(
                    f"{parameter.subject}: its condition names {name!r}, which is not in the space",
                    hint=suggestion(name, others),
                )
            for value in values:
                setting = f"{parameter.subject}: the value of {name!r} in when"
                parameters[name].validate(value, setting)


def parents_first(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Returns the parameters in declared order, except that parents precede their children."""
    waiting = {parameter.name: parameter for parameter in parameters}
    try:
        graphlib.TopologicalSorter({name: p.when for name, p in waiting.items()}).prepare()
    except graphlib.CycleError as error:
        circle = " depends on ".join(map(repr, reversed(error.args[1])))
        raise SearchSpaceError(
            f"Conditions form a circle, so none of these parameters could be active: {circle}",
            hint="Remove one of the conditions.",
        ) from None
    ordered: list[Parameter] = []
    while waiting:
        # A parameter is ready when none of its parents is waiting. Taking the first parameter that
        # is ready keeps the declared order as far as possible.
        ready = next(p for p in waiting.values() if not waiting.keys() & p.when.keys())
        ordered.append(waiting.pop(ready.name))
    return tuple(ordered)


def with_changes(
    before: ByName, changes: ByName, named: Collection[str], with_new: Collection[str] = ()
) -> list[Parameter]:
    """Returns a space's parameters after changes, with conditions that fit the changed parents.

    Args:
        before: The space's parameters before the changes, by name.
        changes: The new declarations, by name.
        named: Names of parameters that must not become inactive for ever.
        with_new: Names of parameters whose new declaration has its own condition. This condition
            is not adapted to the changed parents.

    Raises:
        SearchSpaceError: If a parameter in `named` could never be active.
    """
    after = {**before, **changes}
    adapted: dict[str, Parameter] = {}
    inactive: set[str] = set()
    for parameter in parents_first(after.values()):
        name = parameter.name
        condition: Mapping[str, tuple[Scalar, ...]] | None = parameter.when
        if any(parent in inactive for parent in parameter.when):
            condition = None
        elif name not in with_new:
            condition = _adapted_condition(parameter, before, changes, adapted)
        if condition is not None:
            adapted[name] = parameter.conditioned(condition, parameter.otherwise)
        elif name in named:
            raise _never_active(parameter, adapted, inactive)
        else:
            inactive.add(name)
            if parameter.otherwise is not NOT_GIVEN:
                adapted[name] = Fixed(name, parameter.otherwise)
    return [adapted[name] for name in after if name in adapted]


def _adapted_condition(
    parameter: Parameter, before: ByName, changes: ByName, adapted: ByName
) -> dict[str, tuple[Scalar, ...]] | None:
    """Returns a parameter's condition after changes of its parents.

    Returns None if no values of the changed parents meet the condition.
    """
    demands: list[tuple[str, tuple[Scalar, ...]]] = []
    for name, values in parameter.when.items():
        if name not in changes:
            demands.append((name, values))
            continue
        parent = adapted[name]
        possible = _possible_values(values, before[name], parent)
        if parent.count == len({parent.identity(value) for value in possible}):
            # The condition is met whenever the parent is active, so the parent's own condition
            # replaces it.
            demands += parent.when.items()
        else:
            demands.append((name, possible))
    condition: dict[str, tuple[Scalar, ...]] = {}
    for name, values in demands:
        same = adapted[name].identity
        others = {same(value) for value in condition.get(name, values)}
        condition[name] = tuple(value for value in values if same(value) in others)
    return condition if all(condition.values()) else None


def _possible_values(
    values: Iterable[Scalar], old: Parameter, new: Parameter
) -> tuple[Scalar, ...]:
    """Returns the values of a condition that the parent's new domain contains."""
    possible = []
    for value in values:
        # A condition on a Float may list the int 1, while a Fixed that replaces the Float has the
        # float 1.0. So the value is tried as the old parent writes it, and as the condition does.
        spellings = [old.canonical(value), value] if old.contains(value) else [value]
        possible += [new.canonical(value) for value in spellings if new.contains(value)][:1]
    return tuple(possible)


def _never_active(parameter: Parameter, adapted: ByName, inactive: set[str]) -> SearchSpaceError:
    causes = " and ".join(
        f"{name!r} is never active" if name in inactive else f"{name!r} is {adapted[name]!r}"
        for name in parameter.when
        if name in inactive or name in adapted
    )
    return SearchSpaceError(
        f"{parameter.subject} could never be active: {condition_in_words(parameter)}, and {causes}",
        hint=f"Make its condition possible, or leave {parameter.name!r} out.",
    )
