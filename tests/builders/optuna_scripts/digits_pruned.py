"""A dense network on the digits of scikit-learn, pruned by Optuna."""

import keras
import optuna
from optuna_integration import TFKerasPruningCallback
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

EPOCHS = 4


def create_model(trial):
    n_layers = trial.suggest_int("n_layers", 1, 2)
    model = keras.Sequential()
    model.add(keras.layers.Input((64,)))
    for i in range(n_layers):
        units = trial.suggest_int(f"n_units_l{i}", 8, 32, log=True)
        model.add(keras.layers.Dense(units, activation="relu"))
        model.add(keras.layers.Dropout(trial.suggest_float(f"dropout_l{i}", 0.0, 0.5)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(trial.suggest_float("lr", 1e-4, 1e-1, log=True)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def objective(trial):
    keras.backend.clear_session()
    x, y = load_digits(return_X_y=True)
    x_train, x_valid, y_train, y_valid = train_test_split(
        x / 16.0, y, train_size=400, test_size=200, random_state=0
    )
    model = create_model(trial)
    model.fit(
        x_train,
        y_train,
        batch_size=trial.suggest_categorical("batch_size", [32, 64]),
        epochs=EPOCHS,
        validation_data=(x_valid, y_valid),
        callbacks=[TFKerasPruningCallback(trial, "val_accuracy")],
        verbose=1,
    )
    score = model.evaluate(x_valid, y_valid, verbose=0)
    return score[1]


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=20, timeout=600)
    print("Number of finished trials:", len(study.trials))
    print("Best trial:", study.best_trial.params)
