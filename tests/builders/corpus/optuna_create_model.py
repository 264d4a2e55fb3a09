"""Optuna's way: layers in a loop, and an optimizer with arguments of its own."""

import keras
import tiny_data

import kerastudy as ks


def create_optimizer(trial):
    kwargs = {}
    selected = trial.suggest_categorical("optimizer", ["RMSprop", "Adam", "SGD"])
    if selected == "RMSprop":
        kwargs["learning_rate"] = trial.suggest_float("rmsprop_learning_rate", 1e-5, 1e-1, log=True)
        kwargs["rho"] = trial.suggest_float("rmsprop_rho", 0.85, 0.99)
    elif selected == "Adam":
        kwargs["learning_rate"] = trial.suggest_float("adam_learning_rate", 1e-5, 1e-1, log=True)
    else:
        kwargs["learning_rate"] = trial.suggest_float("sgd_learning_rate", 1e-5, 1e-1, log=True)
        kwargs["momentum"] = trial.suggest_float("sgd_momentum", 1e-5, 1e-1, log=True)
    return getattr(keras.optimizers, selected)(**kwargs)


def create_model(trial):
    keras.backend.clear_session()
    n_layers = trial.suggest_int("n_layers", 1, 3)
    weight_decay = trial.suggest_float("weight_decay", 1e-10, 1e-3, log=True)
    model = keras.Sequential([keras.layers.Flatten()])
    for i in range(n_layers):
        model.add(
            keras.layers.Dense(
                trial.suggest_int(f"n_units_l{i}", 4, 32, log=True),
                activation="relu",
                kernel_regularizer=keras.regularizers.l2(weight_decay),
            )
        )
        model.add(keras.layers.Dropout(rate=trial.suggest_float(f"dropout_l{i}", 0.2, 0.5)))
    model.add(keras.layers.Dense(tiny_data.CLASSES, activation="softmax"))
    model.compile(
        optimizer=create_optimizer(trial),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


study = ks.Study(
    "optuna create model",
    data=tiny_data.classes(),
    build=create_model,
    objective="val_accuracy",
    epochs=3,
)
