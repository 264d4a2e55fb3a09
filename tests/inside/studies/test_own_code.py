"""What of a model's own code goes with it, and what can't."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from suite import exhaustive_but

from studies.training import load_keras_model, loading_warnings, own_code

FACTOR = 3.0
ADDENDS = {"first": 1.0, "second": 2.0}


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


def with_generator() -> keras.Model:
    weights = (each for each in (2.0,))
    return compiled([], weighted(weights))  # type: ignore[arg-type]


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


LOAD = """
import pickle, sys
import keras, numpy as np
with open(sys.argv[1], "rb") as file:
    objects = pickle.load(file)
model = keras.saving.load_model(sys.argv[2], custom_objects=objects)
np.save(sys.argv[3], model.predict(np.ones((3, 2)), verbose=0))
model.fit(np.ones((3, 2)), np.ones((3, 1)), verbose=0)
"""


@pytest.mark.parametrize(
    "build", exhaustive_but([with_local_class], [with_function, with_closure, with_local_class])
)
def test_a_process_without_the_file_loads_a_model_with_all_that_it_needs(
    build: Any, tmp_path: Path
) -> None:
    model = build()
    assert loading_warnings(model) == []
    model.save(tmp_path / "model.keras")
    (tmp_path / "own.pkl").write_bytes(own_code(model).pickled)
    names = ["own.pkl", "model.keras", "predicted.npy"]
    subprocess.run([sys.executable, "-I", "-c", LOAD, *names], cwd=tmp_path, check=True)
    predicted = np.load(tmp_path / "predicted.npy")
    np.testing.assert_array_equal(predicted, model.predict(np.ones((3, 2)), verbose=0))


def test_a_model_that_another_python_saved_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own_code").mkdir()
    (tmp_path / "own_code" / "objects.pkl").write_bytes(own_code(with_closure()).pickled)
    (tmp_path / "own_code" / "contents.json").write_text('{"python": "3.1"}')
    with pytest.raises(ValueError, match=r"saved by Python 3\.1, and this is Python"):
        load_keras_model(tmp_path)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (with_lambda, "the layer 'twice' holds a lambda, which Keras loads in its unsafe mode"),
        (with_unknown, "Keras can't save the model, so the best trial's will not be registered"),
        (with_generator, "without what it is compiled with: 'loss' can't be pickled: TypeError"),
    ],
)
def test_what_can_not_go_is_told(build: Any, said: str) -> None:
    (warning,) = loading_warnings(build())
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
    assert own_code(model) == (b"", (), ())
    assert loading_warnings(model) == []
