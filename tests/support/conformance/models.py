"""Models for `TrainerConformance`, and training them as anybody would write it."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kerastudy as ks
from search_spaces import Hyperparameters
from studies.data import Splits
from studies.definition import epoch_seed, permutation
from studies.training import StateError, begin_trial, read_state
from tracking.records import Objective, TrialSpec

layers = keras.layers
SEED = 3_000_000_007
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


def functional(hp: Hyperparameters) -> keras.Model:
    """Two random layers, a schedule, clipping."""
    inputs = keras.Input((12,))
    hidden = layers.GaussianNoise(0.1)(inputs)
    hidden = layers.Dense(8, activation="gelu")(hidden)
    hidden = layers.Dropout(hp["rate"])(hidden)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model.compile(
        keras.optimizers.RMSprop(schedule, clipnorm=1.0), "sparse_categorical_crossentropy"
    )
    return model


def convolutional(hp: Hyperparameters) -> keras.Model:
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Reshape((4, 3, 1)),
            layers.Conv2D(4, 2, activation="relu"),
            layers.SpatialDropout2D(hp["rate"]),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


MODELS: dict[str, Model] = {
    "dense": dense,
    "unbuilt": unbuilt,
    "functional": functional,
    "convolutional": convolutional,
}
# Of 70 samples for training and 30 for validation, batches of 10 leave no rest of either, of 7 none
# of the training, of 15 none of the validation, and of 16 of both. `fit` tells TensorFlow the size
# of a batch where there is no rest, and TensorFlow then rounds a gelu or a batch
# normalization otherwise.
BATCHES = [
    ("dense", 16),
    ("dense", 10),
    ("unbuilt", 10),
    ("unbuilt", 100),
    ("functional", 10),
    ("functional", 7),
    ("functional", 15),
    ("convolutional", 16),
]


def samples(count: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    return random.normal(size=(count, 12)).astype(dtype), np.arange(count) % 3


def make_study(model: Model, **settings: Any) -> ks.Study:
    x, y = samples(settings.pop("count", 100), settings.pop("dtype", "float32"))
    data = ks.datasets.arrays(x, y, validation=30, test=None)
    return ks.Study(
        "conformance", data=data, build=model, space=SPACE, objective="val_loss", **settings
    )


def make_spec(epochs: int = 4, batch_size: int = 16) -> TrialSpec:
    objective = Objective("val_loss", "min")
    return TrialSpec(0, 1, VALUES, SEED, epochs, batch_size, 1, "digest", objective)


def by_hand(model_of: Model, splits: Splits, spec: TrialSpec) -> tuple[list[dict], list[list]]:
    """Trains as anybody would write it; returns metrics and weights after each epoch."""
    begin_trial(spec.seed)
    model = model_of(Hyperparameters(SPACE, VALUES))
    if not model.built:
        # As fit does, which has no generators to set before.
        model.build(splits.train.x[:1].shape)
    metrics, weights = [], []
    for epoch in range(1, spec.epochs + 1):
        order = permutation(spec.seed, epoch, len(splits.train))
        states = [v for v in model.variables if v.name == "seed_generator_state"]
        for position, state in enumerate(states):
            state.assign([epoch_seed(spec.seed, epoch, position), 0])
        history = model.fit(
            splits.train.x[order],
            splits.train.y[order],
            shuffle=False,
            batch_size=spec.batch_size,
            initial_epoch=epoch - 1,
            epochs=epoch,
            validation_data=(splits.validation.x, splits.validation.y),
            validation_batch_size=spec.batch_size,
            verbose=0,
        )
        metrics.append({name: values[0] for name, values in history.history.items()})
        weights.append(model.get_weights())
    return metrics, weights


@functools.cache
def handmade(
    model_of: Model,
    batch_size: int = 16,
    epochs: int = 4,
    count: int = 100,
    dtype: str = "float32",
) -> tuple[list[dict], list[list]]:
    """What `by_hand` comes to on the data of `make_study`, made once; not to be changed.

    Each epoch is a `fit` of its own: fewer epochs are the first of these.
    """
    splits = make_study(model_of, count=count, dtype=dtype).data.load()
    return by_hand(model_of, splits, make_spec(epochs, batch_size))


def seeing(begun: list[int]) -> keras.callbacks.Callback:
    """A callback that notes which epochs are trained.

    By a log: a list that it closes over would be a state of its own, which can't be saved.
    """

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            begun.append(int(record.getMessage()))

    log = logging.Logger("epochs")
    log.addHandler(Noting())

    class Seeing(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            log.info("%d", epoch)

    return Seeing()


def epochs_in(path: Path) -> int:
    """Returns how many epochs a state has; 0 if there is none, or none that can be read."""
    try:
        return len(read_state(path).epochs)
    except StateError:
        return 0


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits for something that another thread does."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.005)
