"""Models of many tests, whose samples have 12 numbers and one of 3 classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

layers = keras.layers
Values = Mapping[str, Any]
SPARSE = "sparse_categorical_crossentropy"


def compiled(model: keras.Model, optimizer: Any = "adam", metrics: Any = ("accuracy",)) -> Any:
    model.compile(optimizer, SPARSE, metrics=list(metrics))
    return model


def stack(*inner: keras.Layer, units: int = 3) -> keras.Sequential:
    output = layers.Dense(units, activation="softmax", dtype="float32")
    return keras.Sequential([layers.Input((12,)), *inner, output])


def dropouts(hp: Values) -> keras.Model:
    """Has regularizers, batch normalization and dropout."""
    regularizer = keras.regularizers.L1L2(hp["l1"], hp["l2"])
    inner = [
        layers.Dense(8, activation="relu", kernel_regularizer=regularizer),
        layers.BatchNormalization(),
        layers.Dropout(hp["rate"]),
        layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(hp["l2"])),
        layers.Dropout(hp["rate"] / 2),
    ]
    return compiled(stack(*inner), keras.optimizers.Adam(hp["lr"]))


def closed_over(hp: Values) -> keras.Model:
    """Has functions that close over a hyperparameter."""
    strength = hp["strength"]

    def loss(true: Any, predicted: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(true, predicted) * strength

    model = stack(layers.Dense(8), layers.Lambda(lambda x: x * strength))
    model.compile("adam", loss, metrics=["accuracy"])
    return model


class Gate(layers.Layer):
    """A layer of the user's own, with a weight, a number and a random state."""

    def __init__(self, strength: float, rate: float) -> None:
        super().__init__()
        self.strength = strength
        self.drop = layers.Dropout(rate)

    def build(self, shape: Sequence[int]) -> None:
        self.gate = self.add_weight(shape=(shape[-1],), initializer="ones", name="gate")

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.drop(inputs * keras.ops.sigmoid(self.gate) * self.strength, training=training)


class Holding(layers.Layer):
    """Has a state that is not in a Keras variable."""

    def __init__(self) -> None:
        super().__init__()
        self.count = tf.Variable(0.0, trainable=False)

    def call(self, inputs: Any) -> Any:
        return inputs * (1.0 + 0.01 * self.count.assign_add(1.0))


class Unseeded(layers.Layer):
    """Draws from Keras's global generator."""

    def call(self, inputs: Any) -> Any:
        return inputs + keras.random.normal((12,))
