"""Scores of samples, scores that trials record, and which checkpoints and scores stay on disk."""

import functools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import streamed
from conformance.models import make_spec, make_study, samples
from conformance.trainer import at, train
from handmade import trial_record
from model_zoo import compiled, stack
from scripted import describe

import kerastudy as ks
from studies.training import CompiledTrainer, NotScoredError, sample_scores
from tracking.records import Objective, TrialRecord, TrialResult, TrialState
from tracking.statistics import SampleScores, best_scores, read_scores
from tracking.store import Retention, StudyFiles

# Scores against `model.evaluate`, `model.predict` and numpy on the raw data.

layers, metrics = keras.layers, keras.metrics
SAMPLES, BATCH = 150, 32
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(SAMPLES, 6)).astype(np.float32)
WEIGHTS = RANDOM.random(SAMPLES).astype(np.float32) + 0.1
LABELS = RANDOM.integers(0, 3, SAMPLES)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
BINARY = (X[:, 0] + RANDOM.normal(size=SAMPLES) > 0).astype(np.float32)
NUMBERS = (X[:, :2] * [3, 0.1] + RANDOM.normal(size=(SAMPLES, 2)) + [50, 0]).astype(np.float32)
# Counts of three resamples.
COUNTS = RANDOM.multinomial(SAMPLES, np.full(SAMPLES, 1 / SAMPLES), 3)


class Judged:
    """A model, evaluated and scored on the same samples."""

    def __init__(self, model: Any, y: Any, weights: Any = None, x: Any = X) -> None:
        self.model, self.y, self.weights = model, y, weights
        validation = (x, y) if weights is None else (x, y, weights)
        self.splits = ks.datasets.arrays(x, y, validation=validation, test=None).load()
        # Whole batches, as Keras reads them.
        self.recorded = model.evaluate(
            x, y, sample_weight=weights, batch_size=BATCH, verbose=0, return_dict=True
        )
        self.predicted = model.predict(x, batch_size=BATCH, verbose=0)

    def scores(self, metric: str, recorded: float | None = None) -> SampleScores:
        """Returns the scores of a metric, of which the mean is the recorded value."""
        value = self.recorded[metric] if recorded is None else recorded
        fields: Any = {"epoch": 1, "batch_size": BATCH, "recorded": float(value)}
        return sample_scores(self.model, self.splits, f"val_{metric}", **fields)


def network(units: int, activation: str, **compiled: Any) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.1)),
            layers.Dropout(0.5),
            layers.BatchNormalization(),
            layers.Dense(units, activation=activation, bias_regularizer="l1"),
        ]
    )
    # The model runs without tracing. `classes` and `outputs` are evaluated like any model.
    model.compile("sgd", run_eagerly="weighted_metrics" not in compiled or units == 1, **compiled)
    return model


