"""Trials share a program only if nothing that their own code reads differs: plain Keras judges."""

from __future__ import annotations

import builtins
import dataclasses
import functools
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from exact_training import built, by_hand, by_trainer, samples, spec_of
from keras import ops
from keras.ops import mean
from model_zoo import compiled, stack
from sklearn.metrics import f1_score
from user_commands import environment, kerastudy_here

import kerastudy as ks
from studies.training import CompiledTrainer, Structure, configure_tensorflow

STUDY = """
import builtins
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import kerastudy as ks

random = np.random.default_rng(0)
x = random.normal(size=(48, 4)).astype("float32")
y = x.sum(axis=1)
FACTORS = {
    "a file": lambda: float(Path("factor.txt").read_text()),
    "tensorflow": lambda: tf.strings.to_number(tf.io.read_file("factor.txt")),
    "arguments": lambda: float(sys.argv[-1]),
    "builtins": lambda: FACTOR_OF_THE_TRIAL,
}


def build(hp):
    # The same in the second trial of each kind, in which a program is checked.
    value, factor = (10.0 if hp["number"] == 2 else 1.0), FACTORS[hp["what"]]
    Path("factor.txt").write_text(str(value))
    sys.argv[-1], builtins.FACTOR_OF_THE_TRIAL = str(value), value

    def loss(true, predicted):
        return keras.ops.mean(keras.ops.square(true - predicted)) * factor()

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), loss)
    return model


study = ks.Study(
    "reading",
    data=ks.datasets.arrays(x, y, validation=(x[:16], y[:16]), test=None),
    build=build,
    space=ks.SearchSpace(ks.Choice("what", list(FACTORS)), ks.Int("number", 0, 2)),
    initial=[{"what": what, "number": number} for what in FACTORS for number in range(3)],
    try_defaults=False,
    objective="val_loss",
    trials=12,
    epochs=1,
    batch_size=16,
)
"""
# Plain Keras, in a process of its own; see docs/reproducing.md.
BY_HAND = """
import json
import sys

import keras
import tensorflow as tf

import kerastudy as ks
from study import build, x, y

tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
found = []
for seed, params in json.loads(sys.argv[1]):
    keras.utils.set_random_seed(seed)
    model, p = build(params), ks.permutation(seed, 1, len(x))
    history = model.fit(
        x[p], y[p], shuffle=False, batch_size=16, verbose=0,
        validation_data=(x[:16], y[:16]), validation_batch_size=16,
    ).history
    found.append([history["loss"][0].hex(), history["val_loss"][0].hex()])
print(json.dumps(found))
"""


def test_trials_whose_losses_read_something_train_as_plain_keras_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The study's builder changes them.
    monkeypatch.setattr(sys, "argv", [*sys.argv, "1.0"])
    monkeypatch.setattr(builtins, "FACTOR_OF_THE_TRIAL", 1.0, raising=False)
    (tmp_path / "study.py").write_text(STUDY)
    (tmp_path / "by_hand.py").write_text(BY_HAND)
    kerastudy_here(tmp_path, "launch", "study.py", "--verify", "off", "--executor", "in-process")
    trials = ks.read_study("reading", store=tmp_path / "kerastudy-store").trials
    assert len(trials) == 12
    curves = [trial.curve[["loss", "val_loss"]].to_numpy() for trial in trials]
    recorded = [[loss.hex(), val_loss.hex()] for ((loss, val_loss),) in curves]
    told = json.dumps([(trial.seed, dict(trial.params)) for trial in trials])
    done = subprocess.run(
        [sys.executable, "by_hand.py", told],
        **{"cwd": tmp_path, "env": environment(), "check": True, "capture_output": True},
    )
    assert recorded == json.loads(done.stdout.splitlines()[-1])


costs = pd.DataFrame({"no": [0.0, 5.0], "yes": [1.0, 0.0]})


def costly(true: Any, predicted: Any) -> Any:
    table = ops.convert_to_tensor(costs.to_numpy(), "float32")
    true = ops.cast(true, "float32")
    return table[1, 0] * true * (1 - predicted[:, 1]) + table[0, 1] * (1 - true) * predicted[:, 1]


def f1(true: Any, predicted: Any) -> Any:
    def by_sklearn(true: Any, predicted: Any) -> Any:
        return np.float32(f1_score(true.ravel(), predicted.argmax(axis=1), average="macro"))

    value = tf.numpy_function(by_sklearn, [true, predicted], tf.float32)
    value.set_shape(())
    return value


def of_libraries() -> keras.Model:
    model = stack(keras.layers.Dense(4))
    model.compile("sgd", costly, metrics=[f1])
    return model


