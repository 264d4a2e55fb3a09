"""A time series: how long a look back predicts the next value best?

The window's length is tuned: the data has the longest windows, and the first layer crops them. The
last values validate: the past never learns from the future.
"""

import keras
import numpy as np

import kerastudy as ks

time = np.arange(900)
noise = np.random.default_rng(0).normal(size=900)
series = (np.sin(time / 9) + 0.5 * np.sin(time / 4) + 0.1 * noise).astype("float32")
LONGEST = 30
x = np.lib.stride_tricks.sliding_window_view(series, LONGEST)[:-1, :, None]
y = series[LONGEST:]


def build(hp):
    """Returns a compiled model that sees the end of a window."""
    model = keras.Sequential([keras.layers.Input((LONGEST, 1))])
    model.add(keras.layers.Cropping1D((LONGEST - hp["window"], 0)))
    model.add(keras.layers.LSTM(hp["units"]))
    model.add(keras.layers.Dense(1))
    optimizer = keras.optimizers.Adam(hp["learning_rate"])
    model.compile(optimizer, loss="mean_squared_error", metrics=["mean_absolute_error"])
    return model


study = ks.Study(
    "next value",
    data=ks.datasets.arrays(x[:-200], y[:-200], validation=(x[-200:], y[-200:]), test=None),
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
