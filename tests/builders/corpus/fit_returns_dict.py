"""HyperModel.fit that measures the trained model itself and returns several metrics."""

import keras
import keras_tuner
import numpy as np
import tiny_data

import kerastudy as ks


class Measured(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((tiny_data.FEATURES,))])
        model.add(keras.layers.Dense(hp.Int("units", 4, 12, step=4), activation="relu"))
        model.add(keras.layers.Dense(1))
        model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), loss="mse")
        return model

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, **kwargs)
        x_val, y_val = validation_data
        errors = np.abs(model.predict(x_val, verbose=0).flatten() - y_val)
        return {"worst_error": np.max(errors), "typical_error": np.median(errors)}


study = ks.Study(
    "fit returns dict",
    data=tiny_data.numbers(),
    build=Measured(),
    objective=ks.Objective("typical_error", "min"),
    epochs=2,
)
