"""Data in batches of each kind, and training on it by Keras alone."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from exact_training import Epoch, built, state_of

import kerastudy as ks
from search_spaces import Hyperparameters
from studies.definition import epoch_seed
from tracking.records import TrialSpec

layers = keras.layers
SPACE = ks.SearchSpace(ks.Float("rate", 0.1, 0.5, default=0.3))
SAMPLES = 44
SIZE = 8
_random = np.random.default_rng(5)
X = _random.normal(size=(SAMPLES, 12)).astype("float32")
Y = np.arange(SAMPLES) % 3
X_VALIDATION = _random.normal(size=(20, 12)).astype("float32")
Y_VALIDATION = np.arange(20) % 3


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of arrays, in the arrays' order."""

    def __init__(self, x: np.ndarray, y: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.x, self.y = x, y

    def __len__(self) -> int:
        return math.ceil(len(self.x) / SIZE)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        taken = slice(index * SIZE, (index + 1) * SIZE)
        return self.x[taken], self.y[taken]


class SelfShuffling(Batches):
    """Batches that its own methods change and shuffle for each epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int, **options: Any) -> None:
        super().__init__(x, y, **options)
        self.random = np.random.default_rng(seed)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = super().__getitem__(index)
        return x * self.random.uniform(0.9, 1.1, x.shape).astype("float32"), y

    def on_epoch_begin(self) -> None:
        self.x = self.x * np.float32(self.random.uniform(0.9, 1.1))

    def on_epoch_end(self) -> None:
        taken = self.random.permutation(len(self.x))
        self.x, self.y = self.x[taken], self.y[taken]


def order(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(SAMPLES)


def tf_data(seed: int, *, whole: bool = False) -> tf.data.Dataset:
    shuffled = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(SAMPLES, seed=seed)
    return shuffled.batch(SIZE, drop_remainder=whole)


def full_batches(seed: int) -> tf.data.Dataset:
    """Has batches of a size that TensorFlow knows."""
    return tf_data(seed, whole=True)


def uneven(seed: int) -> tf.data.Dataset:
    """Has a number of batches that differs from epoch to epoch."""
    return tf_data(seed).skip(seed % 3)


def py_dataset(seed: int) -> Batches:
    return Batches(X[order(seed)], Y[order(seed)])


def threaded(seed: int) -> Batches:
    return Batches(X[order(seed)], Y[order(seed)], workers=2)


def self_shuffling(seed: int) -> SelfShuffling:
    return SelfShuffling(X, Y, seed)


def generator(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield from py_dataset(seed)


def without_end(seed: int) -> tf.data.Dataset:
    return tf_data(seed).repeat()


TRAINING: dict[str, Callable[[int], Any]] = {
    "tf.data": tf_data,
    "full batches": full_batches,
    "uneven": uneven,
    "PyDataset": py_dataset,
    "threads": threaded,
    "shuffles itself": self_shuffling,
    "generator": generator,
}


def validation_tf_data() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X_VALIDATION, Y_VALIDATION)).batch(SIZE)


def validation_py_dataset() -> Batches:
    return Batches(X_VALIDATION, Y_VALIDATION)


def validation_generator() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield from validation_py_dataset()


VALIDATION: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("tf.data", "full batches", "uneven"), validation_tf_data),
    **dict.fromkeys(("PyDataset", "threads", "shuffles itself"), validation_py_dataset),
    "generator": validation_generator,
}


def by_hand(
    model_of: Callable[[], keras.Model],
    train: Callable[[int], Any],
    validation: Callable[[], Any],
    spec: TrialSpec,
    **options: Any,
) -> list[Epoch]:
    """Trains by Keras alone, with a `fit` for each epoch."""
    model, epochs = built(model_of), []
    for epoch in range(1, spec.epochs + 1):
        generators = [v for v in model.variables if v.name == "seed_generator_state"]
        for position, state in enumerate(generators):
            state.assign([epoch_seed(spec.seed, epoch, position), 0])
        seed = epoch_seed(spec.seed, epoch)
        keras.utils.set_random_seed(seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
            history = model.fit(
                train(seed),
                shuffle=False,
                initial_epoch=epoch - 1,
                epochs=epoch,
                validation_data=validation(),
                verbose=0,
                **options,
            )
        metrics: Mapping[str, float] = {n: values[0] for n, values in history.history.items()}
        epochs.append(Epoch(metrics, state_of(model)))
    return epochs


def model(rate: float = 0.3) -> keras.Model:
    """Has layers whose results TensorFlow rounds differently if it knows the size of a batch."""
    network = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(16, activation="gelu"),
            layers.BatchNormalization(),
            layers.Dropout(rate),
            layers.Dense(3, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


def build(hp: Hyperparameters) -> keras.Model:
    return model(hp["rate"])


def study(train: Any = tf_data, validation: Any = None, **fields: Any) -> ks.Study:
    validation = validation or validation_tf_data
    data = ks.datasets.batches(train, validation, **fields.pop("options", {}))
    fields = {"build": build, "space": SPACE, "trials": 2, "epochs": 2, **fields}
    return ks.Study("streamed", data=data, objective="val_loss", **fields)
