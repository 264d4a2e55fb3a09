"""The last layer, the loss and the metrics that fit a kind of target."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import kerastudy as ks
from studies.definition import Output

X = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2)
LABELS = np.arange(12) % 3


@pytest.mark.parametrize(
    ("output", "y", "shape", "logged"),
    [
        (ks.outputs.binary(), LABELS > 0, (12, 1), {"loss", "accuracy"}),
        (ks.outputs.classes(3), LABELS, (12, 3), {"loss", "accuracy"}),
        (ks.outputs.one_hot(3), np.eye(3)[LABELS], (12, 3), {"loss", "accuracy"}),
        (ks.outputs.regression(), X[:, 0], (12, 1), {"loss", "mean_absolute_error"}),
        (ks.outputs.regression(2), X, (12, 2), {"loss", "mean_absolute_error"}),
    ],
)
def test_each_trains_on_its_targets(
    output: Output, y: np.ndarray, shape: tuple[int, int], logged: set[str]
) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((2,)), output.layer()])
    model.compile(
        keras.optimizers.SGD(0.1), loss=output.loss, metrics=output.metrics, run_eagerly=True
    )
    y = y.astype("float32")
    losses = model.fit(X, y, epochs=3, batch_size=12, verbose=0).history
    assert set(losses) == logged
    assert losses["loss"][-1] < losses["loss"][0]
    predicted = model.predict(X, verbose=0)
    assert predicted.shape == shape
    if "accuracy" in logged:
        assert ((predicted >= 0) & (predicted <= 1)).all()
        if shape[1] > 1:
            assert predicted.sum(axis=1) == pytest.approx(1)
        # What the metric counts is what a person would.
        right = (
            (predicted.argmax(axis=1) == LABELS) if shape[1] > 1 else (predicted[:, 0] > 0.5) == y
        )
        assert model.evaluate(X, y, verbose=0)[1] == pytest.approx(right.mean())


def test_each_layer_is_a_new_one_with_its_options() -> None:
    output = ks.outputs.classes(3)
    first = output.layer(name="kind", kernel_initializer="zeros")
    first.build((None, 2))
    assert first.name == "kind"
    assert not np.asarray(first.kernel).any()
    assert output.layer() is not output.layer()


def test_metrics_may_be_added_to() -> None:
    output = ks.outputs.classes(3)
    output.metrics.append("top_k_categorical_accuracy")
    assert output.metrics == ["accuracy"]


@pytest.mark.parametrize("loss", ["mae", "huber", keras.losses.Huber(2.0)])
def test_the_loss_of_a_regression_may_be_another(loss: Any) -> None:
    output = ks.outputs.regression(loss=loss, metrics=["root_mean_squared_error"])
    assert output.loss is loss
    assert output.metrics == ["root_mean_squared_error"]


@pytest.mark.parametrize("options", [{"units": 4}, {"activation": "relu"}])
def test_what_the_target_decides_cannot_be_given(options: dict[str, Any]) -> None:
    with pytest.raises(ks.errors.StudyError, match=f"{next(iter(options))}=.*fits its targets"):
        ks.outputs.classes(3).layer(**options)


@pytest.mark.parametrize("function", [ks.outputs.classes, ks.outputs.one_hot])
@pytest.mark.parametrize("count", [0, 1, -3, 2.0, True, "3", None])
def test_classes_are_at_least_two(function: Any, count: Any) -> None:
    with pytest.raises(ks.errors.StudyError, match=f"{function.__name__}.*at least 2.*{count!r}"):
        function(count)


@pytest.mark.parametrize("count", [0, -1, 1.0, True, "1"])
def test_numbers_of_a_regression_are_at_least_one(count: Any) -> None:
    with pytest.raises(ks.errors.StudyError, match=f"regression.*at least 1.*{count!r}"):
        ks.outputs.regression(count)
