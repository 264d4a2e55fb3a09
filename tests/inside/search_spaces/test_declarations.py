"""Declarations in Keras Tuner's and Optuna's words, as parameters of ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras_tuner
import numpy as np
import optuna
import pytest

from search_spaces import NOT_GIVEN, Boolean, Choice, Fixed, Float, Int, Parameter, SearchSpaceError
from search_spaces import declarations as to

ranged, optunas = to.keras_tuner_range, to.optuna_range


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (ranged(Int, "x", 1, 4), Int("x", 1, 4, default=1)),
        (ranged(Int, "x", 32, 500, 32), Int("x", 32, 480, step=32, default=32)),
        (ranged(Int, "x", 1.0, 4.0, 1.0, default=2.0), Int("x", 1, 4, default=2)),
        (ranged(Int, "x", 3, 3), Fixed("x", 3)),
        (ranged(Int, "x", 1, 4, 5), Fixed("x", 1)),
        (
            ranged(Int, "x", 2, 40, 2, "log"),
            Int("x", 2, 32, step=2, scale="log", default=2),
        ),
        (
            ranged(Int, "x", 2, 40, None, "LOG"),
            Int("x", 2, 40, scale="log", default=2),
        ),
        (ranged(Int, "x", 1, 8, 2, "reverse_log"), Choice("x", [1, 5, 7, 8])),
        (ranged(Int, "x", 1, 10, 3, default=6), Int("x", 1, 10, step=3, default=7)),
        (ranged(Int, "x", 1, 10, 4, default=10), Int("x", 1, 9, step=4, default=9)),
        (ranged(Float, "x", 0, 0.5, 0.1), Float("x", 0, 0.5, step=0.1, default=0)),
        (ranged(Float, "x", 0, 0.55, 0.1), Float("x", 0, 0.5, step=0.1, default=0)),
        (ranged(Float, "x", 0, 1), Float("x", 0, 1, default=0)),
        (ranged(Float, "x", 2, 2), Fixed("x", 2.0)),
        (ranged(Float, "x", 0, 0.05, 0.1), Fixed("x", 0.0)),
        (
            ranged(Float, "x", 1e-4, 0.5, 10, "log"),
            Float("x", 1e-4, 0.1, step=10, scale="log", default=1e-4),
        ),
        (
            ranged(Float, "x", 0.1, 0.9, sampling="reverse_log", default=0.5),
            Float("x", 0.1, 0.9, scale="reverse_log", default=0.5),
        ),
        (
            ranged(Float, "x", 0.1, 0.9, 2, "reverse_log"),
            Choice("x", [0.2, 0.6, 0.8, 0.9]),
        ),
        (to.keras_tuner_choice("x", [True, False]), Choice("x", [True, False])),
        (
            to.keras_tuner_choice("x", ("a", None, 1, 1.0)),
            Choice("x", ["a", None, 1, 1.0], default=None),
        ),
        (to.keras_tuner_choice("x", [1, 2, 2], default=2), Choice("x", [1, 2], default=2)),
        (to.keras_tuner_choice("x", [0.5, 1.0], default=1), Choice("x", [0.5, 1.0], default=1.0)),
        (to.keras_tuner_boolean("x"), Boolean("x")),
        (to.keras_tuner_boolean("x", 1), Boolean("x", default=True)),
        (to.keras_tuner_fixed("x", "a"), Fixed("x", "a")),
        (optunas(Float, "x", 0, 1), Float("x", 0, 1)),
        (optunas(Float, "x", 1e-4, 1e-1, log=True), Float("x", 1e-4, 1e-1, scale="log")),
        (optunas(Float, "x", 0, 0.37, step=0.1), Float("x", 0, 0.3, step=0.1)),
        (optunas(Int, "x", 1, 10), Int("x", 1, 10)),
        (optunas(Int, "x", 1, 10, step=4), Int("x", 1, 9, step=4)),
        (optunas(Int, "x", 1, 64, log=True), Int("x", 1, 64, scale="log")),
        (optunas(Int, "x", 5, 5), Fixed("x", 5)),
        (to.optuna_categorical("x", [None, True, "a"]), Choice("x", [None, True, "a"])),
        (to.optuna_categorical("x", range(3)), Choice("x", [0, 1, 2])),
    ],
    ids=repr,
)
def test_a_declaration_becomes_a_parameter(made: Parameter, expected: Parameter) -> None:
    assert made == expected


def test_numpy_scalars_become_plain_numbers() -> None:
    declared = [
        ranged(Int, "x", np.int64(1), np.int32(4), default=np.int64(2)),
        ranged(Float, "x", np.float32(0.5), np.float64(1), default=np.array(0.75)),
        to.keras_tuner_choice("x", np.array([16, 32])),
        to.keras_tuner_fixed("x", np.bool_(True)),
        to.optuna_categorical("x", [np.str_("a"), np.int8(3)]),
    ]
    assert declared == [
        Int("x", 1, 4, default=2),
        Float("x", 0.5, 1.0, default=0.75),
        Choice("x", [16, 32]),
        Fixed("x", True),
        Choice("x", ["a", 3]),
    ]
    assert [type(each.default) for each in declared] == [int, float, int, bool, str]


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: ranged(Int, "x", 1, 4, default=9), "from 1 to 4. Received: 9"),
        (lambda: ranged(Float, "x", 0, 1, default="a"), "from 0 to 1. Received: 'a'"),
        (
            lambda: ranged(Int, "x", 1.5, 4),
            "low must be a whole number .* Received: 1.5",
        ),
        (lambda: ranged(Int, "x", 4, 1), "low must be below high"),
        (lambda: ranged(Int, "x", 0, 8, 2, "log"), "low must be above 0"),
        (lambda: ranged(Float, "x", 0, 1, sampling="lin"), "Did you mean .linear."),
        (
            lambda: ranged(Float, "x", 0.1, 1, 0.5, "log"),
            "above 1, received step=0.5",
        ),
        (
            lambda: ranged(Float, "x", 0, 1, -1),
            "step must be above 0, received step=-1",
        ),
        (lambda: ranged(Float, "x", 0, float("inf")), "finite"),
        (
            lambda: ranged(Float, "x", "0", 1),
            "low must be a finite number. Received: .0.",
        ),
        (lambda: to.keras_tuner_choice("x", [(3, {3})]), "an object of type set"),
        (lambda: to.keras_tuner_choice("x", [1, 2], default=3), "one of 1, 2. Received: 3"),
        (lambda: to.keras_tuner_choice("x", []), "must be at least one"),
        (lambda: to.keras_tuner_choice("x", "relu"), "must be a list or a tuple"),
        (lambda: to.keras_tuner_boolean("x", "yes"), "Received: 'yes'"),
        (lambda: to.keras_tuner_fixed("x", {1}), "an object of type set"),
        (lambda: to.optuna_categorical("x", [len]), "build the object from it in the model"),
        (lambda: to.optuna_categorical("x", [float("nan")]), "finite"),
        (lambda: optunas(Float, "x", 1, 2, step=0.5, log=True), "either step or log"),
        (lambda: optunas(Int, "x", 1, 9, step=2, log=True), "either step or log"),
        (lambda: optunas(Int, "x", 1, 9, step=0), "step must be above 0"),
    ],
)
def test_what_can_not_be_searched_is_refused(declare: Callable[[], object], said: str) -> None:
    with pytest.raises(SearchSpaceError, match=said) as raised:
        declare()
    assert "'x'" in str(raised.value)


NUMBERS: list[tuple[str, tuple[Any, ...]]] = [
    ("Int", (1, 10)),
    ("Int", (1, 10, 4)),
    ("Int", (2, 100, 3, "log")),
    ("Int", (1, 8, 2, "reverse_log")),
    ("Int", (5, 5)),
    ("Int", (1, 10, None, "linear", 7)),
    ("Float", (0, 1, 0.25)),
    ("Float", (0.5, 100, 10, "log")),
    ("Float", (1, 64, 4, "reverse_log")),
    ("Float", (-1, 1, 0.6, "linear", 0.2)),
]


@pytest.mark.parametrize(("kind", "arguments"), NUMBERS)
def test_numbers_have_the_values_and_the_default_of_keras_tuner(
    kind: str, arguments: tuple[Any, ...]
) -> None:
    hp = keras_tuner.HyperParameters()
    default = getattr(hp, kind)("x", *arguments)
    theirs = sorted(hp.space[0].values)
    ours = ranged(Int if kind == "Int" else Float, "x", *arguments)
    assert ours.default == pytest.approx(default)
    assert type(ours.default) is type(default)
    assert ours.grid_values() is not None
    assert list(ours.grid_values() or ()) == pytest.approx(theirs)


@pytest.mark.parametrize("arguments", [(0.0, 0.5, 0.1), (0.1, 0.75, 0.3), (-1.0, 1.0, 0.7)])
def test_floats_in_steps_have_the_range_of_optuna(arguments: tuple[float, float, float]) -> None:
    low, high, step = arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.distributions.FloatDistribution(low, high, step=step)
    ours = optunas(Float, "x", low, high, step=step)
    assert isinstance(ours, Float)
    assert (ours.low, ours.high, ours.step) == (theirs.low, theirs.high, theirs.step)


def test_the_value_that_was_meant_is_spelled_as_the_domain_spells_it() -> None:
    assert to.value_meant(Int("x", 1, 4), 2.0) == 2
    assert type(to.value_meant(Int("x", 1, 4), 2.0)) is int
    assert type(to.value_meant(Float("x", 0, 1), 1)) is float
    assert to.value_meant(Boolean("x"), 1) is True
    assert to.value_meant(Choice("x", [True, 1]), 1) == 1
    assert type(to.value_meant(Choice("x", [True, 1]), 1)) is int
    assert to.value_meant(Choice("x", ["a"]), "b") is NOT_GIVEN
    assert to.value_meant(Int("x", 1, 4), None) is NOT_GIVEN
    assert to.value_meant(Int("x", 1, 4), True) is NOT_GIVEN


def test_domains_are_the_same_whatever_their_defaults() -> None:
    assert to.same_domain(Int("x", 1, 4, default=1), Int("x", 1, 4, default=2))
    assert not to.same_domain(Int("x", 1, 4), Int("x", 1, 5))
    assert not to.same_domain(Choice("x", [1, 2]), Choice("x", [1.0, 2.0]))
    assert not to.same_domain(Int("x", 1, 4), Float("x", 1, 4))
