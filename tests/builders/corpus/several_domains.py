"""One name with a range for each optimizer, tuples to choose from, Optuna's older calls."""

import keras
import tiny_data

import kerastudy as ks


def create_model(trial):
    hidden = trial.suggest_categorical("hidden", [(8,), (8, 4), [4]])
    model = keras.Sequential([keras.Input((tiny_data.FEATURES,))])
    for units in hidden:
        model.add(keras.layers.Dense(units, activation="relu"))
    # By position, as before Optuna 4.
    for _ in range(trial.suggest_int("more", 0, 2, 1)):
        model.add(keras.layers.Dense(4))
    model.add(keras.layers.Dense(1))
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
        optimizer = keras.optimizers.Adam(trial.suggest_loguniform("learning_rate", 1e-3, 1e-1))
    else:
        rate = trial.suggest_discrete_uniform("learning_rate", 0.01, 0.03, 0.01)
        optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer, loss="mse")
    return model


study = ks.Study("several domains", data=tiny_data.numbers(), build=create_model, epochs=3)
