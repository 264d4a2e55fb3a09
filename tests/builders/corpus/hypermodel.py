"""A HyperModel with arguments of its own, that builds and no more."""

import keras
import keras_tuner
import tiny_data

import kerastudy as ks


class Classifier(keras_tuner.HyperModel):
    def __init__(self, num_classes, most_units=16, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.most_units = most_units

    def build(self, hp):
        model = keras.Sequential([keras.Input((tiny_data.FEATURES,))])
        model.add(
            keras.layers.Dense(hp.Int("units", 4, self.most_units, step=4), activation="relu")
        )
        model.add(keras.layers.Dense(self.num_classes, activation="softmax"))
        model.compile(
            optimizer=keras.optimizers.Adam(hp.Choice("learning_rate", values=[1e-2, 1e-3, 1e-4])),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model


study = ks.Study(
    "hypermodel",
    data=tiny_data.classes(),
    build=Classifier(tiny_data.CLASSES, name="classifier"),
    objective="val_accuracy",
    epochs=4,
)
