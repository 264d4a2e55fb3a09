"""Trials share a program only if nothing that their own code reads differs: plain Keras judges."""

import builtins
import dataclasses
import functools
import math
import os
import os.path
import sys
import threading
import types
from collections.abc import Callable, Iterator
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
from suite import exhaustive_but

from studies.training import CompiledTrainer, Structure
from studies.training.traced_programs import numbers_as_variables as numbers

layers = keras.layers


def module(name: str, **values: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(values)
    return module


settings = module("user_settings", FACTOR=1.0)
package = module("user_package", inner=module("user_package.inner", FACTOR=1.0))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER_FACTOR", "1.0")
    monkeypatch.setattr(sys, "argv", [*sys.argv, "1.0"])
    monkeypatch.setattr(builtins, "USER_FACTOR", 1.0, raising=False)
    write_all(1.0)
    for place in (settings, package, package.inner):
        monkeypatch.setitem(sys.modules, place.__name__, place)
    yield
    Scaled.factor = scaled.factor = settings.FACTOR = package.inner.FACTOR = 1.0


def scaled(x: Any) -> Any:
    return x * scaled.factor


scaled.factor = 1.0  # type: ignore[attr-defined]


class Holder:
    held = settings


class Scaled(keras.layers.Layer):
    """Scales by a number that is no attribute of the object."""

    factor = 1.0

    def __init__(self, by: Callable[[], Any]) -> None:
        super().__init__()
        self.by = by

    def call(self, x: Any) -> Any:
        return x * self.by()


def imported() -> float:
    import user_settings

    return user_settings.FACTOR  # type: ignore[no-any-return]


def imported_from() -> float:
    from user_settings import FACTOR

    return FACTOR  # type: ignore[no-any-return]


def imported_inner() -> float:
    import user_package.inner

    return user_package.inner.FACTOR  # type: ignore[no-any-return]


def write_all(value: float) -> None:
    Path("factor.txt").write_text(str(value))
    if value > 1.0:
        Path("large").touch()
    else:
        Path("large").unlink(missing_ok=True)


set_module = functools.partial(setattr, settings, "FACTOR")
set_inner = functools.partial(setattr, package.inner, "FACTOR")
# A loss may read each of these while it is traced. A function changes it between trials.
READ: dict[str, tuple[Callable[[], Any], Callable[[float], None]]] = {
    "a module": (lambda: settings.FACTOR, set_module),
    "a module in a module": (lambda: package.inner.FACTOR, set_inner),
    "an import": (imported, set_module),
    "an import from": (imported_from, set_module),
    "an inner import": (imported_inner, set_inner),
    "a function": (lambda: scaled(1.0), functools.partial(setattr, scaled, "factor")),
    "a class": (lambda: Scaled.factor, functools.partial(setattr, Scaled, "factor")),
    "the environment": (
        lambda: float(os.environ["USER_FACTOR"]),
        lambda v: os.environ.__setitem__("USER_FACTOR", str(v)),
    ),
    "a file": (lambda: float(Path("factor.txt").read_text()), write_all),
    "a file by TensorFlow": (
        lambda: tf.strings.to_number(tf.io.read_file("factor.txt")),
        write_all,
    ),
    "whether a file exists": (lambda: 2.0 if os.path.exists("large") else 1.0, write_all),
    "whether a file exists, by a held path": (
        lambda held=Path("large"): 2.0 if held.exists() else 1.0,
        write_all,
    ),
    "the command's arguments": (
        lambda: float(sys.argv[-1]),
        lambda v: sys.argv.__setitem__(-1, str(v)),
    ),
    "a name of Python": (
        lambda: USER_FACTOR,  # type: ignore[name-defined]  # noqa: F821
        functools.partial(setattr, builtins, "USER_FACTOR"),
    ),
    "a held module": (lambda: Holder.held.FACTOR, set_module),
    "a made object": (lambda: Started(0).factor, write_all),
    "globals": (lambda: globals()["settings"].FACTOR, set_module),
}


def model(*inner: keras.layers.Layer) -> keras.Model:
    return compiled(stack(*inner), "sgd")


def reading(read: Callable[[], Any]) -> keras.Model:
    return model(Scaled(read))


def structure_of(build: Callable[..., keras.Model], *arguments: Any) -> Structure:
    return Structure(built(functools.partial(build, *arguments)))


@pytest.mark.parametrize("what", READ)
def test_what_code_reads_is_part_of_it(what: str) -> None:
    read, change = READ[what]
    first, same = (structure_of(reading, read) for _ in range(2))
    change(2.0)
    assert structure_of(reading, read).key != first.key
    assert first.key == same.key or first.reason


class Projected(keras.layers.Layer):
    """Projects by numbers that are drawn in `call`."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.draw = keras.initializers.RandomNormal(seed=seed)

    def call(self, x: Any) -> Any:
        return x @ self.draw((x.shape[-1], 4))


class Started(keras.layers.Layer):
    """Projects by weights. It reads a file before it is trained."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.factor = float(Path("factor.txt").read_text())
        self.start = keras.initializers.RandomNormal(seed=seed)

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(shape=(shape[-1], 4), initializer=self.start)

    def call(self, x: Any) -> Any:
        return x @ self.weight


def of_features(seed: int) -> Any:
    draw = keras.initializers.RandomNormal(seed=seed)
    return lambda x: x * draw((12,))


def of_a_dense(seed: int) -> Any:
    dense = layers.Dense(4, kernel_initializer=keras.initializers.HeNormal(seed))
    return lambda x: dense.kernel_initializer((12, 4))[:, 0] * x


def of_a_loss(seed: int) -> keras.Model:
    draw = keras.initializers.RandomUniform(seed=seed)

    def loss(true: Any, predicted: Any) -> Any:
        return keras.ops.sum(predicted * draw((3,)), -1)

    network = stack(layers.Dense(4))
    network.compile("sgd", loss)
    return network


DRAWN: dict[str, Callable[[int], keras.Model]] = {
    "a call": lambda seed: model(Projected(seed)),
    "a Lambda": lambda seed: model(layers.Lambda(of_features(seed))),
    "a layer's own": lambda seed: model(layers.Lambda(of_a_dense(seed))),
    "a loss": of_a_loss,
    "what is frozen": lambda seed: model(layers.Dense(4, trainable=seed == 1)),
}


@pytest.mark.parametrize("what", DRAWN)
def test_what_is_drawn_while_it_trains_or_is_frozen_is_part_of_it(what: str) -> None:
    keys = [structure_of(DRAWN[what], seed).key for seed in (1, 2)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: layers.Dense(4),
        lambda seed: layers.Dropout(np.random.uniform()),
        lambda seed: Scaled(lambda: 2.0),
        lambda seed: Scaled(lambda: settings.FACTOR),
        Started,
        lambda seed: layers.Dense(4, kernel_initializer=keras.initializers.HeNormal(seed)),
        lambda seed: layers.Dropout(0.5, seed=seed),
    ],
)
def test_the_same_is_known_again_whatever_decides_on_initial_values(
    make: Callable[[int], keras.layers.Layer],
) -> None:
    first, second = (structure_of(lambda seed: model(make(seed)), seed) for seed in (1, 2))
    assert first.key == second.key and not first.reason


