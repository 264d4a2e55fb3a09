"""What a model builder receives."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    HyperparameterError,
    Hyperparameters,
    SearchSpace,
    SearchSpaceError,
    l2,
)


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(
        Choice("optimizer", ["adam", "sgd"]),
        Float("momentum", 0, 1, when={"optimizer": "sgd"}),
        l2(),
        Choice("maybe", [None, 1]),
        Fixed("loss", "mse"),
        Boolean("hidden", when={"optimizer": "sgd"}, otherwise=None),
    )


@pytest.fixture
def hp(space: SearchSpace) -> Hyperparameters:
    values = {"optimizer": "adam", "use_l2": False, "maybe": None, "loss": "mse"}
    return Hyperparameters(space, values)


def test_values_are_read_by_name(hp: Hyperparameters) -> None:
    assert hp["optimizer"] == "adam"
    assert hp["loss"] == "mse"
    assert hp["maybe"] is None
    assert hp["l2"] == 0.0
    assert hp["hidden"] is None
    assert hp.get("optimizer") == "adam"
    assert hp.get("l2", 5.0) == 0.0
    assert hp.get("maybe", 5) is None


def test_what_is_not_active_says_when_it_would_be(hp: Hyperparameters) -> None:
    with pytest.raises(HyperparameterError) as raised:
        hp["momentum"]
    assert isinstance(raised.value, SearchSpaceError)
    assert isinstance(raised.value, KeyError)
    said = str(raised.value)
    assert said.startswith("'momentum' is not active in this trial: ")
    assert "'optimizer' is 'sgd'" in said
    assert "hp.get('momentum'), which returns None" in said
    assert hp.get("momentum") is None
    assert hp.get("momentum", 0.9) == 0.9


def test_unknown_names_say_what_is_near(hp: Hyperparameters) -> None:
    with pytest.raises(HyperparameterError) as raised:
        hp["optimiser"]
    assert str(raised.value) == (
        "'optimiser' is not in the search space. Did you mean 'optimizer'?"
    )
    assert hp.get("optimiser") is None
    assert hp.get("optimiser", 3) == 3


def test_it_is_a_collection_of_what_can_be_read(hp: Hyperparameters) -> None:
    names = ["optimizer", "use_l2", "l2", "maybe", "loss", "hidden"]
    assert list(hp) == names
    assert len(hp) == 6
    assert "l2" in hp
    assert "momentum" not in hp
    expected = dict(zip(names, ["adam", False, 0.0, None, "mse", None], strict=True))
    assert hp.values == expected
    assert dict(hp) == expected
    assert {**hp} == expected


def test_values_can_not_be_changed_through_it(hp: Hyperparameters) -> None:
    hp.values["optimizer"] = "sgd"
    assert hp["optimizer"] == "adam"
    with pytest.raises(TypeError):
        hp["optimizer"] = "sgd"  # type: ignore[index]


def test_reading_is_recorded(hp: Hyperparameters) -> None:
    assert hp.read == frozenset()
    assert "loss" in hp
    assert repr(hp)
    assert list(hp)
    assert hp.read == frozenset()
    hp["l2"]
    hp.get("optimizer")
    hp.get("unknown")
    with pytest.raises(HyperparameterError):
        hp["momentum"]
    assert hp.read == {"l2", "optimizer", "momentum"}
    assert hp.values
    assert hp.read == {*hp, "momentum"}


def test_repr_shows_what_is_active(hp: Hyperparameters) -> None:
    assert repr(hp) == (
        "Hyperparameters(optimizer='adam', use_l2=False, [l2=0.0], maybe=None, loss='mse', "
        "[hidden=None])"
    )


@pytest.mark.parametrize("wrong", [{"optimizer": "adma"}, {"momentum": 0.5}, {"other": 1}])
def test_wrong_values_are_refused(space: SearchSpace, wrong: dict[str, Any]) -> None:
    with pytest.raises(SearchSpaceError, match=repr(next(iter(wrong)))):
        Hyperparameters(space, space.defaults() | wrong)


def test_floats_given_as_ints_are_read_as_floats() -> None:
    hp = Hyperparameters(SearchSpace(Float("x", 0, 1)), {"x": 1})
    assert type(hp["x"]) is float
