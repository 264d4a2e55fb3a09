"""Ready-made parameters: their ranges, what can be overridden, and the names of Keras's parts."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import pytest

import kerastudy as ks
from kerastudy import Boolean, Choice, Float, Hyperparameters, Int, SearchSpace

L2 = Float("l2", 1e-6, 1e-1, scale="log", when={"use_l2": True}, otherwise=0.0)
USUAL = {
    ks.learning_rate: Float("learning_rate", 1e-4, 1e-1, scale="log", default=1e-3),
    ks.epochs: Int("epochs", 5, 50),
    ks.batch_size: Choice("batch_size", [16, 32, 64, 128, 256], default=32),
    ks.dropout: Float("dropout", 0.0, 0.5),
    ks.momentum: Float("momentum", 0.01, 0.99, scale="reverse_log", default=0.9),
    ks.batchnorm: Boolean("batch_normalization"),
    ks.units: Int("units", 16, 512, scale="log"),
    ks.layers: Int("num_layers", 1, 4),
    ks.optimizer: Choice("optimizer", ["adam", "sgd", "rmsprop"]),
    ks.activation: Choice("activation", ["relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid"]),
    ks.l2: (Boolean("use_l2"), L2),
}
OTHER: dict[Any, tuple[Any, ...]] = {
    **dict.fromkeys([ks.learning_rate, ks.momentum, ks.dropout], (0.2, 0.4)),
    **dict.fromkeys([ks.epochs, ks.units, ks.layers], (2, 4)),
    ks.batch_size: ([2, 3, 4],),
    ks.activation: (["relu", "elu"],),
    ks.initializer: (["zeros", "ones"],),
    ks.optimizer: (["sgd", "adam"],),
    ks.batchnorm: (),
    **{partial(make, off=False): (1e-4, 1e-2) for make in (ks.l1, ks.l2)},
}


@pytest.mark.parametrize("make", USUAL, ids=lambda make: make.__name__)
def test_usual_ranges(make: Any) -> None:
    assert make() == USUAL[make]


@pytest.mark.parametrize("make", OTHER, ids=lambda make: getattr(make, "__name__", "penalty"))
def test_every_part_can_be_overridden(make: Any) -> None:
    default = make(*OTHER[make]).from_unit(1.0)
    options = {"role": "scientific", "when": {"switch": True}, "default": default}
    parameter = make(*OTHER[make], name="other", **options)
    assert (parameter.name, parameter.role, parameter.default) == ("other", "scientific", default)
    assert parameter.when == {"switch": (True,)}
    assert SearchSpace(Boolean("switch"), parameter).defaults() == {"switch": False}


def test_a_range_without_the_usual_default_begins_in_its_middle() -> None:
    assert ks.learning_rate(1e-2, 1.0).default == 0.1
    assert ks.batch_size([64, 128]).default == 64


def test_penalties_are_read_without_asking_for_their_switch() -> None:
    space = SearchSpace(ks.l1(), ks.l2())
    assert space.names == ("use_l1", "l1", "use_l2", "l2")
    hp = Hyperparameters(space, {"use_l1": False, "use_l2": True, "l2": 0.01})
    assert (hp["l1"], hp["l2"]) == (0.0, 0.01)
    usual = SearchSpace(ks.l1(default=1e-4), ks.l2(name="other", default=1e-3))
    assert [usual[name].default for name in ("l1", "other")] == [1e-4, 1e-3]
    for off in (True, False):
        space = SearchSpace(Boolean("dense"), ks.l2(off=off, when={"dense": True}))
        assert Hyperparameters(space, {"dense": False})["l2"] == 0.0
        assert space.active({"dense": True})[1] == ("use_l2" if off else "l2")


# Keras itself says which names it takes, and with which defaults.


def usable(names: Any, use: Callable[[str], bool]) -> set[str]:
    """Returns the names that can be used as they are, in snake case."""
    taken = set()
    for name in names:
        try:
            if name.islower() and use(name):
                taken.add(name)
        except (ValueError, TypeError, KeyError, NotImplementedError):
            continue
    return taken


def taken_by(make: Callable[[list[str]], object], names: Any) -> set[str]:
    return usable(names, lambda name: make([name]) is not None)


def test_exactly_the_initializers_that_fill_weights_are_taken() -> None:
    def fills(name: str) -> bool:
        layer = keras.layers.Dense(4, kernel_initializer=name)
        layer.build((None, 3))
        return bool(layer.kernel.shape == (3, 4))

    names = {*keras.src.initializers.ALL_OBJECTS_DICT} - {"normal", "one", "uniform", "zero"}
    assert taken_by(ks.initializer, names) == usable(names, fills)
    parameter = ks.initializer()
    assert parameter.name == "kernel_initializer" and parameter.default == "glorot_uniform"
    for name in parameter.values:
        layer = keras.layers.Dense(4, kernel_initializer=name)
        layer.build((None, 3))
        weights = layer.kernel.value.numpy()
        assert len({float(weight) for weight in weights.ravel()}) == 12, name


def test_exactly_the_activations_that_keep_the_shape_are_taken() -> None:
    def keeps_shape(name: str) -> bool:
        layer = keras.layers.Dense(4, activation=name)
        return bool(layer(keras.ops.ones((2, 3))).shape == (2, 4))

    names = keras.src.activations.ALL_OBJECTS_DICT
    assert taken_by(ks.activation, names) == usable(names, keeps_shape)


def test_exactly_the_optimizers_that_are_made_by_name_are_taken_with_their_parameters() -> None:
    def is_made(name: str) -> bool:
        return isinstance(keras.optimizers.get(name), keras.optimizers.Optimizer)

    names = {*keras.src.optimizers.ALL_OBJECTS_DICT, "lamb"}
    optimizers = usable(names, is_made)
    assert taken_by(ks.optimizer, names) == optimizers
    space = SearchSpace(ks.optimizer(sorted(optimizers), learning_rate=True, momentum=True))
    for name in optimizers:
        accepted = inspect.signature(type(keras.optimizers.get(name)).__init__).parameters
        rate: Any = space[f"{name}.learning_rate"]
        assert rate.default == accepted["learning_rate"].default, name
        assert (rate.scale, rate.when) == ("log", {"optimizer": (name,)})
        assert (f"{name}.momentum" in space) is ("momentum" in accepted), name
    assert ks.optimizer(["Adam", "RMSprop"]) == Choice("optimizer", ["Adam", "RMSprop"])
