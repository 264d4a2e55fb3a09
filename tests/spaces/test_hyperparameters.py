"""What a model builder receives: values by name, and declarations as Keras Tuner's and Optuna's."""

import json
import warnings
from typing import Any

import hypothesis.strategies as st
import keras_tuner
import numpy as np
import optuna
import pytest
from hypothesis import given, settings

import kerastudy as ks
from kerastudy import Boolean, Choice, Fixed, Float, Hyperparameters, Int, SearchSpace

SPACE = SearchSpace(
    Choice("optimizer", ["adam", "sgd"]),
    Float("momentum", 0, 1, when={"optimizer": "sgd"}),
    ks.l2(),
    Choice("maybe", [None, 1]),
    Fixed("loss", "mse"),
    Boolean("hidden", when={"optimizer": "sgd"}, otherwise=None),
)
READABLE = {"optimizer": "adam", "use_l2": False, "l2": 0.0, "maybe": None, "loss": "mse",
            "hidden": None}  # fmt: skip
EMPTY = SearchSpace(Fixed("unused", 0))


@pytest.fixture
def hp() -> Hyperparameters:
    values = {"optimizer": "adam", "use_l2": False, "maybe": None, "loss": "mse"}
    return Hyperparameters(SPACE, values)


def test_values_are_read_by_name_and_reading_is_recorded(hp: Hyperparameters) -> None:
    assert "l2" in hp and "momentum" not in hp
    assert list(hp) == list(READABLE) and len(hp) == 6
    assert repr(hp) == (
        "Hyperparameters(optimizer='adam', use_l2=False, [l2=0.0], maybe=None, loss='mse', "
        "[hidden=None])"
    )
    assert hp.read == frozenset()
    assert [hp["l2"], hp.get("maybe", 5), hp.get("momentum"), hp.get("no", 3)] == [0, None, None, 3]
    with pytest.raises(ks.errors.HyperparameterError):
        hp["momentum"]
    assert hp.read == {"l2", "maybe", "momentum"}
    hp.values["optimizer"] = "sgd"
    assert hp.values == dict(hp) == {**hp} == READABLE
    assert hp.read == {*READABLE, "momentum"}


def test_a_declaration_returns_the_value_of_the_trial_whatever_it_declares() -> None:
    space = SearchSpace(Float("rate", 0, 2), Int("units", 4, 8), Choice("act", ["a", "b"]))
    hp = Hyperparameters(space, {"rate": 1, "units": 5, "act": "b"}, number=7)
    assert repr(hp.Float("rate", 0.0, 0.5)) == "1.0"
    assert (hp.suggest_int("units", 16, 64, step=16), hp.Choice("act", ["a"])) == (5, "b")
    assert (hp.defaulted, hp.number) == ((), 7)
    assert hp.read == {"rate", "units", "act"}
    assert hp.params == {"rate": 1.0, "units": 5, "act": "b"}


def test_what_the_trial_has_no_value_of_gets_its_default(hp: Hyperparameters) -> None:
    assert hp.Float("momentum", 0.2, 0.9, default=0.5) == 0.5
    assert hp.Boolean("hidden", default=True) is True
    # A name that is declared twice has one value in a build.
    assert (hp.suggest_int("depth", 1, 3), hp.Int("depth", 4, 8)) == (2, 2)
    assert hp.suggest_categorical("head", ["max", "mean"]) == "max"
    assert hp.defaulted == (
        Float("momentum", 0.2, 0.9, default=0.5),
        Boolean("hidden", default=True),
        Int("depth", 1, 3),
        Choice("head", ["max", "mean"]),
    )
    values = {"momentum": 0.5, "hidden": True, "depth": 2, "head": "max"}
    assert hp.values == {**READABLE, **values}
    assert "l2" not in hp.params and hp.params["depth"] == 2 and "depth=2" in repr(hp)
    copied = hp.copy()
    assert copied.values == hp.values and copied.Int("width", 1, 3) == 1
    assert "width" not in hp and len(copied.defaulted) == len(hp.defaulted) + 1


def test_under_a_scope_that_is_not_active_nothing_has_a_value(hp: Hyperparameters) -> None:
    with hp.conditional_scope("optimizer", ["sgd"]):
        assert hp.Float("momentum", 0.0, 1.0) is hp.Boolean("nesterov") is None
    # A parameter out of scope may be the parent of others out of scope.
    assert hp.Boolean("b", parent_name="nesterov", parent_values=[True]) is None
    assert "nesterov" not in hp and hp.defaulted == ()


