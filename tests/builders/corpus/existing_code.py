"""A function that was there before, called with what hp gives."""

import keras
import tiny_data
from keras import layers

import kerastudy as ks


def existing_model(units, activation, dropout, learning_rate):
    model = keras.Sequential([layers.Flatten(), layers.Dense(units, activation=activation)])
    if dropout:
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(tiny_data.CLASSES, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def build_model(hp):
    units = hp.Int("units", min_value=4, max_value=20, step=8)
    activation = hp.Choice("activation", ["relu", "tanh"])
    dropout = hp.Boolean("dropout")
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    return existing_model(
        units=units, activation=activation, dropout=dropout, learning_rate=learning_rate
    )


study = ks.Study(
    "existing code",
    data=tiny_data.classes(),
    build=build_model,
    objective="val_accuracy",
    epochs=3,
)
