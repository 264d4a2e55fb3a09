"""Training on batches, texts, and samples without targets: as `fit` by hand, to the bit."""

import threading
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
import streamed
import tensorflow as tf
from conformance.models import make_spec, wait_until
from conformance.trainer import train as run_fit
from exact_training import by_hand, by_trainer, spec_of
from streamed import TRAINING, VALIDATION, generator, model, py_dataset, tf_data
from suite import exhaustive_but

import kerastudy as ks
from studies.data import PROFILE_SEED
from studies.definition import epoch_seed
from studies.training import CompiledTrainer, PlainTrainer

# Data that comes in batches, epoch by epoch.


def several_steps_at_once() -> keras.Model:
    """Takes more steps at once than an epoch has left: it has 6 batches, and 3 of validation."""
    network = model()
    network.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=4)
    return network


def longer_than_the_first(seed: int) -> Any:
    """The batches have weights. Keras takes the first epoch's length for that of all."""
    first = epoch_seed(spec_of().seed, 1)
    weights = np.linspace(0.5, 2.0, streamed.SIZE)
    for x, y in list(py_dataset(seed))[: 2 if seed == first else None]:
        yield x, y, weights[: len(x)]


def of(*kinds: str, named: str = "", **options: Any) -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    return {f"{kind}{named}": (TRAINING[kind], VALIDATION[kind], options) for kind in kinds}


SEVERAL = ("tf.data", "uneven", "generator")
# Generators are read where epochs are longer than the first.
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    **of(*TRAINING),
    **of(*SEVERAL, named=", several steps", model=several_steps_at_once),
    "without end": (
        *(streamed.without_end, streamed.validation_tf_data),
        {"steps_per_epoch": 3, "validation_steps": 2},
    ),
    "some of a generator": (generator, streamed.validation_generator, {"steps_per_epoch": 3}),
    "validated in part": (py_dataset, streamed.validation_py_dataset, {"validation_steps": 2}),
    "longer than the first": (longer_than_the_first, streamed.validation_generator, {}),
}


@pytest.mark.parametrize(
    "name", exhaustive_but(["tf.data", "uneven, several steps", "without end"], CASES)
)
def test_batches_train_as_fit_by_hand(name: str) -> None:
    train, validation, options = CASES[name]
    model_of = options.get("model", model)
    steps = {key: count for key, count in options.items() if "steps" in key}
    splits = ks.datasets.batches(train, validation, **steps).load()
    assert not splits.warnings
    spec = spec_of(epochs=3)
    epochs = streamed.by_hand(model_of, train, validation, spec, **steps)
    assert by_trainer(CompiledTrainer(), model_of, splits, spec) == epochs
    if name in ("shuffles itself", "generator"):
        splits = ks.datasets.batches(train, validation).load()
        again = by_trainer(PlainTrainer(), model, splits, spec, epochs[0].state, initial_epoch=1)
        assert again == epochs[1:], "from the second epoch, as where a training was cut"


def test_validating_does_not_begin_anew_what_callbacks_draw() -> None:
    numbers: list[float] = []

    class Draws(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            numbers.append(np.random.random())

    splits = ks.datasets.batches(tf_data, streamed.validation_generator).load()
    by_trainer(PlainTrainer(), model, splits, spec_of(epochs=3), callbacks=[Draws()])
    assert len(set(numbers)) == 3


def threads() -> set[threading.Thread]:
    """Returns the threads that Python began. Threads of TensorFlow appear when they call Python."""
    dummies = threading._DummyThread
    return {thread for thread in threading.enumerate() if not isinstance(thread, dummies)}


def test_a_training_that_ends_within_an_epoch_leaves_no_threads() -> None:
    class Ends(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    def train() -> streamed.Batches:
        return streamed.Batches(streamed.X, streamed.Y, workers=2, max_queue_size=1)

    splits = ks.datasets.batches(train, streamed.validation_tf_data).load()
    before = threads()
    by_trainer(PlainTrainer(), model, splits, spec_of(epochs=3), callbacks=[Ends()])
    wait_until(lambda: threads() <= before)


def test_a_trial_whose_data_raises_says_what_was_raised(tmp_path: Any) -> None:
    def train(seed: int) -> Any:
        yield from generator(seed)
        if seed != PROFILE_SEED:
            raise ValueError("file 17 is broken")

    definition = streamed.study(train, streamed.validation_generator)
    result, _ = run_fit(PlainTrainer(), definition, make_spec(), tmp_path)
    assert result.state == "infeasible"
    reason = "the training raised InvalidArgumentError: ValueError: file 17 is broken"
    assert result.reason.startswith(f"{reason} (test_streams.py, line ")


# Data without targets

random = np.random.default_rng(0)
X = random.normal(size=(40, 4)).astype("float32")
TRIPLETS = tuple(random.normal(size=(40, 4)).astype("float32") for _ in range(3))


@keras.saving.register_keras_serializable("tests")
class OwnStep(keras.Model):  # type: ignore[misc]
    """Compares its outputs for samples: of one array with itself, of three with each other."""

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
        anchor, positive, negative = (self(batch) for batch in data)
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
    network = OwnStep()
    network.compile("sgd")
    return network


def test_arrays_without_targets_train_as_by_hand() -> None:
    validation = tuple(samples[:12] + 1 for samples in TRIPLETS)
    splits = ks.datasets.arrays(TRIPLETS, validation=(validation, None), test=None).load()
    epochs = by_hand(own_step, splits, spec_of())
    assert by_trainer(CompiledTrainer(), own_step, splits, spec_of()) == epochs


def test_batches_without_targets_train_as_by_hand() -> None:
    def train(seed: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(X).shuffle(40, seed=seed).batch(8)

    def validation() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(X).take(12).batch(8)

    splits = ks.datasets.batches(train, validation, targets=False).load()
    assert splits.warnings == []
    epochs = streamed.by_hand(own_step, train, validation, spec_of())
    assert by_trainer(CompiledTrainer(), own_step, splits, spec_of()) == epochs


# Texts

WORDS = np.array("a good film|a bad film|good good|bad, so bad|nothing good".split("|"))
TEXTS = WORDS[np.arange(40) % 5]
LABELS = np.array(["pos", "neg", "pos", "neg", "neg"])[np.arange(40) % 5]


def of_texts() -> keras.Model:
    """The vocabulary comes from the training texts, as in public code."""
    vectorize = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    vectorize.adapt(WORDS)
    network = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            vectorize,
            keras.layers.Embedding(20, 3),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    network.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return network


def test_texts_are_trained_on_as_by_hand() -> None:
    splits = ks.datasets.arrays(TEXTS, LABELS, validation=0.25, test=None).load()
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
    assert history.is_champion(history.best)
    if model is own_step:
        return
    (file,) = (tmp_path / "store").rglob("MLmodel")
    registered = mlflow.pyfunc.load_model(str(file.parent))
    metadata, texts = registered.metadata, ["a good film", "bad"]
    (inputs,) = metadata.signature.inputs.to_dict()
    assert inputs["tensor-spec"] == {"dtype": "str", "shape": (-1,)}
    assert metadata.metadata["class_names"] == ["neg", "pos"]
    champion = ks.load_model("samples", store=tmp_path / "store")
    expected = champion.predict(tf.constant(texts), verbose=0)
    np.testing.assert_allclose(registered.predict(np.array(texts)), expected, rtol=1e-6)