def test_parameters_of_one_name_are_read_by_it() -> None:
    space = SearchSpace(
        Choice("optimizer", ["adam", "sgd", "none"]),
        Float("rate when optimizer is adam", 0, 1, when={"optimizer": "adam"}),
        Float("rate when optimizer is sgd", 2, 3, when={"optimizer": "sgd"}),
    )
    name = "rate when optimizer is sgd"
    hp = Hyperparameters(space, {"optimizer": "sgd", name: 2.1})
    assert (hp["rate"], hp.get("rate"), hp.Float("rate", 7, 8), hp.copy()["rate"]) == (2.1,) * 4
    assert hp.values == hp.params == {"optimizer": "sgd", "rate": 2.1}
    assert (hp.read, hp.defaulted) == ({"optimizer", name}, ())
    hp = Hyperparameters(space, {"optimizer": "none"})
    with pytest.raises(
        ks.errors.HyperparameterError, match=r"'optimizer' is 'adam'; .*'optimizer' is 'sgd'"
    ):
        hp["rate"]
    # This third domain was not known.
    assert hp.Float("rate", 5, 7, default=6) == 6
    wider = space.with_parameters(hp.defaulted)
    hp = Hyperparameters(wider, {"optimizer": "sgd", name: 2.5, "rate": 6.5})
    assert (hp.Float("rate", 2, 3), hp.Float("rate", 5, 7)) == (2.5, 6.5)


def test_tuples_and_lists_are_given_as_such_and_recorded_as_they_are_written() -> None:
    space = SearchSpace(
        Choice("hidden", [(50,), [50, 20], {"a": 1}, None]),
        Boolean("deep", when={"hidden": [[50, 20]]}),
    )
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    assert eval(repr(space)) == space
    texts = [values["hidden"] for values in space.grid()]
    assert texts == ["(50,)", "[50, 20]", "[50, 20]", "{'a': 1}", None]
    assert Hyperparameters(space, space.defaults())["hidden"] == (50,)
    hp = Hyperparameters(space, {"hidden": "[50, 20]", "deep": False})
    hp["hidden"].append(1)
    assert hp["hidden"] == hp.Choice("hidden", [1]) == hp.params["hidden"] == [50, 20]
    assert space.fix(hidden=(50, 20)).names == ("hidden", "deep")
    with pytest.raises(ks.errors.SearchSpaceError, match=r"Received: \(1, 2\)"):
        space.validate({"hidden": (1, 2)})
    outside = Hyperparameters(space, {"hidden": None})
    assert outside.suggest_categorical("kernel", [(3, 3), (5, 5)]) == (3, 3)
    assert [parameter.default for parameter in outside.defaulted] == ["(3, 3)"]


def test_what_optuna_builders_call_besides_is_harmless(hp: Hyperparameters) -> None:
    assert hp.suggest_uniform("a", 0, 1) == 0.5
    assert hp.suggest_loguniform("b", 1e-4, 1e-2) == 1e-3
    assert hp.suggest_discrete_uniform("c", 0, 1, 0.25) == 0.5
    # Before Optuna 4, arguments could be given by position.
    assert (hp.suggest_int("d", 0, 100, 50), hp.suggest_int("e", 1, 100, 1, True)) == (50, 10)
    hp.set_system_attr("key", 1)
    hp.set_user_attr("parameters", 12)
    assert (hp.user_attrs, hp.number, hp.should_prune()) == ({"parameters": 12}, 0, False)
    assert hp.report(0.5, 1) is None  # type: ignore[func-returns-value]
    with pytest.raises(ks.errors.HyperparameterError, match=r"trial\.params"):
        _ = hp.study


# Keras Tuner's and Optuna's own objects are the judges of what follows.


def keras_tuner_style(hp: Any) -> list[Any]:
    """Returns what every call returns, in scope and out of it."""
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
        returned += [hp.Int("layers", 1, 3), hp.get("layers"), "layers" in hp]
        with hp.conditional_scope("layers", [1]):
            returned.append(hp.Choice("units", [16, 32], default=32))
            with hp.conditional_scope("units", 16):
                returned.append(hp.Boolean("small"))
        with hp.conditional_scope("layers", [2, 3]):
            returned.append(hp.Choice("more", [16, 32]))
    return [*returned, hp["outer/inner/units"], "outer/inner/more" in hp, dict(hp.values)]


def test_a_builder_gets_the_answers_of_keras_tuner() -> None:
    ours = keras_tuner_style(Hyperparameters(EMPTY, {"unused": 0}))
    theirs = keras_tuner_style(keras_tuner.HyperParameters())
    theirs[-1]["unused"] = 0
    assert ours == theirs


