"""Search spaces as Keras Tuner sees them: encodings, conditions, and values as declared."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

from search_spaces import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Hyperparameters,
    Int,
    KerasTunerSpace,
    Parameter,
    SearchSpace,
    SearchSpaceError,
    is_keras_tuners,
    space_of_keras_tuners,
)


def draws(translated: KerasTunerSpace, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """What a random search of Keras Tuner's draws: parents first, active ones only."""
    drawn = random.Random(seed)
    found = []
    for _ in range(count):
        hyperparameters = keras_tuner.HyperParameters()
        for each in translated.hyperparameters().space:
            if hyperparameters.is_active(each):
                hyperparameters.values[each.name] = each.prob_to_value(drawn.random())
        found.append(dict(hyperparameters.values))
    return found


@pytest.mark.parametrize(
    ("parameter", "name", "kind", "value", "stored"),
    [
        (Float("x", 0, 1), "x", "Float", 0.25, 0.25),
        (Float("x", 1e-4, 1, scale="log"), "x", "Float", 0.01, 0.01),
        (Float("x", 0.1, 0.9, scale="reverse_log"), "x", "Float", 0.3, 0.3),
        # Keras Tuner would never yield 0.5 of the first.
        (Float("x", 0, 0.5, step=0.1), "x (index)", "Int", 0.5, 5),
        (Float("x", 1, 1000, scale="log", step=10), "x (index)", "Int", 100.0, 2),
        (Int("x", 1, 9), "x", "Int", 4, 4),
        (Int("x", 1, 9, step=4), "x", "Int", 5, 5),
        (Int("x", 1, 9, scale="log"), "x", "Int", 9, 9),
        (Int("x", 1, 9, scale="reverse_log"), "x", "Int", 9, 9),
        (Int("x", 16, 128, scale="log", step=2), "x (index)", "Int", 64, 2),
        (Boolean("x"), "x", "Boolean", True, True),
        (Choice("x", ["a", "b"]), "x", "Choice", "b", "b"),
        (Choice("x", [3, 1]), "x", "Choice", 1, 1),
        (Choice("x", [0.5, 0.25]), "x", "Choice", 0.25, 0.25),
        # Keras Tuner would make 1 and 0 of the first, and refuse the others.
        (Choice("x", [True, False]), "x", "Choice", True, "true"),
        (Choice("x", ["a", None]), "x", "Choice", None, "null"),
        (Choice("x", [1, 1.0, True, "1"]), "x", "Choice", 1.0, "1.0"),
    ],
)
def test_encodings(parameter: Parameter, name: str, kind: str, value: Any, stored: Any) -> None:
    translated = KerasTunerSpace(SearchSpace(parameter))
    (found,) = translated.hyperparameters().space
    assert (found.name, type(found).__name__) == (name, kind)
    assert repr(found.default) == repr(translated.encode({"x": parameter.default})[name])
    assert repr(translated.encode({"x": value})) == repr({name: stored})
    assert repr(translated.decode({name: stored})) == repr({"x": value})


@pytest.mark.parametrize(
    "parameter",
    [
        Float("x", 0, 0.5, step=0.1),
        Float("x", 1e-3, 1, scale="log", step=10),
        Int("x", -3, 9, step=4),
        Int("x", 1, 6, scale="log"),
        Int("x", 1, 6, scale="reverse_log"),
        Int("x", 16, 512, scale="log", step=2),
        Choice("x", [None, True, 1, 1.0, "1", ""]),
        Boolean("x"),
    ],
)
def test_every_value_of_a_domain_is_reached_and_no_other(parameter: Parameter) -> None:
    translated = KerasTunerSpace(SearchSpace(parameter))
    (found,) = translated.hyperparameters().space
    # 1 included: the bounds of the acquisition function's search are closed.
    units = [i / 400 for i in range(401)]
    reached = {repr(translated.decode({found.name: found.prob_to_value(u)})["x"]) for u in units}
    assert reached == {repr(value) for value in parameter.grid_values() or ()}


@pytest.mark.parametrize("scale", ["linear", "log", "reverse_log"])
def test_continuous_floats_keep_their_scale(scale: str) -> None:
    parameter = Float("x", 0.01, 0.99, scale=scale)
    translated = KerasTunerSpace(SearchSpace(parameter))
    (found,) = translated.hyperparameters().space
    for unit in [0.0, 0.2, 0.5, 0.9, 1.0]:
        value = translated.decode({"x": found.prob_to_value(unit)})["x"]
        assert value == pytest.approx(parameter.from_unit(unit), rel=1e-12)


CONDITIONAL = SearchSpace(
    Float("decay", 0, 1, when={"loss": None, "optimizer": "sgd"}),
    Choice("optimizer", ["adam", "sgd"]),
    Boolean("nesterov", when={"optimizer": "sgd"}),
    Choice("kind", [1, True, None], when={"nesterov": True}),
    Fixed("loss", None, when={"nesterov": True}),
    Int("depth", 1, 3, when={"kind": [True, None], "rate": 0.1}),
    Float("rate", 0, 0.2, step=0.1),
)


def test_conditions_hold_with_several_parents_and_nested_ones() -> None:
    translated = KerasTunerSpace(CONDITIONAL)
    seen = set()
    for stored in draws(translated, 400):
        values = translated.decode(stored)
        CONDITIONAL.validate(values)
        assert list(values) == [name for name in CONDITIONAL.names if name in values]
        assert translated.encode(values) == stored
        seen.add(tuple(values))
    assert {"decay", "depth", "kind"} <= {name for names in seen for name in names}
    assert ("optimizer", "rate") in seen


