"""What discovery does where a builder raises, is wrong, takes more builds, or changes domains."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from search_spaces import (
    Boolean,
    Choice,
    Float,
    Hyperparameters,
    Int,
    KerasTunerSpace,
    OptunaSpace,
    SearchSpace,
    SearchSpaceError,
    discover,
    holding_all,
    read_as,
)


def test_reading_what_was_not_declared_is_a_mistake() -> None:
    def build(hp: Any) -> None:
        if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
            hp.Float("momentum", 0.0, 0.9)
        hp["momentum"]

    with pytest.raises(SearchSpaceError, match="'momentum' is read where it has not been declared"):
        discover(build)


def test_values_for_which_the_builder_raises_are_noted() -> None:
    def build(hp: Any) -> None:
        size = hp.Choice("size", [1, 2, 3])
        if size == 2:
            hp.Float("two", 0.0, 1.0)
        if size == 3:
            hp.Boolean("before")
            raise ValueError("no threes")
        hp.Int("after", 1, 5)

    found = discover(build)
    assert set(found.space.names) == {"size", "after", "two", "before"}
    assert found.space["before"].when == {"size": (3,)}
    # That it is absent after an error says nothing.
    assert found.space["after"].when == {}
    assert found.complete
    assert len(found.notes) == 1
    assert found.notes[0].startswith("The builder raised ValueError: no threes with size=3")
    assert "infeasible" in found.notes[0]


def test_the_default_may_be_one_for_which_the_builder_raises() -> None:
    def build(hp: Any) -> None:
        if hp.Choice("size", [1, 2]) == 1:
            raise ValueError("no ones")
        hp.Boolean("bias")

    found = discover(build)
    assert set(found.space.names) == {"size", "bias"}
    assert "its defaults" in found.notes[0]


def test_what_stops_it_is_raised_as_it_is() -> None:
    built: list[int] = []

    def build(hp: Any) -> None:
        built.append(hp.Int("size", 1, 5))
        if len(built) == 2:
            raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        discover(build, stops=lambda error: isinstance(error, LookupError))
    assert len(built) == 2


@pytest.mark.parametrize("declares", [True, False])
def test_a_builder_that_always_raises_is_refused(declares: bool) -> None:
    def build(hp: Any) -> None:
        if declares:
            hp.Boolean("bias")
        raise ZeroDivisionError("float division by zero")

    with pytest.raises(SearchSpaceError, match="ZeroDivisionError: float division by zero") as told:
        discover(build)
    assert isinstance(told.value.__cause__, ZeroDivisionError)


def test_a_builder_that_declares_nothing_is_told_how() -> None:
    with pytest.raises(SearchSpaceError, match=r"declares no hyperparameters.*hp\.Float\("):
        discover(lambda hp: None)


def test_one_name_with_domains_that_have_nothing_in_common_is_refused() -> None:
    def build(hp: Any) -> None:
        hp.Int("units", 1, 8)
        hp.Choice("units", ["few", "many"])

    with pytest.raises(SearchSpaceError) as raised:
        discover(build)
    assert "Int('units', 1, 8, default=1)" in str(raised.value)
    assert "Choice('units', ['few', 'many'])" in str(raised.value)
    assert "name_scope" in str(raised.value)


def test_a_wrong_declaration_is_told_at_once() -> None:
    def build(hp: Any) -> None:
        hp.Choice("size", [object()])

    with pytest.raises(SearchSpaceError, match="'size'"):
        discover(build)


def test_the_limit_is_kept_and_what_shows_later_joins() -> None:
    builds: list[str] = []

    def build(hp: Any) -> None:
        for i in range(hp.Int("layers", 1, 12)):
            hp.Boolean(f"norm_{i}")

    found = discover(build, before=lambda: builds.append("begun"), limit=4)
    assert found.builds == len(builds) == 4
    assert not found.complete
    assert "limit of 4 builds" in found.notes[-1]
    small = discover(build, limit=1).space
    assert small.names == ("layers", "norm_0")
    hp = Hyperparameters(small, {"layers": 2, "norm_0": True})
    build(hp)
    assert hp.joined == (Boolean("norm_1"),)
    with pytest.raises(SearchSpaceError, match="limit must be"):
        discover(build, limit=0)


def test_before_is_called_before_each_build() -> None:
    calls: list[str] = []

    def build(hp: Any) -> None:
        hp.Boolean("bias")
        calls.append("build")

    found = discover(build, before=lambda: calls.append("before"))
    assert calls == ["before", "build"] * found.builds
    assert found.builds == 2


def test_at_the_limit_what_is_not_known_is_not_ruled_out() -> None:
    def build(hp: Any) -> None:
        for i in range(hp.Int("layers", 1, 12)):
            hp.Boolean(f"norm_{i}")

    for limit in range(2, discover(build).builds):
        found = discover(build, limit=limit)
        assert not found.complete
        for name in found.space.names[2:]:
            allowed = found.space[name].when.get("layers", range(1, 13))
            assert set(allowed) >= set(range(int(name.removeprefix("norm_")) + 1, 13))


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
