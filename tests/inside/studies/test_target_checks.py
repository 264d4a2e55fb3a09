"""Targets that don't suit a model, of one output or of several, are told before any training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, losses

from search_spaces import BuilderError
from studies.definition import Output, outputs
from studies.training import check_targets

X = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2)
LABELS = np.arange(12) % 3
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
ZERO_OR_ONE = (np.arange(12) % 2).astype("float32")
NUMBERS = np.linspace(-20, 30, 12)

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


def nested(last: list[Any]) -> keras.Model:
    return keras.Sequential([layers.Input((2,)), functional(last)])


def dense(units: int, activation: str | None = None) -> list[Any]:
    return [layers.Dense(units, activation=activation)]


def check(last: list[Any], loss: Any, y: np.ndarray, make: Model = sequential) -> None:
    model = make(last)
    model.compile("sgd", loss)
    check_targets(model, X[: len(y)], y)


def spellings(function: str, class_name: str) -> list[Any]:
    """The ways in which `compile` takes a loss for one output."""
    made = getattr(losses, class_name)
    return [function, class_name, getattr(losses, function), made(), [function], [made()]]


SPARSE = spellings("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
CATEGORICAL = spellings("categorical_crossentropy", "CategoricalCrossentropy")
BINARY = spellings("binary_crossentropy", "BinaryCrossentropy")
SQUARED = spellings("mean_squared_error", "MeanSquaredError")


@pytest.mark.parametrize("make", [sequential, unbuilt, functional, nested])
@pytest.mark.parametrize("loss", ["mse", *SPARSE[2:4], lambda y, p: keras.ops.mean(y - p)])
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
def test_a_softmax_of_one_unit_is_refused_whatever_the_loss(make: Model, loss: Any) -> None:
    with pytest.raises(BuilderError, match=r"softmax of one unit.*outputs\.binary\(\)"):
        check(dense(1, "softmax"), loss, ZERO_OR_ONE, make)


@pytest.mark.parametrize("last", [
    [layers.Dense(1), layers.Softmax()],
    [layers.Dense(1), layers.Activation("softmax")],
])  # fmt: skip
def test_also_as_a_layer_of_its_own(last: list[Any]) -> None:
    with pytest.raises(BuilderError, match="softmax of one unit"):
        check(last, "mse", ZERO_OR_ONE)


@pytest.mark.parametrize(("make", "loss"), [
    *[(sequential, loss) for loss in SPARSE],
    *[(make, SPARSE[0]) for make in (unbuilt, functional, nested)],
])  # fmt: skip
def test_the_sparse_loss_refuses_one_hot_rows(make: Model, loss: Any) -> None:
    with pytest.raises(BuilderError, match=r"\(12, 3\).*one-hot.*use categorical_crossentropy"):
        check(dense(3, "softmax"), loss, ONE_HOT, make)


@pytest.mark.parametrize("y", [LABELS, LABELS[:, None], LABELS.astype("float32")])
@pytest.mark.parametrize("loss", [*CATEGORICAL, "categorical_focal_crossentropy"])
def test_the_categorical_loss_refuses_labels(loss: Any, y: np.ndarray) -> None:
    with pytest.raises(BuilderError, match="single labels: use sparse_categorical_crossentropy"):
        check(dense(3, "softmax"), loss, y)


def test_labels_of_pixels_are_told_from_one_hot_pixels() -> None:
    last = [layers.Dense(4 * 3), layers.Reshape((4, 3)), layers.Softmax()]
    labels = np.arange(12 * 4).reshape(12, 4) % 3
    check(last, "sparse_categorical_crossentropy", labels)
    check(last, "categorical_crossentropy", np.eye(3)[labels])
    with pytest.raises(BuilderError, match="one-hot"):
        check(last, "sparse_categorical_crossentropy", np.eye(3)[labels])
    with pytest.raises(BuilderError, match="single labels"):
        check(last, "categorical_crossentropy", labels)


@pytest.mark.parametrize("loss", SPARSE[:4])
@pytest.mark.parametrize(
    ("y", "said"),
    [
        (LABELS + 1, "from 1 to 3"),
        (LABELS - 1, "from -1 to 1"),
        ((LABELS + 1).astype("uint8")[:, None], "from 1 to 3"),
        (LABELS / 2, "fractions, such as 0.5"),
    ],
)
def test_labels_without_a_unit_are_refused(loss: Any, y: np.ndarray, said: str) -> None:
    with pytest.raises(BuilderError, match=said):
        check(dense(3, "softmax"), loss, y)


def test_a_label_that_the_loss_ignores_needs_no_unit() -> None:
    y = np.where(LABELS == 2, 255, LABELS)
    check(dense(2, "softmax"), losses.SparseCategoricalCrossentropy(ignore_class=255), y)
    with pytest.raises(BuilderError, match="from 0 to 255"):
        check(dense(2, "softmax"), losses.SparseCategoricalCrossentropy(ignore_class=7), y)


@pytest.mark.parametrize("loss", [*BINARY, "binary_focal_crossentropy"])
@pytest.mark.parametrize(("y", "said"), [(LABELS, "0 to 2"), (ZERO_OR_ONE * 2 - 1, "-1 to 1")])
def test_binary_crossentropy_refuses_targets_beyond_0_and_1(
    loss: Any, y: np.ndarray, said: str
) -> None:
    with pytest.raises(BuilderError, match=f"from 0 to 1, and these go from {said}"):
        check(dense(1, "sigmoid"), loss, y)


@pytest.mark.parametrize("loss", [*SQUARED, "mae", losses.Huber(0.5), "log_cosh", *BINARY[:4]])
@pytest.mark.parametrize(
    ("units", "y"), [(3, ZERO_OR_ONE), (3, ZERO_OR_ONE[:, None]), (1, ONE_HOT), (2, ONE_HOT)]
)
def test_shapes_that_would_be_stretched_are_refused(loss: Any, units: int, y: np.ndarray) -> None:
    with pytest.raises(BuilderError, match="number by number"):
        check(dense(units, "sigmoid"), loss, y)


@pytest.mark.parametrize("loss", CATEGORICAL)
def test_a_categorical_loss_of_one_unit_is_refused(loss: Any) -> None:
    with pytest.raises(BuilderError, match="0 whatever the output"):
        check(dense(1, "sigmoid"), loss, ZERO_OR_ONE)


@pytest.mark.parametrize(("units", "loss", "y"), [
    *[(1, loss, ZERO_OR_ONE) for loss in BINARY],
    *[(3, loss, LABELS) for loss in SPARSE],
    *[(3, loss, ONE_HOT) for loss in CATEGORICAL],
])  # fmt: skip
def test_a_linear_output_is_no_probability(units: int, loss: Any, y: np.ndarray) -> None:
    with pytest.raises(BuilderError, match=r"last layer is linear.*from_logits=True"):
        check(dense(units), loss, y)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "y"),
    [
        (1, None, losses.BinaryCrossentropy(from_logits=True), ZERO_OR_ONE),
        (3, None, losses.SparseCategoricalCrossentropy(from_logits=True), LABELS),
        (3, None, losses.CategoricalCrossentropy(from_logits=True), ONE_HOT),
        (1, "sigmoid", "binary_crossentropy", ZERO_OR_ONE),
        (1, "sigmoid", "binary_crossentropy", ZERO_OR_ONE[:, None] == 1),
        (1, "sigmoid", "mse", ZERO_OR_ONE),
        (3, "sigmoid", "binary_crossentropy", ONE_HOT),
        (3, "softmax", "sparse_categorical_crossentropy", LABELS[:, None]),
        (4, "softmax", "sparse_categorical_crossentropy", LABELS),
        (3, "softmax", "categorical_crossentropy", ONE_HOT * 0.9 + 0.1 / 3),
        (3, "softmax", "mse", ONE_HOT),
        (3, "softmax", "crossentropy", LABELS),
        (3, "softmax", "crossentropy", ONE_HOT),
        (1, "sigmoid", "crossentropy", ZERO_OR_ONE),
        (1, None, "mse", NUMBERS),
        (1, None, "mae", NUMBERS[:, None]),
        (3, None, losses.Huber(2.0), ONE_HOT * 100),
        (1, "relu", "poisson", LABELS),
    ],
)
def test_what_fits_passes_and_trains(
    units: int, activation: str | None, loss: Any, y: np.ndarray
) -> None:
    """And Keras agrees: a step on it gives a finite loss."""
    model = sequential(dense(units, activation))
    model.compile("sgd", loss, run_eagerly=True)
    check_targets(model, X, y)
    assert np.isfinite(model.train_on_batch(X, y.astype("float32")))


@pytest.mark.parametrize(
    ("output", "y"),
    [
        (outputs.binary(), ZERO_OR_ONE),
        (outputs.classes(3), LABELS),
        (outputs.one_hot(3), ONE_HOT),
        (outputs.regression(), NUMBERS),
        (outputs.regression(3), ONE_HOT),
    ],
)
def test_each_output_fits_its_targets_and_no_others(output: Output, y: np.ndarray) -> None:
    check([output.layer()], output.loss, y)
    for other in (LABELS, ONE_HOT, NUMBERS):
        if other is not y and not (output.loss == "mean_squared_error" and y.ndim == other.ndim):
            with pytest.raises(BuilderError):
                check([output.layer()], output.loss, other)


# Left alone


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.square(y_pred - keras.ops.expand_dims(y_true, -1)), axis=-1)


class OwnSparse(losses.SparseCategoricalCrossentropy):  # type: ignore[misc]
    """Takes labels from 1 up."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return super().call(y_true - 1, y_pred)


