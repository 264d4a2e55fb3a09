"""A small convolutional network; the score is the best validation accuracy of its history."""

import keras
import numpy as np
import optuna

rng = np.random.default_rng(0)
x = rng.random((160, 8, 8, 1)).astype("float32")
y = (x[:, ::2].mean(axis=(1, 2, 3)) > x[:, 1::2].mean(axis=(1, 2, 3))).astype("int32")


class Objective:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __call__(self, trial: optuna.Trial) -> float:
        keras.utils.set_random_seed(42)
        model = keras.Sequential([keras.layers.Input((8, 8, 1))])
        if trial.suggest_categorical("kind", ["conv", "dense"]) == "conv":
            model.add(keras.layers.Conv2D(trial.suggest_int("filters", 2, 6), 3, activation="relu"))
        model.add(keras.layers.Flatten())
        model.add(keras.layers.Dense(1, activation="sigmoid"))
        name = trial.suggest_categorical("optimizer", ["adam", "sgd"])
        if name == "adam":
            optimizer = keras.optimizers.Adam(trial.suggest_float("adam_lr", 1e-3, 1e-1, log=True))
        else:
            optimizer = keras.optimizers.SGD(
                trial.suggest_float("sgd_lr", 1e-2, 1.0, log=True), momentum=0.9
            )
        model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
        history = model.fit(
            self.x, self.y, validation_split=0.25, epochs=3, batch_size=16, verbose=0
        )
        return max(history.history["val_accuracy"])


def main():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1))
    study.optimize(Objective(x, y), n_trials=30)
    print(study.best_trial)


objective = Objective(x, y)

if __name__ == "__main__":
    main()
