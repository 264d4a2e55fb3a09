"""Models for `TrainerConformance`, and their training by Keras alone."""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exact_training
import keras
import numpy as np

import kerastudy as ks
from search_spaces import Hyperparameters
from studies.data import Splits
from studies.training import StateError, read_state
from tracking.records import TrialSpec

layers = keras.layers
SEED = exact_training.SEED
SPACE = ks.SearchSpace(ks.Float("rate", 0.0, 0.5, default=0.3))
VALUES = {"rate": 0.3}
Model = Callable[[Hyperparameters], keras.Model]


def dense(hp: Hyperparameters) -> keras.Model:
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(
                16, activation="relu", kernel_regularizer=keras.regularizers.L1L2(1e-3, 1e-3)
            ),
            layers.BatchNormalization(),
            layers.Dropout(hp["rate"]),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def unbuilt(hp: Hyperparameters) -> keras.Model:
    """A model that learns its input's shape from the first batch."""
    model = keras.Sequential(
        [layers.Dense(8, activation="tanh"), layers.Dropout(hp["rate"]), layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    return model


def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    return random.normal(size=(count, 12)).astype("float32"), np.arange(count) % 3


def make_study(model: Model, **settings: Any) -> ks.Study:
    x, y = samples(settings.pop("count", 100))
    data = ks.datasets.arrays(x, y, validation=30, test=None)
    settings = {"objective": "val_loss", **settings}
    return ks.Study("conformance", data=data, build=model, space=SPACE, **settings)


def make_spec(epochs: int = 4, batch_size: int = 16) -> TrialSpec:
    return exact_training.spec_of(epochs, batch_size, values=VALUES)


def by_hand(model_of: Model, splits: Splits, spec: TrialSpec) -> tuple[list[dict], list[list]]:
    """Trains by Keras alone. Returns the metrics and the weights after each epoch."""
    hp = Hyperparameters(SPACE, VALUES)
    epochs = exact_training.by_hand(lambda: model_of(hp), splits, spec)
    return [dict(epoch.metrics) for epoch in epochs], [epoch.weights for epoch in epochs]


@functools.cache
def handmade(model_of: Model, batch_size: int = 16) -> tuple[list[dict], list[list]]:
    """Returns the result of `by_hand` for five epochs of `make_study`. It must not be changed."""
    return by_hand(model_of, make_study(model_of).data.load(), make_spec(5, batch_size))


def noting(folder: Path) -> keras.callbacks.Callback:
    """Returns a callback of Keras that writes a file after each epoch."""
    path = str(folder / "{epoch}.weights.h5")
    return keras.callbacks.ModelCheckpoint(path, save_weights_only=True)


def trained_in(folder: Path) -> list[int]:
    """Returns the epochs of the files that `noting` wrote since the last call."""
    files = list(folder.glob("*.weights.h5"))
    for file in files:
        file.unlink()
    return sorted(int(file.name.partition(".")[0]) for file in files)


def epochs_in(path: Path) -> int:
    """Returns the number of epochs in a state, or 0 if the state is missing or damaged."""
    try:
        return len(read_state(path).epochs)
    except StateError:
        return 0


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits until a condition holds, which another thread fulfils."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.005)
