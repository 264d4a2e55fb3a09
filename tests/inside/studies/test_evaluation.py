"""The test part: Keras's own numbers on it, and intervals that numpy and scikit-learn draw too."""

from typing import Any

import keras
import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from search_spaces import NoTestPartError
from studies.data import datasets
from studies.training import evaluate_test_part

random = np.random.default_rng(5)
X = random.normal(size=(300, 4)).astype("float32")
Y = (X[:, 0] + random.normal(size=300) > 0).astype("int64")
TEST = slice(200, 300)


def splits_of(y: Any = Y, test: Any = TEST) -> Any:
    """Data whose test part has the samples with the indices `test`."""
    return datasets.arrays(X, y, test=(X[test], y[test])).load()


def built(model: Any, **compiled: Any) -> Any:
    model.compile("sgd", **compiled)
    model.build((None, 4))
    return model


def network(**compiled: Any) -> Any:
    keras.utils.set_random_seed(2)
    regularized = keras.regularizers.L2(0.1)
    layers = [keras.layers.Dense(1, activation="sigmoid", kernel_regularizer=regularized)]
    return built(keras.Sequential(layers), loss="binary_crossentropy", **compiled)


def resampled(values: Any, samples: int = 100, level: float = 0.95) -> tuple[float, float]:
    """The bounds of a function of a resample's places, as the documentation describes them."""
    drawing = np.random.default_rng(0)
    resamples = [values(drawing.integers(0, samples, samples)) for _ in range(1000)]
    return tuple(np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2]))


def test_metrics_and_their_intervals() -> None:
    level = 0.975
    auc = keras.metrics.AUC(num_thresholds=2000, name="auc")
    model = network(metrics=["accuracy", auc])
    splits = splits_of()
    reading = evaluate_test_part(model, splits, 32, level)
    by_hand = model.evaluate(X[TEST], Y[TEST], batch_size=32, verbose=0, return_dict=True)
    assert reading.scores == pytest.approx(by_hand, rel=1e-6)
    assert (reading.samples, reading.resamples, reading.note) == (100, 1000, "")
    assert reading.digest == splits.digests["test"]

    odds = model.predict(X[TEST], verbose=0)[:, 0].astype(float)
    right = (odds > 0.5) == Y[TEST]
    exact = binomtest(int(right.sum()), 100).proportion_ci(level, method="exact")
    assert reading.intervals["accuracy"] == pytest.approx((exact.low, exact.high))
    loss = -np.log(np.where(Y[TEST], odds, 1 - odds))
    regularization = by_hand["loss"] - loss.mean()
    assert regularization > 0.01
    assert reading.intervals["loss"] == pytest.approx(
        resampled(lambda i: loss[i].mean() + regularization, level=level), rel=1e-4
    )
    of_auc = resampled(lambda i: roc_auc_score(Y[TEST][i], odds[i]), level=level)
    assert reading.intervals["auc"] == pytest.approx(of_auc, abs=2e-3)


def test_a_model_without_an_error_is_no_certainty() -> None:
    model = network(metrics=["accuracy", keras.metrics.Recall()])
    model.set_weights([np.array([[90.0], [0], [0], [0]]), np.zeros(1)])
    y = (X[:, 0] > 0).astype("int64")
    reading = evaluate_test_part(model, splits_of(y), 32)
    assert reading.scores["accuracy"] == reading.scores["recall"] == 1
    assert reading.intervals["accuracy"] == pytest.approx((0.025 ** (1 / 100), 1))
    assert "recall" not in reading.intervals
    assert reading.note == "recall (its value is the same on all resamples)"
    reading = evaluate_test_part(model, splits_of(y, np.repeat(np.arange(200, 220), 5)), 32)
    assert reading.intervals["accuracy"] == pytest.approx((0.025 ** (1 / 20), 1))


def test_sure_mistakes_cost_what_they_do_in_keras() -> None:
    """Keras takes a loss from logits, where probabilities below 1e-7 differ."""
    layer = keras.layers.Dense(3, activation="softmax")
    model = built(keras.Sequential([layer]), loss="sparse_categorical_crossentropy")
    kernel = np.zeros((4, 3), "float32")
    kernel[0, 0] = 30
    layer.set_weights([kernel, np.zeros(3, "float32")])
    reading = evaluate_test_part(model, splits_of(), 32)
    lost = -np.log(model.predict(X[TEST], verbose=0).astype(float)[np.arange(100), Y[TEST]])
    assert lost.max() > 20
    assert reading.scores["loss"] == pytest.approx(lost.mean(), rel=1e-4)
    expected = resampled(lambda i: lost[i].mean())
    assert reading.intervals["loss"] == pytest.approx(expected, rel=1e-3)


def test_what_has_no_intervals_says_why() -> None:
    class Weighing(keras.Sequential):
        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return {**super().compute_metrics(x, y, y_pred), "size": keras.ops.mean(x)}

    splits = splits_of()
    model = built(Weighing([keras.layers.Dense(1)]), loss="mse")
    reading = evaluate_test_part(model, splits, 100)
    assert reading.scores["size"] == pytest.approx(X[TEST].mean(), rel=1e-5)
    assert set(reading.intervals) == {"loss"}
    why = "size (its samples can't be scored: the model was not compiled with size)"
    assert reading.note == why
    with pytest.raises(NoTestPartError, match="no test part"):
        evaluate_test_part(model, datasets.arrays(X, Y, test=None).load(), 100)
