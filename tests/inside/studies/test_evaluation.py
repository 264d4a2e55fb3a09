"""The test part: Keras's own numbers on it, and intervals that numpy and scikit-learn draw too."""

from typing import Any

import keras
import numpy as np
import pytest
from handmade import make_spec
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from search_spaces import NoTestPartError
from studies.data import datasets
from studies.training import evaluate_test_part

random = np.random.default_rng(5)
X = random.normal(size=(300, 4)).astype("float32")
Y = (X[:, 0] + random.normal(size=300) > 0).astype("int64")
TEST = slice(200, 300)
SPEC = make_spec(class_weight={1: 3.0})


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
    """The middle of a function's values on a thousand resamples, given their places."""
    drawing = np.random.default_rng(0)
    resamples = [values(drawing.integers(0, samples, samples)) for _ in range(1000)]
    return tuple(np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2]))


def near(bounds: tuple[float, float], expected: tuple[float, float]) -> bool:
    """Whether each bound is as expected, within a fifth of the interval's width."""
    width = expected[1] - expected[0]
    return bool(np.abs(np.subtract(bounds, expected)).max() < width / 5)


def test_metrics_and_their_intervals() -> None:
    level = 0.975
    auc = keras.metrics.AUC(num_thresholds=2000, name="auc")
    model = network(metrics=["accuracy", auc])
    splits = splits_of()
    reading = evaluate_test_part(model, splits, SPEC, level)
    by_hand = model.evaluate(X[TEST], Y[TEST], batch_size=32, verbose=0, return_dict=True)
    assert reading.scores == pytest.approx(by_hand, rel=1e-6)
    assert (reading.samples, reading.note) == (100, "")
    assert reading.digest == splits.digests["test"]

    odds = model.predict(X[TEST], verbose=0)[:, 0].astype(float)
    right = (odds > 0.5) == Y[TEST]
    exact = binomtest(int(right.sum()), 100).proportion_ci(level, method="exact")
    assert reading.intervals["accuracy"] == pytest.approx((exact.low, exact.high), abs=3e-3)
    loss = -np.log(np.where(Y[TEST], odds, 1 - odds))
    regularization = by_hand["loss"] - loss.mean()
    assert regularization > 0.01
    of_loss = resampled(lambda i: loss[i].mean() + regularization, level=level)
    assert near(reading.intervals["loss"], of_loss)
    of_auc = resampled(lambda i: roc_auc_score(Y[TEST][i], odds[i]), level=level)
    assert near(reading.intervals["auc"], of_auc)

    # The probabilities are corrected for the class weights, the metrics above are not.
    odds = odds / 3 / (odds / 3 + 1 - odds)
    diagram = reading.reliability
    assert diagram.brier == pytest.approx(brier_score_loss(Y[TEST], odds), rel=1e-5)
    observed, expected = calibration_curve(Y[TEST], odds, n_bins=5, strategy="quantile")
    assert [row.predicted for row in diagram.bins] == pytest.approx(expected.tolist(), rel=1e-5)
    assert [row.observed for row in diagram.bins] == pytest.approx(observed.tolist())
    assert [row.samples for row in diagram.bins] == [20] * 5
    assert diagram.text.startswith("probability of 1, corrected for class weights: Brier score 0.")


@pytest.mark.parametrize("patients", [59, 70])
def test_a_test_part_of_patients(patients: int) -> None:
    keras.utils.set_random_seed(2)
    layers = [keras.layers.Dense(1, activation="sigmoid")]
    model = built(keras.Sequential(layers), loss="binary_crossentropy", metrics=["accuracy"])
    x = np.repeat(np.random.default_rng(3).normal(size=(patients, 4)), 8, axis=0)
    y = np.repeat(np.arange(patients) % 2, 8)
    rows, groups = slice(None, None, None), np.repeat(np.arange(patients), 8)
    part = x[rows] + np.random.default_rng(4).normal(0, 0.01, x.shape), y, None, groups
    data = datasets.arrays(X, Y, groups=-1 - np.arange(len(Y)), test=part)
    reading = evaluate_test_part(model, data.load(), SPEC)
    if patients < 60:
        assert not reading.intervals
        assert "loss (472 samples in 59 groups are too few" in reading.note
        return
    # The samples of a patient are alike, so they count once.
    right = round(reading.scores["accuracy"] * patients)
    exact = binomtest(right, patients).proportion_ci(method="exact")
    assert near(reading.intervals["accuracy"], (exact.low, exact.high))


def test_a_model_without_an_error_is_no_certainty() -> None:
    model = network(metrics=["accuracy", keras.metrics.Recall()])
    model.set_weights([np.array([[90.0], [0], [0], [0]]), np.zeros(1)])
    y = (X[:, 0] > 0).astype("int64")
    reading = evaluate_test_part(model, splits_of(y), SPEC)
    assert reading.scores["accuracy"] == reading.scores["recall"] == 1
    assert reading.intervals["accuracy"] == pytest.approx((0.025 ** (1 / 100), 1), abs=2e-3)
    positive = int(y[TEST].sum())
    assert reading.intervals["recall"] == pytest.approx((0.025 ** (1 / positive), 1), abs=2e-3)
    reading = evaluate_test_part(model, splits_of(y, np.repeat(np.arange(200, 270), 2)), SPEC)
    assert reading.intervals["accuracy"] == pytest.approx((0.025 ** (1 / 70), 1), abs=4e-3)


def test_sure_mistakes_cost_what_they_do_in_keras() -> None:
    """Keras takes a loss from logits, where probabilities below 1e-7 differ."""
    layer = keras.layers.Dense(3, activation="softmax")
    model = built(keras.Sequential([layer]), loss="sparse_categorical_crossentropy")
    kernel = np.zeros((4, 3), "float32")
    kernel[0, 0] = 30
    layer.set_weights([kernel, np.zeros(3, "float32")])
    reading = evaluate_test_part(model, splits_of(), SPEC)
    lost = -np.log(model.predict(X[TEST], verbose=0).astype(float)[np.arange(100), Y[TEST]])
    assert lost.max() > 20
    assert reading.scores["loss"] == pytest.approx(lost.mean(), rel=1e-4)
    assert near(reading.intervals["loss"], resampled(lambda i: lost[i].mean()))


def test_what_has_no_intervals_says_why() -> None:
    class Weighing(keras.Sequential):
        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return {**super().compute_metrics(x, y, y_pred), "size": keras.ops.mean(x)}

    splits = splits_of()
    model = built(Weighing([keras.layers.Dense(1)]), loss="mse")
    reading = evaluate_test_part(model, splits, make_spec(batch_size=100))
    assert reading.scores["size"] == pytest.approx(X[TEST].mean(), rel=1e-5)
    assert set(reading.intervals) == {"loss"}
    why = "size (its samples can't be scored: the model was not compiled with size)"
    assert (reading.note, reading.reliability) == (why, None)
    with pytest.raises(NoTestPartError, match="no test part"):
        evaluate_test_part(model, datasets.arrays(X, Y, test=None).load(), SPEC)
