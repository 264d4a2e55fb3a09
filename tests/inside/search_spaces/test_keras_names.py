"""The names of initializers, activations and optimizers against the installed Keras."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
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
    USUAL_KERNEL_INITIALIZERS,
)


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("keras")


def usable(names: Any, use: Callable[[str], bool]) -> set[str]:
    """Returns the names that can be used as they are."""
    found = set()
    for name in names:
        try:
            if use(name):
                found.add(name)
        except (ValueError, TypeError, KeyError, NotImplementedError):
            continue
    return found


def test_exactly_the_initializers_that_fill_weights_are_named(keras: Any) -> None:
    def fills(weight: str, shape: tuple[int, ...]) -> Callable[[str], bool]:
        def use(name: str) -> bool:
            layer = keras.layers.Dense(4, **{f"{weight}_initializer": name})
            layer.build((None, 3))
            return bool(getattr(layer, weight).shape == shape)

        return use

    known = keras.src.initializers.ALL_OBJECTS_DICT
    assert usable(known, fills("kernel", (3, 4))) == {*INITIALIZERS, *INITIALIZER_ALIASES}
    aliases = {alias for alias, name in INITIALIZER_ALIASES.items() if name in BIAS_INITIALIZERS}
    assert usable(known, fills("bias", (4,))) == {*BIAS_INITIALIZERS, *aliases}
    for alias, name in INITIALIZER_ALIASES.items():
        assert type(keras.initializers.get(alias)) is type(keras.initializers.get(name))


def test_usual_initializers_give_units_different_weights(keras: Any) -> None:
    for name in USUAL_KERNEL_INITIALIZERS:
        layer = keras.layers.Dense(4, kernel_initializer=name)
        layer.build((None, 3))
        weights = layer.kernel.value.numpy()
        assert len({float(weight) for weight in weights.ravel()}) == 12, name


def test_exactly_the_activations_that_keep_the_shape_are_named(keras: Any) -> None:
    def keeps_shape(name: str) -> bool:
        layer = keras.layers.Dense(4, activation=name)
        return bool(layer(keras.ops.ones((2, 3))).shape == (2, 4))

    assert usable(keras.src.activations.ALL_OBJECTS_DICT, keeps_shape) == set(ACTIVATIONS)


def test_exactly_the_optimizers_that_are_made_by_name_are_named(keras: Any) -> None:
    def is_made(name: str) -> bool:
        return isinstance(keras.optimizers.get(name), keras.optimizers.Optimizer)

    known = {*keras.src.optimizers.ALL_OBJECTS_DICT, "lamb"}
    assert usable(known, is_made) == set(OPTIMIZERS) == set(LEARNING_RATES)
    for name in OPTIMIZERS:
        accepted = inspect.signature(type(keras.optimizers.get(name)).__init__).parameters
        assert ("momentum" in accepted) is (name in MOMENTUM_OPTIMIZERS), name
        low, high, default = LEARNING_RATES[name]
        assert default == accepted["learning_rate"].default, name
        assert low <= default <= high, name
