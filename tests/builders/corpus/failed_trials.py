"""A builder that refuses some models: too large ones, and values that don't go together."""

import keras
import keras_tuner
import tiny_data

import kerastudy as ks

MOST_PARAMETERS = 150


def build(hp):
    inputs = keras.Input((tiny_data.FEATURES,))
    x = inputs
    for i in range(hp.Int("layers", 1, 2)):
        x = keras.layers.Dense(hp.Int(f"units_{i}", 4, 28, step=8), activation="relu")(x)
    if hp.Choice("initializer", ["glorot", "he", "none"]) == "none":
        raise ValueError("there is no such initializer")
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    if model.count_params() > MOST_PARAMETERS:
        raise keras_tuner.errors.FailedTrialError(
            f"Model too large: {model.count_params()} parameters."
        )
    model.compile("adam", loss="mse")
    return model


study = ks.Study("failed trials", data=tiny_data.numbers(), build=build, epochs=2)
