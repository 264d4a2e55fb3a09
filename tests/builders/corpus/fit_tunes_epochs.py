"""HyperModel.fit that says how long is trained."""

import keras
import keras_tuner
import tiny_data

import kerastudy as ks


class Tuned(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((tiny_data.FEATURES,))])
        model.add(keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
        model.add(keras.layers.Dense(1))
        model.compile("adam", loss="mse")
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, epochs=hp.Int("epochs", 1, 3), **kwargs)


study = ks.Study("fit tunes epochs", data=tiny_data.numbers(), build=Tuned())
