"""What discovery does where a builder raises, is wrong, or takes more builds than it may."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces import Boolean, Hyperparameters, SearchSpaceError, discover


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
