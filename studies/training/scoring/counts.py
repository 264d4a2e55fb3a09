"""Scores of samples for metrics that are no mean: what a formula of `tracking.scores` adds up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.libraries.keras_metrics import CompiledMetric, thresholds_of
from studies.training.scoring.means import output_of, same_rank
from studies.training.scoring.scorer import NotScoredError
from tracking.scores.sample_scores import ScoreKind

if TYPE_CHECKING:
    import keras

_Arrays = tuple[np.ndarray, np.ndarray]


def counting_scorer(
    model: keras.Model, compiled: CompiledMetric, index: int | None
) -> _Counting | None:
    """Returns the scorer of a metric by its class; None if there is none.

    Args:
        model: The compiled model.
        compiled: The metric.
        index: Which of its values, if it has several.
    """
    import keras

    metrics = keras.metrics
    for kind, scorer in (
        (metrics.Precision, _Predicted),
        (metrics.Recall, _Predicted),
        (metrics.FBetaScore, _FBeta),
        (metrics.R2Score, _R2),
        (metrics.AUC, _Auc),
    ):
        if isinstance(compiled.metric, kind):
            return scorer(model, compiled, index)
    return None


class _Counting:
    """Scores the samples of a metric that is a formula of sums over samples."""

    kind: ScoreKind
    equal_batches = False

    def __init__(self, model: keras.Model, compiled: CompiledMetric, index: int | None) -> None:
        self._model, self._compiled, self._index = model, compiled, index
        self._metric: Any = compiled.metric

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Scorer`."""
        return {}

    def of(self, y: Any, y_pred: Any, weights: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Scorer`."""
        y, y_pred, weight = output_of(self._model, self._compiled, y, y_pred, weights)
        dtype = self._metric.dtype
        target, made = same_rank(np.asarray(y).astype(dtype), np.asarray(y_pred).astype(dtype))
        if target.shape != made.shape:
            raise NotScoredError(f"targets and predictions of {self._metric.name} differ in shape")
        if weight is not None:
            if weight.size != len(target):
                raise NotScoredError("steps of sequences have weights of their own")
            weight = weight.reshape(-1)
        return self._of(target, made), weight

    def _of(self, target: np.ndarray, made: np.ndarray) -> np.ndarray:
        """Returns the scores of samples, of shape (n, ...)."""
        raise NotImplementedError

    def constant(self) -> float:
        """See `Scorer`."""
        return 0.0


class _Predicted(_Counting):
    """Counts the predictions of each sample: for precision and recall."""

    @property
    def kind(self) -> ScoreKind:  # type: ignore[override]
        """See `Scorer`."""
        import keras

        return "precision" if isinstance(self._metric, keras.metrics.Precision) else "recall"

    def _of(self, target: np.ndarray, made: np.ndarray) -> np.ndarray:
        metric = self._metric
        if len(metric.thresholds) != 1:
            raise NotScoredError(f"{metric.name} has several thresholds")
        positive, predicted = target.astype(bool), made > metric.thresholds[0]
        if metric.top_k is not None:
            # Of equal ones the first, as `keras.ops.top_k`.
            first = np.argsort(-made, axis=-1, kind="stable")[..., : metric.top_k]
            among = np.zeros(made.shape, bool)
            np.put_along_axis(among, first, True, axis=-1)
            predicted &= among
        if metric.class_id is not None:
            positive = positive[..., metric.class_id]
            predicted = predicted[..., metric.class_id]
        other = predicted & ~positive if self.kind == "precision" else positive & ~predicted
        counted = np.stack([predicted & positive, other], axis=1)
        return np.asarray(counted.reshape(len(made), 2, -1).sum(axis=2))


class _FBeta(_Counting):
    """Counts the predictions of each sample by class: for F1 and F-beta."""

    kind: ScoreKind = "f_beta"

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Scorer`."""
        import keras

        return {
            "beta": float(self._metric.beta),
            "average": self._metric.average,
            "epsilon": float(keras.config.epsilon()),
            "index": self._index or 0,
        }

    def _of(self, target: np.ndarray, made: np.ndarray) -> np.ndarray:
        threshold = self._metric.threshold
        if threshold is None:
            highest = made.max(axis=-1, keepdims=True)
            predicted = (made >= highest) & (np.abs(made) > 1e-9)
        else:
            predicted = made > threshold
        hit = predicted.astype(target.dtype)
        return np.stack([hit * target, hit * (1 - target), (1 - hit) * target], axis=1)


class _R2(_Counting):
    """Squares targets and errors of each sample: for R2."""

    kind: ScoreKind = "r2"

    def __init__(self, model: keras.Model, compiled: CompiledMetric, index: int | None) -> None:
        super().__init__(model, compiled, index)
        self._center: np.ndarray | None = None
        if self._metric.num_regressors:
            raise NotScoredError("R2 is adjusted for the number of regressors")

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Scorer`."""
        return {"aggregation": self._metric.class_aggregation, "index": self._index or 0}

    def _of(self, target: np.ndarray, made: np.ndarray) -> np.ndarray:
        target, made = target.astype(np.float64), made.astype(np.float64)
        if self._center is None:
            # R2 does not depend on it, and squares of large numbers would lose digits.
            self._center = target.mean(axis=0)
        centered = target - self._center
        return np.stack([centered, centered**2, (target - made) ** 2], axis=1)


class _Auc(_Counting):
    """Puts predictions into the bins between the thresholds of `AUC`."""

    kind: ScoreKind = "auc"

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Scorer`."""
        metric = self._metric
        weights = metric.label_weights
        if weights is not None and not metric.multi_label:
            raise NotScoredError("labels have weights, and no curves of their own")
        return {
            "thresholds": len(thresholds_of(metric)[0]),
            "curve": metric.curve.value,
            "summation": metric.summation_method.value,
            "labels": bool(metric.multi_label),
            "label_weights": None if weights is None else np.asarray(weights).tolist(),
        }

    def _of(self, target: np.ndarray, made: np.ndarray) -> np.ndarray:
        thresholds, evenly, from_logits = thresholds_of(self._metric)
        if from_logits:
            import keras

            made = np.asarray(keras.activations.sigmoid(made))
        if evenly:
            # As Keras computes them, in the same precision.
            made = np.clip(made, 0, 1)
            steps = np.asarray(len(thresholds) - 1, made.dtype)
            above = np.maximum(np.ceil(made * steps) - 1, 0).astype(np.int64) + 1
        else:
            ordered = np.asarray(thresholds, made.dtype)
            above = np.searchsorted(ordered, made.reshape(-1)).reshape(made.shape)
        codes = 2 * above + target.astype(bool)
        kind = np.uint16 if 2 * (len(thresholds) + 1) <= 2**16 else np.int32
        return np.asarray(codes.reshape(len(made), -1), kind)
