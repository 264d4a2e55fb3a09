"""Scores of samples whose mean is the objective: losses, and most metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.libraries.keras_metrics import (
    CompiledMetric,
    flat,
    function_of,
    has_made_losses,
    losses_by,
    make_losses,
    mask_of,
)
from studies.training.scoring.scorer import NotScoredError, Scorer
from tracking.runs.mlflow_names import metric_name
from tracking.scores.sample_scores import ScoreKind

if TYPE_CHECKING:
    import keras

_ONE_NUMBER = "returns one number for a batch, not one for each sample"


def mean_scorer(model: keras.Model, compiled: CompiledMetric) -> Scorer | None:
    """Returns the scorer of a metric that is a mean over samples, or its root; None for others."""
    import keras

    metric = compiled.metric
    if isinstance(metric, keras.metrics.MeanMetricWrapper | keras.metrics.RootMeanSquaredError):
        return _MeanScorer(model, compiled)
    return None


class _MeanScorer:
    """Scores the samples of a metric that a function of targets and predictions computes."""

    settings: Mapping[str, Any] = {}
    equal_batches = False

    def __init__(self, model: keras.Model, compiled: CompiledMetric) -> None:
        import keras

        self._model, self._compiled = model, compiled
        root = isinstance(compiled.metric, keras.metrics.RootMeanSquaredError)
        self.kind: ScoreKind = "root_mean" if root else "mean"

    def of(self, y: Any, y_pred: Any, weights: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Scorer`."""
        y, y_pred, weight = output_of(self._model, self._compiled, y, y_pred, weights)
        metric = self._compiled.metric
        if self.kind == "root_mean":
            numbers = [np.asarray(each).astype(metric.dtype) for each in (y, y_pred)]
            target, predicted = same_rank(*numbers)
            return samplewise((predicted - target) ** 2, weight)
        values = np.asarray(function_of(metric)(y, y_pred))
        if values.ndim == 0 or len(values) != len(y_pred):
            raise NotScoredError(f"{metric.name} {_ONE_NUMBER}")
        mask = mask_of(y_pred)
        if mask is not None:
            # As `MeanMetricWrapper.update_state` has it.
            mask = np.asarray(mask).astype(values.dtype)
            weight = mask if weight is None else np.multiply(*same_rank(mask, weight))
        return samplewise(values, weight)

    def constant(self) -> float:
        """See `Scorer`."""
        return 0.0


class LossScorer:
    """Scores the samples of a loss: of all outputs together, or of one.

    Args:
        model: The compiled model.
        metric: The loss, as it is recorded.
    """

    kind: ScoreKind = "mean"
    settings: Mapping[str, Any] = {}

    def __init__(self, model: keras.Model, metric: str) -> None:
        self._model, self._metric = model, metric
        # It reads the size of a batch off its shape, which is unknown unless all batches are equal.
        self.equal_batches = metric != "val_loss"

    def of(self, y: Any, y_pred: Any, weights: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Scorer`."""
        if not has_made_losses(self._model):
            make_losses(self._model, y, y_pred, weights)
        of_outputs: list[Any] = []

        def of_loss(loss: keras.losses.Loss, *arrays: Any) -> Any:
            of_outputs.append(_of_samples(loss, *arrays))
            return of_outputs[-1]

        with losses_by(self._model, of_loss) as (compute, names):
            if compute is None:
                raise NotScoredError("the model was compiled without a loss")
            total = compute(y, y_pred, weights)
        if self._metric == "val_loss":
            return np.asarray(total), None
        recorded = [metric_name(f"val_{name}") for name in names]
        if self._metric not in recorded:
            raise NotScoredError(f"the model has no loss {self._metric.removeprefix('val_')}")
        return np.asarray(of_outputs[recorded.index(self._metric)]), None

    def constant(self) -> float:
        """See `Scorer`: the penalties of regularizers."""
        if self._metric != "val_loss":
            return 0.0
        penalties = [
            float(np.sum(variable.regularizer(variable)))
            for variable in self._model.trainable_variables
            if getattr(variable, "regularizer", None) is not None
        ]
        if len(self._model.losses) != len(penalties):
            raise NotScoredError("its layers add losses for whole batches")
        return sum(penalties)


def _of_samples(
    loss: keras.losses.Loss, y: Any, y_pred: Any, weights: Any = None
) -> keras.KerasTensor:
    """Returns the loss of each sample, of shape (n,), as Keras weights them."""
    import keras

    reduction = loss.reduction
    if reduction == "sum":
        raise NotScoredError("its loss is the sum over a batch, so it depends on the batches")
    if reduction == "mean_with_sample_weight" and weights is not None:
        raise NotScoredError("its loss divides by the weights of each batch")
    if mask_of(y_pred) is not None:
        raise NotScoredError("its loss counts masked steps otherwise in each batch")
    loss.reduction = None
    try:
        values = loss(y, y_pred, weights)
    finally:
        loss.reduction = reduction
    if len(values.shape) == 0 or len(values) != len(y_pred):
        raise NotScoredError(f"the loss {loss.name} {_ONE_NUMBER}")
    return keras.ops.mean(values, axis=list(range(1, len(values.shape))))


def output_of(
    model: keras.Model, compiled: CompiledMetric, y: Any, y_pred: Any, weights: Any
) -> tuple[Any, Any, np.ndarray | None]:
    """Returns targets, predictions and weights of a metric's output."""
    targets, made = flat(model, y), flat(model, y_pred)
    weight = None
    if weights is not None and compiled.weighted:
        each = flat(model, weights)
        weight = np.asarray(each[compiled.output if len(each) >= len(targets) else 0])
    return targets[compiled.output], made[compiled.output], weight


def samplewise(
    values: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns a number for each sample, and its weight, as `keras.metrics.Mean` has them.

    Args:
        values: Shape (n, ...).
        weights: Shape (n,), or (n, steps) for the steps of sequences; or None.
    """
    if weights is None:
        return values.reshape(len(values), -1).mean(axis=1), None
    values, weights = same_rank(values, weights)
    if values.ndim > weights.ndim:
        values = values.mean(axis=tuple(range(weights.ndim, values.ndim)))
    weights = np.broadcast_to(weights, values.shape).reshape(len(values), -1)
    weighted = (values.reshape(len(values), -1) * weights).mean(axis=1)
    weights = weights.mean(axis=1)
    return np.divide(weighted, weights, out=np.zeros_like(weighted), where=weights != 0), weights


def same_rank(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns two arrays of the same rank, if one has a last axis of length 1 more."""
    for first, second in ((0, 1), (1, 0)):
        pair = [one, other]
        if pair[first].ndim == pair[second].ndim + 1 and pair[first].shape[-1] == 1:
            pair[second] = pair[second][..., None]
            return pair[0], pair[1]
    return one, other