def test_what_cannot_be_read_is_like_nothing_else() -> None:
    def make() -> keras.Model:
        network = model(layers.Dense(4))
        network.layers[0].kept = threading.Lock()
        return network

    structures = [structure_of(make) for _ in range(3)]
    assert all("_thread.lock" in structure.reason for structure in structures)
    assert len({structure.key for structure in structures}) == 3


@pytest.mark.parametrize("what", exhaustive_but(["a file", "a name of Python"], READ))
def test_code_is_trained_with_what_it_reads_now(what: str) -> None:
    read, change = READ[what]
    build = functools.partial(reading, read)
    trainer, splits, spec = CompiledTrainer(), samples(), spec_of(1)
    for value in (1.0, 3.0):
        change(value)
        assert by_trainer(trainer, build, splits, spec) == by_hand(build, splits, spec)
        assert trainer.used == ("compiled", "")


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
    model = stack(layers.Dense(4))
    model.compile("sgd", costly, metrics=[f1])
    return model


def test_libraries_that_a_loss_and_a_metric_name_are_not_read() -> None:
    """Reading all of scikit-learn and pandas took 40 s of CPU a trial."""
    visited: list[Any] = []

    class Noting(Structure):
        def _visit(self, value: Any) -> None:
            visited.append(value)
            super()._visit(value)

    model = built(of_libraries)
    assert "pandas" in Noting(model).reason
    names = [str(getattr(value, "__module__", "")) for value in (*visited, *map(type, visited))]
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
        # A loss may do anything before the training.
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


class Residual(layers.Layer):
    def __init__(self, units: int, activation: str = "relu") -> None:
        super().__init__()
        self.inner = [layers.Dense(units) for _ in range(2)]
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
        layers.Lambda(lambda x: tf.expand_dims(x, -1)),
        layers.Flatten(),
        layers.Dense(4, kernel_regularizer=regularizer, activation=lambda x: tf.nn.swish(x) * 0.5),
    )
    model.compile("sgd", Focal(2.0), metrics=[Rate(), Mine(name="mine")])
    return model


def test_ordinary_code_of_ones_own_shares_a_program() -> None:
    trainer, splits, spec = CompiledTrainer(), samples(), spec_of(1)
    trained = [by_trainer(trainer, ordinary, splits, spec) for _ in range(3)]
    assert (trainer.programs.made, trainer.used) == (1, ("compiled", ""))
    assert trained == [by_hand(ordinary, splits, spec)] * 3


@pytest.mark.parametrize(
    ("function", "message"),
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
def test_what_is_not_known_to_be_pure_is_named(function: Callable[..., Any], message: str) -> None:
    models = [compiled(stack(layers.Lambda(function, (12,)))) for _ in range(2)]
    structures = [Structure(model) for model in models]
    assert message in structures[0].reason
    assert structures[0].key != structures[1].key


def test_a_lifted_zero_has_a_negative() -> None:
    rate = numbers.Lifted(numbers.Record([0.0]), lambda values: values[0], frozenset({0}))
    assert [str(-rate), str(0.0 - rate), str(-rate * 2)] == ["-0.0", "0.0", "-0.0"]