def test_encodes_every_configuration_as_decoded() -> None:
    space = SearchSpace(
        Float("decay", 0, 1, step=0.5, when={"loss": None, "optimizer": "sgd"}),
        *(parameter for parameter in CONDITIONAL if parameter.name != "decay"),
    )
    translated = KerasTunerSpace(space)
    for values in space.grid():
        assert repr(translated.decode(translated.encode(values))) == repr(values)


def test_listed_spaces_have_all_ints_of_a_logarithmic_scale() -> None:
    space = SearchSpace(Int("x", 1, 64, scale="log"), Int("y", 1, 64, scale="reverse_log"))
    for found in KerasTunerSpace(space, listed=True).hyperparameters().space:
        assert len(list(found.values)) == 64
    # What Keras Tuner lists of such an int itself.
    assert all(len(found.values) <= 10 for found in KerasTunerSpace(space).hyperparameters().space)


def test_fixed_values_are_not_put_to_keras_tuner() -> None:
    translated = KerasTunerSpace(SearchSpace(Fixed("loss", None), Fixed("size", 3)))
    assert translated.hyperparameters().space == []
    assert translated.encode({"loss": None, "size": 3}) == {}
    assert translated.decode({"tuner/epochs": 3}) == {"loss": None, "size": 3}


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({}, ["'optimizer'", "active"]),
        ({"optimizer": "adma", "rate (index)": 0}, ["'adma'", "another space"]),
        ({"optimizer": "adam", "rate": 0.1}, ["'rate'", "'rate (index)'"]),
        ({"optimizer": "adam", "rate (index)": 3}, ["3", "'rate'"]),
        (
            {"optimizer": "adam", "rate (index)": 0, "nesterov": True},
            ["'nesterov'", "'optimizer' is 'sgd'"],
        ),
        ({"optimizer": "sgd", "rate (index)": 0, "nesterov": 2}, ["'nesterov'", "2"]),
    ],
)
def test_values_of_another_space_are_refused(stored: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(SearchSpaceError) as raised:
        KerasTunerSpace(CONDITIONAL).decode(stored)
    for words in said:
        assert words in str(raised.value)


def test_numbers_off_their_domain_are_refused() -> None:
    translated = KerasTunerSpace(SearchSpace(Int("x", 1, 9, step=4), Float("y", 0, 1)))
    for stored in ({"x": 6, "y": 0.5}, {"x": 5, "y": 1.1}, {"x": 5.0, "y": 0.5}):
        with pytest.raises(SearchSpaceError, match="another space"):
            translated.decode(stored)
    assert translated.decode({"x": 5, "y": 1 + 1e-12}) == {"x": 5, "y": 1.0}


def test_keras_tuner_is_loaded_when_a_space_is_translated_and_not_before() -> None:
    program = (
        "import sys; from search_spaces import SearchSpace, dropout; "
        "from search_spaces import KerasTunerSpace; "
        "space = KerasTunerSpace(SearchSpace(dropout())); space.encode({'dropout': 0.25}); "
        "print({'keras_tuner', 'tensorflow', 'numpy'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout == "set()\n"


def test_names_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(SearchSpaceError, match=r"'tuner/epochs' can't.*optuna:tpe"):
        KerasTunerSpace(SearchSpace(Int("tuner/epochs", 1, 3)))
    space = SearchSpace(Float("x", 0, 1, step=0.5), Float("x (index)", 0, 1))
    with pytest.raises(SearchSpaceError, match=r"'x' under the name 'x \(index\)'"):
        KerasTunerSpace(space)


def test_a_space_that_keras_tuner_declares() -> None:
    declared = keras_tuner.HyperParameters()
    declared.Int("units", 16, 64, step=16, default=32)
    declared.Int("width", 8, 128, step=2, sampling="log")
    declared.Int("log", 8, 100, sampling="log")
    declared.Float("rate", 0.0, 0.5, step=0.1)
    declared.Choice("kernel", [3, 5], default=5)
    declared.Fixed("head", "mean")
    with declared.conditional_scope("kernel", [5]):
        declared.Boolean("wide", default=True)
        with declared.conditional_scope("wide", [True]):
            declared.Float("drop", 0.0, 0.5)
    with declared.conditional_scope("kernel", [3]):
        declared.Float("drop", 0.5, 0.9)
    with declared.conditional_scope("kernel", [7]):
        declared.Boolean("never")
    found = space_of_keras_tuners(declared)
    wide = "drop when kernel is 5 and wide is True"
    assert found == SearchSpace(
        Int("units", 16, 64, step=16, default=32),
        Int("width", 8, 128, step=2, scale="log", default=8),
        Int("log", 8, 100, scale="log", default=8),
        Float("rate", 0.0, 0.5, step=0.1, default=0.0),
        Choice("kernel", [3, 5], default=5),
        Fixed("head", "mean"),
        Boolean("wide", default=True, when={"kernel": 5}),
        Float(wide, 0.0, 0.5, default=0.0, when={"kernel": 5, "wide": True}),
        Float("drop when kernel is 3", 0.5, 0.9, default=0.5, when={"kernel": 3}),
    )
    assert is_keras_tuners(declared) and not is_keras_tuners(found)
    # What its oracles would propose by default.
    defaults = Hyperparameters(found, found.defaults()).values
    assert defaults == {k: v for k, v in declared.values.items() if k in defaults}
