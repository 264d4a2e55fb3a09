"""Finds the hyperparameters of a space that a builder does not read, by running the builder."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NamedTuple

from search_spaces.discovery.inferred_conditions import is_few, values_of
from search_spaces.hp_and_trial_methods import Hyperparameters, read_as
from search_spaces.space import SearchSpace

_MOST_ROWS: Final = 8
"""The largest number of builds that go through the values of choices and short ranges."""
_MOST_DRAWN: Final = 16
"""The largest number of builds with random values. These builds find names that are read only in
rare branches."""


class Reading(NamedTuple):
    """The outcome of `reading_of`: which hyperparameters a builder reads.

    Attributes:
        unread: Names of parameters that were active in a build and that no build read.
        undeclared: Names that the builder declares and that are not in the space.
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
    """Runs a builder with a few sets of values, the defaults first, and records what it reads.

    A builder that declares nothing is run only until it has read all names of the space. Usually,
    it reads all of them in the first run. `before` is called before each run. `read_elsewhere` are
    names that the training reads, such as "epochs". `stops` gets each exception of the builder. If
    `stops` returns True, the exception is raised.
    """
    read: set[str] = set(read_elsewhere)
    active: set[str] = set()
    undeclared: dict[str, None] = {}
    declares = False
    builds = 0
    for is_random, values in _sets_of_values(space):
        if builds and not declares and read.issuperset(space.dimensions):
            break
        if is_random and read.issuperset(active):
            break
        before()
        hp = _DeclaringHyperparameters(space, values, number=0)
        builds += 1
        try:
            build(hp)
            active.update(values)
        except Exception as error:
            if stops(error):
                raise
            # The error is ignored here, because a trial with these values will report it.
        read |= hp.read
        # "use_l2" counts as read if "l2" is read, since "l2" is active only if "use_l2" is True.
        for parameter in reversed(space.parents_first):
            if parameter.name in read:
                read.update(parameter.when)
        declares = declares or hp.declares
        names = {read_as(name) for name in space.names}
        undeclared.update((p.name, None) for p in hp.defaulted if p.name not in names)
    unread = [name for name in space.dimensions if name in active and name not in read]
    return Reading(tuple(unread), tuple(undeclared), builds)


class _DeclaringHyperparameters(Hyperparameters):
    @property
    def declares(self) -> bool:
        """Whether the builder has declared anything."""
        return bool(self._declared or self._out_of_scope)


def _sets_of_values(space: SearchSpace) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yields pairs: whether the values are random, and the values. The defaults come first."""
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