def squared(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.square(y_true - y_pred)


def of_batch(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(y_true - y_pred))


@functools.cache
def classes() -> Judged:
    """Returns a model of three classes, with sample weights."""
    model = network(
        3, "softmax", loss="sparse_categorical_crossentropy",
        metrics=["accuracy", "sparse_top_k_categorical_accuracy"],
        weighted_metrics=["accuracy", metrics.SparseCategoricalCrossentropy(name="ce")],
    )  # fmt: skip
    return Judged(model, LABELS, WEIGHTS)


def test_sample_weights_count_where_keras_counts_them() -> None:
    hits, plain = classes().predicted.argmax(axis=1) == LABELS, classes().scores("accuracy")
    assert np.array_equal(plain.values, hits) and plain.weights is None
    assert plain.value == pytest.approx(classes().recorded["accuracy"], rel=1e-6)
    scores, entropy = classes().scores("weighted_accuracy"), classes().scores("ce")
    assert np.array_equal(scores.values, hits)
    np.testing.assert_array_equal(scores.weights, WEIGHTS)
    by_hand = -np.log(classes().predicted[np.arange(SAMPLES), LABELS])
    np.testing.assert_allclose(entropy.values, by_hand, rtol=1e-4)
    for weighted, values in ((scores, hits), (entropy, by_hand)):
        resampled = [np.average(values, weights=WEIGHTS * counts) for counts in COUNTS]
        assert weighted.of_resamples(COUNTS) == pytest.approx(resampled, rel=1e-4)


def test_a_loss_has_weights_in_its_values_penalties_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = -WEIGHTS * np.log(classes().predicted[np.arange(SAMPLES), LABELS])
    first, last = classes().model.layers[0].kernel, classes().model.layers[-1].bias
    penalties = 0.1 * np.sum(np.square(first)) + 0.01 * np.sum(np.abs(last))
    scores = classes().scores("loss")
    # Scores are also computed in slices, if memory is scarce.
    monkeypatch.setattr("studies.training.scoring.keras_metrics_per_sample._MEMORY", 10_000)
    for losses in (scores, classes().scores("loss")):
        np.testing.assert_allclose(losses.values, by_hand, rtol=1e-4)
        assert losses.constant == pytest.approx(penalties, rel=1e-5)
        assert losses.value == pytest.approx(classes().recorded["loss"], rel=1e-5)


@functools.cache
def binary() -> Judged:
    """Returns a model of two classes, with sample weights."""
    model = network(
        1, "sigmoid", loss="binary_crossentropy",
        metrics=["accuracy", metrics.AUC(name="auc"), metrics.AUC(curve="PR", name="pr")],
        weighted_metrics=[
            metrics.AUC(thresholds=[0.2, 0.3, 0.55], name="few"),
            metrics.AUC(summation_method="minoring", name="minor"),
            metrics.Precision(name="precision"), metrics.Recall(thresholds=0.4, name="recall"),
            metrics.Precision(thresholds=[0.3, 0.6], name="two"),
            metrics.SensitivityAtSpecificity(0.5, name="sensitivity"),
        ],
    )  # fmt: skip
    return Judged(model, BINARY, WEIGHTS)


@functools.cache
def several() -> Judged:
    """Returns a model of three classes, with one-hot targets."""
    model = network(
        3, "softmax", loss="categorical_crossentropy",
        metrics=[
            "accuracy", "mse", metrics.TopKCategoricalAccuracy(2, name="top"),
            metrics.CategoricalCrossentropy(name="ce"),
            metrics.AUC(multi_label=True, name="labels"),
            metrics.AUC(name="all"), metrics.Precision(class_id=1, name="precision"),
            metrics.Recall(class_id=2, name="recall"),
            metrics.Recall(top_k=2, name="top_recall"), metrics.F1Score("macro", name="macro"),
            metrics.F1Score("weighted", name="weighted"), metrics.F1Score(name="each"),
            metrics.FBetaScore("micro", beta=2.0, threshold=0.3, name="micro"),
        ],
    )  # fmt: skip
    return Judged(model, ONE_HOT)


@functools.cache
def numbers() -> Judged:
    """Returns a model of two numbers, one of them far from 0."""
    model = network(
        2, "linear", loss="mse",
        metrics=[
            squared, of_batch, "mae", metrics.RootMeanSquaredError(name="rmse"),
            metrics.CosineSimilarity(name="cosine"), metrics.R2Score(name="r2"),
            metrics.R2Score("variance_weighted_average", name="r2_weighted"),
        ],
    )  # fmt: skip
    # The first number is so far from 0 that an untrained model has R2 below -1,000.
    model.layers[-1].bias.assign([50, 0])
    return Judged(model, NUMBERS)


OF_CLASSES = ["top", "ce", "all", "precision", "recall", "macro", "weighted", "micro"]


@pytest.mark.parametrize(
    ("make", "name"),
    [(binary, name) for name in ("auc", "precision", "recall")]
    + [(several, name) for name in OF_CLASSES]
    + [(numbers, name) for name in ("squared", "mae", "rmse", "cosine", "r2", "r2_weighted")],
)
def test_a_metric_of_any_resample_is_that_of_keras(make: Callable[[], Judged], name: str) -> None:
    judged, tolerance = make(), 2e-3 if make is numbers else 1e-4
    y = judged.y.reshape(SAMPLES, -1)
    scores = judged.scores(name)
    assert scores.value == pytest.approx(float(judged.recorded[name]), rel=tolerance, abs=1e-5)
    (metric,) = (
        metric for list_ in judged.model.metrics for metric in getattr(list_, "metrics", [])
        if metric.name == name
    )  # fmt: skip
    by_keras = []
    for counts in COUNTS:
        chosen = np.repeat(np.arange(SAMPLES), counts)
        weighted = judged.weights is not None and name != "auc"
        metric.reset_state()
        metric.update_state(
            keras.ops.convert_to_tensor(y[chosen]),
            keras.ops.convert_to_tensor(judged.predicted[chosen]),
            sample_weight=judged.weights[chosen] if weighted else None,
        )
        by_keras.append(float(metric.result()))
    assert scores.of_resamples(COUNTS) == pytest.approx(by_keras, rel=tolerance, abs=1e-5)


@functools.cache
def outputs() -> Judged:
    """Returns a model of two outputs by name."""
    keras.utils.set_random_seed(2)
    inputs = layers.Input((6,))
    kind = layers.Dense(3, activation="softmax", name="kind")(inputs)
    model = keras.Model(inputs, {"kind": kind, "size": layers.Dense(2, name="size")(inputs)})
    model.compile(
        "sgd",
        loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 0.5, "size": 2.0},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
    )
    return Judged(model, {"kind": LABELS, "size": X[:, :2]})


