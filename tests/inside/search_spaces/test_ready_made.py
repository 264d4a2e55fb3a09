"""Ready-made parameters: their usual ranges, and that every part of them can be overridden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import search_spaces as s
from search_spaces import (
    Boolean,
    Choice,
    Float,
    Hyperparameters,
    Int,
    SearchSpace,
    SearchSpaceError,
)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (s.learning_rate(), Float("learning_rate", 1e-4, 1e-1, scale="log", default=1e-3)),
        (s.epochs(), Int("epochs", 5, 50)),
        (s.batch_size(), Choice("batch_size", [16, 32, 64, 128, 256], default=32)),
        (s.dropout(), Float("dropout", 0.0, 0.5)),
        (s.label_smoothing(), Float("label_smoothing", 0.0, 0.2, default=0.1)),
        (s.momentum(), Float("momentum", 0.01, 0.99, scale="reverse_log", default=0.9)),
        (s.batchnorm(), Boolean("batch_normalization")),
        (s.units(), Int("units", 16, 512, scale="log")),
        (s.layers(), Int("num_layers", 1, 4)),
        (s.optimizer(), Choice("optimizer", ["adam", "sgd", "rmsprop"])),
        (
            s.activation(),
            Choice("activation", ["relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid"]),
        ),
        (
            s.bias_initializer(),
            Choice("bias_initializer", ["zeros", "random_normal", "truncated_normal"]),
        ),
        (s.l1(off=False), Float("l1", 1e-6, 1e-1, scale="log")),
        (
            s.l2(),
            (
                Boolean("use_l2"),
                Float("l2", 1e-6, 1e-1, scale="log", when={"use_l2": True}, otherwise=0.0),
            ),
        ),
    ],
)
def test_usual_ranges(made: Any, expected: Any) -> None:
    assert made == expected


def test_the_initializer_begins_with_that_of_keras() -> None:
    made = s.initializer()
    assert made.name == "kernel_initializer"
    assert made.default == "glorot_uniform"
    wanted = {"he_normal", "he_uniform", "lecun_normal", "glorot_normal", "orthogonal"}
    assert wanted <= set(made.values)


@pytest.mark.parametrize(
    "make",
    [
        lambda **given: s.learning_rate(0.2, 0.4, default=0.3, **given),
        lambda **given: s.momentum(0.2, 0.4, default=0.3, **given),
        lambda **given: s.dropout(0.2, 0.4, default=0.3, **given),
        lambda **given: s.label_smoothing(0.2, 0.4, default=0.3, **given),
        lambda **given: s.l1(0.2, 0.4, off=False, default=0.3, **given),
        lambda **given: s.l2(0.2, 0.4, off=False, default=0.3, **given),
        lambda **given: s.epochs(2, 4, default=3, **given),
        lambda **given: s.units(2, 4, default=3, **given),
        lambda **given: s.layers(2, 4, default=3, **given),
        lambda **given: s.batch_size([2, 3, 4], default=3, **given),
        lambda **given: s.activation(["relu", "elu"], default="elu", **given),
        lambda **given: s.initializer(["zeros", "ones"], default="ones", **given),
        lambda **given: s.bias_initializer(["zeros", "ones"], default="ones", **given),
        lambda **given: s.optimizer(["sgd", "adam"], default="adam", **given),
        lambda **given: s.batchnorm(default=True, **given),
    ],
)
def test_every_part_can_be_overridden(make: Callable[..., s.Parameter]) -> None:
    made = make(name="other", role="scientific", when={"switch": True})
    assert made.name == "other"
    assert made.role == "scientific"
    assert made.when == {"switch": (True,)}
    assert made.default in (0.3, 3, "elu", "ones", "adam", True)
    assert not made.contains(0.1)
    assert SearchSpace(Boolean("switch"), made).defaults() == {"switch": False}


@pytest.mark.parametrize(
    ("made", "default"),
    [
        (s.learning_rate(1e-2, 1.0), 0.1),
        (s.momentum(0.95, 0.99).default > 0.95, True),
        (s.label_smoothing(0.0, 0.05), 0.025),
        (s.batch_size([64, 128]), 64),
    ],
)
def test_a_range_without_the_usual_default_begins_in_its_middle(made: Any, default: Any) -> None:
    assert getattr(made, "default", made) == default


def test_penalties_are_read_without_asking_for_their_switch() -> None:
    space = SearchSpace(s.l1_l2())
    assert space.names == ("use_l1", "l1", "use_l2", "l2")
    hp = Hyperparameters(space, {"use_l1": False, "use_l2": True, "l2": 0.01})
    assert (hp["l1"], hp["l2"]) == (0.0, 0.01)
    assert SearchSpace(s.l1(), s.l2()) == space
    assert SearchSpace(s.l1_l2(off=False)).names == ("l1", "l2")
    assert SearchSpace(s.l1_l2(names=("a", "b"))).names == ("use_a", "a", "use_b", "b")


@pytest.mark.parametrize("off", [True, False])
def test_a_conditional_penalty_is_zero_elsewhere(off: bool) -> None:
    space = SearchSpace(Boolean("dense"), s.l2(off=off, when={"dense": True}))
    assert Hyperparameters(space, {"dense": False})["l2"] == 0.0
    assert space.active({"dense": True})[1] == ("use_l2" if off else "l2")


def test_each_optimizer_has_parameters_of_its_own() -> None:
    space = SearchSpace(s.optimizer(["adam", "sgd"], learning_rate=True, momentum=True))
    assert space.names == ("optimizer", "adam.learning_rate", "sgd.learning_rate", "sgd.momentum")
    assert space.active({"optimizer": "adam"}) == ("optimizer", "adam.learning_rate")
    assert space.defaults() == {"optimizer": "adam", "adam.learning_rate": 1e-3}
    sgd, adam = space["sgd.learning_rate"], space["adam.learning_rate"]
    assert isinstance(sgd, Float)
    assert isinstance(adam, Float)
    assert sgd.high > adam.high
    assert sgd.scale == "log"
    renamed = SearchSpace(s.optimizer(["SGD"], momentum=True, name="method"))
    assert renamed["SGD.momentum"].when == {"method": ("SGD",)}


REFUSED: list[tuple[Callable[[], Any], list[str]]] = [
    (lambda: s.activation(["rellu"]), ["'rellu'", "Did you mean 'relu'"]),
    (lambda: s.activation(["glu"]), ["'glu'", "builder"]),
    (lambda: s.activation("relu"), ["'relu'"]),
    (lambda: s.activation([None]), ["None"]),  # type: ignore[list-item]
    (lambda: s.initializer(["he_norm"]), ["'he_norm'", "'he_normal'"]),
    (lambda: s.initializer(["stft"]), ["'stft'", "builder"]),
    (lambda: s.initializer(["Initializer"]), ["'Initializer'", "builder"]),
    (lambda: s.initializer([]), ["at least one"]),
    (lambda: s.bias_initializer(["orthogonal"]), ["'orthogonal'", "bias"]),
    (lambda: s.bias_initializer(["Identity"]), ["'Identity'", "bias"]),
    (lambda: s.optimizer(["adma"]), ["'adma'", "'adam'"]),
    (lambda: s.optimizer(["lamb"]), ["'lamb'", "builder"]),
    (lambda: s.optimizer(["adam"], momentum=True), ["['adam']", "momentum"]),
    (lambda: s.batch_size([32, 0]), ["Received: 0"]),
    (lambda: s.batch_size([32.0]), ["32.0"]),  # type: ignore[list-item]
    (lambda: s.batch_size([True]), ["True"]),
    (lambda: s.dropout(0.0, 1.5), ["dropout", "1.5"]),
    (lambda: s.dropout(-0.1, 0.5), ["-0.1"]),
    (lambda: s.dropout("0", 0.5), ["'0'"]),  # type: ignore[arg-type]
    (lambda: s.momentum(0.1, 1.1), ["1.1"]),
    (lambda: s.label_smoothing(0, 2), ["Received: 2"]),
    (lambda: s.epochs(0, 5), ["1 or more"]),
    (lambda: s.layers(-1, 5), ["Received: -1"]),
    (lambda: s.units(0, 5), ["low=0"]),
    (lambda: s.learning_rate(0, 0.1), ["low=0"]),
    (lambda: s.learning_rate("a", 0.1), ["'a'"]),  # type: ignore[arg-type]
    (lambda: s.l2(0.0, 0.1), ["low=0.0"]),
]


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_refusals(make: Callable[[], Any], said: list[str]) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        make()
    for words in said:
        assert words in str(raised.value)


def test_aliases_that_keras_takes_are_taken() -> None:
    assert s.initializer(["GlorotUniform", "uniform"]).values == ("GlorotUniform", "uniform")
    assert s.bias_initializer(["Zeros", "one"]).values == ("Zeros", "one")
    assert s.optimizer(["Adam", "RMSprop"]) == Choice("optimizer", ["Adam", "RMSprop"])


def test_the_design_s_own_example() -> None:
    space = SearchSpace(
        s.learning_rate(),
        s.epochs(5, 40),
        s.initializer(),
        s.l1(),
        s.l2(),
        s.dropout(0.0, 0.6),
        s.batchnorm(),
        Choice("optimizer", ["adam", "sgd"]),
        Float("momentum", 0.0, 0.99, when={"optimizer": "sgd"}),
    )
    assert space.conditional
    assert Hyperparameters(space, space.defaults())["l1"] == 0.0
