"""Optuna's steps, and what a trial knows of itself."""

import keras
import tiny_data

import kerastudy as ks


def create_model(trial):
    units = trial.suggest_int("units", 4, 16, step=4)
    dropout = trial.suggest_float("dropout", 0.0, 0.4, step=0.2)
    trial.suggest_categorical("activation", ["relu", "tanh"])
    trial.set_user_attr("hidden units", units)
    model = keras.Sequential([keras.Input((tiny_data.FEATURES,))], name=f"trial_{trial.number}")
    model.add(keras.layers.Dense(units, activation=trial.params["activation"]))
    # Another model in each trial, whatever the hyperparameters are.
    for _ in range(trial.number):
        model.add(keras.layers.Dense(trial.user_attrs["hidden units"], activation="relu"))
    if dropout > 0.0:
        model.add(keras.layers.Dropout(dropout))
    model.add(keras.layers.Dense(1))
    learning_rate = trial.suggest_categorical("lr", [1e-3, 1e-2])
    model.compile(keras.optimizers.Adam(learning_rate), loss="mse")
    return model


study = ks.Study("optuna steps", data=tiny_data.numbers(), build=create_model, epochs=3)
