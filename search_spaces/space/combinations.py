"""All configurations of a space, and their number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.conditions import holds
from search_spaces.parameters.parameter import Parameter

MOST_STATES: Final = 100_000
"""How many intermediate results `count_combinations` keeps before it gives up."""

_OTHER: Final = ("other", None)
"""Stands for all values of a parent that no condition names."""


def check_finite(parameters: Sequence[Parameter]) -> None:
    """Checks that a grid can be made. Raises SearchSpaceError if some have no step, naming them."""
    continuous = [parameter.name for parameter in parameters if parameter.count is None]
    if continuous:
        raise SearchSpaceError(
            f"A grid needs finitely many values, and {', '.join(map(repr, continuous))} "
            f"{'is' if len(continuous) == 1 else 'are'} continuous: give a step, or a Choice."
        )


def combinations(
    ordered: Sequence[Parameter], parents: Mapping[str, Parameter]
) -> Iterator[dict[str, Any]]:
    """Returns all configurations, each once, the first parameter varying slowest."""

    def complete(index: int, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if index == len(ordered):
            yield dict(values)
            return
        parameter = ordered[index]
        if not holds(parameter, parents, values):
            yield from complete(index + 1, values)
            return
        for value in parameter.grid_values() or ():
            values[parameter.name] = value
            yield from complete(index + 1, values)
        del values[parameter.name]

    return complete(0, {})


def count_combinations(ordered: Sequence[Parameter]) -> int:
    """Returns how many configurations `combinations` yields, without going through them.

    Parameters that no condition connects multiply. Within a connected group, values that no
    condition names are counted together, and what is already known about the parents that still
    matter decides the rest: a group costs as many steps as its parents have combinations of named
    values, not as there are configurations.

    Raises:
        SearchSpaceError: If one connected group has more than 100,000 combinations of parents.
    """
    return math.prod(_count_group(group) for group in _groups(ordered))


def _groups(ordered: Sequence[Parameter]) -> list[list[Parameter]]:
    """Returns the parameters in groups that conditions connect, parents before children."""
    group_of: dict[str, set[str]] = {}
    for parameter in ordered:
        joined = {parameter.name}.union(*(group_of[parent] for parent in parameter.when))
        for name in joined:
            group_of[name] = joined
    distinct = {id(group): group for group in group_of.values()}
    return [[each for each in ordered if each.name in group] for group in distinct.values()]


def _count_group(group: Sequence[Parameter]) -> int:
    by_name = {parameter.name: parameter for parameter in group}
    named: dict[str, set[tuple[str, object]]] = {name: set() for name in by_name}
    last_child: dict[str, int] = {}
    for index, parameter in enumerate(group):
        for parent, values in parameter.when.items():
            named[parent].update(by_name[parent].identity(value) for value in values)
            last_child[parent] = index

    # A state: the known values of parents that later conditions need; inactive parents are
    # left out. Its number: how many ways lead to it.
    states: dict[frozenset[tuple[str, tuple[str, object]]], int] = {frozenset(): 1}
    for index, parameter in enumerate(group):
        following: dict[frozenset[tuple[str, tuple[str, object]]], int] = {}
        for state, ways in states.items():
            known = dict(state)
            live = {(name, value) for name, value in state if last_child[name] > index}
            for value, times in _outcomes(parameter, by_name, known, named[parameter.name]):
                after = live if value is None else live | {(parameter.name, value)}
                key = frozenset(after)
                following[key] = following.get(key, 0) + ways * times
        if len(following) > MOST_STATES:
            raise SearchSpaceError(
                f"The grid can't be counted: the conditions around {parameter.name!r} combine in "
                f"more than {MOST_STATES:,} ways. Count while iterating over grid() instead."
            )
        states = following
    return sum(states.values())


def _outcomes(
    parameter: Parameter,
    by_name: Mapping[str, Parameter],
    known: Mapping[str, tuple[str, object]],
    named: set[tuple[str, object]],
) -> Iterator[tuple[tuple[str, object] | None, int]]:
    """Returns what later conditions may ask of a parameter, each with its number of ways."""
    active = all(
        known.get(parent) in {by_name[parent].identity(value) for value in values}
        for parent, values in parameter.when.items()
    )
    count = parameter.count or 0
    if not active:
        yield None, 1
    elif not named:
        yield None, count
    else:
        for value in named:
            yield value, 1
        if count > len(named):
            yield _OTHER, count - len(named)
