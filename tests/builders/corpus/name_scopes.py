"""One helper for two parts of a model, each in a name scope of its own."""

import keras
import tiny_data
from keras import layers

import kerastudy as ks


def block(hp, x):
    x = layers.Dense(hp.Int("units", 4, 8, step=2))(x)
    if hp.Boolean("normalized"):
        x = layers.BatchNormalization(momentum=hp.Choice("momentum", [0.9, 0.99]))(x)
    return layers.Activation("relu")(x)


def build(hp):
    inputs = keras.Input((tiny_data.FEATURES,))
    with hp.name_scope("encoder"):
        encoded = block(hp, inputs)
    with hp.name_scope("decoder"):
        decoded = block(hp, encoded)
    model = keras.Model(inputs, layers.Dense(1)(decoded))
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


study = ks.Study(
    "name scopes", data=tiny_data.numbers(), build=build, objective="val_mae", epochs=3
)
