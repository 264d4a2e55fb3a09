"""A function of hp that declares one hyperparameter of each kind."""

import keras
import tiny_data

import kerastudy as ks


def build(hp):
    model = keras.Sequential()
    model.add(keras.Input((tiny_data.FEATURES,)))
    model.add(
        keras.layers.Dense(
            units=hp.Int("units", min_value=4, max_value=16, step=4),
            activation=hp.Choice("activation", ["relu", "tanh"]),
            use_bias=hp.Boolean("use_bias", default=True),
        )
    )
    model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.25)))
    model.add(keras.layers.Dense(tiny_data.CLASSES, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(
            hp.Float("learning_rate", 1e-4, 1e-2, step=10, sampling="log")
        ),
        loss=hp.Fixed("loss", "sparse_categorical_crossentropy"),
        metrics=["accuracy"],
    )
    return model


study = ks.Study("plain", data=tiny_data.classes(), build=build, objective="val_accuracy", epochs=3)
