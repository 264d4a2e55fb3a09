"""A model that is built at its first batch."""

import keras
import tiny_data
from keras import layers

import kerastudy as ks


def build(hp):
    model = keras.Sequential()
    model.add(layers.Dense(hp.Choice("units", [4, 8, 16]), activation="relu"))
    if hp.Boolean("normalized"):
        model.add(layers.BatchNormalization())
    model.add(layers.Dropout(hp.Choice("dropout", [0.0, 0.3])))
    model.add(layers.Dense(1))
    model.compile(optimizer="adam", loss="mse")
    return model


study = ks.Study("no input shape", data=tiny_data.numbers(), build=build, epochs=3)
