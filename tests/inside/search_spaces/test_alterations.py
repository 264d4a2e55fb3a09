"""A space altered: what varies, what is fixed, and what becomes of conditions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Hyperparameters,
    Int,
    SearchSpace,
    SearchSpaceError,
    l2,
    learning_rate,
)

SPACE = SearchSpace(
    Float("momentum", 0.1, 0.9, when={"optimizer": ["sgd", "rmsprop"]}, otherwise=0.0),
    Choice("optimizer", ["adam", "sgd", "rmsprop"]),
    Boolean("nesterov", when={"optimizer": "sgd"}),
    Float("lookahead", 0.0, 1.0, when={"nesterov": True, "depth": [3, 4]}, otherwise=-1.0),
    Int("depth", 1, 4, role="scientific"),
    Float("rate", 1e-4, 1e-1, scale="log"),
    Float("warmup", 0.0, 1.0, when={"rate": [1e-4, 0.001]}),
    Fixed("loss", "mse"),
)


def declared(space: SearchSpace, name: str) -> str:
    return repr(space[name])


def refused(do: Callable[[], object], *words: str) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        do()
    for word in words:
        assert word in str(raised.value)


# only


def test_only_the_named_vary_and_the_rest_have_their_defaults() -> None:
    space = SPACE.only("rate", "depth")
    assert set(space.dimensions) == {"rate", "depth"}
    assert space["rate"] == SPACE["rate"]
    assert space["depth"] == SPACE["depth"]
    assert space.defaults() == {**SPACE.defaults(), "momentum": 0.0, "lookahead": -1.0}
    assert declared(space, "optimizer") == "Fixed('optimizer', 'adam')"


def test_a_parent_that_is_fixed_drops_children_that_can_not_be_active() -> None:
    space = SPACE.only("rate")
    assert "nesterov" not in space
    # It is read as before by a builder that doesn't ask whether it is active.
    assert declared(space, "momentum") == "Fixed('momentum', 0.0)"


def test_what_a_builder_reads_stays_the_same() -> None:
    values = SPACE.defaults()
    before = Hyperparameters(SPACE, values)
    space = SPACE.only("rate")
    after = Hyperparameters(space, space.defaults())
    assert after.values == before.values


def test_a_child_of_one_that_is_never_active_is_never_active_though_otherwise_would_match() -> None:
    space = SearchSpace(
        Boolean("a"),
        Boolean("b", when={"a": True}, otherwise=True),
        Float("c", 0.0, 1.0, when={"b": True}),
        Float("d", 0.0, 1.0),
    ).only("d")
    assert declared(space, "b") == "Fixed('b', True)"
    assert "c" not in space


def test_a_condition_that_is_always_met_is_taken_away_and_otherwise_with_it() -> None:
    space = SPACE.fix(optimizer="sgd").only("momentum", "nesterov")
    assert declared(space, "momentum") == "Float('momentum', 0.1, 0.9)"
    assert declared(space, "nesterov") == "Boolean('nesterov')"


def test_the_condition_of_a_fixed_parent_passes_to_its_children() -> None:
    """A grandchild is active only while the parent is, though the parent doesn't vary."""
    space = SPACE.fix(nesterov=True, depth=3)
    assert space["lookahead"].when == {"optimizer": ("sgd",)}
    assert space["lookahead"].otherwise == -1.0
    assert "lookahead" not in space.active({"optimizer": "adam"})


def test_conditions_on_one_parent_by_two_ways_are_both_needed() -> None:
    space = SearchSpace(
        Choice("top", ["a", "b", "c"]),
        Boolean("middle", when={"top": ["a", "b"]}),
        Float("low", 0.0, 1.0, when={"middle": True, "top": ["b", "c"]}),
        Float("other", 0.0, 1.0, when={"middle": True, "top": "c"}),
    )
    fixed = space.fix(middle=True)
    assert fixed["low"].when == {"top": ("b",)}
    assert "other" not in fixed


def test_only_all_is_the_same_space() -> None:
    assert SPACE.only(*SPACE.dimensions) == SPACE
    assert SPACE.only(*SPACE.dimensions).names == SPACE.names


