"""The search space of a builder, found by running it: one test for each way of writing one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Hyperparameters,
    Int,
    SearchSpace,
    discover,
)


def test_a_builder_without_branches_takes_few_builds() -> None:
    def build(hp: Any) -> None:
        hp.Int("units", 32, 512, step=32)
        hp.Float("lr", 1e-4, 1e-2, sampling="log")
        hp.Boolean("bias")
        hp.Choice("activation", ["relu", "tanh", "gelu"])
        hp.Int("layers", 1, 3)
        hp.Float("rate", 0.0, 0.5, step=0.1)

    found = discover(build)
    assert found.space == SearchSpace(
        Int("units", 32, 512, step=32, default=32),
        Float("lr", 1e-4, 1e-2, scale="log", default=1e-4),
        Boolean("bias"),
        Choice("activation", ["relu", "tanh", "gelu"]),
        Int("layers", 1, 3, default=1),
        Float("rate", 0.0, 0.5, step=0.1, default=0.0),
    )
    assert found.space.names == ("units", "lr", "bias", "activation", "layers", "rate")
    assert found.builds <= 25
    assert found.complete
    assert found.notes == ()


def test_optuna_with_a_loop_a_switch_and_a_chain_of_cases() -> None:
    def build(trial: Any) -> None:
        for i in range(trial.suggest_int("num_layers", 1, 3)):
            trial.suggest_int(f"units_{i}", 4, 128, log=True)
            if trial.suggest_categorical(f"dropout_{i}", [False, True]):
                trial.suggest_float(f"rate_{i}", 0.1, 0.5)
        optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "rmsprop"])
        if optimizer == "adam":
            trial.suggest_float("beta", 0.8, 0.99)
        elif optimizer == "sgd" and trial.suggest_float("momentum", 0.0, 0.9) > 0:
            trial.suggest_categorical("nesterov", [False, True])
        trial.suggest_float("lr", 1e-5, 1e-1, log=True)

    found = discover(build)
    switch = [False, True]
    from_two = {"num_layers": [2, 3]}
    assert found.space == SearchSpace(
        Int("num_layers", 1, 3),
        Int("units_0", 4, 128, scale="log"),
        Choice("dropout_0", switch),
        Float("rate_0", 0.1, 0.5, when={"dropout_0": True}),
        Int("units_1", 4, 128, scale="log", when=from_two),
        Choice("dropout_1", switch, when=from_two),
        Float("rate_1", 0.1, 0.5, when={"dropout_1": True}),
        Int("units_2", 4, 128, scale="log", when={"num_layers": 3}),
        Choice("dropout_2", switch, when={"num_layers": 3}),
        Float("rate_2", 0.1, 0.5, when={"dropout_2": True}),
        Choice("optimizer", ["adam", "sgd", "rmsprop"]),
        Float("beta", 0.8, 0.99, when={"optimizer": "adam"}),
        Float("momentum", 0.0, 0.9, when={"optimizer": "sgd"}),
        # That it takes a momentum above 0 can't be said in a condition.
        Choice("nesterov", switch, when={"optimizer": "sgd"}),
        Float("lr", 1e-5, 1e-1, scale="log"),
    )
    assert found.builds <= 60


def test_keras_tuners_scopes_are_taken_as_they_are() -> None:
    def build(hp: Any) -> None:
        model = hp.Choice("model", ["mlp", "cnn", "linear"])
        with hp.conditional_scope("model", ["mlp"]):
            hp.Int("units", 16, 64)
            if model == "mlp" and hp.Boolean("dropout"):
                hp.Float("rate", 0.1, 0.5)
        with hp.conditional_scope("model", ["cnn"]):
            hp.Int("units", 16, 64)
            hp.Int("kernel", 3, 7, step=2)
            hp.Float("stretch", 0.0, 1.0, parent_name="kernel", parent_values=[5.0, 7.0])
        hp.Int("depth", 1, 1000)
        hp.Boolean("deep", parent_name="depth", parent_values=[777])
        hp.Boolean("never", parent_name="depth", parent_values=[0])

    found = discover(build)
    assert found.space == SearchSpace(
        Choice("model", ["mlp", "cnn", "linear"]),
        Int("units", 16, 64, default=16, when={"model": ["mlp", "cnn"]}),
        Boolean("dropout", when={"model": "mlp"}),
        Float("rate", 0.1, 0.5, default=0.1, when={"dropout": True}),
        Int("kernel", 3, 7, step=2, default=3, when={"model": "cnn"}),
        Float("stretch", 0.0, 1.0, default=0.0, when={"kernel": [5, 7]}),
        Int("depth", 1, 1000, default=1),
        Boolean("deep", when={"depth": 777}),
    )
    assert len(found.notes) == 1
    assert "'never'" in found.notes[0]


def test_code_under_a_scope_on_a_rare_value_is_run() -> None:
    def build(hp: Any) -> None:
        depth = hp.Int("depth", 1, 1000)
        with hp.conditional_scope("depth", [777]):
            hp.Boolean("deep")
            if depth == 777:
                hp.Int("units", 1, 9)

    space = discover(build).space
    assert space["units"] == Int("units", 1, 9, default=1, when={"depth": 777})


def test_name_scopes_make_names() -> None:
    def block(hp: Any, name: str) -> None:
        with hp.name_scope(name):
            if hp.Boolean("norm"):
                hp.Float("momentum", 0.9, 0.99)

    def build(hp: Any) -> None:
        block(hp, "encoder")
        block(hp, "decoder")

    space = discover(build).space
    assert set(space.names) == {
        "encoder/norm",
        "encoder/momentum",
        "decoder/norm",
        "decoder/momentum",
    }
    assert space["decoder/momentum"].when == {"decoder/norm": (True,)}


def test_what_takes_two_parents_at_once_is_found() -> None:
    def build(hp: Any) -> None:
        norm = hp.Boolean("norm")
        optimizer = hp.Choice("optimizer", ["adam", "sgd", "adamw"])
        hp.Boolean("bias")
        if norm and optimizer == "adamw":
            hp.Float("decay", 0.0, 0.1)
            if hp.Boolean("schedule"):
                hp.Int("warmup", 1, 10)

    space = discover(build).space
    assert space["decay"].when == {"norm": (True,), "optimizer": ("adamw",)}
    assert space["schedule"].when == {"norm": (True,), "optimizer": ("adamw",)}
    assert space["warmup"].when == {"schedule": (True,)}


def test_a_name_in_several_branches_has_the_values_of_all() -> None:
    def build(hp: Any) -> None:
        optimizer = hp.Choice("optimizer", ["adam", "sgd", "rmsprop", "lion"])
        if optimizer == "sgd":
            hp.Float("momentum", 0.0, 0.9)
        elif optimizer == "rmsprop":
            hp.Float("momentum", 0.0, 0.9, default=0.5)

    assert discover(build).space["momentum"].when == {"optimizer": ("rmsprop", "sgd")}


def test_a_condition_that_can_not_be_said_is_loosened() -> None:
    def build(hp: Any) -> None:
        one, other = hp.Boolean("one"), hp.Boolean("other")
        if one or other:
            hp.Float("either", 0.0, 1.0)

    assert discover(build).space["either"].when == {}


def test_long_loops_are_bisected() -> None:
    def build(hp: Any) -> None:
        for i in range(hp.Int("layers", 0, 12)):
            hp.Float(f"rate_{i}", 0.0, 0.5)
        if hp.Int("units", 1, 1000) > 600:
            hp.Boolean("wide")

    found = discover(build)
    for i in range(12):
        assert found.space[f"rate_{i}"].when == {"layers": tuple(range(i + 1, 13))}
    assert found.space["wide"].when == {"units": tuple(range(601, 1001))}
    assert found.builds <= 60


def test_what_was_declared_can_be_read_by_name_in_the_same_build() -> None:
    def build(hp: Any) -> None:
        hp.Boolean("dropout", default=True)
        assert hp["dropout"] is hp.values["dropout"] is hp.params["dropout"]
        assert hp.get("absent") is None
        if hp.get("dropout"):
            hp.Float("rate", 0.1, 0.5)
        hp.Fixed("loss", "mse")
        assert hp.number == 0
        assert not hp.should_prune()

    found = discover(build)
    assert found.space == SearchSpace(
        Boolean("dropout", default=True),
        Float("rate", 0.1, 0.5, default=0.1, when={"dropout": True}),
        Fixed("loss", "mse"),
    )
    assert found.notes == ()


def test_optuna_and_keras_tuner_may_be_mixed_with_numpy() -> None:
    import numpy as np

    def build(hp: Any) -> None:
        hp.Int("units", np.int64(1), np.int64(4))
        hp.suggest_categorical("size", np.array([16, 32]))

    assert discover(build).space == SearchSpace(
        Int("units", 1, 4, default=1), Choice("size", [16, 32])
    )


def small_model(hp: Any) -> Any:
    import keras

    layers: list[Any] = [keras.Input((2,))]
    for i in range(hp.Int("layers", 0, 2)):
        layers.append(keras.layers.Dense(hp.Int(f"units_{i}", 1, 3)))
        if hp.Boolean(f"dropout_{i}"):
            layers.append(keras.layers.Dropout(hp.Float(f"rate_{i}", 0.1, 0.5)))
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
        model.compile(keras.optimizers.SGD(0.1, momentum=hp.Float("momentum", 0.0, 0.9)))
    else:
        model.compile("adam")
    return model


def small_model_of_optuna(trial: Any) -> Any:
    import keras

    units = trial.suggest_int("units", 1, 3)
    regularizer = None
    if trial.suggest_categorical("regularized", [False, True]):
        regularizer = keras.regularizers.L2(trial.suggest_float("l2", 1e-5, 1e-2, log=True))
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(units, kernel_regularizer=regularizer)]
    )


CASES: list[tuple[Callable[[Any], Any], dict[str, dict[str, tuple[Any, ...]]]]] = [
    (
        small_model,
        {
            "units_1": {"layers": (2,)},
            "dropout_1": {"layers": (2,)},
            "rate_0": {"dropout_0": (True,)},
            "rate_1": {"dropout_1": (True,)},
            "momentum": {"optimizer": ("sgd",)},
        },
    ),
    (small_model_of_optuna, {"l2": {"regularized": (True,)}}),
]


@pytest.mark.parametrize(("build", "conditions"), CASES)
def test_the_space_of_a_keras_model_is_found(
    build: Callable[[Any], Any], conditions: dict[str, dict[str, tuple[Any, ...]]]
) -> None:
    found = discover(build)
    for name, condition in conditions.items():
        assert found.space[name].when == condition
    assert found.notes == ()
    hp = Hyperparameters(found.space, found.space.defaults())
    assert build(hp).count_params() > 0
    assert hp.joined == ()


def test_a_hypermodel_is_traced_and_what_is_not_tunable_is_left_out() -> None:
    import keras_tuner

    class Head(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return hp.Int("units", 1, 3) + hp.Int("extra", 1, 3)

    class Whole(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            hp.Int("units", 1, 3)
            return Head(tunable=False).build(hp)

    found = discover(Whole().build)
    assert found.space == SearchSpace(Int("units", 1, 3, default=1))
    values = {"units": 3}
    assert Whole().build(Hyperparameters(found.space, values)) == 4


def test_keras_tuners_oracle_hypermodels_need_no_change() -> None:
    import keras
    import keras_tuner

    class Model(keras_tuner.HyperModel):
        def __init__(self, classes: int) -> None:
            super().__init__(name="model")
            self.classes = classes

        def build(self, hp: Any) -> Any:
            kind = hp.Choice("kind", ["wide", "narrow"])
            with hp.conditional_scope("kind", ["wide"]):
                units = hp.Int("wide_units", 8, 16, step=8)
            if kind == "narrow":
                units = 2
            return keras.Sequential(
                [keras.Input((2,)), keras.layers.Dense(units), keras.layers.Dense(self.classes)]
            )

    found = discover(Model(3).build)
    assert found.space == SearchSpace(
        Choice("kind", ["wide", "narrow"]),
        Int("wide_units", 8, 16, step=8, default=8, when={"kind": "wide"}),
    )
    model = Model(3).build(Hyperparameters(found.space, {"kind": "narrow"}))
    assert model.layers[0].units == 2