def test_libraries_that_a_loss_and_a_metric_name_are_not_read() -> None:
    """Reading all of scikit-learn and pandas took 40 s of CPU a trial."""
    configure_tensorflow(None)
    visited: list[Any] = []

    class Noting(Structure):
        def _visit(self, value: Any) -> None:
            visited.append(value)
            super()._visit(value)

    model = built(of_libraries)
    assert "pandas" in Noting(model).reason
    names = [str(getattr(each, "__module__", "")) for each in (*visited, *map(type, visited))]
    read = {name for name in names if name.partition(".")[0] in ("pandas", "scipy", "sklearn")}
    assert len(visited) < 1000
    assert read == {"pandas", "sklearn.metrics._classification"}, "the objects that are named"
    splits, spec = samples(), spec_of(1)
    assert by_trainer(CompiledTrainer(), of_libraries, splits, spec) == by_hand(
        of_libraries, splits, spec
    )


GAMMA = 2.0


@dataclasses.dataclass(frozen=True)
class Config:
    alpha: float = 0.25
    shape: tuple[int, ...] = (1, 2)


config, weights = Config(), {"first": np.arange(3.0)}


def entropy(x: Any) -> Any:
    return -x * ops.log(ops.clip(x, keras.config.epsilon(), 1.0)) * math.log(GAMMA) / np.log(2.0)


class Focal(keras.losses.Loss):  # type: ignore[misc]
    def __init__(self, gamma: float, name: str = "focal") -> None:
        super().__init__(name=name)
        # Before it is trained, it may do anything.
        self.gamma = gamma * float(Path("/").exists())

    def call(self, true: Any, predicted: Any) -> Any:
        true = ops.one_hot(ops.cast(true, "int32"), 3)
        weighted = true * weights["first"] * ops.power(1 - predicted, self.gamma)
        return mean(weighted * entropy(predicted), axis=-1) * config.alpha


class Rate(keras.metrics.Metric):  # type: ignore[misc]
    def __init__(self, name: str = "rate", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(tf.reduce_sum(tf.cast(predicted > 0.5, tf.float32)))

    def result(self) -> Any:
        return self.total / (self.total + tf.keras.backend.epsilon())


class Mine(keras.metrics.Mean):  # type: ignore[misc]
    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> Any:
        return super().update_state(tf.math.abs(predicted), sample_weight)


class Residual(keras.layers.Layer):
    def __init__(self, units: int, activation: str = "relu") -> None:
        super().__init__()
        self.inner = [keras.layers.Dense(units) for _ in range(2)]
        self.activation = keras.activations.get(activation)

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")
        super().build(shape)

    def call(self, x: Any, training: bool = False) -> Any:
        hidden = x
        for position, layer in enumerate(self.inner):
            hidden = self.activation(layer(hidden)) / (position + 1)
        if training:
            hidden = hidden * 0.9
        return tf.concat([x * self.scale, hidden], axis=-1)


def ordinary() -> keras.Model:
    backend = tf.keras.backend
    regularizer = lambda weight: 0.01 * backend.sum(backend.square(weight))  # noqa: E731
    model = stack(
        Residual(4),
        keras.layers.Lambda(lambda x: tf.expand_dims(x, -1)),
        keras.layers.Flatten(),
        keras.layers.Dense(
            4, kernel_regularizer=regularizer, activation=lambda x: tf.nn.swish(x) * 0.5
        ),
    )
    model.compile("sgd", Focal(2.0), metrics=[Rate(), Mine(name="mine")])
    return model


def test_ordinary_code_of_ones_own_shares_a_program() -> None:
    configure_tensorflow(None)
    trainer, splits, spec = CompiledTrainer("compiled"), samples(), spec_of(1)
    trained = [by_trainer(trainer, ordinary, splits, spec) for _ in range(3)]
    assert trainer.programs.made == 1
    assert trained == [by_hand(ordinary, splits, spec)] * 3


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x: np.fromfile("x"), "numpy.fromfile"),
        (lambda x: getattr(np, "lo" + "ad")("x"), "builtins.getattr"),
        (lambda x: tf.io.gfile.exists("x"), "file_exists"),
        (lambda x: keras.utils.load_img("x"), "keras.src.utils.image_utils.load_img"),
        (lambda x: keras.activations.get("mine")(x) + x, "keras.src.activations.get"),
        (lambda x: pd.read_csv("x"), "the module 'pandas'"),
        (lambda x: x.update(entropy.__globals__), "'__globals__'"),
        (functools.partial(np.load, "x"), "numpy.load"),
        (np.vectorize(entropy), "numpy.vectorize"),
        (
            functools.wraps(keras.losses.mean_squared_error)(lambda x: input(x) or x),
            "builtins.input",
        ),
    ],
)
def test_what_is_not_known_to_be_pure_is_named(function: Callable[..., Any], told: str) -> None:
    models = [compiled(stack(keras.layers.Lambda(function, (12,)))) for _ in range(2)]
    structures = [Structure(model) for model in models]
    assert told in structures[0].reason
    assert structures[0].key != structures[1].key
