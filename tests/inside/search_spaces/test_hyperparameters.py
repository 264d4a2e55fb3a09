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
    Int,
    SearchSpace,
    SearchSpaceError,
    complete,
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


def test_a_declaration_returns_the_value_of_the_trial_whatever_it_declares() -> None:
    tailored = SearchSpace(Float("rate", 0, 0.9), Int("units", 4, 8), Choice("act", ["a", "b"]))
    hp = Hyperparameters(tailored, {"rate": 0.8, "units": 5, "act": "b"}, number=7)
    assert hp.Float("rate", 0.0, 0.5) == 0.8
    assert hp.suggest_int("units", 16, 64, step=16) == 5
    assert hp.Choice("act", ["a"]) == "b"
    assert hp.joined == ()
    assert hp.joined == ()
    assert hp.read == {"rate", "units", "act"}
    assert hp.number == 7
    assert hp.params == {"rate": 0.8, "units": 5, "act": "b"}


def test_what_the_trial_has_no_value_of_joins_with_its_default(hp: Hyperparameters) -> None:
    assert hp.Float("momentum", 0.2, 0.9, default=0.5) == 0.5
    assert hp.Boolean("hidden", default=True) is True
    assert hp.suggest_int("depth", 1, 3) == 2
    assert hp.Int("depth", 1, 3) == 2
    assert hp.Fixed("batch", 32) == 32
    assert hp.suggest_categorical("head", ["max", "mean"]) == "max"
    assert hp.joined == (
        Float("momentum", 0.2, 0.9, default=0.5),
        Boolean("hidden", default=True),
        Int("depth", 1, 3),
        Fixed("batch", 32),
        Choice("head", ["max", "mean"]),
    )
    values = {"momentum": 0.5, "hidden": True, "depth": 2, "batch": 32, "head": "max"}
    assert {each.name: each.default for each in hp.joined} == values
    assert {name: hp[name] for name in values} == values
    assert hp.values == {
        "optimizer": "adam",
        "use_l2": False,
        "l2": 0.0,
        "maybe": None,
        "loss": "mse",
        **values,
    }
    assert "l2" not in hp.params
    assert hp.params["depth"] == 2
    assert "depth=2" in repr(hp)
    assert "depth" not in hp.read


def test_a_name_that_is_declared_twice_has_one_value_in_a_build(hp: Hyperparameters) -> None:
    assert hp.suggest_int("depth", 1, 3) == 2
    assert hp.Int("depth", 4, 8) == 2
    assert hp.suggest_float("optimizer", 0, 1) == "adam"


def test_parameters_of_one_name_are_read_by_it() -> None:
    space = SearchSpace(
        Choice("optimizer", ["adam", "sgd", "none"]),
        Float("rate when optimizer is adam", 0, 1, when={"optimizer": "adam"}),
        Float("rate when optimizer is sgd", 2, 3, when={"optimizer": "sgd"}),
    )
    for optimizer, name, value in (
        ("adam", "rate when optimizer is adam", 0.1),
        ("sgd", "rate when optimizer is sgd", 2.1),
    ):
        hp = Hyperparameters(space, {"optimizer": optimizer, name: value})
        assert (hp["rate"], hp.get("rate"), hp.Float("rate", 7, 8)) == (value,) * 3
        assert hp.values == hp.params == {"optimizer": optimizer, "rate": value}
        assert hp.read == {"optimizer", name}
        assert hp.copy()["rate"] == value
        assert hp.joined == ()
    hp = Hyperparameters(space, {"optimizer": "none"})
    assert "rate" not in hp
    with pytest.raises(HyperparameterError, match=r"'optimizer' is 'adam'; .*'optimizer' is 'sgd'"):
        hp["rate"]
    # A third domain, which was not known, joins.
    assert hp.Float("rate", 5, 7, default=6) == 6
    assert hp.joined == (Float("rate", 5, 7, default=6),)
    wider = space.with_parameters(hp.joined)
    hp = Hyperparameters(
        wider, {"optimizer": "sgd", "rate when optimizer is sgd": 2.5, "rate": 6.5}
    )
    assert hp.Float("rate", 2, 3) == 2.5
    assert hp.Float("rate", 5, 7) == 6.5


