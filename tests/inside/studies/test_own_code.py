"""What of a model's own code goes with it, and what can't."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from studies.training import ModulePart, loading_warnings, own_code

FACTOR = 3.0
UNUSED = "what reads data, say"
ADDENDS: dict[str, float] = {}
ADDENDS["first"] = 1.0
ADDENDS.update(second=2.0)
np.random.default_rng(len(ADDENDS))
READ = ADDENDS.get("third", UNUSED)


def doubled(x: Any) -> Any:
    # By numpy, whose generators are no code of the model's.
    return x * FACTOR + np.add(ADDENDS["first"], ADDENDS["second"])


def weighted(weight: float) -> Any:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(y_true - y_pred) * weight

    return loss


def with_function() -> keras.Model:
    return compiled([keras.layers.Lambda(doubled)], "mse")


def with_lambda() -> keras.Model:
    return compiled([keras.layers.Lambda(lambda x: x * 2, name="twice")], "mse")


def with_unknown() -> keras.Model:
    unknown = object()
    return compiled([keras.layers.Lambda(lambda x: (x, unknown)[0])], "mse")


def with_closure() -> keras.Model:
    return compiled([], weighted(2.0))


def with_local_class() -> keras.Model:
    factor = 2.0

    class Local(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x * factor

    return compiled([Local()], "mse")


def compiled(layers: list[Any], loss: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", loss)
    return model


def test_a_function_goes_with_what_it_needs_and_no_more() -> None:
    model = with_function()
    code = own_code(keras.saving.serialize_keras_object(model), with_function)
    assert code.objects == {"doubled": (__name__, "doubled")}
    (text,) = code.modules.values()
    assert "FACTOR = 3.0" in text and "def doubled" in text
    # With what was put into it later.
    assert 'ADDENDS["first"] = 1.0' in text and "ADDENDS.update(second=2.0)" in text
    assert "READ" not in text and "default_rng" not in text
    assert "UNUSED" not in text and "def weighted" not in text
    assert loading_warnings(model, with_function) == []


def test_an_import_of_several_names_goes_in_part() -> None:
    text = "import keras, kerastudy as ks\nfrom math import (\n    e,\n    pi as half,\n)\n\n\n"
    part = ModulePart("study", f"{text}def own(x):\n    return keras.ops.sin(x) * half\n")
    assert part.take("own") == ""
    assert [line for line in part.part.splitlines() if "import" in line] == [
        "import keras",
        "from math import pi as half",
    ]


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (with_lambda, "the layer 'twice' holds a lambda, which Keras loads in its unsafe mode"),
        (with_unknown, "Keras can't save the model, so the best trial's will not be registered"),
        (with_closure, "without what it is compiled with: 'loss' is defined within a function"),
        (with_local_class, "'Local' is defined within a function, and uses 'factor' of it"),
    ],
)
def test_what_can_not_go_is_told(build: Any, said: str) -> None:
    (warning,) = loading_warnings(build(), build)
    assert said in warning


def functional() -> keras.Model:
    """Its class has a registered name in Keras, and so has that of a model within it."""
    inputs = keras.Input((2,))
    inner = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    outer = keras.Input((2,))
    model = keras.Model(outer, keras.layers.Dense(1)(inner(outer)))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    "build", [lambda: compiled([keras.layers.Dropout(0.1)], "mse"), functional]
)
def test_a_model_of_keras_alone_has_no_code(build: Any) -> None:
    model = build()
    assert own_code(keras.saving.serialize_keras_object(model), build).modules == {}
    assert loading_warnings(model, build) == []
