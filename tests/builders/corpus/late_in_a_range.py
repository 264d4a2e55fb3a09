"""A hyperparameter that shows only for numbers that tracing does not try."""

import keras
import tiny_data

import kerastudy as ks


def build(hp):
    units = hp.Int("units", 4, 60, step=4)
    model = keras.Sequential([keras.Input((tiny_data.FEATURES,))])
    model.add(keras.layers.Dense(units, activation="relu"))
    # Of a long range tracing tries the ends and the middle.
    if 4 < units < 32:
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.1, 0.5, step=0.2)))
    model.add(keras.layers.Dense(1))
    model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), loss="mse")
    return model


study = ks.Study("late in a range", data=tiny_data.numbers(), build=build, epochs=3)
