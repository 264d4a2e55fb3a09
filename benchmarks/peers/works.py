"""The works that every system does: one space, one builder and one number of epochs each.

Each system reads the space in its own terms (`suggest` of Optuna, `hp` of Keras Tuner, …) and
builds with the same function, so that all systems train the same models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

OBJECTIVE = "val_accuracy"


@dataclass(frozen=True)
class Range:
    """A real hyperparameter from `low` to `high`, both included."""

    name: str
    low: float
    high: float
    log: bool = False

    def holds(self, value: object) -> bool:
        """Returns whether a value is in the range; the ends may be missed by rounding."""
        if not isinstance(value, float):
            return False
        return self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)


@dataclass(frozen=True)
class Whole:
    """A hyperparameter of whole numbers from `low` to `high`, both included."""

    name: str
    low: int
    high: int

    def holds(self, value: object) -> bool:
        """Returns whether a value is in the range."""
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """A hyperparameter that is one of a few values of one type."""

    name: str
    values: tuple[Any, ...]

    def holds(self, value: object) -> bool:
        """Returns whether a value is one of the few."""
        return value in self.values


Parameter = Range | Whole | Choice


def switch(name: str) -> Choice:
    """Returns a hyperparameter that is off (False) or on (True)."""
    return Choice(name, (False, True))


@dataclass(frozen=True)
class Work:
    """A space with its builder.

    Attributes:
        name: Its name on the command line.
        title: Its name in tables.
        space: The hyperparameters.
        epochs: Epochs of a trial.
        batch_size: Samples per training and validation step.
        build: Takes the hyperparameters' values by name, returns a compiled model.
        share: The share of the images that it trains on: below 1 if its steps take long.
        random: Whether kerastudy and Optuna by hand search at random, so that their trials are
            alike in size; if not, they search by TPE.
    """

    name: str
    title: str
    space: tuple[Parameter, ...]
    epochs: int
    batch_size: int
    build: Callable[[Mapping[str, Any]], keras.Model]
    share: float = 1.0
    random: bool = False


@dataclass(frozen=True)
class Trial:
    """A system's record of a trial.

    Attributes:
        ended: When it was over, its record and checkpoint written: seconds of Unix time.
        values: Its hyperparameters.
        epochs: Epochs that were trained.
        best: The best validation accuracy of its epochs.
    """

    ended: float
    values: Mapping[str, Any]
    epochs: int
    best: float


def check_trials(work: Work, trials: Sequence[Trial], wanted: int, epochs: int) -> None:
    """Checks that a system did its work.

    Raises:
        ValueError: If there are more or fewer trials or epochs, if a trial's values are not of
            the space, or if all trials had the same values.
    """
    if len(trials) != wanted:
        raise ValueError(f"it ran {len(trials)} trials in place of {wanted}")
    for trial in trials:
        if trial.epochs != epochs:
            raise ValueError(f"it trained {trial.epochs} epochs in place of {epochs}")
        if set(trial.values) != {parameter.name for parameter in work.space}:
            raise ValueError(f"it tried other hyperparameters: {dict(trial.values)}")
        for parameter in work.space:
            if not parameter.holds(trial.values[parameter.name]):
                raise ValueError(f"its {parameter.name} is outside the space: {trial.values}")
        if not (math.isfinite(trial.best) and 0 < trial.best <= 1):
            raise ValueError(f"{trial.best} is no accuracy")
    if len({tuple(sorted(trial.values.items())) for trial in trials}) != len(trials):
        raise ValueError("it tried the same values twice")


def build_dense(values: Mapping[str, Any]) -> keras.Model:
    """Returns a network with one hidden layer of 64, for images of 28 by 28."""
    import keras

    return _compiled(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(64),
            *_normalization(values),
            keras.layers.Activation("relu"),
            keras.layers.Dropout(values["dropout"]),
            keras.layers.Dense(10, activation="softmax"),
        ],
        values,
        "sparse_categorical_crossentropy",
    )


def build_structures(values: Mapping[str, Any]) -> keras.Model:
    """Returns a network with 1 to 3 hidden layers, for images of 28 by 28."""
    import keras

    layers: list[Any] = [keras.layers.Input((28, 28)), keras.layers.Flatten()]
    for number in range(1, values["layers"] + 1):
        layers += [
            keras.layers.Dense(
                values[f"units_{number}"],
                kernel_initializer=values["initializer"],
                kernel_regularizer=keras.regularizers.L2(values["l2"]),
            ),
            *_normalization(values),
            keras.layers.Activation(values["activation"]),
            keras.layers.Dropout(values["dropout"]),
        ]
    layers.append(keras.layers.Dense(10, activation="softmax"))
    return _compiled(layers, values, "sparse_categorical_crossentropy")


def build_convolutional(values: Mapping[str, Any]) -> keras.Model:
    """Returns a network with 16 and 32 filters of 3 by 3, for images of 28 by 28."""
    import keras

    return _compiled(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3),
            *_normalization(values),
            keras.layers.Activation("relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(values["dropout"]),
            keras.layers.Dense(10, activation="softmax"),
        ],
        values,
        "sparse_categorical_crossentropy",
    )


def build_tabular(values: Mapping[str, Any]) -> keras.Model:
    """Returns a network with one hidden layer of 32, for 30 columns and two classes."""
    import keras

    return _compiled(
        [
            keras.layers.Input((30,)),
            keras.layers.Dense(32, kernel_regularizer=keras.regularizers.L2(values["l2"])),
            *_normalization(values),
            keras.layers.Activation("relu"),
            keras.layers.Dropout(values["dropout"]),
            keras.layers.Dense(1, activation="sigmoid"),
        ],
        values,
        "binary_crossentropy",
    )


def build_large(values: Mapping[str, Any]) -> keras.Model:
    """Returns a transformer of one block over 392 steps, for images of 28 by 28.

    Its step takes some 300 MB, so that TensorFlow sums up the gradients of attention's inputs in
    temporary variables. Not every executor of TensorFlow runs those.
    """
    import keras

    layers = keras.layers
    inputs = keras.Input((28, 28))
    steps = layers.Dense(16)(layers.Reshape((392, 2))(inputs))
    attention = layers.MultiHeadAttention(2, 8, dropout=values["dropout"])
    hidden = layers.LayerNormalization()(steps + attention(steps, steps))
    hidden = layers.Dense(32, activation="gelu")(hidden)
    for normalization in _normalization(values):
        hidden = normalization(hidden)
    pooled = layers.GlobalAveragePooling1D()(hidden)
    outputs = layers.Dense(10, activation="softmax")(pooled)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.Adam(values["learning_rate"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _normalization(values: Mapping[str, Any]) -> list[Any]:
    import keras

    return [keras.layers.BatchNormalization()] if values["batch_normalization"] else []


def _compiled(layers: list[Any], values: Mapping[str, Any], loss: str) -> keras.Model:
    import keras

    model = keras.Sequential(layers)
    optimizer = keras.optimizers.get(values.get("optimizer", "adam"))
    optimizer.learning_rate = values["learning_rate"]
    model.compile(optimizer, loss=loss, metrics=["accuracy"])
    return model


_LEARNING_RATE = Range("learning_rate", 1e-4, 1e-1, log=True)
_DROPOUT = Range("dropout", 0.0, 0.6)
_L2 = Range("l2", 1e-6, 1e-2, log=True)
_BATCH_NORMALIZATION = switch("batch_normalization")

WORKS: dict[str, Work] = {
    work.name: work
    for work in (
        Work(
            "dense",
            "MNIST, one hidden layer of 64",
            (_LEARNING_RATE, _DROPOUT, _BATCH_NORMALIZATION),
            epochs=5,
            batch_size=128,
            build=build_dense,
        ),
        Work(
            "structures",
            "MNIST, 1 to 3 hidden layers of 16 to 128",
            (
                _LEARNING_RATE,
                _DROPOUT,
                _BATCH_NORMALIZATION,
                _L2,
                Whole("layers", 1, 3),
                *(Whole(f"units_{number}", 16, 128) for number in (1, 2, 3)),
                Choice("activation", ("relu", "tanh", "swish")),
                Choice("optimizer", ("sgd", "adam", "rmsprop")),
                Choice("initializer", ("glorot_uniform", "he_normal")),
            ),
            epochs=5,
            batch_size=128,
            build=build_structures,
            random=True,
        ),
        Work(
            "conv",
            "MNIST, convolutions of 16 and 32 filters",
            (_LEARNING_RATE, _DROPOUT, _BATCH_NORMALIZATION),
            epochs=5,
            batch_size=128,
            build=build_convolutional,
        ),
        Work(
            "tabular",
            "breast cancer, one hidden layer of 32",
            (_LEARNING_RATE, _DROPOUT, _BATCH_NORMALIZATION, _L2),
            epochs=20,
            batch_size=32,
            build=build_tabular,
        ),
        Work(
            "large",
            "MNIST, a transformer over 392 steps",
            (_LEARNING_RATE, _DROPOUT, _BATCH_NORMALIZATION),
            epochs=3,
            batch_size=50,
            build=build_large,
            share=0.1,
        ),
    )
}
