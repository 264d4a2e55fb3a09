"""Layers in a loop: as many as hp says, units of their own, one activation for all."""

import keras
import tiny_data
from keras import layers

import kerastudy as ks


def build_model(hp):
    model = keras.Sequential()
    model.add(keras.Input((tiny_data.FEATURES,)))
    for i in range(hp.Int("num_layers", 1, 3)):
        model.add(
            layers.Dense(
                units=hp.Int(f"units_{i}", min_value=4, max_value=12, step=4),
                # One name: the same value in every turn.
                activation=hp.Choice("activation", ["relu", "tanh"]),
            )
        )
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=hp.Float("rate", 0.1, 0.5, step=0.2)))
    model.add(layers.Dense(tiny_data.CLASSES, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(hp.Choice("lr", [1e-2, 1e-3])),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


study = ks.Study("layers in a loop", data=tiny_data.classes(), build=build_model, epochs=3)
