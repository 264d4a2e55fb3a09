"""HyperModel.fit that prepares the data first, if hp says so, and returns the history."""

import keras
import keras_tuner
import tiny_data

import kerastudy as ks


class Prepared(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.layers.Flatten()])
        model.add(keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-1, sampling="log")), loss="mse")
        return model

    def fit(self, hp, model, x, y, validation_data=None, **kwargs):
        if hp.Boolean("normalize"):
            normalization = keras.layers.Normalization()
            normalization.adapt(x)
            x = normalization(x)
            validation_data = (normalization(validation_data[0]), validation_data[1])
        history = model.fit(x, y, validation_data=validation_data, **kwargs)
        return history


study = ks.Study("fit preprocesses", data=tiny_data.numbers(), build=Prepared(), epochs=3)
