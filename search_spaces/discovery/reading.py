"""Finds out which hyperparameters a builder or another function reads.

`reading_of` runs a builder on some points of a space. `RecordedHyperparameters` records the calls
and reads of a function, such as `hp["dropout"]`, with their answers. `answers_alike` repeats these
on another `hp`, and compares the answers.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from search_spaces.declarations import read_as
from search_spaces.discovery.exploring import is_few, values_of
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


_LEFT: Final = ""
"""The name that is recorded when a function leaves a scope."""


class Asked(NamedTuple):
    """A call or a read of an `hp`, and its answer.

    Attributes:
        name: The method or attribute, or `_LEFT`.
        call: The arguments of a method. None for an attribute.
        answer: The returned value. None for a scope.
    """

    name: str
    call: tuple[tuple[Any, ...], dict[str, Any]] | None
    answer: Any


class RecordedHyperparameters:
    """An `hp` that records all calls and reads, with their answers.

    If another `hp` gives the same answers, a function that depends on its `hp` alone returns the
    same for both. So its result can be reused.
    """

    def __init__(self, hp: Any) -> None:
        self._hp = hp
        self._asked: list[Asked] = []
        self._comparable = True

    @property
    def asked(self) -> tuple[Asked, ...] | None:
        """All calls and reads so far. None if an answer can't be compared with another."""
        return tuple(self._asked) if self._comparable else None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        attribute = getattr(self._hp, name)
        return self._method(name) if callable(attribute) else self._noted(name, None, attribute)

    def __getitem__(self, name: str) -> Any:
        return self._method("__getitem__")(name)

    def __contains__(self, name: object) -> bool:
        return bool(self._method("__contains__")(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._method("keys")())

    def __len__(self) -> int:
        return len(self._method("keys")())

    def _method(self, name: str) -> Callable[..., Any]:
        def method(*arguments: Any, **keywords: Any) -> Any:
            # If this call raises and the function catches the error, its reads can't be compared.
            comparable, self._comparable = self._comparable, False
            answer = getattr(self._hp, name)(*arguments, **keywords)
            self._comparable = comparable
            call = copy.deepcopy((arguments, keywords))
            if isinstance(answer, AbstractContextManager):
                return self._scope(Asked(name, call, None), answer)
            return self._noted(name, call, answer)

        return method

    @contextlib.contextmanager
    def _scope(self, asked: Asked, scope: AbstractContextManager[Any]) -> Iterator[None]:
        self._asked.append(asked)
        try:
            with scope:
                yield
        finally:
            self._asked.append(Asked(_LEFT, None, None))

    def _noted(self, name: str, call: Any, answer: Any) -> Any:
        self._comparable = self._comparable and _is_plain(answer)
        if self._comparable:
            self._asked.append(Asked(name, call, copy.deepcopy(answer)))
        return answer


def answers_alike(asked: Sequence[Asked], hp: Any) -> bool:
    """Repeats calls and reads on another `hp`, and returns whether all answers are the same.

    That `hp` notes them as if the function itself had been called.
    """
    scopes: list[AbstractContextManager[Any]] = []
    try:
        for name, call, expected in asked:
            if name == _LEFT:
                scopes.pop().__exit__(None, None, None)
                continue
            answer = getattr(hp, name)
            if call is not None:
                arguments, keywords = copy.deepcopy(call)
                answer = answer(*arguments, **keywords)
            if isinstance(answer, AbstractContextManager):
                answer.__enter__()
                scopes.append(answer)
            # Types are compared, too, since 1 and True are not the same.
            elif (type(answer), repr(answer)) != (type(expected), repr(expected)):
                return False
        return True
    except Exception:
        # The function itself will raise the error.
        return False
    finally:
        for scope in reversed(scopes):
            scope.__exit__(None, None, None)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