@pytest.mark.parametrize("tunable", [True, False])
def test_a_hypermodel_builds_with_it(tunable: bool) -> None:
    class Model(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            return hp.Int("units", 1, 9), hp.Boolean("bias")

    hp = Hyperparameters(SearchSpace(Int("units", 1, 9)), {"units": 5})
    assert Model(tunable=tunable).build(hp) == (5, False)
    assert [parameter.name for parameter in hp.defaulted] == (["bias"] if tunable else [])


def joined(code: str) -> Any:
    """Returns the parameter that a declaration adds to a trial."""
    hp = Hyperparameters(EMPTY, {"unused": 0})
    eval(code, {"hp": hp, "np": np})
    return hp.defaulted[0]


@pytest.mark.parametrize(
    ("declaration", "parameter"),
    {
        'hp.Int("x", 1.0, 4.0, 1.0, default=2.0)': Int("x", 1, 4, default=2),
        'hp.Int("x", 1, 4, 5)': Fixed("x", 1),
        'hp.Int("x", 2, 40, None, "LOG")': Int("x", 2, 40, scale="log", default=2),
        'hp.Int("x", 1, 8, 2, "reverse_log")': Choice("x", [1, 5, 7, 8]),
        'hp.Int("x", 1, 10, 3, default=6)': Int("x", 1, 10, step=3, default=7),
        'hp.Int("x", 1, 10, 4, default=10)': Int("x", 1, 9, step=4, default=9),
        'hp.Float("x", 0, 0.5, 0.1)': Float("x", 0, 0.5, step=0.1, default=0),
        'hp.Float("x", 2, 2)': Fixed("x", 2.0),
        'hp.Float("x", 0.1, 50, 10, "log")': Float("x", 0.1, 10, step=10, scale="log", default=0.1),
        'hp.Float("x", 0.1, 0.9, 2, "reverse_log")': Choice("x", [0.2, 0.6, 0.8, 0.9]),
        'hp.Choice("x", ("a", None, 1, 1.0))': Choice("x", ["a", None, 1, 1.0], default=None),
        'hp.Choice("x", [1, 2, 2], default=2)': Choice("x", [1, 2], default=2),
        'hp.Choice("x", [0.5, 1.0], default=1)': Choice("x", [0.5, 1.0], default=1.0),
        'hp.Boolean("x", 1)': Boolean("x", default=True),
        'hp.suggest_float("x", 1e-4, 0.1, log=True)': Float("x", 1e-4, 1e-1, scale="log"),
        'hp.suggest_int("x", 1, 10, step=4)': Int("x", 1, 9, step=4),
        'hp.suggest_int("x", 5, 5)': Fixed("x", 5),
        'hp.suggest_categorical("x", range(3))': Choice("x", [0, 1, 2]),
        'hp.Int("x", np.int64(1), np.int32(4), default=np.int64(2))': Int("x", 1, 4, default=2),
        'hp.Float("x", np.float32(0.5), 1, default=np.array(0.75))': Float(
            "x", 0.5, 1.0, default=0.75
        ),
        'hp.Fixed("x", np.bool_(True))': Fixed("x", True),
        'hp.suggest_categorical("x", [np.str_("a"), np.int8(3)])': Choice("x", ["a", 3]),
    }.items(),
)
def test_a_declaration_becomes_a_parameter(declaration: str, parameter: Any) -> None:
    assert joined(declaration) == parameter


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 20), st.integers(0, 60), st.sampled_from(
    ["1", "2", "3", "4, 'log'", "2, 'log'", "2, 'reverse_log'", "3, 'reverse_log'"]),
    st.data())  # fmt: skip
def test_ints_in_steps_have_the_values_and_the_default_of_keras_tuner(
    low: int, width: int, step: str, data: st.DataObject
) -> None:
    hp = keras_tuner.HyperParameters()
    eval(f"hp.Int('x', {low}, {low + width}, {step})", {"hp": hp})
    values = sorted(hp.space[0].values)
    default = data.draw(st.sampled_from(values))
    parameter = joined(f"hp.Int('x', {low}, {low + width}, {step}, default={default})")
    assert list(parameter.grid_values()) == values
    assert parameter.default == default and type(parameter.default) is int


@pytest.mark.parametrize(
    "arguments", ["0, 1, 0.25", "0.5, 100, 10, 'log'", "1, 64, 4, 'reverse_log'", "-1, 1, 0.6"]
)
def test_floats_in_steps_have_the_values_of_keras_tuner(arguments: str) -> None:
    hp = keras_tuner.HyperParameters()
    eval(f"hp.Float('x', {arguments})", {"hp": hp})
    parameter = joined(f"hp.Float('x', {arguments})")
    assert list(parameter.grid_values()) == pytest.approx(sorted(hp.space[0].values))


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(-50, 50), st.integers(1, 200), st.integers(1, 40), st.integers(0, 3))
def test_floats_in_steps_have_the_range_of_optuna(low: int, width: int, step: int, e: int) -> None:
    ends = f"{low}e-{e}, {low + width}e-{e}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = eval(f"make({ends}, step={step}e-{e})", {
            "make": optuna.distributions.FloatDistribution})  # fmt: skip
    ours = joined(f"hp.suggest_float('x', {ends}, step={step}e-{e})")
    if theirs.single():
        assert ours == Fixed("x", theirs.low)
    else:
        assert (ours.low, ours.high, ours.step) == (theirs.low, theirs.high, theirs.step)
