"""A subclass of keras.Model, its layers made from hyperparameters."""

import keras
import tiny_data
from keras import layers

import kerastudy as ks


class Network(keras.Model):
    def __init__(self, units, depth, dropout):
        super().__init__()
        self.hidden = [layers.Dense(units, activation="relu") for _ in range(depth)]
        self.dropout = layers.Dropout(dropout)
        self.classify = layers.Dense(tiny_data.CLASSES, activation="softmax")

    def call(self, inputs, training=False):
        x = inputs
        for layer in self.hidden:
            x = layer(x)
        return self.classify(self.dropout(x, training=training))


def build(hp):
    model = Network(
        units=hp.Int("units", 4, 12, step=4),
        depth=hp.Int("depth", 1, 3),
        dropout=hp.Float("dropout", 0.0, 0.5),
    )
    model.compile(
        optimizer=keras.optimizers.Adam(hp.Choice("lr", [1e-2, 1e-3])),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


study = ks.Study(
    "subclassed model",
    data=tiny_data.classes(),
    build=build,
    objective="val_accuracy",
    epochs=3,
)
