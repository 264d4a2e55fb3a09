"""Checks the answers of the catalog's chapters by plain Keras, under several seeds.

It shares no code with kerastudy: it imports Keras, numpy and scikit-learn, and trains by
`model.fit`. A seed decides the split of the data, the initial weights and the order of the batches.
Each value of a chapter's hyperparameter is trained at fixed learning rates, from the range of the
chapter. Of each training, the best epoch counts.

    python -m benchmarks.course                              # all chapters, about half an hour
    python -m benchmarks.course initializers --seeds 10
    python -m benchmarks.course --output course.jsonl        # keeps each training; resumes
    KERASTUDY_BENCHMARK_DATA=mnist.npz python -m benchmarks.course mnist    # without a download

The tables have the mean over the seeds ± their standard deviation. "behind" is how much worse a
value is than the best value under the same seed, each at its best learning rate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

Arrays = tuple[Any, Any]
RATES: Final = (1e-3, 5e-3, 2e-2)


class Parts(NamedTuple):
    """The samples of one seed: inputs and targets of each part."""

    train: Arrays
    validation: Arrays
    test: Arrays


@dataclass(frozen=True)
class Chapter:
    """A chapter's question, to be answered by trainings with plain Keras.

    Attributes:
        values: The values of its hyperparameter.
        data: Returns the parts for a seed and a value.
        build: Returns a compiled model for a value, a learning rate and the parts.
        rates: The learning rates, or a function of the value.
        metric: What is compared: a key of the history.
        best: ``max`` or ``min``.
        fit: Returns further arguments of `model.fit` for a value and the parts.
        epochs, batch: The number of epochs, and the batch size; 0 if the value sets it.
        also: Further keys of the history, whose values at the best epoch are kept.
        more: Returns values that the history gets after an epoch, by their keys.
        reuse: Whether a value's models have the same structure under every seed.
    """

    values: Sequence[Any]
    data: Callable[[int, Any], Parts]
    build: Callable[[Any, float, Parts], keras.Model]
    rates: Sequence[float] | Callable[[Any], Sequence[float]] = RATES
    metric: str = "val_accuracy"
    best: Callable[..., float] = max
    epochs: int = 8
    batch: int = 32
    fit: Callable[[Any, Parts], dict[str, Any]] = field(default=lambda value, parts: {})
    also: Sequence[str] = ()
    more: Callable[[keras.Model, Parts], dict[str, float]] = field(default=lambda model, parts: {})
    reuse: bool = True


def split(
    x: Any, y: Any, seed: int, *, validation: float = 0.2, test: float = 0.2, classes: bool = True
) -> Parts:
    """Returns random parts, whose sizes are shares or numbers of samples."""

    def cut(x: Any, y: Any, size: float) -> Any:
        return train_test_split(
            x, y, test_size=size, stratify=y if classes else None, random_state=seed
        )

    x, x_test, y, y_test = cut(x, y, test)
    share = validation if validation > 1 else validation / (1 - test)
    x, x_validation, y, y_validation = cut(x, y, share)
    return Parts((x, y), (x_validation, y_validation), (x_test, y_test))


def digits(validation: float = 0.2, test: float = 0.2) -> Callable[[int, Any], Parts]:
    """Returns a function that splits scikit-learn's digits."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    return lambda seed, value: split(x, y, seed, validation=validation, test=test)


def classifier(layers: Sequence[Any], optimizer: Any, inputs: int = 64) -> keras.Model:
    """Returns a compiled classifier of digits that ends in a softmax."""
    output = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.layers.Input((inputs,)), *layers, output])
    metrics = ["accuracy", "sparse_categorical_crossentropy"]
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=metrics)
    return model


def dense(units: int, **options: Any) -> keras.layers.Dense:
    """Returns a hidden layer."""
    return keras.layers.Dense(units, **{"activation": "relu", **options})


adam = keras.optimizers.Adam


def test_accuracy(model: keras.Model, parts: Parts) -> dict[str, float]:
    """Returns the accuracy on the test part."""
    read = model.evaluate(*parts.test, 1000, 0, return_dict=True)
    return {"test_accuracy": read["accuracy"]}


def _momentum(value: Any, rate: float, parts: Parts) -> keras.Model:
    return classifier([dense(64)], keras.optimizers.SGD(rate, momentum=0.9))