def test_tuples_and_lists_are_given_as_such_and_recorded_as_they_are_written() -> None:
    space = SearchSpace(
        Choice("hidden", [(50,), [50, 20], {"a": 1}, None]),
        Boolean("deep", when={"hidden": [[50, 20]]}),
    )
    assert SearchSpace.from_json(space.to_json()) == space
    assert [values["hidden"] for values in space.grid()] == [
        "(50,)",
        "[50, 20]",
        "[50, 20]",
        "{'a': 1}",
        None,
    ]
    assert eval(repr(space)) == space
    assert Hyperparameters(space, space.defaults())["hidden"] == (50,)
    for given in ("[50, 20]", [50, 20], (50, 20)):
        values = complete(space, {"hidden": given})
        assert values == {"hidden": "[50, 20]", "deep": False}
        hp = Hyperparameters(space, values)
        hp["hidden"].append(1)
        assert hp["hidden"] == hp.Choice("hidden", [1]) == hp.params["hidden"] == [50, 20]
        assert hp.copy()["hidden"] == [50, 20]
    assert space.fix(hidden=(50, 20)).names == ("hidden", "deep")
    assert "(1, 2)" in space.contains({"hidden": (1, 2)}).reason
    joined = Hyperparameters(space, {"hidden": None})
    assert joined.suggest_categorical("kernel", [(3, 3), (5, 5)]) == (3, 3)
    assert [each.default for each in joined.joined] == ["(3, 3)"]
    for wrong in ([({1},)], [(float("nan"),)], [(50,), "(50,)"]):
        with pytest.raises(SearchSpaceError, match="'hidden'"):
            Choice("hidden", wrong)


def test_under_a_scope_that_is_not_active_nothing_has_a_value(hp: Hyperparameters) -> None:
    with hp.conditional_scope("optimizer", ["sgd"]):
        assert hp.Float("momentum", 0.0, 1.0) is None
        assert hp.Boolean("nesterov") is None
        assert hp.Choice("loss", ["mae"]) is None
    assert hp.Int("warmup", 1, 5, parent_name="optimizer", parent_values="sgd") is None
    assert hp.joined == ()
    assert "nesterov" not in hp
    with hp.conditional_scope("optimizer", ["adam", "sgd"]):
        assert hp.Float("epsilon", 0.0, 1.0, default=0.5) == 0.5
        with hp.conditional_scope("epsilon", 0.0):
            assert hp.Boolean("tiny") is None
        with hp.conditional_scope("epsilon", [0.5]):
            assert hp.Boolean("tiny") is False
    assert [each.name for each in hp.joined] == ["epsilon", "tiny"]


def test_the_parent_of_a_condition_must_be_declared_before(hp: Hyperparameters) -> None:
    with pytest.raises(HyperparameterError, match="'optimiser', which was not declared"):
        hp.Int("x", 1, 2, parent_name="optimiser", parent_values=["sgd"])
    with pytest.raises(HyperparameterError, match="condition on itself"):
        hp.Boolean("optimizer", parent_name="optimizer", parent_values=["adam"])
    # As in Keras Tuner, what is out of scope may be a parent: of what is out of scope too.
    assert hp.Boolean("a", parent_name="optimizer", parent_values=["sgd"]) is None
    assert hp.Boolean("b", parent_name="a", parent_values=[True]) is None


