"""HyperModel.fit that cross-validates by hand: a new model for each fold, the given one unused."""

import keras
import keras_tuner
import numpy as np
import tiny_data

import kerastudy as ks

FOLDS = 2


class ByFolds(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.layers.Dense(hp.Int("units", 4, 12, step=4))])
        model.add(keras.layers.Dense(1))
        model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), loss="mse", metrics=["mae"])
        return model

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        scores = []
        for fold in range(FOLDS):
            held_out = np.arange(len(x)) % FOLDS == fold
            fresh = self.build(hp)
            fresh.fit(x[~held_out], y[~held_out], epochs=2, verbose=0)
            scores.append(fresh.evaluate(x[held_out], y[held_out], verbose=0)[1])
        return float(np.mean(scores))


study = ks.Study(
    "fit by folds",
    data=tiny_data.numbers(),
    build=ByFolds(),
    objective=ks.Objective("mean_error", "min"),
    epochs=2,
)
