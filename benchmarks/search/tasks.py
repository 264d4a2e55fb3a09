"""The tasks whose trials the tables hold: a study file with a study for each.

Each space has six hyperparameters that people tune, and at most 18 structures.
"""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits, make_classification, make_friedman1

import kerastudy as ks

EPOCHS = 27
_SPACE = ks.SearchSpace(
    ks.learning_rate(1e-4, 1e-1),
    ks.dropout(0.0, 0.6),
    ks.Float("l2", 1e-6, 1e-2, scale="log"),
    ks.Choice("optimizer", ["sgd", "adam", "rmsprop"]),
    ks.Choice("width", [32, 64, 128]),
    ks.Boolean("batch_normalization"),
)


def _hidden(hp: Any, layer: Any) -> list[Any]:
    normalization = [keras.layers.BatchNormalization()] if hp["batch_normalization"] else []
    return [layer, *normalization, keras.layers.Activation("relu")]


def _compiled(hp: Any, layers: list[Any], loss: str, metrics: list[Any]) -> keras.Model:
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.get(hp["optimizer"])
    optimizer.learning_rate = hp["learning_rate"]
    model.compile(optimizer, loss=loss, metrics=metrics)
    return model


def _dense(hp: Any) -> list[Any]:
    regularizer = keras.regularizers.L2(hp["l2"])
    layers: list[Any] = []
    for _ in range(2):
        layers += _hidden(hp, keras.layers.Dense(hp["width"], kernel_regularizer=regularizer))
        layers.append(keras.layers.Dropout(hp["dropout"]))
    return layers


def _build_mnist(hp: Any) -> keras.Model:
    layers = [keras.layers.Input((28, 28)), keras.layers.Flatten(), *_dense(hp)]
    layers.append(keras.layers.Dense(10, activation="softmax"))
    return _compiled(hp, layers, "sparse_categorical_crossentropy", ["accuracy"])


def _build_convolutional(hp: Any) -> keras.Model:
    regularizer = keras.regularizers.L2(hp["l2"])
    layers: list[Any] = [keras.layers.Input((8, 8, 1))]
    for filters in (hp["width"] // 8, hp["width"] // 4):
        convolution = keras.layers.Conv2D(
            filters, 3, padding="same", kernel_regularizer=regularizer
        )
        layers += [*_hidden(hp, convolution), keras.layers.MaxPooling2D()]
    layers += [keras.layers.Flatten(), keras.layers.Dropout(hp["dropout"])]
    layers.append(keras.layers.Dense(10, activation="softmax"))
    return _compiled(hp, layers, "sparse_categorical_crossentropy", ["accuracy"])


def _build_regression(hp: Any) -> keras.Model:
    layers = [keras.layers.Input((10,)), *_dense(hp), keras.layers.Dense(1)]
    return _compiled(hp, layers, "mse", ["mae"])


def _build_imbalanced(hp: Any) -> keras.Model:
    layers = [keras.layers.Input((20,)), *_dense(hp), keras.layers.Dense(1, activation="sigmoid")]
    return _compiled(hp, layers, "binary_crossentropy", [keras.metrics.AUC(name="auc")])


def _images() -> tuple[np.ndarray, np.ndarray]:
    with np.load(os.environ["KERASTUDY_BENCHMARK_DATA"]) as file:
        return file["x_train"][:8_000].astype("float32") / 255, file["y_train"][:8_000]


def _digits() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return digits.images.astype("float32")[..., None] / 16, digits.target


def _friedman() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_friedman1(3_000, noise=1.0, random_state=0)
    return x.astype("float32"), ((y - y.mean()) / y.std()).astype("float32")


def _rare() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_classification(
        5_000, n_informative=8, weights=[0.95], flip_y=0.02, class_sep=0.8, random_state=0
    )
    return x.astype("float32"), y.astype("float32")


def _study(
    name: str, build: Any, data: Any, validation: float, objective: str, folds: int = 0
) -> ks.Study:
    return ks.Study(
        name,
        data=ks.datasets.arrays(*data, validation=validation, test=None),
        cross_validation=folds or None,
        build=build,
        space=_SPACE,
        objective=objective,
        epochs=EPOCHS,
        batch_size=128 if name == "mnist" else 64,
        engine="quasi-random",
    )


if "KERASTUDY_BENCHMARK_DATA" in os.environ:
    mnist = _study("mnist", _build_mnist, _images(), 2_000, "val_accuracy")
convolutional = _study("convolutional", _build_convolutional, _digits(), 500, "val_accuracy")
regression = _study("regression", _build_regression, _friedman(), 1_000, "val_mae")
imbalanced = _study("imbalanced", _build_imbalanced, _rare(), 1_500, "val_auc")
convolutional_folds = _study(
    "convolutional_folds", _build_convolutional, _digits(), 0.2, "val_accuracy", folds=3
)
regression_folds = _study("regression_folds", _build_regression, _friedman(), 0.2, "val_mae", 3)
