"""One name that a builder declares with several domains."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from search_spaces import (
    Choice,
    Float,
    Hyperparameters,
    Int,
    KerasTunerSpace,
    OptunaSpace,
    SearchSpace,
    discover,
    holding_all,
    read_as,
)


def by_optimizer(hp: Any) -> None:
    if hp.Choice("optimizer", ["adam", "sgd", "rmsprop"]) == "adam":
        assert hp.Float("rate", 1e-4, 1e-2, sampling="log") <= 1e-2
    else:
        assert hp.Float("rate", 0.1, 1.0, sampling="log") >= 0.1


def in_scopes(hp: Any) -> None:
    adam = hp.Choice("optimizer", ["adam", "sgd", "rmsprop"]) == "adam"
    with hp.conditional_scope("optimizer", "adam"):
        assert (hp.Float("rate", 1e-4, 1e-2, sampling="log") is not None) is adam
    with hp.conditional_scope("optimizer", ["sgd", "rmsprop"]):
        assert (hp.Float("rate", 0.1, 1.0, sampling="log") is None) is adam


@pytest.mark.parametrize("build", [by_optimizer, in_scopes])
def test_under_conditions_they_are_parameters_of_their_own(build: Callable[[Any], None]) -> None:
    found = discover(build)
    assert found.notes == ()
    assert found.space == SearchSpace(
        Choice("optimizer", ["adam", "sgd", "rmsprop"]),
        Float("rate when optimizer is adam", 1e-4, 1e-2, scale="log", default=1e-4,
              when={"optimizer": "adam"}),
        Float("rate when optimizer is sgd or rmsprop", 0.1, 1.0, scale="log", default=0.1,
              when={"optimizer": ["sgd", "rmsprop"]}),
    )  # fmt: skip
    for values in _everywhere(found.space):
        hp = Hyperparameters(found.space, values)
        build(hp)
        assert hp.joined == ()
        assert hp.read == set(values)


def test_without_a_condition_the_first_that_holds_all_is_taken() -> None:
    def build(hp: Any) -> None:
        assert hp.Float("drop", 0.0, 0.3) == hp.Float("drop", 0.0, 0.5) == hp.Float("drop", 0, 0.4)

    found = discover(build)
    assert found.space == SearchSpace(Float("drop", 0.0, 0.5, default=0.0))
    assert "'drop' is declared with several domains" in found.notes[0]


def test_bounds_that_follow_from_other_values_are_as_wide_as_they_get() -> None:
    def build(hp: Any) -> None:
        units = hp.Int("units_0", 16, 512, step=16)
        for i in range(1, 4):
            units = hp.Int(f"units_{i}", 16, min(units, 256), step=16)

    found = discover(build)
    assert [found.space[f"units_{i}"].domain()["high"] for i in range(4)] == [512, 256, 256, 256]
    assert not found.space.conditional
    assert found.complete and len(found.notes) == 3


def test_bounds_that_follow_from_values_while_another_one_is_not_its_default() -> None:
    def build(hp: Any) -> None:
        units = hp.Int("units_0", 32, 512, step=32)
        for i in range(1, hp.Int("layers", 1, 3)):
            units = hp.Int(f"units_{i}", 16, min(units, 256), step=16)

    found = discover(build)
    for name, needed in (("units_1", (2, 3)), ("units_2", (3,))):
        assert found.space[name].domain() == Int(name, 16, 256, step=16).domain()
        assert found.space[name].when == {"layers": needed}


@pytest.mark.parametrize(
    ("declared", "one"),
    [
        ([Int("x", 1, 4), Int("x", 3, 9)], Int("x", 1, 9, default=3)),
        ([Int("x", 0, 4, step=2), Int("x", 2, 8, step=2)], Int("x", 0, 8, step=2, default=2)),
        ([Choice("x", ["a", "b"]), Choice("x", ["c", "b"])], Choice("x", ["a", "b", "c"])),
        ([Float("x", 0, 1, step=0.5), Float("x", 0, 1)], Float("x", 0, 1)),
        ([Choice("x", [(1,)]), Choice("x", [(2,), (1,)])], Choice("x", [(2,), (1,)])),
        ([Int("x", 1, 4), Float("x", 1, 4)], None),
    ],
)
def test_one_domain_for_several(declared: list[Any], one: Any) -> None:
    assert holding_all(declared) == one


@settings(deadline=None, database=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["p", "q"]),
            st.sets(st.integers(0, 2), min_size=1, max_size=2),
            st.sampled_from(["a", "b"]),
            st.integers(2, 9),
        ),
        max_size=6,
    )
)
def test_what_either_engine_proposes_is_valid_and_read(
    branches: list[tuple[str, set[int], str, int]],
) -> None:
    def build(hp: Any) -> dict[str, tuple[int, int]]:
        read: dict[str, tuple[int, int]] = {}
        known = {"p": hp.Choice("p", [0, 1, 2]), "q": hp.Choice("q", [0, 1, 2])}
        for parent, values, suffix, high in branches:
            if known[parent] in values:
                name = parent + suffix
                read.setdefault(name, (hp.Int(name, 0, high), high))
                assert hp.Int(name, 0, high) == read[name][0] == hp[name]
        return read

    found = discover(build)
    assert found.complete
    merged = {note.split("'")[1] for note in found.notes}
    optuna_space, keras_tuner_space = OptunaSpace(found.space), KerasTunerSpace(found.space)
    for values in _everywhere(found.space):
        assert optuna_space.decode(optuna_space.encode(values)[0]) == values
        assert keras_tuner_space.decode(keras_tuner_space.encode(values)) == values
        hp = Hyperparameters(found.space, values)
        read = build(hp)
        assert hp.joined == ()
        for name, (value, high) in read.items():
            assert name in merged or value <= high
        assert len({read_as(name) for name in values}) == len(values)


def _everywhere(space: SearchSpace) -> list[dict[str, Any]]:
    source = random.Random(0)
    return [space.from_unit({n: source.random() for n in space.dimensions}) for _ in range(30)]
