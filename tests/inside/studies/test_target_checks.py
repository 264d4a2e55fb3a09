"""Targets that don't suit a model are refused before any training, and outputs that suit them.

Keras is the judge of the pairs that pass: a step on them gives a finite loss.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, losses

import kerastudy as ks
from search_spaces import BuilderError
from studies.training import check_targets

X = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2)
LABELS = np.arange(12) % 3
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
ZERO_OR_ONE = (np.arange(12) % 2).astype("float32")
NUMBERS = np.linspace(-20, 30, 12)
PIXELS = np.arange(12 * 4).reshape(12, 4) % 3

Model = Callable[[list[Any]], keras.Model]


def sequential(last: list[Any]) -> keras.Model:
    return keras.Sequential([layers.Input((2,)), *last])


def unbuilt(last: list[Any]) -> keras.Model:
    return keras.Sequential(last)


def functional(last: list[Any]) -> keras.Model:
    tensor = inputs = keras.Input((2,))
    for layer in last:
        tensor = layer(tensor)
    return keras.Model(inputs, tensor)


def dense(units: int, activation: str | None = None) -> list[Any]:
    return [layers.Dense(units, activation=activation)]


def pixels() -> list[Any]:
    return [layers.Dense(4 * 3), layers.Reshape((4, 3)), layers.Softmax()]


def check(last: list[Any], loss: Any, y: np.ndarray, make: Model = sequential) -> keras.Model:
    model = make(last)
    model.compile("sgd", loss, run_eagerly=True)
    check_targets(model, X[: len(y)], y)
    return model


def spellings(function: str, class_name: str) -> list[Any]:
    """Returns the ways in which `compile` takes a loss for one output."""
    loss = getattr(losses, class_name)
    return [function, class_name, getattr(losses, function), loss(), [function], [loss()]]


SPARSE = spellings("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
CATEGORICAL = spellings("categorical_crossentropy", "CategoricalCrossentropy")
BINARY = spellings("binary_crossentropy", "BinaryCrossentropy")
SQUARED = spellings("mean_squared_error", "MeanSquaredError")
ONE_UNIT = r"softmax of one unit.*outputs\.binary\(\)"
TO_ONE_HOT = r"\(12, 3\).*one-hot.*use categorical_crossentropy"
TO_LABELS = "use sparse_categorical_crossentropy if the targets are class numbers"
WITHOUT_255 = losses.SparseCategoricalCrossentropy(ignore_class=255)
BEYOND = "from 0 to 1, but the targets go from "


@pytest.mark.parametrize("make", [sequential, unbuilt, functional])
@pytest.mark.parametrize("loss", ["mse", SPARSE[2], lambda y, p: keras.ops.mean(y - p)])
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
def test_a_softmax_of_one_unit_is_refused_in_each_model(make: Model, loss: Any) -> None:
    with pytest.raises(BuilderError, match=ONE_UNIT):
        check(dense(1, "softmax"), loss, ZERO_OR_ONE, make)
    with pytest.raises(BuilderError, match=TO_ONE_HOT):
        check(dense(3, "softmax"), SPARSE[0], ONE_HOT, make)


@pytest.mark.parametrize(
    ("last", "loss", "y", "words"),
    [
        *[(dense(3, "softmax"), loss, ONE_HOT, TO_ONE_HOT) for loss in SPARSE],
        *[(dense(3, "softmax"), loss, LABELS, TO_LABELS) for loss in CATEGORICAL],
        (dense(3, "softmax"), "categorical_focal_crossentropy", LABELS[:, None], TO_LABELS),
        (pixels(), SPARSE[0], np.eye(3)[PIXELS], "one-hot"),
        (pixels(), CATEGORICAL[0], PIXELS, TO_LABELS),
        (dense(3, "softmax"), SPARSE[0], LABELS / 2, r"fractions.*outputs\.regression\(\)"),
        (dense(3, "softmax"), SPARSE[0], LABELS + 1, "from 1 to 3"),
        (dense(3, "softmax"), SPARSE[1], LABELS - 1, "from -1 to 1"),
        (dense(3, "softmax"), SPARSE[3], (LABELS + 1).astype("uint8")[:, None], "from 1 to 3"),
        *[(dense(1, "sigmoid"), loss, LABELS, f"{BEYOND}0 to 2") for loss in BINARY],
        (dense(1, "sigmoid"), "binary_focal_crossentropy", ZERO_OR_ONE * 2 - 1, f"{BEYOND}-1 to"),
        *[(dense(3), loss, ZERO_OR_ONE, "number by number") for loss in SQUARED],
        *[(dense(3, "softmax"), loss, LABELS, TO_LABELS) for loss in ("mse", BINARY[0])],
        *[
            (dense(units, "sigmoid"), loss, y, "number by number")
            for loss in ("mae", losses.Huber(0.5), "log_cosh", BINARY[0])
            for units, y in ((3, ZERO_OR_ONE[:, None]), (1, ONE_HOT), (2, ONE_HOT))
        ],
        *[(dense(1, "sigmoid"), loss, ZERO_OR_ONE, "0 whatever the out") for loss in CATEGORICAL],
        *[
            (dense(units), loss, y, r"last layer is linear.*from_logits=True")
            for units, spelled, y in (
                *[(1, BINARY, ZERO_OR_ONE), (3, SPARSE, LABELS), (3, CATEGORICAL, ONE_HOT)],
            )
            for loss in spelled[::3]
        ],
    ],
)
def test_targets_that_do_not_suit_are_refused(
    last: list[Any], loss: Any, y: np.ndarray, words: str
) -> None:
    with pytest.raises(BuilderError, match=words):
        check(last, loss, y)


@pytest.mark.parametrize(
    ("last", "loss", "y"),
    [
        (dense(1), losses.BinaryCrossentropy(from_logits=True), ZERO_OR_ONE),
        (dense(3), losses.SparseCategoricalCrossentropy(from_logits=True), LABELS),
        (dense(3), losses.CategoricalCrossentropy(from_logits=True), ONE_HOT),
        (dense(1, "sigmoid"), "binary_crossentropy", ZERO_OR_ONE),
        (dense(1, "sigmoid"), "binary_crossentropy", ZERO_OR_ONE[:, None] == 1),
        (dense(1, "sigmoid"), "mse", ZERO_OR_ONE),
        (dense(3, "sigmoid"), "binary_crossentropy", ONE_HOT),
        (dense(3, "softmax"), "sparse_categorical_crossentropy", LABELS[:, None]),
        (dense(4, "softmax"), "sparse_categorical_crossentropy", LABELS),
        (dense(2, "softmax"), WITHOUT_255, np.where(LABELS == 2, 255, LABELS)),
        (dense(3, "softmax"), "categorical_crossentropy", ONE_HOT * 0.9 + 0.1 / 3),
        (dense(3, "softmax"), "mse", ONE_HOT),
        (dense(3, "softmax"), "crossentropy", LABELS),
        (dense(3, "softmax"), "crossentropy", ONE_HOT),
        (dense(1, "sigmoid"), "crossentropy", ZERO_OR_ONE),
        (dense(1), "mse", NUMBERS),
        (dense(1), "mae", NUMBERS[:, None]),
        (dense(3), losses.Huber(2.0), ONE_HOT * 100),
        (dense(1, "relu"), "poisson", LABELS),
        (pixels(), "sparse_categorical_crossentropy", PIXELS),
        (pixels(), "categorical_crossentropy", np.eye(3)[PIXELS]),
    ],
)
def test_targets_that_suit_pass_and_train(last: list[Any], loss: Any, y: np.ndarray) -> None:
    model = check(last, loss, y)
    assert np.isfinite(model.train_on_batch(X, y.astype("float32")))


# `outputs`: the last layer, the loss and the metrics that fit a kind of target


@pytest.mark.parametrize(
    ("output", "y", "shape", "logged"),
    [
        (ks.outputs.binary(), ZERO_OR_ONE, (12, 1), {"loss", "accuracy"}),
        (ks.outputs.classes(3), LABELS, (12, 3), {"loss", "accuracy"}),
        (ks.outputs.one_hot(3), ONE_HOT, (12, 3), {"loss", "accuracy"}),
        (ks.outputs.regression(), NUMBERS, (12, 1), {"loss", "mean_absolute_error"}),
        (ks.outputs.regression(3), ONE_HOT, (12, 3), {"loss", "mean_absolute_error"}),
    ],
)
def test_each_output_fits_its_targets_and_no_others(
    output: Any, y: np.ndarray, shape: tuple[int, int], logged: set[str]
) -> None:
    keras.utils.set_random_seed(0)
    model = sequential([output.layer()])
    optimizer = keras.optimizers.Adam(0.05)
    model.compile(optimizer, loss=output.loss, metrics=output.metrics, run_eagerly=True)
    check_targets(model, X, y)
    y = y.astype("float32")
    history = model.fit(X, y, epochs=3, batch_size=12, verbose=0).history
    assert set(history) == logged and history["loss"][-1] < history["loss"][0]
    predicted = model.predict(X, verbose=0)
    assert predicted.shape == shape
    if "accuracy" in logged:
        several = shape[1] > 1
        # The metric counts like a person.
        right = predicted.argmax(axis=1) == LABELS if several else (predicted[:, 0] > 0.5) == y
        assert model.evaluate(X, y, verbose=0)[1] == pytest.approx(right.mean())
    for other in (LABELS, ONE_HOT, NUMBERS):
        numbers = output.loss == "mean_squared_error" and y.ndim == other.ndim
        if not np.array_equal(other, y) and not numbers:
            with pytest.raises(BuilderError):
                check_targets(model, X, other)


def test_layers_and_metrics_of_an_output_are_new_ones_with_their_options() -> None:
    output = ks.outputs.classes(3)
    first = output.layer(name="kind", kernel_initializer="zeros")
    first.build((None, 2))
    assert first.name == "kind" and not np.asarray(first.kernel).any()
    assert output.layer() is not output.layer()
    output.metrics.append("top_k_categorical_accuracy")
    assert output.metrics == ["accuracy"]
    huber = keras.losses.Huber(2.0)
    regression = ks.outputs.regression(loss=huber, metrics=["root_mean_squared_error"])
    assert regression.loss is huber and regression.metrics == ["root_mean_squared_error"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        *[
            (lambda f=f, n=n: f(n), f"{f.__name__}.*at least {least}.*{n!r}")  # type: ignore[misc]
            for f, least, numbers in (
                (ks.outputs.classes, 2, (0, 1, 2.0, True, "3", None)),
                (ks.outputs.one_hot, 2, (1,)),
                (ks.outputs.regression, 1, (0, 1.0, True, "1")),
            )
            for n in numbers
        ],
    ],
)
def test_other_outputs_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ks.errors.StudyError, match=words):
        make()


# Targets that are accepted


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.square(y_pred - keras.ops.expand_dims(y_true, -1)), axis=-1)


class OwnSparse(losses.SparseCategoricalCrossentropy):  # type: ignore[misc]
    """May take labels from 1 up."""


class OwnDense(layers.Dense):  # type: ignore[misc]
    """May give probabilities, whatever its activation says."""


class OwnModel(keras.Model):  # type: ignore[misc]
    """May make its own targets."""

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        return keras.ops.mean(keras.ops.square(arguments[2]))


def own_model(last: list[Any]) -> keras.Model:
    inputs = keras.Input((2,))
    return OwnModel(inputs, last[0](inputs))


@pytest.mark.parametrize(
    ("last", "loss", "y", "make"),
    [
        (dense(3), own_loss, ZERO_OR_ONE, sequential),
        (dense(3, "softmax"), OwnSparse(), LABELS + 1, sequential),
        ([OwnDense(1)], "binary_crossentropy", ZERO_OR_ONE, sequential),
        (
            *([layers.Dense(1, "sigmoid"), layers.Activation("linear")], "bce"),
            *(ZERO_OR_ONE, sequential),
        ),
        ([layers.Dense(1, kernel_constraint="non_neg")], "bce", ZERO_OR_ONE, sequential),
        (dense(3), "no such loss", LABELS, sequential),
        (dense(3), None, LABELS, sequential),
        (dense(3), "mse", ZERO_OR_ONE, own_model),
    ],
)
def test_what_is_the_users_own_is_left_alone(
    last: list[Any], loss: Any, y: np.ndarray, make: Model
) -> None:
    check(last, loss, y, make)


def test_sequences_of_any_length_are_compared_in_what_is_known() -> None:
    model = keras.Sequential([layers.Input((None, 2)), layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    x = np.zeros((4, 5, 2), "float32")
    check_targets(model, x, np.zeros((4, 5, 3), int))
    with pytest.raises(BuilderError, match="number by number"):
        check_targets(model, x, np.zeros((4, 3), int))
