"""Samples without targets, and triplets: for models with a training step of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import streamed
import tensorflow as tf
from exact_training import by_hand, by_trainer, spec_of

import kerastudy as ks
from search_spaces import DataError
from studies.training import CompiledTrainer, configure_tensorflow

pytestmark = pytest.mark.usefixtures("deterministic")

random = np.random.default_rng(0)
X = random.normal(size=(40, 4)).astype("float32")
X_VALIDATION = random.normal(size=(12, 4)).astype("float32")
TRIPLETS = tuple(random.normal(size=(40, 4)).astype("float32") for _ in range(3))
TRIPLETS_VALIDATION = tuple(each[:12] + 1 for each in TRIPLETS)


@pytest.fixture
def deterministic() -> None:
    configure_tensorflow(None)


@keras.saving.register_keras_serializable("tests")
class OwnStep(keras.Model):  # type: ignore[misc]
    """Compares what it makes of samples: of one array with itself, of three with each other."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = keras.layers.Dense(4)
        self.mean = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.mean]

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def compared(self, data: Any) -> Any:
        if not isinstance(data, tuple):
            return keras.ops.mean(keras.ops.square(self(data) - data))
        (data,) = data if len(data) == 1 else (data,)
        anchor, positive, negative = (self(each) for each in data)
        nearer = keras.ops.square(anchor - positive) - keras.ops.square(anchor - negative)
        return keras.ops.mean(nearer)

    def train_step(self, data: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            loss = self.compared(data)
        weights = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    def test_step(self, data: Any) -> dict[str, Any]:
        self.mean.update_state(self.compared(data))
        return {"loss": self.mean.result()}


def model() -> keras.Model:
    made = OwnStep()
    made.compile("sgd")
    return made


def batches_of(arrays: Any, seed: int | None = None) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    return (dataset if seed is None else dataset.shuffle(40, seed=seed)).batch(8)


@pytest.mark.parametrize(
    ("x", "validation"),
    [
        # Batches of it are trained on below.
        pytest.param(X, X_VALIDATION, id="x", marks=pytest.mark.exhaustive),
        pytest.param(TRIPLETS, TRIPLETS_VALIDATION, id="triplets"),
    ],
)
def test_arrays_without_targets_train_as_by_hand(x: Any, validation: Any) -> None:
    splits = ks.datasets.arrays(x, validation=(validation, None), test=None).load()
    wanted = by_hand(model, splits, spec_of())
    assert by_trainer(CompiledTrainer(), model, splits, spec_of()) == wanted


@pytest.mark.parametrize(
    ("x", "validation", "targets"),
    [
        pytest.param(X, X_VALIDATION, None, id="x"),
        pytest.param(
            *(TRIPLETS, TRIPLETS_VALIDATION, False), id="triplets", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_batches_without_targets_train_as_by_hand(x: Any, validation: Any, targets: Any) -> None:
    def train(seed: int) -> tf.data.Dataset:
        return batches_of(x, seed)

    def validated() -> tf.data.Dataset:
        return batches_of(validation)

    splits = ks.datasets.batches(train, validated, targets=targets).load()
    assert splits.warnings == []
    wanted = streamed.by_hand(model, train, validated, spec_of())
    assert by_trainer(CompiledTrainer(), model, splits, spec_of()) == wanted


def test_three_arrays_of_one_kind_are_asked_whether_they_have_targets() -> None:
    validation = batches_of(TRIPLETS_VALIDATION)
    with pytest.raises(ks.errors.DataError, match=r"targets=False .*samples alone.* targets=True"):
        ks.datasets.batches(lambda: batches_of(TRIPLETS), lambda: validation).load()
    for targets in (False, True):
        data = ks.datasets.batches(
            lambda: batches_of(TRIPLETS), lambda: validation, targets=targets
        )
        part = data.load().train.at_hand
        assert part.has_targets == targets
        assert np.shape(part.x) == ((3, 8, 4) if not targets else (8, 4))


def test_weights_need_targets() -> None:
    with pytest.raises(
        DataError, match="sample_weight weighs the loss of targets, and there are none"
    ):
        ks.datasets.arrays(X, sample_weight=np.ones(40)).load()


def test_an_autoencoder_is_launched_and_registered(tmp_path: Path) -> None:
    study = ks.Study(
        "alone",
        data=ks.datasets.arrays(X, validation=0.25, test=None),
        build=lambda hp: model(),
        space=ks.SearchSpace(ks.Float("rate", 0.1, 0.5)),
        objective="val_loss",
        trials=1,
        epochs=1,
    )
    history = study.launch(store=tmp_path / "store", progress=False, verify="off")
    assert history.best is not None
    assert history.is_champion(history.best)
