"""An objective function that builds, trains and measures by itself, as for Optuna."""

import keras
import numpy as np

import kerastudy as ks

random = np.random.default_rng(9)
x = random.normal(size=(200, 4)).astype("float32")
y = (x[:, 0] - x[:, 1] > 0).astype("int64")


def objective(trial):
    """Returns the loss on the last 50 samples."""
    model = keras.Sequential([keras.layers.Input((4,))])
    for i in range(trial.suggest_int("layers", 1, 2)):
        model.add(keras.layers.Dense(trial.suggest_int(f"units_{i}", 4, 16, log=True), "relu"))
    model.add(keras.layers.Dense(1, "sigmoid"))
    rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x[:150], y[:150], epochs=3, validation_data=(x[150:], y[150:]), verbose=0)
    loss, accuracy = model.evaluate(x[150:], y[150:], verbose=0)
    trial.set_user_attr("accuracy", accuracy)
    return loss


study = ks.Study("objective", objective_function=objective, direction="minimize")
