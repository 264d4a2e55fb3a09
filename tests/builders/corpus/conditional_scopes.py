"""Keras Tuner's scopes, and parent_name where one declaration has a parent."""

import keras
import tiny_data
from keras import layers

import kerastudy as ks


def build(hp):
    kind = hp.Choice("kind", ["wide", "deep", "linear"])
    inputs = keras.Input((tiny_data.FEATURES,))
    x = inputs
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            x = layers.Dense(hp.Int("wide_units", 16, 48, step=16), activation="relu")(x)
    with hp.conditional_scope("kind", ["deep"]):
        # Declared whatever the kind is: what is out of its scope has no value.
        depth = hp.Int("depth", 2, 3)
        units = hp.Int("deep_units", 4, 8, step=4)
        if kind == "deep":
            for _ in range(depth):
                x = layers.Dense(units, activation="tanh")(x)
    l2 = hp.Choice("l2", [1e-3, 1e-4], parent_name="kind", parent_values=["linear"])
    outputs = layers.Dense(1, kernel_regularizer=None if l2 is None else keras.regularizers.L2(l2))(
        x
    )
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


study = ks.Study("conditional scopes", data=tiny_data.numbers(), build=build, epochs=3)
