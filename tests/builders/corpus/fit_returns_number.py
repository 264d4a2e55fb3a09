"""HyperModel.fit that is given no name of a metric, only the objective's value."""

import keras
import keras_tuner
import numpy as np
import tiny_data

import kerastudy as ks


class Scored(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((tiny_data.FEATURES,))])
        model.add(keras.layers.Dense(hp.Int("units", 4, 12, step=4), activation="relu"))
        model.add(keras.layers.Dense(1))
        model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), loss="mse")
        return model

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        # Without the callbacks: nothing is known of its epochs.
        model.fit(x, y, batch_size=hp.Choice("batch_size", [8, 16]), epochs=2, verbose=0)
        x_val, y_val = validation_data
        return float(np.mean(np.abs(model.predict(x_val, verbose=0).flatten() - y_val)))


study = ks.Study(
    "fit returns number",
    data=tiny_data.numbers(),
    build=Scored(),
    objective=ks.Objective("score", "min"),
    epochs=2,
)
