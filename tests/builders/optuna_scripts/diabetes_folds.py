"""A regression, cross-validated by hand."""

import keras
import numpy as np
import optuna
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

X, Y = load_diabetes(return_X_y=True)
X, Y = X[:200].astype("float32"), (Y[:200] / 100).astype("float32")


def build(lr, width, l2):
    model = keras.Sequential(
        [
            keras.layers.Input((10,)),
            keras.layers.Dense(
                width, activation="relu", kernel_regularizer=keras.regularizers.L2(l2)
            ),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), loss="mse", metrics=["mae"])
    return model


def objective(trial):
    lr = trial.suggest_float("lr", 1e-3, 1e-1, log=True)
    width = trial.suggest_categorical("width", [8, 16])
    l2 = trial.suggest_float("l2", 1e-6, 1e-2, log=True)
    scores = []
    for fold, (train, valid) in enumerate(KFold(3, shuffle=True, random_state=0).split(X)):
        scaler = StandardScaler().fit(X[train])
        model = build(lr, width, l2)
        stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
        history = model.fit(
            scaler.transform(X[train]),
            Y[train],
            validation_data=(scaler.transform(X[valid]), Y[valid]),
            epochs=3,
            verbose=0,
            callbacks=[stop],
        )
        scores.append(min(history.history["val_mae"]))
        trial.report(float(np.mean(scores)), fold)
        if trial.should_prune():
            raise optuna.TrialPruned()
    trial.set_user_attr("folds", scores)
    return np.mean(scores)


study = optuna.create_study()
study.optimize(objective, n_trials=50)
print(study.best_params)
