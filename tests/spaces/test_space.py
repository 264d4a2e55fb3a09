"""SearchSpace: which parameters are active, what a builder reads, the grid, JSON, and changes."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kerastudy as ks
from kerastudy import Boolean, Choice, Fixed, Float, Int, SearchSpace

# A child before its parent, a grandchild, two parents at once, an otherwise, a Fixed.
SPACE = SearchSpace(
    Float("momentum", 0.1, 0.9, when={"optimizer": ["sgd", "rmsprop"]}, otherwise=0.0),
    Choice("optimizer", ["adam", "sgd", "rmsprop"]),
    Boolean("nesterov", when={"optimizer": "sgd"}),
    Float("lookahead", 0.0, 1.0, when={"nesterov": True, "depth": [3, 4]}, otherwise=-1.0),
    Int("depth", 1, 4, role="scientific"),
    Float("rate", 1e-4, 1e-1, scale="log"),
    Fixed("loss", "mse"),
)


def test_a_space_is_a_collection_in_declared_order() -> None:
    names = ("momentum", "optimizer", "nesterov", "lookahead", "depth", "rate", "loss")
    assert SPACE.names == names and SPACE.dimensions == names[:-1]
    assert tuple(SPACE) == SPACE.parameters and len(SPACE) == 7
    assert "depth" in SPACE and "width" not in SPACE
    assert SPACE.conditional and not SearchSpace(Int("x", 1, 2)).conditional
    order = [parameter.name for parameter in SPACE.parents_first]
    assert order == ["optimizer", "momentum", "nesterov", "depth", "lookahead", "rate", "loss"]
    groups: list[Any] = [iter([Fixed("c", 1)]), [[Fixed("d", 2)]]]
    nested = SearchSpace(Int("first", 1, 2), [Boolean("a"), Float("b", 0, 1)], groups)
    assert nested.names == ("first", "a", "b", "c", "d")


@pytest.mark.parametrize(
    ("values", "active"),
    [
        ({"optimizer": "adam", "depth": 3}, "optimizer depth rate loss"),
        ({"optimizer": "sgd", "nesterov": False}, "momentum optimizer nesterov depth rate loss"),
        (
            {"optimizer": "sgd", "nesterov": True, "depth": 3},
            "momentum optimizer nesterov lookahead depth rate loss",
        ),
        # A child of an inactive parent is inactive, whatever the parent's value would be.
        ({"optimizer": "adam", "nesterov": True, "depth": 3}, "optimizer depth rate loss"),
        ({"optimizer": "unknown", "other": 1}, "optimizer depth rate loss"),
    ],
)
def test_active(values: dict[str, Any], active: str) -> None:
    assert SPACE.active(values) == tuple(active.split())


def test_conditions_tell_types_apart_but_compare_numbers_of_a_range() -> None:
    space = SearchSpace(
        Choice("a", [1, 1.0, True]),
        *(Fixed(repr(value), 0, when={"a": value}) for value in (1, 1.0, True)),
    )
    for value in (1, 1.0, True):
        assert space.active({"a": value}) == ("a", repr(value))
    space = SearchSpace(Float("a", 0, 1), Fixed("b", 1, when={"a": 0}))
    assert space.active({"a": 0.0}) == space.active({"a": 0}) == ("a", "b")


def test_values_are_resolved_completed_and_placed_in_the_unit_cube() -> None:
    values = {"loss": "mse", "optimizer": "adam", "depth": 2, "rate": 0.01}
    resolved = {"momentum": 0.0, "optimizer": "adam", "lookahead": -1.0}
    resolved |= {"depth": 2, "rate": 0.01, "loss": "mse"}
    assert list(SPACE.resolve(values).items()) == list(resolved.items())
    assert repr(SearchSpace(Float("x", 0, 1)).resolve({"x": 1})) == "{'x': 1.0}"
    defaults = {"optimizer": "adam", "depth": 3, "rate": 0.00316228, "loss": "mse"}
    assert list(SPACE.defaults().items()) == list(defaults.items())
    values |= {"optimizer": "sgd", "momentum": 0.3, "nesterov": False}
    point = SPACE.to_unit(values)
    assert list(point) == ["momentum", "optimizer", "nesterov", "depth", "rate"]
    assert (point["momentum"], point["optimizer"]) == pytest.approx((0.25, 0.5))
    assert SPACE.from_unit(point | {"lookahead": 0.7}) == pytest.approx(values)


def test_a_grid_has_each_configuration_once_and_is_lazy() -> None:
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
    large = SearchSpace([Int(f"x{index}", 1, 10) for index in range(9)])
    assert [configuration["x8"] for configuration in itertools.islice(large.grid(), 3)] == [1, 2, 3]


DECLARED = [
    Float("learning_rate", 1e-4, 1e-1, scale="log", default=1e-3, role="scientific"),
    Float("dropout", 0, 0.5, step=0.1),
    Float("momentum", 0.01, 0.99, scale="reverse_log", when={"mixed": [1, True]}, otherwise=None),
    Int("units", 16, 512, scale="log", step=2),
    Choice("mixed", [1, 1.0, True, None, "1", "é"]),
    Boolean("use_l2", when={"mixed": None}),
    Fixed("loss", "mse", when={"use_l2": True}, otherwise=False),
]
DIGEST = "c31a3bb469b4e2c928ec24f37c5ec893b5bbc8ac66a40f8cc96d82c0ab9b8233"


def test_the_digest_is_the_same_everywhere_and_depends_on_all_that_is_declared() -> None:
    # Studies are recorded under it: a change here makes every recorded study's space "changed".
    assert SearchSpace(DECLARED).digest == DIGEST
    assert SearchSpace(reversed(DECLARED)).digest == DIGEST
    others = [parameter for parameter in DECLARED if parameter.name != "dropout"]
    for changed in (
        Float("dropout", 0, 0.4, step=0.1),
        Float("dropout", 0, 0.5),
        Float("dropout", 0, 0.5, step=0.1, default=0.1),
        Float("dropout", 0, 0.5, step=0.1, role="scientific"),
        Float("dropout", 0, 0.5, step=0.1, when={"mixed": 1}),
        Float("dropout", 0, 0.5, step=0.1, when={"mixed": 1}, otherwise=0),
        Float("drop", 0, 0.5, step=0.1),
    ):
        assert SearchSpace(others, changed).digest != DIGEST


def test_differences_in_words() -> None:
    before = SearchSpace(
        Int("units", 16, 512),
        Float("dropout", 0, 0.5),
        Choice("flag", [1, 2]),
        Boolean("same"),
        Float("rate", 0, 1),
    )
    after = SearchSpace(
        Int("units", 16, 256, default=100),
        Choice("flag", [True, 2]),
        Boolean("same"),
        Choice("rate", ["low", "high"]),
        Float("l2", 1e-6, 0.1, when={"same": True}, otherwise=0.0),
    )
    assert before.differences(after) == [
        "'dropout' is gone; it was Float('dropout', 0.0, 0.5).",
        "'l2' is new: Float('l2', 1e-06, 0.1, when={'same': True}, otherwise=0.0).",
        "'units': high was 512, and is now 256.",
        "'units': default was 264, and is now 100.",
        "'flag': values was [1, 2], and is now [True, 2].",
        "'flag': default was 1, and is now True.",
        "'rate' was Float('rate', 0.0, 1.0), and is now Choice('rate', ['low', 'high']).",
    ]
    without = after.with_parameters(Float("l2", 1e-6, 0.1))
    assert after.differences(without) == [
        "'l2': when was {'same': [True]}, and is now not given.",
        "'l2': otherwise was 0.0, and is now not given.",
    ]


# Spaces that are altered.


def test_only_the_named_vary_and_children_that_can_not_be_active_go() -> None:
    space = SPACE.only("rate", "depth")
    assert space.dimensions == ("depth", "rate")
    assert (space["rate"], space["depth"]) == (SPACE["rate"], SPACE["depth"])
    assert repr(space["optimizer"]) == "Fixed('optimizer', 'adam')"
    # A builder may read them as before, without asking whether they are active.
    assert repr(space["momentum"]) == "Fixed('momentum', 0.0)"
    assert "nesterov" not in space
    before = ks.Hyperparameters(SPACE, SPACE.defaults())
    assert ks.Hyperparameters(space, space.defaults()).values == before.values
    assert SPACE.only(*SPACE.dimensions) == SPACE


def test_a_child_of_one_that_is_never_active_is_never_active_though_otherwise_would_match() -> None:
    space = SearchSpace(
        Boolean("a"),
        Boolean("b", when={"a": True}, otherwise=True),
        Float("c", 0.0, 1.0, when={"b": True}),
        Float("d", 0.0, 1.0),
    ).only("d")
    assert repr(space["b"]) == "Fixed('b', True)"
    assert "c" not in space


def test_conditions_on_altered_parents_are_settled() -> None:
    always = SPACE.fix(optimizer="sgd").only("momentum", "nesterov")
    assert repr(always["momentum"]) == "Float('momentum', 0.1, 0.9)"
    assert repr(always["nesterov"]) == "Boolean('nesterov')"
    # The condition of a fixed parent passes to its children.
    fixed = SPACE.fix({"nesterov": True}, depth=3)
    assert fixed["lookahead"].when == {"optimizer": ("sgd",)}
    assert fixed["lookahead"].otherwise == -1.0
    narrowed = SPACE.replace(Choice("optimizer", ["adam", "rmsprop"]), Int("depth", 1, 3))
    assert narrowed["momentum"].when == {"optimizer": ("rmsprop",)}
    assert "nesterov" not in narrowed
    numbers = SearchSpace(Float("x", 0.0, 2.0), Boolean("child", when={"x": [1, 2]}))
    assert repr(numbers.fix(x=1)["child"]) == "Boolean('child')"
    assert "child" not in numbers.fix(x=1.5)


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [("rate", 1, 1.0), ("depth", 99, 99), ("optimizer", "nadam", "nadam"), ("loss", "mae", "mae")],
)
def test_a_value_outside_the_domain_is_taken_as_its_kind_spells_it(
    name: str, value: object, taken: object
) -> None:
    parameter: Any = SPACE.fix({name: value})[name]
    assert (repr(parameter.default), parameter.role) == (repr(taken), "fixed")


def test_replaced_parameters_keep_their_conditions_and_added_ones_are_as_declared() -> None:
    space = SPACE.replace(Float("momentum", 0.5, 0.99))
    assert (space["momentum"].when, space["momentum"].otherwise) == (SPACE["momentum"].when, 0.0)
    assert space.names == SPACE.names
    space = SPACE.replace(Float("momentum", 0.5, 0.99, when={"depth": 1}))
    assert (space["momentum"].when, space["momentum"].otherwise) == ({"depth": (1,)}, 0.0)
    space = SPACE.with_parameters(Int("batch", 16, 64), Float("momentum", 0.0, 0.5), ks.l2())
    assert space.names == (*SPACE.names, "batch", "use_l2", "l2")
    assert not space["momentum"].when and space["nesterov"] == SPACE["nesterov"]


KEPT = SearchSpace(
    Choice("a", [1, 2, 3]),
    Boolean("b", when={"a": [1, 2]}),
    Choice("c", ["x", "y"], when={"b": True}, otherwise="z"),
    Int("d", 1, 3, when={"a": [2, 3]}),
    Boolean("e", when={"c": "x", "d": [1, 2]}, otherwise=None),
)
DRAWN = {parameter.name: st.sampled_from(list(parameter.grid_values() or ())) for parameter in KEPT}


# Machines are shared, so there is no limit of time.
@settings(deadline=None, database=None)
@given(st.fixed_dictionaries({}, optional=DRAWN))
def test_fixing_leaves_exactly_the_configurations_that_have_the_values(
    values: dict[str, Any],
) -> None:
    """Builders read the same values in the fixed space as in the narrowed whole one."""
    matches = [
        configuration
        for configuration in KEPT.grid()
        if all(configuration.get(name, value) == value for name, value in values.items())
    ]
    if any(all(name not in configuration for configuration in matches) for name in values):
        with pytest.raises(ks.errors.SearchSpaceError, match="never be active"):
            KEPT.fix(values)
        return
    space = KEPT.fix(values)
    expected = {str(KEPT.resolve(configuration)) for configuration in matches}
    configurations = [str(space.resolve(configuration)) for configuration in space.grid()]
    # Each configuration is there once. None differs only in an inactive parameter.
    assert len(configurations) == len(expected) and set(configurations) == expected
