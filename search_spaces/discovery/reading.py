"""Reading: which parameters of a declared space a builder uses, and what else it declares."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from search_spaces.discovery.exploring import is_few, values_of
from search_spaces.hyperparameters import Hyperparameters
from search_spaces.inline.variants import read_as
from search_spaces.space.search_space import SearchSpace

_MOST_ROWS: Final = 8
"""Builds that try every value of a parameter with so many values once."""
_MOST_DRAWN: Final = 16
"""Further builds for what is still unread: a branch may need two values at once."""


class Reading(NamedTuple):
    """What a builder does with a space.

    Attributes:
        unread: Names of parameters that no build read, though they were active.
        undeclared: Names that it declares and the space lacks.
        builds: How many times it was run.
    """

    unread: tuple[str, ...]
    undeclared: tuple[str, ...]
    builds: int


def reading_of(
    build: Callable[[Any], object],
    space: SearchSpace,
    *,
    before: Callable[[], object] = lambda: None,
    read_elsewhere: Collection[str] = (),
    stops: Callable[[Exception], bool] = lambda error: False,
) -> Reading:
    """Runs a builder on a few points of a space, the defaults first, and notes what it reads.

    A builder that declares nothing is run until it has read everything: mostly once. What a build
    reads before it raises counts.

    Args:
        build: The builder.
        space: The space.
        before: Called before each build, to reset global state.
        read_elsewhere: Names that something else reads.
        stops: Decides whether an exception of the builder ends the builds, and is raised.
    """
    read: set[str] = set(read_elsewhere)
    active: set[str] = set()
    undeclared: dict[str, None] = {}
    declares = False
    builds = 0
    for drawn, values in _points(space):
        if builds and not declares and read.issuperset(space.dimensions):
            break
        if drawn and read.issuperset(active):
            break
        before()
        hp = _Noting(space, values, number=0)
        builds += 1
        try:
            build(hp)
            active.update(values)
        except Exception as error:
            if stops(error):
                raise
            # Otherwise the trial of the default model reports it.
        read |= hp.read
        # A switch such as that of `l2()` is used if its parameter is.
        for parameter in reversed(space.parents_first):
            if parameter.name in read:
                read.update(parameter.when)
        declares = declares or hp.declares
        known = {read_as(name) for name in space.names}
        undeclared.update((p.name, None) for p in hp.joined if p.name not in known)
    unread = [name for name in space.dimensions if name in active and name not in read]
    return Reading(tuple(unread), tuple(undeclared), builds)


class _Noting(Hyperparameters):
    """Notes whether the builder declares anything, in the space or not."""

    @property
    def declares(self) -> bool:
        return bool(self._declared or self._out_of_scope)


def _points(space: SearchSpace) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yields values, and whether they are drawn: defaults, each value once, then drawn ones."""
    yield False, space.defaults()
    few = {p.name: values_of(p) for p in space if is_few(p)}
    for row in range(min(_MOST_ROWS, max(map(len, few.values()), default=2))):
        values = {
            p.name: few[p.name][row % len(few[p.name])]
            if p.name in few
            else p.from_unit(float(row % 2))
            for p in space
        }
        yield False, _active(space, values)
    source = random.Random(0)
    for _ in range(_MOST_DRAWN):
        yield True, space.from_unit({name: source.random() for name in space.dimensions})


def _active(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in space.active(values)}
