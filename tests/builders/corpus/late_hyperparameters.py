"""Hyperparameters behind a number that tracing does not try."""

import keras
import tiny_data

import kerastudy as ks


def build(hp):
    model = keras.Sequential([keras.Input((tiny_data.FEATURES,))])
    width = hp.Float("width", 0.0, 1.0, default=0.0)
    model.add(keras.layers.Dense(4 + round(12 * width), activation="relu"))
    # Tracing tries a continuous range's ends and its default.
    if 0.0 < width < 1.0:
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.1, 0.5, default=0.2)))
        if hp.Boolean("normalized"):
            model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dense(1))
    model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), loss="mse")
    return model


study = ks.Study("late hyperparameters", data=tiny_data.numbers(), build=build, epochs=3)