def test_several_outputs_have_scores_by_output_and_together() -> None:
    kind, size = outputs().predicted["kind"], outputs().predicted["size"]
    entropy = -np.log(kind[np.arange(SAMPLES), LABELS])
    errors = ((size - X[:, :2]) ** 2).mean(axis=1)
    by_hand = {
        "kind_accuracy": kind.argmax(axis=1) == LABELS,
        "size_mae": np.abs(size - X[:, :2]).mean(axis=1),
        "loss": 0.5 * entropy + 2 * errors,
    }
    for name, values in by_hand.items():
        scores = outputs().scores(name)
        np.testing.assert_allclose(scores.values, values, rtol=1e-3, atol=1e-6)
        assert scores.value == pytest.approx(values.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("make", "metric", "why"),
    [
        (numbers, "of_batch", "of_batch returns one number for a batch"),
        (binary, "two_1", "two_1 is the value of one class"),
        (binary, "minor", "minor is no plain area"),
        (several, "top_recall", "top_recall has several thresholds, or top_k"),
        (binary, "sensitivity", "SensitivityAtSpecificity, which can't be computed"),
        (binary, "unknown", "the model was not compiled with unknown"),
        (outputs, "kind_loss", "kind_loss is not the whole loss"),
        *((binary, name, f"{name} is no plain area") for name in ("pr", "few")),
        *((several, name, why) for name, why in (("labels", "no plain"), ("each_0", "one class"))),
    ],
)
def test_what_can_not_be_scored_says_why(make: Callable[[], Judged], metric: str, why: str) -> None:
    with pytest.raises(NotScoredError, match=why):
        make().scores(metric, recorded=0.5)


def test_scores_that_contradict_the_recorded_value_are_refused() -> None:
    accuracy = classes().recorded["accuracy"]
    assert classes().scores("accuracy", recorded=accuracy + 1 / SAMPLES)
    with pytest.raises(NotScoredError, match=r"give val_accuracy 0\.\d+, and Keras computed 0\."):
        classes().scores("accuracy", recorded=accuracy + 2 / SAMPLES)
    with pytest.raises(NotScoredError, match="give val_loss"):
        classes().scores("loss", recorded=classes().recorded["loss"] * 1.001)


def test_losses_that_depend_on_batches_are_refused() -> None:
    summed = network(2, "linear", loss=keras.losses.MeanSquaredError(reduction="sum"))
    divided = network(2, "linear", loss=keras.losses.MeanSquaredError("mean_with_sample_weight"))
    added = network(2, "linear", loss="mse")
    added.layers[1].activity_regularizer = keras.regularizers.L2(0.1)
    cases: list[tuple[Any, Any, str]] = [
        (summed, None, "sum over a batch"),
        (divided, WEIGHTS, "divided by the sum of the weights"),
        (added, None, "layers add losses for whole batches"),
    ]
    for model, weights, why in cases:
        with pytest.raises(NotScoredError, match=why):
            Judged(model, NUMBERS, weights).scores("loss")


