"""Samples that are texts, and samples without targets, for models with their own training step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
import streamed
import tensorflow as tf
from exact_training import by_hand, by_trainer, spec_of
from suite import exhaustive_but

import kerastudy as ks
from studies.training import CompiledTrainer

# Without targets

random = np.random.default_rng(0)
X = random.normal(size=(40, 4)).astype("float32")
TRIPLETS = tuple(random.normal(size=(40, 4)).astype("float32") for _ in range(3))
SAMPLES: dict[str, Any] = {"x": X, "triplets": TRIPLETS}


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


def own_step() -> keras.Model:
    made = OwnStep()
    made.compile("sgd")
    return made


@pytest.mark.parametrize("kind", exhaustive_but(["triplets"], SAMPLES))
def test_arrays_without_targets_train_as_by_hand(kind: str) -> None:
    x = SAMPLES[kind]
    validation = X[:12] + 1 if kind == "x" else tuple(each[:12] + 1 for each in x)
    splits = ks.datasets.arrays(x, validation=(validation, None), test=None).load()
    epochs = by_hand(own_step, splits, spec_of())
    assert by_trainer(CompiledTrainer(), own_step, splits, spec_of()) == epochs


@pytest.mark.parametrize("kind", exhaustive_but(["x"], SAMPLES))
def test_batches_without_targets_train_as_by_hand(kind: str) -> None:
    arrays = tf.data.Dataset.from_tensor_slices(SAMPLES[kind])

    def train(seed: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(SAMPLES[kind]).shuffle(40, seed=seed).batch(8)

    def validation() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(SAMPLES[kind]).take(12).batch(8)

    splits = ks.datasets.batches(train, validation, targets=False).load()
    assert splits.warnings == [] and len(arrays) == 40
    epochs = streamed.by_hand(own_step, train, validation, spec_of())
    assert by_trainer(CompiledTrainer(), own_step, splits, spec_of()) == epochs


# Texts

WORDS = np.array("a good film|a bad film|good good|bad, so bad|nothing good".split("|"))
TEXTS = WORDS[np.arange(40) % 5]
LABELS = np.array(["pos", "neg", "pos", "neg", "neg"])[np.arange(40) % 5]


def of_texts() -> keras.Model:
    """As public code has it: the vocabulary is of the training texts."""
    vectorize = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    vectorize.adapt(WORDS)
    made = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            vectorize,
            keras.layers.Embedding(20, 3),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    made.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return made


@pytest.mark.parametrize("dtype", exhaustive_but(["U14"], ["U14", "object"]))
def test_texts_are_trained_on_as_by_hand(dtype: str) -> None:
    splits = ks.datasets.arrays(TEXTS.astype(dtype), LABELS, validation=0.25, test=None).load()
    trainer = CompiledTrainer()
    trained = by_trainer(trainer, of_texts, splits, spec_of(batch_size=8))
    assert trainer.used == ("plain", "the samples are texts")
    assert trained == by_hand(of_texts, splits, spec_of(batch_size=8))


@pytest.mark.parametrize(
    ("model", "data", "objective"),
    [
        (of_texts, ks.datasets.arrays(TEXTS, LABELS), "val_accuracy"),
        (own_step, ks.datasets.arrays(X, validation=0.25, test=None), "val_loss"),
    ],
    ids=["texts", "autoencoder"],
)
def test_a_champion_is_registered(tmp_path: Path, model: Any, data: Any, objective: str) -> None:
    study = ks.Study(
        "samples",
        data=data,
        build=lambda hp: model(),
        space=ks.SearchSpace(ks.learning_rate()),
        objective=objective,
        trials=1,
        epochs=1,
    )
    history = study.launch(store=tmp_path / "store", progress=False, verify="off")
    assert history.best is not None and history.is_champion(history.best)
    if model is own_step:
        return
    # Of texts in a process without kerastudy: `test_texts_from_new_to_a_raw_text`.
    (file,) = (tmp_path / "store").rglob("MLmodel")
    registered = mlflow.pyfunc.load_model(str(file.parent))
    metadata, texts = registered.metadata, ["a good film", "bad"]
    assert metadata.signature is not None and metadata.metadata is not None
    (inputs,) = metadata.signature.inputs.to_dict()
    assert inputs["tensor-spec"] == {"dtype": "str", "shape": (-1,)}
    assert metadata.metadata["class_names"] == ["neg", "pos"]
    champion = ks.load_model("samples", store=tmp_path / "store")
    expected = champion.predict(tf.constant(texts), verbose=0)
    np.testing.assert_allclose(registered.predict(np.array(texts)), expected, rtol=1e-6)