class OwnDense(layers.Dense):  # type: ignore[misc]
    """Gives probabilities, whatever its activation says."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return keras.ops.sigmoid(super().call(inputs))


class OwnModel(keras.Model):  # type: ignore[misc]
    """Makes its own targets."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *rest: Any, **more: Any
    ) -> Any:
        return keras.ops.mean(keras.ops.square(y_pred))


@pytest.mark.parametrize(
    ("last", "loss", "y"),
    [
        (dense(3), own_loss, ZERO_OR_ONE),
        (dense(3, "softmax"), OwnSparse(), LABELS + 1),
        ([OwnDense(1)], "binary_crossentropy", ZERO_OR_ONE),
        ([layers.Dense(1, "sigmoid"), layers.Activation("linear")], "bce", ZERO_OR_ONE),
        ([layers.Dense(1, kernel_constraint="non_neg")], "bce", ZERO_OR_ONE),
        ([layers.Dense(4), layers.Reshape((2, 2)), layers.Softmax(axis=1), layers.Flatten()],
         "mse", np.zeros((12, 4))),
        (dense(3), "no such loss", LABELS),
        (dense(3), None, LABELS),
    ],
)  # fmt: skip
def test_what_is_the_users_own_is_left_alone(last: list[Any], loss: Any, y: np.ndarray) -> None:
    check(last, loss, y)


def test_models_of_the_users_own_are_left_alone() -> None:
    inputs = keras.Input((2,))
    model = OwnModel(inputs, layers.Dense(3)(inputs))
    model.compile("sgd", "mse")
    check_targets(model, X, ZERO_OR_ONE)


def test_a_loss_by_the_name_of_the_one_output_is_checked() -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(3, "softmax", name="kind")(inputs))
    model.compile("sgd", {"kind": "sparse_categorical_crossentropy"})
    with pytest.raises(BuilderError, match="one-hot"):
        check_targets(model, X, ONE_HOT)


def test_sequences_of_any_length_are_compared_in_what_is_known() -> None:
    model = keras.Sequential([layers.Input((None, 2)), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.zeros((4, 5, 2), "float32")
    check_targets(model, x, np.zeros((4, 5), int))
    with pytest.raises(BuilderError, match="one label for each output"):
        check_targets(model, x, np.zeros(4, int))
