"""Declared at the top, read further down: hp.get, hp.values, in, and by name."""

import keras
import tiny_data

import kerastudy as ks


def hidden_layers(hp):
    layers = [keras.layers.Dense(hp.get("units"), activation=hp["activation"])]
    if "dropout" in hp:
        layers.append(keras.layers.Dropout(hp.values["dropout"]))
    return layers


def build(hp):
    hp.Int("units", 4, 16, step=4, default=8)
    hp.Choice("activation", ["relu", "tanh"])
    if hp.Boolean("drops"):
        hp.Float("dropout", 0.1, 0.5, step=0.2)
    model = keras.Sequential([keras.Input((tiny_data.FEATURES,)), *hidden_layers(hp)])
    model.add(keras.layers.Dense(1))
    rates = [1e-2, 1e-3]
    model.compile(keras.optimizers.Adam(hp.Choice("lr", rates, default=1e-3)), loss="mse")
    return model


study = ks.Study("reading values", data=tiny_data.numbers(), build=build, epochs=3)
