"""A Keras Tuner HyperModel with a fit of its own, which chooses the batch size."""

import keras
import keras_tuner
import numpy as np

import kerastudy as ks

random = np.random.default_rng(12)
x = random.normal(size=(200, 5)).astype("float32")
y = np.digitize(x[:, 0] + x[:, 1], [-0.5, 0.5])


class Tuned(keras_tuner.HyperModel):
    """Three classes."""

    def build(self, hp):
        """Returns a compiled classifier."""
        model = keras.Sequential([keras.layers.Input((5,))])
        model.add(keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
        model.add(keras.layers.Dropout(0.2))
        model.add(keras.layers.Dense(3, activation="softmax"))
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        """Trains a model."""
        return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32]), **kwargs)


study = ks.Study(
    "hypermodel",
    data=ks.datasets.arrays(x, y),
    build=Tuned(),
    objective="val_accuracy",
    trials=4,
    epochs=3,
)
