"""Small scripts in the style of the guides of Keras Tuner and Optuna."""

GUIDE = '''"""Hyperparameter tuning, as in the guide."""
import numpy as np
import keras
from keras import layers
import keras_tuner as kt

keras.utils.set_random_seed(1)
rng = np.random.default_rng(0)
x = rng.normal(size=(100, 4, 4))
y = (x.mean(axis=(1, 2)) > 0).astype("int64")
x_train, y_train = x[:80], y[:80]
x_train /= 2.0
print("shapes", x_train.shape)


def build_model(hp):
    model = keras.Sequential([layers.Input((4, 4)), layers.Flatten()])
    activation = hp.Choice("activation", ["relu", "tanh"])
    model.add(layers.Dense(hp.Int("units", min_value=8, max_value=16, step=8), activation))
    model.add(layers.Dense(2, activation="softmax"))
    slow = hp.Boolean("slow")
    with hp.conditional_scope("slow", [True]):
        if slow:
            lr = hp.Float("slow_lr", min_value=1e-5, max_value=1e-4, sampling="log")
    with hp.conditional_scope("slow", [False]):
        if not slow:
            lr = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(keras.optimizers.Adam(lr), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    return model


build_model(kt.HyperParameters()).fit(x_train, y_train, epochs=1, verbose=0)
tuner = kt.Hyperband(build_model, objective="val_accuracy", max_epochs=4, factor=2, seed=3,
                     directory="my_dir", project_name="intro_to_kt", overwrite=True)
tuner.search_space_summary()
stop_early = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
tuner.search(x_train, y_train, epochs=50, validation_split=0.25,
             callbacks=[stop_early, keras.callbacks.TensorBoard("logs")])
tuner.hypermodel.build(tuner.get_best_hyperparameters()[0]).fit(x_train, y_train, epochs=50)
'''

GRID = """import keras
import keras_tuner as kt
import numpy as np

x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
y = x.sum(axis=1)


def build(hp):
    model = keras.Sequential([keras.layers.Input((3,))])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Choice(f"units_{i}", [2, 4, 8]), activation="relu"))
    model.add(keras.layers.Dense(1))
    model.compile(keras.optimizers.Adam(hp.Choice("lr", [0.01, 0.001])), "mse", metrics=["mae"])
    return model


tuner = kt.GridSearch(build, objective="val_mae", max_trials=4)
tuner.search(x[:32], y[:32], validation_data=(x[32:], y[32:]), epochs=1, batch_size=8, verbose=0)
"""

MAIN = """from __future__ import annotations

import argparse
import keras_tuner
import numpy as np
from tensorflow import keras


class MyHyperModel(keras_tuner.HyperModel):
    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def build(self, hp):
        model = keras.Sequential([keras.layers.Input((4,))])
        model.add(keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
        model.add(keras.layers.Dense(self.classes, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)


def load(n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 4)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype("int32")


def main(n):
    x, y = load(n)
    x_val, y_val = load(n // 4)
    print(x.shape)
    tuner = keras_tuner.RandomSearch(
        MyHyperModel(classes=2), keras_tuner.Objective("val_accuracy", direction="max"),
        max_trials=3, executions_per_trial=2, directory="out",
    )
    for epochs in [2, 3]:
        tuner.search(
            x, y, epochs=epochs, validation_data=(x_val, y_val), batch_size=16, verbose=0,
            class_weight={0: 1.0, 1: 2.0}, shuffle=False,
        )
    tuner.get_best_models()[0].save("best.keras")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=80)
    main(parser.parse_args().samples)
"""

STREAMS = """import keras, keras_tuner as kt, tensorflow as tf
import numpy as np
x = np.random.rand(64, 3).astype("float32"); y = x.sum(1)
train_ds = tf.data.Dataset.from_tensor_slices((x[:48], y[:48])).batch(8)
val_ds = tf.data.Dataset.from_tensor_slices((x[48:], y[48:])).batch(8)

def build(hp):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(hp.Int("units", 2, 8)),
                              keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2)), "mse",
                  metrics=["mae"])
    return model

tuner = kt.BayesianOptimization(hypermodel=build, objective="val_mae", max_trials=5,
                                num_initial_points=3, alpha=1e-3)
tuner.search(train_ds, validation_data=val_ds, epochs=2)
"""

OPTUNA = """import keras
import numpy as np
import optuna
from optuna.samplers import TPESampler

optuna.logging.set_verbosity(optuna.logging.WARNING)
X = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
Y = X.sum(1)


def objective(trial):
    units, lr = trial.suggest_int("units", 2, 8), trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    model = keras.Sequential([keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model.fit(X, Y, validation_split=0.2, epochs=2, verbose=0).history["val_loss"][-1]


if __name__ == "__main__":
    study = optuna.create_study(
        study_name="boston", direction="minimize", storage="sqlite:///boston.db",
        sampler=TPESampler(seed=42, n_startup_trials=5),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=3),
    )
    study.enqueue_trial({"units": 4, "lr": 0.01})
    study.optimize(objective, n_trials=20, timeout=600, n_jobs=2)
    print(study.best_params)
"""
