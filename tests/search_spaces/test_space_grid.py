"""The grid of a space."""

from __future__ import annotations

import itertools

import pytest

from search_spaces import Boolean, Choice, Fixed, Float, Int, SearchSpace, SearchSpaceError


def test_the_first_parameter_varies_slowest() -> None:
    space = SearchSpace(Choice("a", ["x", "y"]), Fixed("f", 0), Int("b", 1, 3))
    found = [(each["a"], each["b"]) for each in space.grid()]
    assert found == [("x", 1), ("x", 2), ("x", 3), ("y", 1), ("y", 2), ("y", 3)]
    assert all(list(each) == ["a", "f", "b"] for each in space.grid())


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


def test_a_grid_is_lazy() -> None:
    space = SearchSpace([Int(f"x{index}", 1, 10) for index in range(9)])
    first = list(itertools.islice(space.grid(), 3))
    assert [each["x8"] for each in first] == [1, 2, 3]
    first[0]["x0"] = "changed"
    assert next(space.grid())["x0"] == 1


def test_continuous_parameters_are_named() -> None:
    space = SearchSpace(
        Float("rate", 0, 1), Int("units", 1, 4), Float("decay", 0, 1, when={"units": 1})
    )
    with pytest.raises(SearchSpaceError, match="'rate', 'decay' are continuous"):
        space.grid()
