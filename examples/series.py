"""A time series: how long a look back predicts the next value best?

The data is a function of `hp`, because the window's length is tuned. The last values validate: the
past never learns from the future.
"""

import keras
import numpy as np

import kerastudy as ks

time = np.arange(900)
noise = np.random.default_rng(0).normal(size=900)
series = (np.sin(time / 9) + 0.5 * np.sin(time / 4) + 0.1 * noise).astype("float32")


def make_data(hp):
    """Returns windows and the value after each; the last 200 validate."""
    window = hp["window"]
    x = np.lib.stride_tricks.sliding_window_view(series, window)[:-1, :, None]
    y = series[window:]
    return ks.datasets.arrays(x[:-200], y[:-200], validation=(x[-200:], y[-200:]), test=None)


def build(hp):
    """Returns a compiled model for windows of any length."""
    model = keras.Sequential([keras.layers.Input((hp["window"], 1))])
    model.add(keras.layers.LSTM(hp["units"]))
    model.add(keras.layers.Dense(1))
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss="mean_squared_error", metrics=["mean_absolute_error"])
    return model


study = ks.Study(
    "next value",
    data=make_data,
    build=build,
    space=ks.SearchSpace(
        ks.learning_rate(1e-3, 1e-1),
        ks.Choice("units", [4, 8, 16]),
        ks.Choice("window", [4, 8, 16]),
    ),
    objective="val_mean_absolute_error",
    trials=8,
    epochs=5,
)
