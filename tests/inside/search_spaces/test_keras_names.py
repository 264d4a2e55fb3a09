"""The names of initializers, activations and optimizers against the installed Keras."""

from __future__ import annotations

import inspect
import os
from typing import Any

import pytest

from search_spaces import (
    ACTIVATIONS,
    BIAS_INITIALIZERS,
    INITIALIZER_ALIASES,
    INITIALIZERS,
    LEARNING_RATES,
    MOMENTUM_OPTIMIZERS,
    OPTIMIZERS,
    UNUSABLE_ACTIVATIONS,
    UNUSABLE_INITIALIZERS,
    UNUSABLE_OPTIMIZERS,
    USUAL_KERNEL_INITIALIZERS,
)


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("keras")


def test_every_initializer_that_keras_knows_is_named(keras: Any) -> None:
    known = set(keras.src.initializers.ALL_OBJECTS_DICT)
    assert {*INITIALIZERS, *INITIALIZER_ALIASES, *UNUSABLE_INITIALIZERS} == known


def test_every_activation_that_keras_knows_is_named(keras: Any) -> None:
    known = set(keras.src.activations.ALL_OBJECTS_DICT)
    assert {*ACTIVATIONS, *UNUSABLE_ACTIVATIONS} == known


def test_every_optimizer_that_keras_knows_is_named(keras: Any) -> None:
    known = set(keras.src.optimizers.ALL_OBJECTS_DICT)
    assert {*OPTIMIZERS, *UNUSABLE_OPTIMIZERS} == {*known, "lamb"}
    # Once Keras looks it up by name too, it belongs to the usable ones.
    assert "lamb" not in known


def test_initializers_fill_the_weights_of_a_dense_layer(keras: Any) -> None:
    for name in (*INITIALIZERS, *INITIALIZER_ALIASES):
        layer = keras.layers.Dense(4, kernel_initializer=name)
        layer.build((None, 3))
        assert layer.kernel.shape == (3, 4), name
        known = INITIALIZER_ALIASES.get(name, name)
        assert type(keras.initializers.get(name)) is type(keras.initializers.get(known))
        if known in BIAS_INITIALIZERS:
            layer = keras.layers.Dense(4, bias_initializer=name)
            layer.build((None, 3))
            assert layer.bias.shape == (4,), name
        else:
            with pytest.raises(ValueError):
                keras.layers.Dense(4, bias_initializer=name).build((None, 3))


def test_unusable_initializers_are_unusable(keras: Any) -> None:
    for name in UNUSABLE_INITIALIZERS:
        with pytest.raises((ValueError, TypeError, KeyError, NotImplementedError)):
            keras.layers.Dense(4, kernel_initializer=name).build((None, 3))


def test_usual_initializers_give_units_different_weights(keras: Any) -> None:
    for name in USUAL_KERNEL_INITIALIZERS:
        layer = keras.layers.Dense(4, kernel_initializer=name)
        layer.build((None, 3))
        weights = layer.kernel.value.numpy()
        assert len({float(weight) for weight in weights.ravel()}) == 12, name


def test_activations_keep_the_shape(keras: Any) -> None:
    for name in ACTIVATIONS:
        layer = keras.layers.Dense(4, activation=name)
        assert layer(keras.ops.ones((2, 3))).shape == (2, 4), name
    for name in UNUSABLE_ACTIVATIONS:
        try:
            shape = keras.layers.Dense(4, activation=name)(keras.ops.ones((2, 3))).shape
        except TypeError:
            continue
        assert shape != (2, 4), name


def test_optimizers_are_made_by_name(keras: Any) -> None:
    for name in OPTIMIZERS:
        made = keras.optimizers.get(name)
        assert isinstance(made, keras.optimizers.Optimizer)
        accepted = inspect.signature(type(made).__init__).parameters
        assert ("momentum" in accepted) is (name in MOMENTUM_OPTIMIZERS), name
        low, high, default = LEARNING_RATES[name]
        assert default == accepted["learning_rate"].default, name
        assert low <= default <= high, name
    assert set(LEARNING_RATES) == set(OPTIMIZERS)


def test_unusable_optimizers_are_not_made_by_name(keras: Any) -> None:
    for name in UNUSABLE_OPTIMIZERS:
        with pytest.raises((ValueError, TypeError, KeyError)):
            keras.optimizers.get(name)
