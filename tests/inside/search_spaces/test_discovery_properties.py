"""What holds for every builder that branches on what it declares."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from search_spaces import Hyperparameters, SearchSpace, discover

# No database: tests leave no files behind. No limits of time: machines are shared.
PROPERTY = settings(
    deadline=None, database=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
CONFIGURATIONS = 60


class Declare(NamedTuple):
    """A declaration of one of four kinds; `size` says how many values it has."""

    name: str
    kind: str
    size: int


class Branch(NamedTuple):
    """Statements that run only if each of the names has one of its values, by index."""

    tests: tuple[tuple[str, tuple[int, ...]], ...]
    body: tuple[Any, ...]


class Loop(NamedTuple):
    """As many declarations as an Int says."""

    name: str
    size: int


KINDS = {
    "Boolean": lambda hp, name, size: hp.Boolean(name),
    "Choice": lambda hp, name, size: hp.Choice(name, [f"v{i}" for i in range(size)]),
    "Int": lambda hp, name, size: hp.Int(name, 0, size - 1),
    "suggest": lambda hp, name, size: hp.suggest_categorical(name, list(range(size))),
}


def run(hp: Any, statements: tuple[Any, ...], known: dict[str, int]) -> None:
    for each in statements:
        if isinstance(each, Declare):
            value = KINDS[each.kind](hp, each.name, each.size)
            known[each.name] = int(value.strip("v")) if isinstance(value, str) else int(value)
        elif isinstance(each, Loop):
            for index in range(hp.Int(each.name, 0, each.size)):
                hp.Float(f"{each.name}_{index}", 0.0, 1.0, step=1.0)
        elif all(known.get(name) in values for name, values in each.tests):
            run(hp, each.body, known)


def builder(statements: tuple[Any, ...]) -> Callable[[Any], None]:
    return lambda hp: run(hp, statements, {})


@st.composite
def programs(draw: st.DrawFn, most_tests: int) -> tuple[Any, ...]:
    """Statements nested up to three deep; a branch tests names declared around or before it.

    Every body begins with a declaration, and only an outermost branch tests two names: no more
    than two parameters have to have some value at once before something new shows.
    """
    counter = itertools.count()

    def statements(depth: int, visible: list[Declare]) -> tuple[Any, ...]:
        visible = list(visible)
        made: list[Any] = []
        if depth:
            witness = Declare(f"p{next(counter)}", draw(st.sampled_from(list(KINDS))), 2)
            made.append(witness)
            visible.append(witness)
        for _ in range(draw(st.integers(1, 3 if depth < 2 else 1))):
            kind = draw(st.sampled_from(["Boolean", "Choice", "Int", "suggest", "branch", "loop"]))
            if kind == "loop":
                made.append(Loop(f"n{next(counter)}", draw(st.integers(1, 3))))
            elif kind == "branch" and visible and depth < 3:
                tested = draw(
                    st.lists(
                        st.sampled_from(visible),
                        min_size=1,
                        max_size=1 if depth else most_tests,
                        unique=True,
                    )
                )
                tests = tuple(
                    (
                        each.name,
                        tuple(
                            draw(
                                st.lists(
                                    st.integers(0, each.size - 1),
                                    min_size=1,
                                    max_size=each.size - 1,
                                    unique=True,
                                )
                            )
                        ),
                    )
                    for each in tested
                )
                made.append(Branch(tests, statements(depth + 1, visible)))
            elif kind != "branch":
                size = 2 if kind == "Boolean" else draw(st.integers(2, 3))
                declared = Declare(f"p{next(counter)}", kind, size)
                made.append(declared)
                visible.append(declared)
        return tuple(made)

    first = Declare("first", draw(st.sampled_from(["Boolean", "suggest"])), 2)
    return first, *statements(0, [first])


def configurations(space: SearchSpace) -> list[dict[str, Any]]:
    """Configurations from all over a space."""
    source = random.Random(0)
    return [
        space.from_unit({name: source.random() for name in space.dimensions})
        for _ in range(CONFIGURATIONS)
    ]


@PROPERTY
@given(programs(most_tests=1))
def test_conditions_on_one_parent_at_a_time_are_found_exactly(program: tuple[Any, ...]) -> None:
    build = builder(program)
    found = discover(build)
    assert found.complete
    assert found.notes == ()
    for values in configurations(found.space):
        hp = Hyperparameters(found.space, values)
        build(hp)
        assert hp.joined == ()
        assert hp.read == set(values)


@PROPERTY
@given(programs(most_tests=2))
def test_what_needs_two_parents_is_found_too(program: tuple[Any, ...]) -> None:
    build = builder(program)
    found = discover(build)
    assert found.complete
    for values in configurations(found.space):
        hp = Hyperparameters(found.space, values)
        build(hp)
        assert hp.joined == ()


@PROPERTY
@given(programs(most_tests=2))
def test_the_same_builder_has_the_same_space(program: tuple[Any, ...]) -> None:
    one, other = discover(builder(program)), discover(builder(program))
    assert one == other
    assert one.space.names == other.space.names
