"""Studies of one small data set, with different engines, pruners and repeats."""

import keras
import numpy as np

import kerastudy as ks

random = np.random.default_rng(24)
x = random.normal(size=(300, 8)).astype("float32")
y = np.digitize(x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * random.normal(size=300), [-0.6, 0.6])


def build(hp):
    """Returns a compiled classifier of three classes."""
    model = keras.Sequential([keras.layers.Input((8,))])
    for _ in range(hp["layers"]):
        regularizer = keras.regularizers.L2(hp["l2"]) if hp["use_l2"] else None
        model.add(keras.layers.Dense(hp["units"], "relu", kernel_regularizer=regularizer))
        model.add(keras.layers.Dropout(hp["dropout"]))
    model.add(keras.layers.Dense(3, "softmax"))
    kind = keras.optimizers.Adam if hp["optimizer"] == "adam" else keras.optimizers.SGD
    model.compile(
        kind(hp["learning_rate"]), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def callbacks(hp):
    """Returns a trial's callbacks: one that changes it, one that may end it early."""
    return [
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1),
        keras.callbacks.EarlyStopping("val_loss", patience=2),
    ]


CONDITIONAL = ks.SearchSpace(
    ks.learning_rate(1e-3, 0.1),
    ks.epochs(2, 4),
    ks.Int("layers", 1, 2),
    ks.units(4, 32),
    ks.dropout(0.0, 0.5),
    ks.Boolean("use_l2"),
    ks.Float("l2", 1e-5, 1e-2, scale="log", when={"use_l2": True}),
    ks.Choice("optimizer", ["adam", "sgd"]),
)
REST = (ks.Fixed("layers", 1), ks.Fixed("use_l2", False), ks.Fixed("optimizer", "adam"))
FLOATS = ks.SearchSpace(
    ks.learning_rate(1e-3, 0.1), ks.dropout(0.0, 0.5), ks.Fixed("units", 16), *REST
)
GRID = ks.SearchSpace(
    ks.Choice("units", [4, 8, 16]),
    ks.Choice("dropout", [0.0, 0.2]),
    ks.Fixed("learning_rate", 0.01),
    *REST,
)


def study(name, space, **settings):
    """Returns a study of this builder and data."""
    return ks.Study(
        name,
        data=ks.datasets.arrays(x, y, preprocess="standardize"),
        build=build,
        space=space,
        **{"objective": "val_accuracy", "trials": 6, "epochs": 3, "batch_size": 32, **settings},
    )


tpe = study("tpe", CONDITIONAL, engine="optuna:tpe")
cma_es = study("cma-es", FLOATS, engine="optuna:cma-es", objective="val_loss")
grid = study("grid", GRID, engine="optuna:grid")
hyperband = study("hyperband", FLOATS, engine="keras-tuner:hyperband", trials=10, epochs=4)
bayesian = study("bayesian", FLOATS, engine="keras-tuner:bayesian", seed=3)
pruned = study("pruned", FLOATS, pruner="median", trials=10, epochs=4)
folds = study("folds", FLOATS, cross_validation=3, trials=3)
repeats = study("repeats", FLOATS, repeats=2, trials=3, objective="val_loss")
workers = study("workers", FLOATS, pruner="median", callbacks=callbacks, trials=8, epochs=4)
in_process = study("in-process", CONDITIONAL, callbacks=callbacks, trials=4)