def test_steps_of_sequences_are_means_of_their_samples_without_masked_steps() -> None:
    keras.utils.set_random_seed(3)
    words = RANDOM.integers(0, 5, (SAMPLES, 4))
    words[:, 0] = 1
    targets = words % 2
    embedding = layers.Embedding(5, 3, mask_zero=True)
    model = keras.Sequential([layers.Input((4,)), embedding, layers.Dense(2, "softmax")])
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    judged = Judged(model, targets, x=words.astype(np.int32))
    scores = judged.scores("accuracy")
    hits, counted = judged.predicted.argmax(axis=2) == targets, words != 0
    np.testing.assert_allclose(scores.values, (hits * counted).sum(1) / counted.sum(1), rtol=1e-5)
    assert scores.value == pytest.approx(hits[counted].mean(), rel=1e-5)
    with pytest.raises(NotScoredError, match="masked steps"):
        judged.scores("loss")


# Scores: what they change, which epochs have them, and why there are none.

ACCURACY, LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")
PARTS = slice(70), slice(70, 100)
TRAINING, VALIDATION = (tuple(array[part] for array in samples(100)) for part in PARTS)
DATA = ks.datasets.arrays(*TRAINING, validation=VALIDATION, test=None)
# One trainer serves all tests, so that a structure is traced once.
TRAINER = CompiledTrainer()


def build(hp: Any) -> keras.Model:
    """A model with dropout and batch normalization."""
    dense = layers.Dense(8, activation="tanh")
    return compiled(stack(dense, layers.BatchNormalization(), layers.Dropout(0.3)))


class Runner:
    """Runs trials of a builder in a folder."""

    def __init__(self, folder: Path, builder: Any = build, data: Any = DATA) -> None:
        self.folder = folder
        self.study = replace(make_study(builder), data=data)
        self.state = folder / "trial.state.safetensors"
        self.scores = folder / "trial.scores.safetensors"

    def run(self, kind: str | None, *decide: Any, **fields: Any) -> tuple[TrialResult, list[Any]]:
        """Runs a trial that keeps the scores of its best epoch, of every epoch, or none."""
        spec = replace(make_spec(3), **{"objective": ACCURACY, **fields})
        kinds: dict[str, Any] = {} if kind is None else {"scores": self.scores, "scores_of": kind}
        return train(TRAINER, self.study, spec, self.folder, *decide, state=self.state, **kinds)


def test_a_trial_with_scores_has_the_bits_of_one_without(tmp_path: Path) -> None:
    # Each runner runs two trials: the first may leave nothing behind that the second depends on.
    outcomes = []
    for kind in (None, "best"):
        runner = Runner(tmp_path / str(kind))
        trials = [runner.run(kind), runner.run(kind, repeat=1)]
        outcomes.append(
            [(r.best, r.weights_sha256, r.checkpoint_sha256, r.trainer, e) for r, e in trials]
        )
        assert runner.scores.exists() is (kind is not None)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("in_batches", [False, True])
def test_scores_are_those_of_the_checkpoint(in_batches: bool, tmp_path: Path) -> None:
    data, (x, y) = DATA, VALIDATION
    if in_batches:
        x, y = streamed.X_VALIDATION, streamed.Y_VALIDATION
        batches = streamed.Batches(streamed.X, streamed.Y), streamed.validation_py_dataset()
        data = ks.datasets.batches(*batches)
    runner = Runner(tmp_path, data=data)
    result, _ = runner.run("best", batch_size=8)
    read = read_scores(runner.scores, weights_sha256=result.weights_sha256)
    scores = best_scores(read, result.best.epoch)
    by_hand = build(None)
    by_hand.load_weights(tmp_path / "best.weights.h5")
    assert np.array_equal(scores.values, by_hand.predict(x, verbose=0).argmax(axis=1) == y)
    assert scores.value == pytest.approx(result.best.value)
    assert (scores.epoch, scores.metric) == (result.best.epoch, "val_accuracy")
    assert (result.scores_bytes, result.unscored) == (runner.scores.stat().st_size, "")


@pytest.mark.parametrize(
    ("kind", "samples", "scored"), [("every", 60, 5), ("best", 60, 2), ("best", 300, 1)]
)
def test_scores_agree_with_values(kind: str, samples: int, scored: int, tmp_path: Path) -> None:
    """The scores are of all epochs, of the best two if samples are few, or of the best one."""
    validation = tuple(np.repeat(array, 20, axis=0)[:samples] for array in VALIDATION)
    data = ks.datasets.arrays(*TRAINING, validation=validation, test=None)
    runner = Runner(tmp_path, data=data)
    _, epochs = runner.run(kind, objective=LOSS, epochs=5)
    values = {number: epoch["val_loss"] for number, epoch in enumerate(epochs, 1)}
    best = sorted(sorted(values, key=lambda epoch: values[epoch])[:scored])
    read = read_scores(runner.scores)
    assert [scores.epoch for scores in read] == best
    assert [scores.value for scores in read] == pytest.approx([values[e] for e in best], rel=1e-4)


