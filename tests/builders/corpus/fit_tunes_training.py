"""HyperModel.fit that tunes what model.fit is called with."""

import keras
import keras_tuner
import tiny_data

import kerastudy as ks


class Tuned(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential(
            [
                keras.Input((tiny_data.FEATURES,)),
                keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(tiny_data.CLASSES, activation="softmax"),
            ]
        )
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(
            *args,
            batch_size=hp.Choice("batch_size", [8, 16]),
            shuffle=hp.Boolean("shuffle"),
            **kwargs,
        )


study = ks.Study(
    "fit tunes training",
    data=tiny_data.classes(),
    build=Tuned(),
    objective="val_accuracy",
    epochs=3,
)
