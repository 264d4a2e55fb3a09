"""A study of data in batches, which are shuffled by the seed of the epoch."""

import keras
import numpy as np
import tensorflow as tf

import kerastudy as ks

random = np.random.default_rng(6)
x = random.normal(size=(240, 5)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype("int64")


def train(seed):
    """Returns the training batches of an epoch."""
    return tf.data.Dataset.from_tensor_slices((x[:180], y[:180])).shuffle(180, seed=seed).batch(30)


def validation():
    """Returns the validation batches."""
    return tf.data.Dataset.from_tensor_slices((x[180:], y[180:])).batch(30)


def build(hp):
    """Returns a compiled classifier."""
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(hp["units"], "relu")])
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dense(1, "sigmoid"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


study = ks.Study(
    "batches",
    data=ks.datasets.batches(train, validation),
    build=build,
    space=ks.SearchSpace(ks.units(8, 32)),
    objective="val_accuracy",
    trials=4,
    epochs=3,
)
