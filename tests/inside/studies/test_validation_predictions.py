"""A champion's predictions of the validation data, counted by scikit-learn."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from handmade import make_spec
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, confusion_matrix

from studies.data import datasets
from studies.training import validation_predictions
from tracking.records import Objective, ValidationPredictions, from_json, to_json

random = np.random.default_rng(3)
N = 90
TABLE = pd.DataFrame({"size": random.normal(3e4, 2e3, N), "age": random.integers(0, 90, N)})
IMAGES = random.integers(0, 256, (N, 8, 9)).astype("uint8")
LABELS = np.arange(N) % 3
SPEC = make_spec(7, batch_size=16)


def model(*layers: Any, loss: Any) -> Any:
    keras.utils.set_random_seed(1)
    network = keras.Sequential(list(layers))
    network.compile("sgd", loss=loss)
    return network


def predicted(network: Any, splits: Any) -> tuple[ValidationPredictions, np.ndarray]:
    """Returns the recorded predictions, and those of the model by hand."""
    network.build((None, *splits.validation.at_hand.x.shape[1:]))
    record = validation_predictions(network, splits, SPEC)
    assert from_json(ValidationPredictions, to_json(record)) == record
    return record, network.predict(splits.validation.at_hand.x, batch_size=16, verbose=0)


def check_classes(record: ValidationPredictions, y: np.ndarray, odds: np.ndarray) -> None:
    classes = odds.argmax(axis=1)
    matrix = confusion_matrix(y, classes, labels=range(odds.shape[1]))
    assert np.array_equal(record.confusion, matrix)
    assert record.correct == (classes == y).sum() and record.samples == len(y)
    diagram, columns = record.reliability, range(odds.shape[1])
    scaled = {"labels": list(columns), "scale_by_half": len(columns) == 2}
    assert diagram.brier == pytest.approx(brier_score_loss(y, odds, **scaled), rel=1e-5)
    names = record.class_names
    came_true, forecasts = (y == 1, odds[:, 1]) if len(names) == 2 else (classes == y, odds.max(1))
    assert diagram.class_name == (names[1] if len(names) == 2 else None)
    observed, predicted = calibration_curve(
        came_true, forecasts, n_bins=len(diagram.bins), strategy="quantile"
    )
    assert [row.observed for row in diagram.bins] == pytest.approx(observed.tolist())
    assert [row.predicted for row in diagram.bins] == pytest.approx(predicted.tolist(), rel=1e-5)
    assert sum(row.samples for row in diagram.bins) == len(y) and not diagram.corrected
    of_true = odds[np.arange(len(y)), y]
    assert [row.index for row in record.worst] == np.argsort(of_true, kind="stable")[:24].tolist()
    for row in record.worst:
        assert (row.true, row.predicted) == (y[row.index], classes[row.index])
        assert row.probability == pytest.approx(of_true[row.index])
        assert row.confidence == pytest.approx(odds[row.index].max())


@pytest.mark.parametrize("one_hot", [False, True])
def test_classes_of_a_table_are_counted_and_its_worst_rows_shown_as_given(one_hot: bool) -> None:
    targets = np.eye(3, dtype="float32")[LABELS] if one_hot else np.array(["a", "b", "c"])[LABELS]
    splits = datasets.arrays(TABLE, targets, preprocess="standardize", test=None).load()
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    network = model(keras.layers.Dense(3, activation="softmax"), loss=loss)
    record, odds = predicted(network, splits)
    y = splits.validation.y
    check_classes(record, y.argmax(axis=1) if one_hot else y, odds)
    assert record.class_names == (("0", "1", "2") if one_hot else ("a", "b", "c"))
    rows = TABLE.to_numpy()
    for sample in record.worst:
        assert list(sample.row) == ["size", "age"] and sample.png == b""
        row = np.array(list(sample.row.values()))
        assert np.isclose(rows, row, rtol=1e-5).all(axis=1).any(), row


def test_logits_are_probabilities_and_images_are_shown() -> None:
    splits = datasets.arrays(IMAGES, LABELS, test=None).load()
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    record, logits = predicted(model(*layers, loss=loss), splits)
    check_classes(record, splits.validation.y, tf.nn.softmax(logits.astype("float64")).numpy())
    for sample in record.worst:
        image = tf.io.decode_png(sample.png).numpy()[..., 0]
        assert np.array_equal(image, splits.validation.x[sample.index]) and not sample.row


@pytest.mark.parametrize(("logits", "listed"), [(False, False), (True, False), (True, True)])
def test_two_classes_of_one_output(logits: bool, listed: bool) -> None:
    splits = datasets.arrays(TABLE.to_numpy(), LABELS % 2, preprocess="minmax", test=None).load()
    loss = keras.losses.BinaryCrossentropy(from_logits=logits)
    last = keras.layers.Dense(1, activation=None if logits else "sigmoid")
    record, odds = predicted(model(last, loss=[loss] if listed else loss), splits)
    of_one = (tf.sigmoid(odds.astype("float64")).numpy() if logits else odds)[:, 0]
    check_classes(record, splits.validation.y, np.stack([1 - of_one, of_one], axis=1))


def test_a_regression_keeps_points_at_even_distances() -> None:
    x = random.normal(size=(6000, 2)).astype("float32")
    splits = datasets.arrays(x, x.sum(axis=1), validation=5000, test=None).load()
    record, predictions = predicted(model(keras.layers.Dense(1), loss="mse"), splits)
    assert (record.samples, record.class_names, record.reliability) == (5000, (), None)
    assert len(record.truth) == len(record.predicted) == 2000
    chosen = np.linspace(0, 4999, 2000).round().astype(int)
    assert np.array_equal(np.float32(record.truth), splits.validation.y[chosen])
    assert np.allclose(record.predicted, predictions[chosen, 0], rtol=1e-6)


def test_batches_are_counted_like_arrays() -> None:
    x, y = random.normal(size=(70, 64)).astype("float32"), np.arange(70) % 10

    def data() -> Any:
        return tf.data.Dataset.from_tensor_slices((x, y)).batch(16)

    splits = datasets.batches(data, data).load()
    network = model(
        keras.layers.Dense(10, activation="softmax"), loss="sparse_categorical_crossentropy"
    )
    network.build((None, 64))
    record = validation_predictions(network, splits, SPEC)
    check_classes(record, y, network.predict(x, verbose=0))
    # The 64 numbers are no pixels, because some are below 0 or above 1.
    assert np.allclose(list(record.worst[0].row.values()), x[record.worst[0].index], rtol=1e-5)
    some = datasets.batches(data, data, validation_steps=2).load()
    less = validation_predictions(network, some, SPEC)
    assert less.samples == 32


@pytest.mark.parametrize("in_order", [False, True])
def test_the_output_of_the_objective_is_counted(in_order: bool) -> None:
    keras.utils.set_random_seed(2)
    # The names are not in the order of the alphabet.
    kinds, size = np.array(["a", "b", "c"])[LABELS], TABLE["age"].to_numpy("float32")
    yes = LABELS > 1
    targets = (kinds, size, yes) if in_order else {"kind": kinds, "age": size, "yes": yes}
    splits = datasets.arrays(TABLE.to_numpy("float32") / 1e4, targets, test=None).load()
    inputs = keras.Input((2,))
    outputs = {
        "kind": keras.layers.Dense(3, name="kind")(inputs),
        "age": keras.layers.Dense(1, name="age")(inputs),
        "yes": keras.layers.Dense(1, activation="sigmoid", name="yes")(inputs),
    }
    losses = {
        "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "age": "mse",
        "yes": "binary_crossentropy",
    }
    network = keras.Model(inputs, list(outputs.values()) if in_order else outputs)
    network.compile("sgd", list(losses.values()) if in_order else losses)
    first = validation_predictions(network, splits, SPEC)
    assert first.output == next(iter(outputs if in_order else sorted(outputs)))
    records: dict[str, Any] = {
        name: validation_predictions(
            network, splits, replace(SPEC, objective=Objective(f"val_{name}_loss", "min"))
        )
        for name in outputs
    }
    assert [one.output for one in records.values()] == list(outputs)
    part = splits.validation.at_hand
    by_hand = network.predict(part.x, verbose=0)
    if in_order:
        by_hand = dict(zip(outputs, by_hand, strict=True))
    true = dict(zip(outputs, part.y, strict=True)) if in_order else part.y
    odds = np.exp(by_hand["kind"].astype("float64"))
    check_classes(records["kind"], true["kind"], odds / odds.sum(axis=1, keepdims=True))
    if not in_order:
        assert records["kind"].class_names == ("a", "b", "c")
    assert records["age"].truth == pytest.approx(true["age"].ravel())
    assert records["age"].predicted == pytest.approx(by_hand["age"].ravel())
    matrix = confusion_matrix(true["yes"], by_hand["yes"].ravel() > 0.5, labels=[0, 1])
    assert np.array_equal(records["yes"].confusion, matrix)


def test_sequences_are_not_counted() -> None:
    series = random.normal(size=(N, 4, 2)).astype("float32")
    splits = datasets.arrays(series, series, test=None).load()
    network = model(keras.layers.Dense(2), loss="mse")
    assert validation_predictions(network, splits, SPEC) is None