def _one_hot(seed: int, value: Any) -> Parts:
    parts = digits()(seed, value)
    rows = keras.utils.to_categorical
    return Parts(*((x, rows(y) if value == "one-hot" else y) for x, y in parts))


def _either_target(value: Any, rate: float, parts: Parts) -> keras.Model:
    output = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.layers.Input((64,)), dense(64), output])
    sparse = "" if value == "one-hot" else "sparse_"
    model.compile(adam(rate), f"{sparse}categorical_crossentropy", metrics=["accuracy"])
    return model


def images(module: Any) -> Callable[[int, Any], Parts]:
    """Returns a function that splits the images of a module of `keras.datasets`, or of a file."""
    return lambda seed, value: _images(module, seed)


def _images(module: Any, seed: int) -> Parts:
    if file := os.environ.get("KERASTUDY_BENCHMARK_DATA"):
        with np.load(file) as arrays:
            (x, y), test = (
                (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")
            )
    else:
        (x, y), test = module.load_data()
    parts = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    return Parts((parts[0], parts[2]), (parts[1], parts[3]), test)


def _wide(value: Any, rate: float, parts: Parts) -> keras.Model:
    begin = [keras.layers.Input((28, 28)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    output = keras.layers.Dense(10, activation="softmax")
    layers = [dense(512), keras.layers.Dropout(0.3), output]
    model = keras.Sequential([*begin, *layers])
    steps = 10 * -(-len(parts.train[1]) // 128)
    down: Any = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = adam(down if value == "cosine" else rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tops(model: keras.Model, parts: Parts) -> dict[str, float]:
    """Returns the accuracy on the test part, and the share of mistakes between two tops.

    Tops are T-shirts, pullovers, coats and shirts.
    """
    x, y = parts.test
    predicted = model.predict(x, 1000, verbose=0).argmax(axis=1)
    wrong = predicted != y
    within = np.isin(predicted, (0, 2, 4, 6)) & np.isin(y, (0, 2, 4, 6))
    return {"test_accuracy": 1 - wrong.mean(), "within_tops": float(within[wrong].mean())}


_PER_METRE: Final = {"hills": 1.5, "lake": 3.0, "harbour": 4.5, "station": 2.0, "old town": 3.5}


def houses() -> pd.DataFrame:
    """Returns the table of the chapter `tabular`."""
    random = np.random.default_rng(0)
    district = random.choice(list(_PER_METRE), 1000, p=[0.3, 0.15, 0.1, 0.35, 0.1])
    area = random.uniform(40, 200, 1000).round()
    built = random.integers(1880, 2025, 1000).astype(float)
    garden = random.random(1000) < 0.4
    heating = random.choice(["gas", "oil", "heat pump"], 1000, p=[0.5, 0.3, 0.2]).astype(object)
    price = area * [_PER_METRE[name] for name in district] + 30 * garden
    price = price + 25 * (heating == "heat pump") - 0.5 * (2025 - built)
    price = price + random.normal(0, 15, 1000)
    rooms = np.clip((area / 30 + random.normal(0, 0.7, 1000)).round(), 1, 8)
    table = pd.DataFrame({"area": area, "rooms": rooms, "built": built, "garden": garden})
    table = table.assign(district=district, heating=heating, price=price.round(1))
    table.loc[(built < 1940) & (random.random(1000) < 0.6), "built"] = np.nan
    table.loc[random.random(1000) < 0.1, "heating"] = None
    return table


def _houses(seed: int, value: Any) -> Parts:
    table = houses()
    x = pd.get_dummies(
        table.drop(columns="price").assign(unknown=table["built"].isna()), dtype=float
    )
    x = x.fillna(x.mean()).to_numpy("float32")
    return _standardized(split(x, table["price"].to_numpy("float32"), seed, classes=False))


def _priced(value: Any, rate: float, parts: Parts) -> keras.Model:
    mean, deviation = float(parts.train[1].mean()), float(parts.train[1].std())
    last = [keras.layers.Dense(1), keras.layers.Rescaling(scale=deviation, offset=mean)]
    inputs = keras.layers.Input(parts.train[0].shape[1:])
    model = keras.Sequential([inputs, dense(48), dense(48), *last])
    model.compile(adam(rate), "mean_squared_error", metrics=["mean_absolute_error"])
    return model


def trees_and_line(model: keras.Model, parts: Parts) -> dict[str, float]:
    """Returns the mean absolute errors of scikit-learn's models, and of predicting the mean."""
    (x, y), (x_validation, y_validation) = parts.train, parts.validation
    others = {"trees": HistGradientBoostingRegressor(), "linear": LinearRegression()}
    predicted = {name: other.fit(x, y).predict(x_validation) for name, other in others.items()}
    predicted["mean"] = np.full(len(y_validation), y.mean())
    return {name: float(np.abs(y_validation - p).mean()) for name, p in predicted.items()}


def _initializers(value: Any, rate: float, parts: Parts) -> keras.Model:
    return classifier([dense(32, kernel_initializer=value) for _ in range(5)], adam(rate))


def _activations(value: Any, rate: float, parts: Parts) -> keras.Model:
    return classifier([dense(32, activation=value) for _ in range(5)], adam(rate))


def _batch_normalization(value: Any, rate: float, parts: Parts) -> keras.Model:
    layers: list[Any] = []
    for _ in range(5):
        layers.append(keras.layers.Dense(32, use_bias=not value))
        layers += [keras.layers.BatchNormalization()] if value else []
        layers.append(keras.layers.Activation("relu"))
    return classifier(layers, keras.optimizers.SGD(rate, momentum=0.9))


_OPTIMIZERS: Final = {
    "sgd": (keras.optimizers.SGD, (0.3,)),
    "momentum": (lambda rate: keras.optimizers.SGD(rate, momentum=0.9), (0.1,)),
    "rmsprop": (keras.optimizers.RMSprop, (5e-3,)),
    "adam": (adam, (5e-3,)),
}


def _optimizers(value: Any, rate: float, parts: Parts) -> keras.Model:
    return classifier([dense(64), dense(64)], _OPTIMIZERS[value][0](rate))


def _epochs(value: Any, rate: float, parts: Parts) -> keras.Model:
    return classifier([dense(32)], adam(rate))


def _batch_size(value: Any, rate: float, parts: Parts) -> keras.Model:
    return classifier([dense(64)], keras.optimizers.SGD(rate))


def _regularization(value: Any, rate: float, parts: Parts) -> keras.Model:
    kind, factor = value
    penalty: Any = {
        "none": lambda: None,
        "l1": lambda: keras.regularizers.L1(factor),
        "l2": lambda: keras.regularizers.L2(factor),
    }[kind]
    return classifier([dense(128, kernel_regularizer=penalty()) for _ in range(2)], adam(rate))


def _dropout(value: Any, rate: float, parts: Parts) -> keras.Model:
    layers = [layer for _ in range(2) for layer in (dense(256), keras.layers.Dropout(value))]
    return classifier(layers, adam(rate))


def _wrong_labels(seed: int, value: Any) -> Parts:
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    wrong = random.random(len(labels)) < 0.2
    y = np.where(wrong, random.integers(0, 10, len(labels)), labels)
    x = (images / 16).astype("float32")
    return split(x, y, seed, validation=1000, test=397)


def _sizes(value: Any, rate: float, parts: Parts) -> keras.Model:
    widths = {"small": [4], "medium": [16]}.get(value, [256, 256])
    layers: list[Any] = []
    for units in widths:
        penalty = keras.regularizers.L2(1e-2) if value == "large, L2" else None
        layers.append(dense(units, kernel_regularizer=penalty))
        layers.append(keras.layers.Dropout(0.5 if value == "large, dropout" else 0.0))
    return classifier(layers, adam(rate))


def _line(seed: int, value: Any) -> Parts:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, size=(600, 1)).astype("float32")
    y = 3 * x + 1 + random.normal(scale=0.2, size=(600, 1))
    y[random.choice(600, size=60, replace=False)] -= 10
    return split(x, y.astype("float32"), seed, classes=False)


def _linear_regression(value: Any, rate: float, parts: Parts) -> keras.Model:
    output = keras.layers.Dense(1, kernel_initializer="zeros")
    model = keras.Sequential([keras.layers.Input((1,)), output])
    model.compile(adam(rate), value, metrics=["mean_absolute_error"])
    return model


def _standardized(parts: Parts) -> Parts:
    mean, deviation = parts.train[0].mean(axis=0), parts.train[0].std(axis=0)
    return Parts(*(((x - mean) / deviation, y) for x, y in parts))


def _patients(seed: int, value: Any) -> Parts:
    x, y = load_diabetes(return_X_y=True)
    return _standardized(split(x, y, seed, classes=False))


def _regression(value: Any, rate: float, parts: Parts) -> keras.Model:
    mean, deviation = float(parts.train[1].mean()), float(parts.train[1].std())
    loss = keras.losses.Huber(delta=deviation) if value == "huber" else value
    last = keras.layers.Rescaling(scale=deviation, offset=mean)
    layers = [keras.layers.Input((10,)), dense(32), keras.layers.Dense(1), last]
    model = keras.Sequential(layers)
    model.compile(adam(rate), loss, metrics=["mean_absolute_error"])
    return model


def _tumours(seed: int, value: Any) -> Parts:
    x, y = load_breast_cancer(return_X_y=True)
    return _standardized(split(x, y, seed))


def _two_classes(value: Any, rate: float, parts: Parts) -> keras.Model:
    output = keras.layers.Dense(1, activation="sigmoid")
    inputs = keras.layers.Input(parts.train[0].shape[1:])
    model = keras.Sequential([inputs, dense(32), output])
    names = (keras.metrics.AUC, keras.metrics.Precision, keras.metrics.Recall)
    metrics = [metric(name=metric.__name__.lower()) for metric in names]
    model.compile(adam(rate), "binary_crossentropy", metrics=["accuracy", *metrics])
    return model


def _balanced(value: Any, parts: Parts) -> dict[str, Any]:
    y = parts.train[1]
    counts = np.bincount(y)
    weights = {label: len(y) / (len(counts) * n) for label, n in enumerate(counts)}
    return {"class_weight": weights} if value == "balanced" else {}


def _rare(seed: int, value: Any) -> Parts:
    x, y = make_classification(
        3000, 20, n_informative=6, weights=[0.95], class_sep=0.8, flip_y=0.01, random_state=0
    )
    return split(x.astype("float32"), y, seed)


def _convolutional(value: Any, rate: float, parts: Parts) -> keras.Model:
    if value == "dense":
        return classifier([dense(128)], adam(rate))
    order = np.random.default_rng(0).permutation(64)
    layers: list[Any] = []
    if value == "shuffled":
        layers.append(keras.layers.Lambda(lambda x: keras.ops.take(x, order, axis=1)))
    layers.append(keras.layers.Reshape((8, 8, 1)))
    for filters in (16, 32):
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D())
    return classifier([*layers, keras.layers.Flatten()], adam(rate))


def _hours(seed: int, value: Any) -> Parts:
    random, hour = np.random.default_rng(seed), np.arange(1500)
    day = np.sin(2 * np.pi * hour / 24) + 0.5 * np.sin(4 * np.pi * hour / 24 + 1)
    drift = np.cumsum(random.normal(scale=0.02, size=1500))
    series = day + 0.4 * np.sin(2 * np.pi * hour / 168) + drift
    series += random.normal(scale=0.2, size=1500)
    series = ((series - series[:1000].mean()) / series[:1000].std()).astype("float32")
    ends = np.arange(48, 1500)
    x, y = np.stack([series[end - value : end] for end in ends])[..., np.newaxis], series[ends]
    return Parts((x[:-500], y[:-500]), (x[-500:-250], y[-500:-250]), (x[-250:], y[-250:]))


def _time_series(value: Any, rate: float, parts: Parts) -> keras.Model:
    layers = [keras.layers.Input((value, 1)), keras.layers.LSTM(16), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(adam(rate), "mean_squared_error", metrics=["mean_absolute_error"])
    return model


_SCHEDULES: Final = ("none", "early stopping", "schedule", "both")


def _callbacks(value: Any, parts: Parts) -> dict[str, Any]:
    callbacks: list[Any] = []
    if value in ("early stopping", "both"):
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=5))
    if value in ("schedule", "both"):
        half = keras.callbacks.LearningRateScheduler(
            lambda epoch, rate: rate / 2 if epoch and epoch % 5 == 0 else rate
        )
        callbacks.append(half)
    return {"callbacks": callbacks}


def _with_callbacks(value: Any, rate: float, parts: Parts) -> keras.Model:
    return classifier([dense(64), dense(64)], adam(rate))


def _moved(seed: int, value: Any) -> Parts:
    parts = digits()(seed, value)
    x, y = parts.test
    images = np.roll(x.reshape(-1, 8, 8), 1, axis=2)
    images[:, :, 0] = 0
    return parts._replace(test=(images.reshape(-1, 64), y))


def _same_distribution(value: Any, rate: float, parts: Parts) -> keras.Model:
    layers: list[Any] = []
    if value == "moved":
        layers.append(keras.layers.Reshape((8, 8, 1)))
        layers.append(keras.layers.RandomTranslation(1 / 8, 1 / 8, fill_mode="constant"))
        layers.append(keras.layers.Flatten())
    return classifier([*layers, dense(128)], adam(rate))


def _reviews(seed: int, value: Any) -> Parts:
    random = np.random.default_rng(0)
    things = "film story cast music plot ending camera script hero scene".split()
    words = (
        "bad poor dull silly boring weak cold flat".split(),
        "good great lovely clever funny moving bright warm".split(),
    )
    reviews: dict[str, int] = {}
    while len(reviews) < 900:
        kind, first = random.integers(2, size=2)
        pair = [random.choice(words[kind]), f"not {random.choice(words[1 - kind])}"]
        two = " ".join(pair if first else pair[::-1])
        reviews[f"The {' and the '.join(random.choice(things, 2, replace=False))} were {two}."] = (
            int(kind)
        )
    parts = split(np.array(list(reviews)), np.array(list(reviews.values())), seed)
    vectorize = keras.layers.TextVectorization(500, ngrams=value, output_sequence_length=24)
    vectorize.adapt(parts.train[0])
    return Parts(*((np.asarray(vectorize(x)), y) for x, y in parts))


def _text(value: Any, rate: float, parts: Parts) -> keras.Model:
    layers = [
        keras.layers.Input((24,)),
        keras.layers.Embedding(500, 8),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = keras.Sequential(layers)
    model.compile(adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def _some_digits(seed: int, low: int, sizes: tuple[int, int]) -> Parts:
    x, y = load_digits(return_X_y=True)
    chosen = (y >= low) & (y < low + 5)
    x = (x[chosen] / 16).astype("float32").reshape(-1, 8, 8, 1)
    return split(x, y[chosen] - low, seed, validation=sizes[0], test=sizes[1])


def _transfer(value: Any, rate: float, parts: Parts) -> keras.Model:
    layers: list[Any] = []
    for filters in (16, 32):
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D())
    base = keras.Sequential([keras.layers.Input((8, 8, 1)), *layers, keras.layers.Flatten()])

    def compiled(rate: float) -> keras.Model:
        model.compile(adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    model = keras.Sequential([base, keras.layers.Dense(5, activation="softmax")])
    if value != "anew":
        x, y = _some_digits(0, 0, (100, 100)).train
        compiled(1e-3).fit(x, y, epochs=20, verbose=0)
        base.trainable = False
        model = keras.Sequential([base, keras.layers.Dense(5, activation="softmax")])
    if value == "then unfrozen":
        compiled(rate).fit(*parts.train, batch_size=16, epochs=15, verbose=0)
        base.trainable = True
        return compiled(rate / 10)
    return compiled(rate)


CROSSENTROPY: Final = "val_sparse_categorical_crossentropy"
LARGE: Final = ("large", "large, L2", "large, dropout")
CHAPTERS: Final[dict[str, Chapter]] = {
    "digits": Chapter(
        ("momentum",),
        digits(),
        _momentum,
        (0.01, 0.1),
        epochs=6,
        batch=64,
        also=("test_accuracy",),
        more=test_accuracy,
    ),
    "one-hot": Chapter(("labels", "one-hot"), _one_hot, _either_target, (5e-3,)),
    "mnist": Chapter(
        ("constant", "cosine"),
        images(keras.datasets.mnist),
        _wide,
        (2e-3,),
        epochs=10,
        batch=128,
        also=("test_accuracy",),
        more=test_accuracy,
        reuse=False,
    ),
    "fashion-mnist": Chapter(
        ("cosine",),
        images(keras.datasets.fashion_mnist),
        _wide,
        (2e-3,),
        epochs=10,
        batch=128,
        also=("test_accuracy", "within_tops"),
        more=tops,
        reuse=False,
    ),
    "tabular": Chapter(
        ("network",),
        _houses,
        _priced,
        (5e-3, 2e-2),
        "val_mean_absolute_error",
        min,
        epochs=40,
        also=("trees", "linear", "mean"),
        more=trees_and_line,
        reuse=False,
    ),
    "initializers": Chapter(
        ("glorot_uniform", "he_normal", "random_normal", "zeros"), digits(), _initializers
    ),
    "activations": Chapter(("relu", "tanh", "sigmoid", "linear"), digits(), _activations),
    "linear-regression": Chapter(
        ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh"),
        _line,
        _linear_regression,
        (2e-2, 0.1),
        "val_mean_absolute_error",
        min,
        epochs=40,
        also=("slope", "intercept"),
        more=lambda model, parts: dict(
            zip(
                ("slope", "intercept"),
                map(float, map(np.squeeze, model.get_weights())),
                strict=True,
            )
        ),
    ),
    "batch-normalization": Chapter(
        (False, True), digits(), _batch_normalization, (3e-3, 3e-2, 0.3)
    ),
    "optimizers": Chapter(
        tuple(_OPTIMIZERS), digits(), _optimizers, lambda value: _OPTIMIZERS[value][1]
    ),
    "epochs": Chapter((3, 9, 27, 81), digits(), _epochs, (5e-3,), epochs=0),
    "batch-size": Chapter(
        (8, 32, 128, 512),
        digits(),
        _batch_size,
        lambda value: (1e-2, 0.1) if value == 8 else (0.1, 1.0),
        epochs=10,
        batch=0,
    ),
    "callbacks": Chapter(
        _SCHEDULES,
        digits(validation=1000, test=397),
        _with_callbacks,
        (1e-2,),
        "val_loss",
        min,
        epochs=40,
        fit=_callbacks,
        also=("epochs",),
    ),
    "metrics": Chapter(
        ("even", "balanced"),
        _rare,
        _two_classes,
        (3e-3, 2e-2),
        "val_auc",
        max,
        epochs=15,
        fit=_balanced,
        also=("val_accuracy", "val_precision", "val_recall"),
    ),
    "same-distribution": Chapter(
        ("as they are", "moved"),
        _moved,
        _same_distribution,
        (5e-3,),
        epochs=20,
        also=("test_accuracy",),
        more=test_accuracy,
    ),
    "underfitting-overfitting": Chapter(
        ("small", "medium", *LARGE),
        _wrong_labels,
        _sizes,
        (2e-3,),
        CROSSENTROPY,
        min,
        epochs=30,
        also=("epoch", "rise"),
    ),
    "regularization": Chapter(
        (("none", 0.0), ("l1", 1e-4), ("l2", 1e-3)),
        digits(validation=1000, test=497),
        _regularization,
        (1e-3,),
        CROSSENTROPY,
        min,
        epochs=40,
    ),
    "dropout": Chapter(
        (0.0, 0.2, 0.6),
        digits(validation=1000, test=497),
        _dropout,
        (1e-3,),
        CROSSENTROPY,
        min,
        epochs=40,
    ),
    "regression": Chapter(
        ("mean_squared_error", "mean_absolute_error", "huber"),
        _patients,
        _regression,
        (2e-2,),
        "val_mean_absolute_error",
        min,
        epochs=20,
        reuse=False,
    ),
    "binary": Chapter(
        ("even",),
        _tumours,
        _two_classes,
        (5e-3,),
        "val_loss",
        min,
        epochs=15,
        also=("val_accuracy", "val_auc"),
    ),
    "convolutional": Chapter(
        ("dense", "convolutional", "shuffled"),
        digits(validation=1000, test=597),
        _convolutional,
        (5e-3,),
        epochs=25,
    ),
    "time-series": Chapter(
        (6, 24, 48),
        _hours,
        _time_series,
        (1e-2,),
        "val_mean_absolute_error",
        min,
        epochs=15,
        batch=64,
    ),
    "text": Chapter((1, 2), _reviews, _text, (3e-2,), epochs=12, batch=64),
    "transfer": Chapter(
        ("anew", "frozen", "then unfrozen"),
        lambda seed, value: _some_digits(seed, 5, (500, 346)),
        _transfer,
        (5e-3, 2e-2),
        epochs=30,
        batch=16,
        reuse=False,
    ),
}


def train(chapter: Chapter, value: Any, rate: float, seed: int) -> dict[str, float]:
    """Trains once; returns the best epoch's value, and the further values of the chapter."""
    parts, best = chapter.data(seed, value), chapter.best
    keras.utils.set_random_seed(seed)
    model = chapter.build(value, rate, parts)
    # One call runs a whole epoch, which computes the same in half of the time.
    batch = chapter.batch or value
    model.steps_per_execution = -(-len(parts.train[1]) // batch)
    if chapter.reuse:
        model = _again(model, repr((chapter.metric, chapter.build, value)), rate)

    more = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(chapter.more(model, parts))
    )
    options = chapter.fit(value, parts)
    history = model.fit(
        *parts.train,
        validation_data=parts.validation,
        epochs=chapter.epochs or value,
        batch_size=batch,
        validation_batch_size=1000,
        verbose=0,
        **{**options, "callbacks": [more, *options.get("callbacks", ())]},
    ).history
    curve = history[chapter.metric]
    place = curve.index(best(curve))
    at = {"value": curve[place], "epoch": place + 1, "epochs": len(curve)}
    at["rise"] = abs(statistics.fmean(curve[-3:]) - curve[place])
    return at | {name: history[name][place] for name in chapter.also if name in history}


_models: dict[str, keras.Model] = {}


def _again(fresh: keras.Model, key: str, rate: float) -> keras.Model:
    """Returns an earlier model of the same structure, set to the fresh model's beginning.

    Keras traces the steps of each new model, which takes longer than these trainings.
    """
    if key not in _models:
        _models.clear()
        _models[key] = fresh
        return fresh
    model = _models[key]
    model.set_weights(fresh.get_weights())
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    model.optimizer.learning_rate = rate
    model.stop_training = False
    return model


def rates_of(chapter: Chapter, value: Any) -> Sequence[float]:
    """Returns the learning rates at which a value is trained."""
    return chapter.rates(value) if callable(chapter.rates) else chapter.rates


def rows(
    name: str, seeds: int, earlier_results: dict[str, Any]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields each training of a chapter by its key; trains only if there is no earlier result."""
    chapter = CHAPTERS[name]
    for value in chapter.values:
        for rate in rates_of(chapter, value):
            for seed in range(seeds):
                key = json.dumps([name, value, rate, seed])
                yield key, earlier_results.get(key) or train(chapter, value, rate, seed)


def spread(values: Sequence[float]) -> str:
    """Returns a mean ± a standard deviation."""
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"


def table(name: str, seeds: int, results: dict[str, Any]) -> str:
    """Returns the chapter's table: a line for each value, its best rate in brackets."""
    chapter, best = CHAPTERS[name], CHAPTERS[name].best

    def column(value: Any, rate: float, what: str = "value") -> list[float]:
        return [results[json.dumps([name, value, rate, seed])][what] for seed in range(seeds)]

    def chosen(value: Any) -> float:
        return best(rates_of(chapter, value), key=lambda r: statistics.fmean(column(value, r)))

    leader = best(chapter.values, key=lambda v: statistics.fmean(column(v, chosen(v))))
    lines = [f"{name}: {chapter.metric} by learning rate"]
    for value in chapter.values:
        rate = chosen(value)
        cells = [f"{r:g}: {spread(column(value, r))}" for r in rates_of(chapter, value)]
        pairs = zip(column(leader, chosen(leader)), column(value, rate), strict=True)
        behind = [abs(a - b) * (1 if best(a, b) == a else -1) for a, b in pairs]
        line = f"  {value}  [{rate:g}]  behind by {spread(behind)};  {';  '.join(cells)}"
        also = ";  ".join(f"{key} {spread(column(value, rate, key))}" for key in chapter.also)
        lines.append(f"{line}\n      {also}" if also else line)
    return "\n".join(lines)


def main() -> None:
    """Trains what is asked for, and prints a table for each chapter."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="names of chapters; by default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file for a line of JSON per training")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results: dict[str, Any] = {}
    if options.output and options.output.exists():
        lines = options.output.read_text(encoding="utf-8").splitlines()
        results = dict(json.loads(line) for line in lines)
    for name in options.chapters or CHAPTERS:
        for key, result in rows(name, options.seeds, results):
            if key not in results and options.output:
                with options.output.open("a", encoding="utf-8") as file:
                    file.write(f"{json.dumps([key, result])}\n")
            results[key] = result
        print(table(name, options.seeds, results), flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