def test_fixed_parameters_of_ready_made_groups_read_as_off() -> None:
    space = SearchSpace(learning_rate(), l2()).only("learning_rate")
    hp = Hyperparameters(space, space.defaults())
    assert (hp["use_l2"], hp["l2"]) == (False, 0.0)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["optimiser"], ["'optimiser'", "Did you mean 'optimizer'?"]),
        (["loss"], ["'loss'", "Fixed('loss', 'mse')", "replace"]),
        ([], ["name of a parameter"]),
        (["momentum"], ["'momentum'", "Fixed('optimizer', 'adam')", "'sgd'"]),
        (["depth", "lookahead"], ["'lookahead'", "'nesterov' is never active"]),
    ],
)
def test_only_refuses(names: list[str], words: list[str]) -> None:
    refused(lambda: SPACE.only(*names), *words)


# fix


def test_fix_gives_the_value_and_keeps_the_condition() -> None:
    space = SPACE.fix({"nesterov": True}, momentum=0.5)
    assert space["momentum"].default == 0.5
    assert space["momentum"].when == SPACE["momentum"].when
    assert space["momentum"].otherwise == 0.0
    assert space["optimizer"] == SPACE["optimizer"]
    assert "depth" in space.dimensions


def test_fix_takes_names_that_are_no_identifiers() -> None:
    space = SearchSpace(Int("units 1", 1, 9), Float("values", 0, 1), Float("self", 0, 1))
    fixed = space.fix({"units 1": 3}, values=0.5, self=0.25)
    assert fixed.defaults() == {"units 1": 3, "values": 0.5, "self": 0.25}


@pytest.mark.parametrize(
    ("values", "now"),
    [
        ({"rate": 1}, 1.0),
        ({"rate": 7.5}, 7.5),
        ({"depth": 99}, 99),
        ({"optimizer": "nadam"}, "nadam"),
        ({"loss": "mae"}, "mae"),
    ],
)
def test_a_value_outside_the_domain_is_taken_as_its_kind_spells_it(
    values: dict[str, Any], now: object
) -> None:
    ((name, _),) = values.items()
    space = SPACE.fix(values)
    assert repr(space[name].default) == repr(now)
    assert space[name].role == "fixed"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rate": "0.1"}, ["Float 'rate' takes a number", "'0.1'"]),
        ({"rate": True}, ["True"]),
        ({"rate": float("inf")}, ["'rate'", "finite", "inf"]),
        ({"depth": 2.0}, ["Int 'depth'", "2.0", "int"]),
        ({"nesterov": 1}, ["Boolean 'nesterov'"]),
        ({"optimizer": None}, ["Choice 'optimizer' takes a text", "None"]),
        ({"loss": 3}, ["Fixed 'loss' takes a text"]),
        ({"dept": 1}, ["'dept'", "Did you mean 'depth'?"]),
        ({"optimizer": "adam", "momentum": 0.5}, ["'momentum' is active when", "'adam'"]),
        ({"optimizer": "nadam", "nesterov": True}, ["'nesterov'", "'nadam'"]),
    ],
)
def test_fix_refuses(values: dict[str, Any], words: list[str]) -> None:
    refused(lambda: SPACE.fix(values), *words)


def test_fix_refuses_a_name_given_twice() -> None:
    refused(lambda: SPACE.fix({"depth": 1}, depth=2), "'depth'", "twice")


def test_a_condition_on_a_float_is_met_however_its_number_is_spelled() -> None:
    space = SearchSpace(Float("x", 0.0, 2.0), Boolean("child", when={"x": [1, 2]}))
    assert declared(space.fix(x=1), "child") == "Boolean('child')"
    assert "child" not in space.fix(x=1.5)


# replace and with_parameters


def test_replace_keeps_condition_otherwise_and_place() -> None:
    space = SPACE.replace(Float("momentum", 0.5, 0.99), Choice("nesterov", [True, False]))
    assert (space["momentum"].when, space["momentum"].otherwise) == (SPACE["momentum"].when, 0.0)
    assert space["nesterov"].when == {"optimizer": ("sgd",)}
    assert space.names == SPACE.names


