"""SearchSpace: what it refuses, which parameters are active, what is valid and read, its grid."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import pytest

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Int,
    Parameter,
    SearchSpace,
    SearchSpaceError,
)


@pytest.fixture
def space() -> SearchSpace:
    """A child before its parent, a grandchild, two parents at once, an otherwise, a Fixed."""
    return SearchSpace(
        Float("momentum", 0.1, 0.9, when={"optimizer": ["sgd", "rmsprop"]}, otherwise=0.0),
        Choice("optimizer", ["adam", "sgd", "rmsprop"]),
        Boolean("nesterov", when={"optimizer": "sgd"}),
        Float("lookahead", 0, 1, when={"nesterov": True, "depth": [3, 4]}),
        Int("depth", 1, 4),
        Fixed("loss", "mse"),
    )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ((), ["empty", "at least one"]),
        (([],), ["empty"]),
        ((Float("x", 0, 1), Int("x", 1, 2)), ["'x'", "twice", "Float", "Int"]),
        (
            (Float("x", 0, 1, when={"optimiser": "a"}), Choice("optimizer", ["a"])),
            ["'optimiser'", "Did you mean 'optimizer'?"],
        ),
        ((Float("x", 0, 1, when={"y": 1}),), ["'y'", "none to choose"]),
        (
            (Float("x", 0, 1, when={"y": "sdg"}), Choice("y", ["sgd"])),
            ["'sdg'", "Did you mean 'sgd'?"],
        ),
        ((Float("x", 0, 1, when={"y": [1, 7]}), Int("y", 1, 4)), ["7", "Int 'y'"]),
        ((Float("x", 0, 1, when={"y": 1}), Boolean("y")), ["1", "Boolean 'y'"]),
        ((Float("x", 0, 1, when={"x": 0.5}),), ["circle", "'x' depends on 'x'"]),
        (
            (
                Boolean("free"),
                Boolean("outside", when={"a": True}),
                Boolean("a", when={"b": True}),
                Boolean("b", when={"c": True}),
                Boolean("c", when={"a": True}),
            ),
            ["circle", "'a' depends on 'b' depends on 'c' depends on 'a'"],
        ),
        (("learning_rate",), ["'learning_rate'"]),
        ((3,), ["3"]),
        ((Float("x", 0, 1), [None]), ["None"]),
        (({"x": Float("x", 0, 1)},), ["{'x'"]),
    ],
)
def test_refusals(parameters: tuple[Any, ...], said: list[str]) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        SearchSpace(*parameters)
    for words in said:
        assert words in str(raised.value)
    assert "outside" not in str(raised.value)


def test_a_space_is_a_collection(space: SearchSpace) -> None:
    assert space.names == ("momentum", "optimizer", "nesterov", "lookahead", "depth", "loss")
    assert [parameter.name for parameter in space] == list(space.names)
    assert tuple(space) == space.parameters
    assert len(space) == 6
    assert "depth" in space
    assert "width" not in space
    assert space["depth"] == Int("depth", 1, 4)
    assert space.dimensions == space.names[:-1]
    assert space.conditional
    assert not SearchSpace(Int("x", 1, 2)).conditional
    with pytest.raises(SearchSpaceError, match=r"'dept'.*Did you mean 'depth'"):
        space["dept"]


def test_groups_are_flattened() -> None:
    group: list[Parameter] = [Boolean("a"), Float("b", 0, 1, when={"a": True})]
    groups: list[Any] = [iter([Fixed("c", 1)]), [[Fixed("d", 2)]]]
    nested = SearchSpace(Int("first", 1, 2), group, groups)
    assert nested.names == ("first", "a", "b", "c", "d")


def test_parents_come_first_and_the_rest_keeps_its_order(space: SearchSpace) -> None:
    order = [parameter.name for parameter in space.parents_first]
    assert order == ["optimizer", "momentum", "nesterov", "depth", "lookahead", "loss"]


def test_spaces_compare_by_what_they_declare(space: SearchSpace) -> None:
    turned = SearchSpace(reversed(space.parameters))
    assert turned == space
    assert hash(turned) == hash(space)
    assert pickle.loads(pickle.dumps(space)) == space
    assert pickle.loads(pickle.dumps(space)).names == space.names
    assert space != SearchSpace(space.parameters[1:3])
    assert space != space.names


@pytest.mark.parametrize(
    ("values", "active"),
    [
        ({"optimizer": "adam", "depth": 3}, "optimizer depth loss"),
        ({"optimizer": "rmsprop"}, "momentum optimizer depth loss"),
        ({"optimizer": "sgd", "nesterov": False}, "momentum optimizer nesterov depth loss"),
        (
            {"optimizer": "sgd", "nesterov": True, "depth": 3},
            "momentum optimizer nesterov lookahead depth loss",
        ),
        (
            {"optimizer": "sgd", "nesterov": True, "depth": 2},
            "momentum optimizer nesterov depth loss",
        ),
        # A child of an inactive parent is inactive, whatever the parent's value would be.
        ({"optimizer": "adam", "nesterov": True, "depth": 3}, "optimizer depth loss"),
        ({}, "optimizer depth loss"),
        ({"optimizer": "unknown", "other": 1}, "optimizer depth loss"),
    ],
)
def test_active(space: SearchSpace, values: dict[str, Any], active: str) -> None:
    assert space.active(values) == tuple(active.split())


def test_conditions_tell_types_apart() -> None:
    space = SearchSpace(
        Choice("a", [1, 1.0, True]),
        Fixed("int", 0, when={"a": 1}),
        Fixed("float", 0, when={"a": 1.0}),
        Fixed("bool", 0, when={"a": True}),
    )
    assert space.active({"a": 1}) == ("a", "int")
    assert space.active({"a": 1.0}) == ("a", "float")
    assert space.active({"a": True}) == ("a", "bool")


def test_conditions_on_numbers_compare_numbers() -> None:
    space = SearchSpace(Float("a", 0, 1), Fixed("b", 1, when={"a": 0}))
    assert space.active({"a": 0.0}) == space.active({"a": 0}) == ("a", "b")
    assert space.active({"a": 0.1}) == ("a",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, []),
        ({"optimizer": "adam", "momentum": None}, []),
        ({"optimizer": None}, ["'optimizer'", "no value"]),
        ({"loss": None}, ["'loss'", "no value"]),
        ({"momentum": None}, ["'momentum'", "no value"]),
        ({"momentun": 0.5}, ["'momentun'", "Did you mean 'momentum'?"]),
        ({"momentum": 5}, ["'momentum'", "5", "0.1", "0.9"]),
        (
            {"optimizer": "adam"},
            ["'momentum'", "0.5", "not active", "'optimizer' is 'rmsprop' or 'sgd'"],
        ),
        ({"nesterov": True}, ["'nesterov'", "not active", "'optimizer' is 'sgd'"]),
        ({"optimizer": "rms"}, ["'rms'", "Did you mean 'rmsprop'?"]),
        ({"depth": 2.0}, ["'depth'", "2.0"]),
    ],
)
def test_contains(space: SearchSpace, changes: dict[str, Any], reason: list[str]) -> None:
    """None in the changes leaves a value out."""
    values = {"optimizer": "rmsprop", "momentum": 0.5, "depth": 2, "loss": "mse"} | changes
    values = {name: value for name, value in values.items() if value is not None}
    found = space.contains(values)
    assert bool(found) is (not reason)
    if not reason:
        assert found.reason == ""
        space.validate(values)
        return
    for words in reason:
        assert words in found.reason
    for refusing in (space.validate, space.resolve, space.to_unit):
        with pytest.raises(SearchSpaceError) as raised:
            refusing(values)
        assert str(raised.value) == found.reason


def test_resolve(space: SearchSpace) -> None:
    resolved = space.resolve({"loss": "mse", "optimizer": "adam", "depth": 2})
    assert list(resolved.items()) == [
        ("momentum", 0.0),
        ("optimizer", "adam"),
        ("depth", 2),
        ("loss", "mse"),
    ]
    assert SearchSpace(Float("x", 0, 1)).resolve({"x": 1}) == {"x": 1.0}
    assert type(SearchSpace(Float("x", 0, 1)).resolve({"x": 1})["x"]) is float


def test_defaults(space: SearchSpace) -> None:
    assert list(space.defaults().items()) == [("optimizer", "adam"), ("depth", 3), ("loss", "mse")]
    space.validate(space.defaults())


def test_points(space: SearchSpace) -> None:
    values = {"optimizer": "sgd", "momentum": 0.3, "nesterov": False, "depth": 1, "loss": "mse"}
    point = space.to_unit(values)
    assert list(point) == ["momentum", "optimizer", "nesterov", "depth"]
    assert point["momentum"] == pytest.approx(0.25)
    assert point["optimizer"] == pytest.approx(0.5)
    assert space.from_unit(point | {"lookahead": 0.7}) == pytest.approx(values)
    with pytest.raises(SearchSpaceError, match="'lookahead'"):
        space.from_unit(point)
    with pytest.raises(SearchSpaceError, match="There is no dimension of the space 'loss'"):
        space.from_unit(point | {"lookahead": 0.7, "loss": 0.5})
    with pytest.raises(SearchSpaceError, match=r"'lookahead'.*1\.7"):
        space.from_unit(point | {"lookahead": 1.7})


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