def test_name_scopes_join_names_with_slashes() -> None:
    space = SearchSpace(Int("head/units", 1, 9), Int("head/top/units", 1, 9), Int("units", 1, 9))
    hp = Hyperparameters(space, {"head/units": 1, "head/top/units": 2, "units": 3})
    with hp.name_scope("head"):
        assert hp.Int("units", 1, 9) == 1
        with hp.name_scope("top"):
            assert hp.Int("units", 1, 9) == 2
            assert hp.get("units") == 2
            assert "units" in hp
        assert hp["units"] == 1
        assert hp.Boolean("big", parent_name="units", parent_values=[1]) is False
    assert hp.Int("units", 1, 9) == 3
    assert [each.name for each in hp.joined] == ["head/big"]


def test_a_copy_has_the_values_and_keeps_what_joins_to_itself(hp: Hyperparameters) -> None:
    hp.Int("depth", 1, 3)
    copied = hp.copy()
    assert copied.values == hp.values
    assert copied.Int("width", 1, 3) == 1
    assert [each.name for each in copied.joined] == ["depth", "width"]
    assert [each.name for each in hp.joined] == ["depth"]
    assert "width" not in hp


def test_what_optuna_builders_call_besides_is_harmless(hp: Hyperparameters) -> None:
    assert hp.suggest_uniform("a", 0, 1) == 0.5
    assert hp.suggest_loguniform("b", 1e-4, 1e-2) == 1e-3
    assert hp.suggest_discrete_uniform("c", 0, 1, 0.25) == 0.5
    # By position, as before Optuna 4.
    assert hp.suggest_int("d", 0, 100, 50) == 50
    assert hp.suggest_int("e", 1, 100, 1, True) == 10
    assert hp.joined[-2:] == (Int("d", 0, 100, step=50), Int("e", 1, 100, scale="log"))
    hp.set_system_attr("key", 1)
    hp.set_user_attr("parameters", 12)
    assert hp.user_attrs == {"parameters": 12}
    assert hp.report(0.5, 1) is None
    assert hp.should_prune() is False
    assert hp.number == 0


def keras_tuner_style(hp: Any) -> list[Any]:
    """What every call returns, in scope and out of it."""
    returned = [
        hp.Int("layers", 2, 8, step=2),
        hp.Float("rate", 0.1, 0.5, step=0.1, default=0.3),
        hp.Choice("model", ["mlp", "cnn"]),
        hp.Boolean("bias", default=True),
        hp.Fixed("loss", "mse"),
        hp.Float("lr", 1e-4, 1e-2, sampling="log"),
        hp.Int("kernel", 3, 7, step=2, parent_name="model", parent_values=["cnn"]),
        hp.Int("width", 3, 7, step=2, parent_name="model", parent_values=["mlp", "cnn"]),
    ]
    with hp.name_scope("outer"), hp.name_scope("inner"):
        returned += [hp.Int("layers", 1, 3), hp.get("layers")]
        with hp.conditional_scope("layers", [1]):
            returned.append(hp.Choice("units", [16, 32], default=32))
        with hp.conditional_scope("layers", [2, 3]):
            returned.append(hp.Choice("more", [16, 32]))
    return [*returned, hp["outer/inner/units"], "outer/inner/more" in hp, dict(hp.values)]


def test_it_answers_as_keras_tuner_does() -> None:
    import keras_tuner

    ours = Hyperparameters(SearchSpace(Fixed("unused", 0)), {"unused": 0})
    theirs = keras_tuner_style(keras_tuner.HyperParameters())
    theirs[-1]["unused"] = 0
    assert keras_tuner_style(ours) == theirs


@pytest.mark.parametrize("tunable", [True, False])
def test_a_hypermodel_builds_with_it(tunable: bool) -> None:
    import keras_tuner

    class Model(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return hp.Int("units", 1, 9), hp.Boolean("bias")

    hp = Hyperparameters(SearchSpace(Int("units", 1, 9)), {"units": 5})
    assert Model(tunable=tunable).build(hp) == (5, False)
    assert [each.name for each in hp.joined] == (["bias"] if tunable else [])