def test_replace_takes_a_new_condition() -> None:
    space = SPACE.replace(Float("momentum", 0.5, 0.99, when={"depth": 1}))
    assert space["momentum"].when == {"depth": (1,)}
    assert space["momentum"].otherwise == 0.0
    own = SPACE.replace(Float("momentum", 0.5, 0.99, when={"depth": 1}, otherwise=None))
    assert own["momentum"].otherwise is None


def test_replace_narrows_the_conditions_of_children() -> None:
    space = SPACE.replace(Choice("optimizer", ["adam", "rmsprop"]), Int("depth", 1, 3))
    assert space["momentum"].when == {"optimizer": ("rmsprop",)}
    assert "nesterov" not in space
    assert declared(space, "lookahead") == "Fixed('lookahead', -1.0)"
    always = SPACE.replace(Choice("optimizer", ["sgd", "rmsprop"]))
    assert not always["momentum"].when
    assert always["nesterov"].when == {"optimizer": ("sgd",)}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([Float("rte", 0, 1)], ["'rte'", "Did you mean 'rate'?"]),
        ([Choice("optimizer", ["adam"]), Float("momentum", 0, 1)], ["'momentum'", "'adam'"]),
        ([Float("rate", 0, 1, when={"optimizer": "sdg"})], ["'sdg'", "Did you mean 'sgd'?"]),
        ([Float("rate", 0, 1, when={"warmup": 0.5})], ["circle"]),
        ([Float("rate", 0, 1, when={"dept": 1})], ["'dept'", "Did you mean 'depth'?"]),
        ([Int("depth", 1, 2), Int("depth", 1, 3)], ["twice"]),
        (["depth"], ["'depth'"]),
    ],
)
def test_replace_refuses(parameters: list[Any], words: list[str]) -> None:
    refused(lambda: SPACE.replace(*parameters), *words)


def test_with_parameters_adds_and_replaces_exactly_as_declared() -> None:
    space = SPACE.with_parameters(
        Int("batch_size", 16, 64, step=16),
        Float("momentum", 0.0, 0.5),
        l2(),
        Choice("optimizer", ["adam", "sgd"]),
    )
    assert space.names == (*SPACE.names, "batch_size", "use_l2", "l2")
    assert not space["momentum"].when
    assert space["l2"].when == {"use_l2": (True,)}
    assert space["nesterov"] == SPACE["nesterov"]


def test_with_parameters_refuses_a_condition_that_can_not_be_met() -> None:
    refused(
        lambda: SPACE.with_parameters(Float("x", 0, 1, when={"optimizer": "lion"})), "'lion'", "'x'"
    )


def test_the_space_itself_is_not_changed() -> None:
    before = SPACE.to_json()
    SPACE.only("rate")
    SPACE.fix(optimizer="sgd")
    SPACE.with_parameters(Int("more", 1, 2))
    assert SPACE.to_json() == before


KEPT = SearchSpace(
    Choice("a", [1, 2, 3]),
    Boolean("b", when={"a": [1, 2]}),
    Choice("c", ["x", "y"], when={"b": True}, otherwise="z"),
    Int("d", 1, 3, when={"a": [2, 3]}),
    Boolean("e", when={"c": "x", "d": [1, 2]}, otherwise=None),
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "a": st.sampled_from([1, 2, 3]),
            "b": st.booleans(),
            "c": st.sampled_from(["x", "y"]),
            "d": st.integers(1, 3),
            "e": st.booleans(),
        },
    )
)
def test_fixing_leaves_exactly_the_configurations_that_have_the_values(
    values: dict[str, Any],
) -> None:
    """What builders read in the fixed space is what they read in the whole one, narrowed."""
    left = [
        each
        for each in KEPT.grid()
        if all(each.get(name, value) == value for name, value in values.items())
    ]
    nowhere = [name for name in values if all(name not in each for each in left)]
    if nowhere:
        refused(lambda: KEPT.fix(values), "never be active")
        return
    space = KEPT.fix(values)
    expected = {json.dumps(KEPT.resolve(each)) for each in left}
    assert {json.dumps(space.resolve(each)) for each in space.grid()} == expected
    # Each once: none differs in something that no builder reads.
    assert len(list(space.grid())) == len(expected)
