"""Which trials are taken to be trained by the same program, and which are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import pytest
from exact_training import by_trainer, samples, spec_of
from model_zoo import compiled, stack

from studies.executors import kind_of
from studies.training import CompiledTrainer, configure_tensorflow

layers = keras.layers
SPLITS = samples()
VALUES = {
    "units": 4,
    "activation": "relu",
    "normalized": False,
    "kernel_initializer": "he_normal",
    "bias_initializer": "zeros",
    "rate": 0.3,
    "l2": 1e-3,
    "learning_rate": 0.01,
    "epochs": 1,
    "batch_size": 16,
}


def build(hp: dict[str, Any]) -> keras.Model:
    hidden = layers.Dense(
        hp["units"],
        activation=hp["activation"],
        kernel_initializer=hp["kernel_initializer"],
        bias_initializer=hp["bias_initializer"],
        kernel_regularizer=keras.regularizers.L2(hp["l2"]),
    )
    normalized = [layers.BatchNormalization()] if hp["normalized"] else []
    model = stack(hidden, *normalized, layers.Dropout(hp["rate"]))
    return compiled(model, keras.optimizers.Adam(hp["learning_rate"]))


@pytest.fixture(scope="module")
def trainer() -> CompiledTrainer:
    """One that has trained a model of the values."""
    configure_tensorflow(None)
    trainer = CompiledTrainer("compiled")
    train(trainer, VALUES)
    return trainer


def train(trainer: CompiledTrainer, values: dict[str, Any]) -> None:
    spec = spec_of(values["epochs"], values["batch_size"])
    by_trainer(trainer, lambda: build(values), SPLITS, spec)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"epochs": 2}, True),
        ({"rate": 0.4, "l2": 1e-4, "learning_rate": 0.02}, True),
        ({"kernel_initializer": "orthogonal", "bias_initializer": "random_normal"}, True),
        ({"units": 5}, False),
        *(
            pytest.param(change, False, marks=pytest.mark.exhaustive)
            for change in ({"batch_size": 8}, {"activation": "tanh"}, {"normalized": True})
        ),
    ],
)
def test_trials_of_a_kind_are_trained_by_the_same_program(
    change: dict[str, Any], same: bool, trainer: CompiledTrainer
) -> None:
    changed, before = {**VALUES, **change}, trainer.programs.made
    train(trainer, changed)
    kinds = {
        kind_of(replace(spec_of(batch_size=values["batch_size"]), values=values))
        for values in (VALUES, changed)
    }
    assert len(kinds) == (1 if same else 2)
    assert trainer.programs.made - before == len(kinds) - 1
