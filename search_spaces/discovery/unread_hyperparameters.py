"""Finds out which hyperparameters a builder reads.

`reading_of` runs it on some points of a space.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NamedTuple

from search_spaces.declarations import read_as
from search_spaces.discovery.inferred_conditions import is_few, values_of
from search_spaces.hp import Hyperparameters
from search_spaces.space import SearchSpace

_MOST_ROWS: Final = 8
"""The most builds that go through the values of choices and short ranges."""
_MOST_DRAWN: Final = 16
"""The most builds on random values, which look for names that only rare branches read."""


class Reading(NamedTuple):
    """The outcome of running a builder on points of a space.

    Attributes:
        unread: Names of parameters that no build read, though they were active.
        undeclared: Names that the builder declares and the space lacks.
        builds: How many times the builder was run.
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

    A builder that declares nothing is run until it has read all names, which mostly takes one run.
    `read_elsewhere` are names that the training reads, such as "epochs". `stops` decides whether an
    exception of the builder is raised.
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
            # Other errors are reported by the trial that meets them.
        read |= hp.read
        # "use_l2" counts as read if "l2" is read, which is active only with it.
        for parameter in reversed(space.parents_first):
            if parameter.name in read:
                read.update(parameter.when)
        declares = declares or hp.declares
        known = {read_as(name) for name in space.names}
        undeclared.update((p.name, None) for p in hp.joined if p.name not in known)
    unread = [name for name in space.dimensions if name in active and name not in read]
    return Reading(tuple(unread), tuple(undeclared), builds)


class _Noting(Hyperparameters):
    """Knows whether the builder has declared anything."""

    @property
    def declares(self) -> bool:
        return bool(self._declared or self._out_of_scope)


def _points(space: SearchSpace) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yields sets of values, the defaults first, each with whether it is random."""
    yield False, space.defaults()
    few = {p.name: values_of(p) for p in space if is_few(p)}
    for row in range(min(_MOST_ROWS, max(map(len, few.values()), default=2))):
        values = {
            p.name: few[p.name][row % len(few[p.name])]
            if p.name in few
            else p.from_unit(float(row % 2))
            for p in space
        }
        yield False, {name: values[name] for name in space.active(values)}
    source = random.Random(0)
    for _ in range(_MOST_DRAWN):
        yield True, space.from_unit({name: source.random() for name in space.dimensions})
