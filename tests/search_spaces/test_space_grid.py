"""The grid of a space, and its size without going through it."""

from __future__ import annotations

import itertools
import time

import pytest

from search_spaces import Boolean, Choice, Fixed, Float, Int, SearchSpace, SearchSpaceError


def test_the_first_parameter_varies_slowest() -> None:
    space = SearchSpace(Choice("a", ["x", "y"]), Fixed("f", 0), Int("b", 1, 3))
    found = [(each["a"], each["b"]) for each in space.grid()]
    assert found == [("x", 1), ("x", 2), ("x", 3), ("y", 1), ("y", 2), ("y", 3)]
    assert all(list(each) == ["a", "f", "b"] for each in space.grid())
    assert space.grid_size() == 6


def test_inactive_parameters_make_no_duplicates() -> None:
    space = SearchSpace(
        Float("momentum", 0.5, 0.9, step=0.2, when={"optimizer": "sgd"}),
        Choice("optimizer", ["adam", "sgd"]),
        Boolean("nesterov", when={"momentum": [0.7, 0.9]}),
    )
    assert list(space.grid()) == [
        {"optimizer": "adam"},
        {"momentum": 0.5, "optimizer": "sgd"},
        {"momentum": 0.7, "optimizer": "sgd", "nesterov": False},
        {"momentum": 0.7, "optimizer": "sgd", "nesterov": True},
        {"momentum": 0.9, "optimizer": "sgd", "nesterov": False},
        {"momentum": 0.9, "optimizer": "sgd", "nesterov": True},
    ]
    assert space.grid_size() == 6


def test_a_grid_is_lazy() -> None:
    space = SearchSpace([Int(f"x{index}", 1, 10) for index in range(9)])
    first = list(itertools.islice(space.grid(), 3))
    assert [each["x8"] for each in first] == [1, 2, 3]
    first[0]["x0"] = "changed"
    assert next(space.grid())["x0"] == 1


def test_large_grids_are_counted_at_once() -> None:
    space = SearchSpace(
        [Int(f"x{index}", 1, 1000) for index in range(20)],
        # Declared far from their parents, which all stay undecided until the end.
        [Boolean(f"use{index}") for index in range(40)],
        [Float(f"y{index}", 0, 1, step=0.01, when={f"use{index}": True}) for index in range(40)],
    )
    begun = time.perf_counter()
    assert space.grid_size() == 1000**20 * 102**40
    assert time.perf_counter() - begun < 2


def test_entangled_conditions_are_counted() -> None:
    parents = [Int(f"p{index}", 1, 3) for index in range(4)]
    space = SearchSpace(
        parents,
        Int("all", 1, 5, when={f"p{index}": 1 for index in range(4)}),
        Int("some", 1, 7, when={"p0": [1, 2], "all": [2, 4]}),
        Boolean("last", when={"some": 7}),
    )
    assert space.grid_size() == sum(1 for _ in space.grid())


def test_too_entangled_conditions_are_refused_in_words() -> None:
    space = SearchSpace(
        [Boolean(f"p{index}") for index in range(17)],
        Int("child", 1, 2, when={f"p{index}": True for index in range(17)}),
    )
    with pytest.raises(SearchSpaceError, match=r"'p\d+' combine in more than 100,000"):
        space.grid_size()


def test_continuous_parameters_are_named() -> None:
    space = SearchSpace(
        Float("rate", 0, 1), Int("units", 1, 4), Float("decay", 0, 1, when={"units": 1})
    )
    for ask in (space.grid, space.grid_size):
        with pytest.raises(SearchSpaceError, match="'rate', 'decay' are continuous"):
            ask()