def test_a_resumed_trial_has_the_scores_of_its_best_epoch(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    whole, _ = runner.run("best", epochs=4)
    expected = read_scores(runner.scores)[0]
    runner.scores.unlink()
    runner.state.unlink()
    stopped, _ = runner.run("every", at(2, "stop"), epochs=4)
    assert stopped.state == "interrupted" and not runner.scores.exists()
    resumed, epochs = runner.run("every", epochs=4)
    assert len(epochs) == 4 and resumed.weights_sha256 == whole.weights_sha256
    (scores,) = read_scores(runner.scores, weights_sha256=whole.weights_sha256)
    assert np.array_equal(scores.values, expected.values)
    assert resumed.unscored == "not all its epochs are known: it was resumed"


def raising(hp: Any) -> keras.Model:
    """A model whose metric needs the graph of a step."""

    def only_in_graphs(y_true: Any, y_pred: Any) -> Any:
        import tensorflow as tf

        if tf.executing_eagerly():
            raise RuntimeError("not like this")
        return keras.ops.mean(y_pred, axis=-1)

    return compiled(stack(), metrics=[only_in_graphs, "accuracy"])


@pytest.mark.parametrize(
    ("builder", "metric", "why"),
    [
        (raising, "val_only_in_graphs", "its samples can't be scored: RuntimeError: not like this"),
        (build, "loss", "loss is no metric of the validation data"),
    ],
)
def test_why_there_are_none_is_told(builder: Any, metric: str, why: str, tmp_path: Path) -> None:
    runner = Runner(tmp_path, builder)
    # An earlier attempt left this file.
    runner.scores.write_bytes(b"old")
    result, _ = runner.run("best", objective=Objective(metric, "min"))
    assert result.state == "complete" and result.unscored.startswith(why), result.unscored
    assert result.scores_bytes == 0 and not runner.scores.exists()


# Which checkpoints and scores stay on disk.

# The trials have ties of values and best epochs. Some are pruned or infeasible.
VALUES = (0.5, 0.125, None, 0.5, 0.75, 0.25, 0.5, 0.0625)
EPOCHS = (4, 1, 1, 2, 1, 3, 2, 9)
STATES: dict[int, TrialState] = {1: "pruned", 2: "infeasible", 5: "pruned"}
TRIALS = [
    trial_record(number, value, epoch=epoch, state=STATES.get(number, "complete"))
    for number, (value, epoch) in enumerate(zip(VALUES, EPOCHS, strict=True))
]
BEST = [7, 1, 5, 3, 6, 0, 4]


@pytest.mark.parametrize("keep", [1, 3, 6, 7, None])
@pytest.mark.parametrize("recorded", [0, 4, 8])
def test_the_best_are_kept_and_no_others(keep: int | None, recorded: int, tmp_path: Path) -> None:
    for attempt in range(20):
        trials = random.Random(attempt).sample(TRIALS, len(TRIALS))
        files = StudyFiles(tmp_path / f"{attempt}")
        files.folder.mkdir()
        retention = Retention(files, describe(keep=keep), trials[:recorded])
        for trial in trials[:recorded]:
            files.checkpoint(trial.number).touch()
        retention.tidy()
        for trial in trials[recorded:]:
            last_kept = retention.last_kept()
            if last_kept is None or rank(trial) < last_kept:
                files.checkpoint(trial.number).touch()
            retention.add(trial)
            retention.tidy()
        names = {path.name for path in files.folder.iterdir()} - {files.checkpoint(2).name}
        assert names == {files.checkpoint(number).name for number in BEST[:keep]}


def rank(trial: TrialRecord) -> tuple[float, float, int, int]:
    if trial.best is None:
        return 9.0, 9.0, 0, 0
    return trial.best.value, trial.best.value, trial.best.epoch, trial.number
