"""A metric of one's own as the objective, which says its direction."""

import keras
import tiny_data
from keras import ops

import kerastudy as ks


class LargestError(keras.metrics.Metric):
    def __init__(self, name="largest_error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_weight(name="largest", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        errors = ops.abs(ops.reshape(y_true, (-1,)) - ops.reshape(y_pred, (-1,)))
        self.largest.assign(ops.maximum(self.largest, ops.max(errors)))

    def result(self):
        return self.largest


def build_regressor(hp):
    model = keras.Sequential(
        [
            keras.layers.Dense(units=hp.Int("units", 4, 16, step=4), activation="relu"),
            keras.layers.Dense(units=1),
        ]
    )
    model.compile(
        optimizer=hp.Choice("optimizer", ["adam", "rmsprop"]),
        loss="mean_squared_error",
        metrics=[LargestError()],
    )
    return model


study = ks.Study(
    "custom metric",
    data=tiny_data.numbers(),
    build=build_regressor,
    objective=ks.Objective("val_largest_error", "min"),
    epochs=4,
)
