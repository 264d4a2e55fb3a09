"""Models with two inputs and two outputs, in all forms that Keras takes, and their data."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

import kerastudy as ks
from studies.data import Dataset

layers = keras.layers
Values = Mapping[str, Any]
COUNT = 62
LOSSES = {"kind": "sparse_categorical_crossentropy", "size": "mse"}


def arrays(count: int = COUNT, seed: int = 5) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns samples (an image, a row of numbers) and targets (a class, a number) by name."""
    random = np.random.default_rng(seed)
    kind = np.arange(count) % 3
    x = {
        "image": random.integers(0, 255, (count, 4, 4, 1)).astype("uint8"),
        "tabular": random.normal(size=(count, 6)) + kind[:, None],
    }
    return x, {"kind": kind, "size": x["tabular"].sum(axis=1) / 3}


def by_name(**options: Any) -> Dataset:
    x, y = arrays()
    return ks.datasets.arrays(x, y, **{"validation": 22, "test": None, **options})


def in_order(**options: Any) -> Dataset:
    x, y = (tuple(several.values()) for several in arrays())
    return ks.datasets.arrays(x, y, **{"validation": 22, "test": None, **options})


def _layers(hp: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    inputs = {
        "image": keras.Input((4, 4, 1), name="image"),
        "tabular": keras.Input((6,), name="tabular"),
    }
    image = layers.Flatten()(layers.Rescaling(1 / 255)(inputs["image"]))
    image = layers.Dense(4, activation="gelu")(image)
    hidden = layers.Concatenate()([image, layers.Dense(8, activation="relu")(inputs["tabular"])])
    hidden = layers.Dropout(hp["rate"])(hidden)
    kind = layers.Dense(3, activation="softmax", name="kind")(hidden)
    regularizer = keras.regularizers.L2(hp["l2"])
    size = layers.Dense(1, name="size", kernel_regularizer=regularizer)(hidden)
    return inputs, {"kind": kind, "size": size}


def named(hp: Values) -> keras.Model:
    """Has inputs, outputs, losses and metrics by name."""
    model = keras.Model(*_layers(hp))
    model.compile(
        keras.optimizers.Adam(hp["lr"]),
        LOSSES,
        loss_weights={"kind": 1.0, "size": 0.3},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
        weighted_metrics={"kind": ["accuracy"]},
    )
    return model


def listed(hp: Values) -> keras.Model:
    """Has inputs and outputs in lists, and losses by name."""
    inputs, outputs = _layers(hp)
    model = keras.Model(list(inputs.values()), list(outputs.values()))
    model.compile("sgd", LOSSES, loss_weights={"kind": 0.7, "size": 0.1}, metrics={"size": "mae"})
    return model


def listed_throughout(hp: Values) -> keras.Model:
    """Has inputs, outputs, losses and metrics in lists."""
    inputs, outputs = _layers(hp)
    model = keras.Model(list(inputs.values()), list(outputs.values()))
    model.compile("rmsprop", list(LOSSES.values()), metrics=[["accuracy"], ["mae", "mse"]])
    return model


class Subclassed(keras.Model):
    """Takes a dict, returns a dict."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.drop, self.flatten = layers.Dropout(rate), layers.Flatten()
        self.kind, self.size = layers.Dense(3, activation="softmax"), layers.Dense(1)

    def call(self, inputs: Any, training: bool = False) -> Any:
        hidden = keras.ops.cast(self.flatten(inputs["image"]), "float32") / 255
        hidden = self.drop(
            keras.ops.concatenate([hidden, inputs["tabular"]], axis=-1), training=training
        )
        return {"kind": self.kind(hidden), "size": self.size(hidden)}


def subclassed(hp: Values) -> keras.Model:
    model = Subclassed(hp["rate"])
    model.compile(keras.optimizers.Adam(hp["lr"]), LOSSES, metrics={"kind": ["accuracy"]})
    return model


MODELS: dict[str, tuple[Callable[[Values], keras.Model], Callable[..., Dataset]]] = {
    "named": (named, by_name),
    "listed, given names": (listed, by_name),
    "listed, given tuples": (listed, in_order),
    "listed throughout": (listed_throughout, in_order),
    "subclassed": (subclassed, by_name),
}
