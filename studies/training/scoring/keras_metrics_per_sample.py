"""Computes the scores of single samples by Keras's losses and metrics.

If a metric is a mean over samples, a sample's score is its term of the mean, such as its loss. For
other metrics, such as AUC or F1, a sample's scores are counts. Functions of
`tracking.statistics` compute the metric from the counts of all samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import InternalError
from studies.data import Part
from studies.library_internals import (
    CompiledMetric,
    compiled_metrics,
    flat,
    function_of,
    layers_within,
    losses_by,
    make_losses,
    mask_of,
    thresholds_of,
)
from studies.training.batches_for_model_fit import (
    as_tensor,
    packed,
    samples_between,
    validation_batches,
)
from studies.training.model_variables_and_properties import (
    fixed_batch_size,
    stateful_layers,
)
from tracking.statistics import SampleScores, ScoreKind

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


# The objective computed from scores may differ from Keras's value by `_RELATIVE` times this value,
# plus `_ABSOLUTE`. Both are sums over different batches, so they are rounded differently.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
# The most bytes that the outputs of all layers may take. This limits how many samples are predicted
# at once.
_MEMORY = 64 * 2**20
# If the shapes of the layers' outputs are unknown, all outputs together are assumed to be this many
# times as large as the input.
_UNKNOWN = 64


def sample_scores(
    model: keras.Model,
    splits: LoadedData,
    metric: str,
    *,
    epoch: int,
    batch_size: int,
    recorded: float | None = None,
) -> SampleScores:
    """Returns the score of each validation sample.

    The model is called directly, in large batches. The calls may change the model's metrics, seed
    generators and losses.

    `recorded` is the value that Keras computed, or None. Raises NotScoredError if single samples
    can't be scored, or if the objective computed from their scores differs from the recorded value.
    The tolerance is 0.01 % of the value plus 0.000001. For accuracies and counts, one sample is
    added to the tolerance, as two equal predictions may become unequal in other batches. For R2,
    0.1 % of 1 - R2 is added, as Keras computes R2 in single precision.
    """
    scores = scores_by_metric(model, splits, {metric: recorded}, epoch, batch_size)[metric]
    if isinstance(scores, NotScoredError):
        raise scores
    return scores


def scores_by_metric(
    model: keras.Model,
    splits: LoadedData,
    recorded: Mapping[str, float | None],
    epoch: int,
    batch_size: int,
) -> dict[str, SampleScores | NotScoredError]:
    """Returns the result or the error of `sample_scores` for each metric.

    The samples are predicted only once for all metrics.
    """
    if stateful_layers(model):
        raise NotScoredError("the model's layers keep their state between batches")
    metrics: dict[str, _MetricPerSample] = {}
    pieces: dict[str, list[_Scored]] = {metric: [] for metric in recorded}
    scores: dict[str, SampleScores | NotScoredError] = {}
    for y, y_pred, weights in _predicted(model, splits, batch_size):
        for metric in recorded.keys() - scores.keys():
            try:
                if metric not in metrics:
                    metrics[metric] = _metric_per_sample(model, metric, y, y_pred)
                pieces[metric].append(metrics[metric].score(y, y_pred, weights))
            except NotScoredError as error:
                scores[metric] = error
    for metric in recorded.keys() - scores.keys():
        try:
            if metric not in metrics:
                raise NotScoredError("there are no validation samples")
            combined = _combined(metric, metrics[metric], pieces[metric], splits, epoch)
            _check(combined, recorded[metric])
            scores[metric] = combined
        except NotScoredError as error:
            scores[metric] = error
    return {metric: scores[metric] for metric in recorded}


def _combined(
    name: str,
    metric: _MetricPerSample,
    pieces: Sequence[_Scored],
    splits: LoadedData,
    epoch: int,
) -> SampleScores:
    """Joins `pieces`, each with the scores of some samples, into the scores of all samples."""
    values = np.concatenate([values for values, _ in pieces])
    weights = None if pieces[0][1] is None else np.concatenate([piece[1] for piece in pieces])
    return SampleScores(
        name,
        metric.kind,
        values,
        epoch,
        weights,
        metric.constant(),
        metric.settings,
        groups=splits.validation.groups,
    )


def _check(scores: SampleScores, recorded: float | None) -> None:
    if recorded is None:
        return
    tolerance = _RELATIVE * abs(recorded) + _ABSOLUTE
    values = scores.values
    if scores.kind == "r2":
        # Keras subtracts sums of squares in single precision, which loses digits.
        tolerance += 10 * _RELATIVE * abs(1 - recorded)
    if values.dtype.kind in "biu" or bool(((values == 0) | (values == 1)).all()):
        tolerance += 1 / len(scores)
    if not abs(scores.value - recorded) <= tolerance:
        raise NotScoredError(
            f"the scores of its samples give {scores.metric} {scores.value:.6g}, and Keras "
            f"computed {recorded:.6g}"
        )


def _predicted(
    model: keras.Model, splits: LoadedData, batch_size: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Yields the targets, predictions and weights of many validation samples at a time.

    The model is called directly, as `model.predict` would trace a function for each trial. Measured
    for a small dense model on one core: tracing takes 0.1 s, a direct call with 2,000 samples 4 ms,
    and direct calls with 32 samples each 60 ms.
    """
    import keras
    import tensorflow as tf

    slices: Iterator[Any]
    if splits.streams:
        batches = validation_batches(splits)
        slices = (tf.nest.map_structure(tf.convert_to_tensor, batch) for batch in batches)
    else:
        slices = _slices(model, splits.arrays.validation, batch_size)
    for data in slices:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        if y is None:
            raise NotScoredError("the data has no targets")
        yield y, model(x, training=False), weights


def _slices(model: keras.Model, part: Part, batch_size: int) -> Iterator[Any]:
    import tensorflow as tf

    if not part.has_targets:
        raise NotScoredError("the data has no targets")
    size = _samples_at_once(model, packed(part.first(1))[0], batch_size)
    for start in range(0, len(part), size):
        yield tf.nest.map_structure(as_tensor, packed(samples_between(part, start, start + size)))


def _samples_at_once(model: keras.Model, x: Any, batch_size: int) -> int:
    """Returns the number of samples to predict at once.

    With this number, the outputs of all layers take at most `_MEMORY` bytes. A number above the
    batch size is a multiple of the batch size.
    """
    import keras
    import tensorflow as tf

    fixed = fixed_batch_size(model)
    if fixed:
        return fixed
    shapes = [tuple(array.shape[1:]) for array in tf.nest.flatten(x)]
    steps = max((shape[0] for shape in shapes if shape), default=1)
    of_input = sum(math.prod(shape) for shape in shapes)
    of_layers = sum(
        math.prod(steps if size is None else size for size in output.shape[1:])
        for layer in layers_within(model)
        # A layer without symbolic inputs has no output.
        for output in keras.tree.flatten(getattr(layer, "output", []))
        if isinstance(output, keras.KerasTensor)
    )
    bytes_per_sample = 4 * (of_input + of_layers if of_layers else of_input * _UNKNOWN)
    size = int(np.clip(_MEMORY // max(bytes_per_sample, 1), 1, 2**16))
    return size if size < batch_size else size // batch_size * batch_size


# The scores and the weights of samples. The weights may be None.
_Scored = tuple[np.ndarray, np.ndarray | None]
_Score = Callable[[Any, Any, Any], _Scored]
_Count = Callable[[np.ndarray, np.ndarray], np.ndarray]

_ONE_NUMBER = "returns one number for a batch, not one for each sample"


class NotScoredError(InternalError):
    """Single samples have no scores for a metric. The error's text says why."""


@dataclass(frozen=True)
class _MetricPerSample:
    """A function that scores samples, and facts for computing a metric from the scores."""

    kind: ScoreKind
    # Takes targets, predictions and weights (or None) of samples, as `compute_loss` gets them. May
    # raise NotScoredError.
    score: _Score
    # The `settings` of `SampleScores`.
    settings: Mapping[str, Any] = field(default_factory=dict)
    # Returns a constant to add to the mean, e.g. penalties of regularizers. Call it after `score`,
    # while the model has the same weights.
    constant: Callable[[], float] = float


def _metric_per_sample(model: keras.Model, metric: str, y: Any, y_pred: Any) -> _MetricPerSample:
    """Returns the function that scores samples for a metric of the model's logs.

    `y` and `y_pred` are the targets and predictions of a few samples.
    """
    if not metric.startswith("val_"):
        raise NotScoredError(f"{metric} is no metric of the validation data")
    name = metric.removeprefix("val_")
    by_name = compiled_metrics(model, y, y_pred)
    compiled = by_name.get(name)
    if compiled is not None:
        kind, score, settings = _of_metric(compiled.metric)
        return _MetricPerSample(kind, partial(_of_output, model, compiled, score), settings)
    if metric == "val_loss":
        return _MetricPerSample("mean", partial(_loss, model), constant=partial(_penalties, model))
    of, _, index = name.rpartition("_")
    if index == "loss":
        raise NotScoredError(f"{name} is not the whole loss, but the loss of one output")
    if of in by_name:
        # The logs have a value for each class. The values are recorded as name_0, name_1 and so on.
        raise NotScoredError(f"{name} is the value of one class")
    raise NotScoredError(f"the model was not compiled with {name}")


def _of_output(
    model: keras.Model, compiled: CompiledMetric, score: _Score, y: Any, y_pred: Any, weights: Any
) -> _Scored:
    """Scores samples by the metric of one output."""
    targets, weight = flat(model, y), None
    if weights is not None and compiled.weighted:
        of_outputs = flat(model, weights)
        place = compiled.output if len(of_outputs) >= len(targets) else 0
        weight = np.asarray(of_outputs[place])
    return score(targets[compiled.output], flat(model, y_pred)[compiled.output], weight)


def _of_metric(metric: Any) -> tuple[ScoreKind, _Score, Mapping[str, Any]]:
    """Returns the kind of scores for a metric, the function that scores samples, and settings."""
    from keras import config, metrics

    if isinstance(metric, metrics.RootMeanSquaredError):
        return "root_mean", partial(_squared, metric), {}
    if isinstance(metric, metrics.MeanMetricWrapper):
        return "mean", partial(_of_function, metric), {}
    kind: ScoreKind
    count: _Count
    settings: Mapping[str, Any] = {}
    if isinstance(metric, metrics.Precision | metrics.Recall):
        if len(metric.thresholds) != 1 or metric.top_k is not None:
            raise NotScoredError(f"{metric.name} has several thresholds, or top_k")
        kind = "precision" if isinstance(metric, metrics.Precision) else "recall"
        count = partial(_hits, metric, of_predicted=kind == "precision")
    elif isinstance(metric, metrics.FBetaScore):
        kind, count = "f_beta", partial(_hits_by_class, metric.threshold)
        settings = {
            "beta": float(metric.beta),
            "average": metric.average,
            "epsilon": float(config.epsilon()),
        }
    elif isinstance(metric, metrics.R2Score):
        if metric.num_regressors:
            raise NotScoredError("R2 is adjusted for the number of regressors")
        kind, count = "r2", _Squares()
        settings = {"aggregation": metric.class_aggregation}
    elif isinstance(metric, metrics.AUC):
        thresholds, evenly, from_logits = thresholds_of(metric)
        interpolated = metric.summation_method.value == "interpolation"
        if metric.multi_label or metric.curve.value != "ROC" or not (evenly and interpolated):
            raise NotScoredError(
                f"{metric.name} is no plain area under a ROC curve: it has another curve, no "
                "interpolation, several labels, or thresholds that are not evenly spaced"
            )
        kind, count = "auc", partial(_bins, len(thresholds), from_logits)
        settings = {"thresholds": len(thresholds)}
    else:
        raise NotScoredError(
            f"{metric.name} is a {type(metric).__name__}, "
            "which can't be computed from single samples"
        )
    return kind, partial(_counted, metric, count), settings


# Metrics that are means: losses and most other metrics.


def _squared(metric: Any, y: Any, y_pred: Any, weight: np.ndarray | None) -> _Scored:
    numbers = [np.asarray(array).astype(metric.dtype) for array in (y, y_pred)]
    target, predicted = _same_rank(*numbers)
    return _samplewise((predicted - target) ** 2, weight)


def _of_function(metric: Any, y: Any, y_pred: Any, weight: np.ndarray | None) -> _Scored:
    values = np.asarray(function_of(metric)(y, y_pred))
    if values.ndim == 0 or len(values) != len(y_pred):
        raise NotScoredError(f"{metric.name} {_ONE_NUMBER}")
    mask = mask_of(y_pred)
    if mask is not None:
        # `MeanMetricWrapper.update_state` applies the mask like this.
        mask = np.asarray(mask).astype(values.dtype)
        weight = mask if weight is None else np.multiply(*_same_rank(mask, weight))
    return _samplewise(values, weight)


def _loss(model: keras.Model, y: Any, y_pred: Any, weights: Any) -> _Scored:
    """Scores samples by the loss, which is the sum of the losses of all outputs."""
    make_losses(model, y, y_pred, weights)
    with losses_by(model, _unreduced) as compute:
        if compute is None:
            raise NotScoredError("the model was compiled without a loss")
        return np.asarray(compute(y, y_pred, weights)), None


def _unreduced(
    loss: keras.losses.Loss, y: Any, y_pred: Any, weights: Any = None
) -> keras.KerasTensor:
    """Returns the loss of each sample, in the shape (n,), with sample weights applied."""
    import keras

    reduction = loss.reduction
    if reduction == "sum":
        raise NotScoredError("the loss is a sum over a batch, so its value depends on the batches")
    if reduction == "mean_with_sample_weight" and weights is not None:
        raise NotScoredError("the loss is divided by the sum of the weights in each batch")
    if mask_of(y_pred) is not None:
        raise NotScoredError("the loss counts masked steps differently in each batch")
    loss.reduction = None
    try:
        values = loss(y, y_pred, weights)
    finally:
        loss.reduction = reduction
    if len(values.shape) == 0 or len(values) != len(y_pred):
        raise NotScoredError(f"the loss {loss.name} {_ONE_NUMBER}")
    return keras.ops.mean(values, axis=list(range(1, len(values.shape))))


def _penalties(model: keras.Model) -> float:
    penalties = [
        float(np.sum(variable.regularizer(variable)))
        for variable in model.trainable_variables
        if getattr(variable, "regularizer", None) is not None
    ]
    if len(model.losses) != len(penalties):
        raise NotScoredError("the model's layers add losses for whole batches")
    return sum(penalties)


def _samplewise(values: np.ndarray, weights: np.ndarray | None) -> _Scored:
    """Returns the mean of each sample's values, and each sample's weight.

    Both are computed as by `keras.metrics.Mean`. `weights` have the shape (n,), or (n, steps) for
    sequences.
    """
    if weights is None:
        return values.reshape(len(values), -1).mean(axis=1), None
    values, weights = _same_rank(values, weights)
    if values.ndim > weights.ndim:
        values = values.mean(axis=tuple(range(weights.ndim, values.ndim)))
    weights = np.broadcast_to(weights, values.shape).reshape(len(values), -1)
    weighted = (values.reshape(len(values), -1) * weights).mean(axis=1)
    weights = weights.mean(axis=1)
    return np.divide(weighted, weights, out=np.zeros_like(weighted), where=weights != 0), weights


def _same_rank(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adds a last axis to an array if the other array has an additional last axis of length 1."""
    if one.ndim == other.ndim + 1 and one.shape[-1] == 1:
        return one, other[..., None]
    if other.ndim == one.ndim + 1 and other.shape[-1] == 1:
        return one[..., None], other
    return one, other


# Metrics that are computed from counts.


def _counted(metric: Any, count: _Count, y: Any, y_pred: Any, weight: np.ndarray | None) -> _Scored:
    """Scores samples by the function `count`.

    The function gets targets and predictions in the metric's dtype and with the same shape.
    """
    numbers = [np.asarray(array).astype(metric.dtype) for array in (y, y_pred)]
    target, predictions = _same_rank(*numbers)
    if target.shape != predictions.shape:
        raise NotScoredError(f"targets and predictions of {metric.name} differ in shape")
    if weight is not None:
        if weight.size != len(target):
            raise NotScoredError("the steps of sequences are weighted")
        weight = weight.reshape(-1)
    return count(target, predictions), weight


def _hits(metric: Any, target: np.ndarray, scores: np.ndarray, *, of_predicted: bool) -> np.ndarray:
    """Counts each sample's true positives, and its false positives or false negatives.

    If `of_predicted` is true, counts false positives, which precision needs. Otherwise counts false
    negatives, which recall needs.
    """
    positive, predicted = target.astype(bool), scores > metric.thresholds[0]
    if metric.class_id is not None:
        positive = positive[..., metric.class_id]
        predicted = predicted[..., metric.class_id]
    other = predicted & ~positive if of_predicted else positive & ~predicted
    counted = np.stack([predicted & positive, other], axis=1)
    return np.asarray(counted.reshape(len(target), 2, -1).sum(axis=2))


def _hits_by_class(
    threshold: float | None, target: np.ndarray, predictions: np.ndarray
) -> np.ndarray:
    """Counts each sample's true positives, false positives and false negatives, by class."""
    if threshold is None:
        highest = predictions.max(axis=-1, keepdims=True)
        predicted = (predictions >= highest) & (np.abs(predictions) > 1e-9)
    else:
        predicted = predictions > threshold
    hit = predicted.astype(target.dtype)
    return np.stack([hit * target, hit * (1 - target), (1 - hit) * target], axis=1)


class _Squares:
    """Computes each sample's terms of R2: target, squared target, and squared error."""

    def __init__(self) -> None:
        self._center: np.ndarray | None = None

    def __call__(self, target: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        target, predictions = target.astype(np.float64), predictions.astype(np.float64)
        if self._center is None:
            # Subtract a constant from all targets, as squares of large numbers would lose digits.
            # This does not change R2.
            self._center = target.mean(axis=0)
        centered = target - self._center
        return np.stack([centered, centered**2, (target - predictions) ** 2], axis=1)


def _bins(
    thresholds: int, from_logits: bool, target: np.ndarray, predictions: np.ndarray
) -> np.ndarray:
    """Returns a number for each prediction, which encodes a bin and the target.

    The bin is the prediction's place between the evenly spaced thresholds of `AUC`. The number is
    twice the bin, plus 1 for a positive target.
    """
    if from_logits:
        import keras

        predictions = np.asarray(keras.activations.sigmoid(predictions))
    # Keras computes the bins like this, in the same precision.
    predictions = np.clip(predictions, 0, 1)
    steps = np.asarray(thresholds - 1, predictions.dtype)
    above = np.maximum(np.ceil(predictions * steps) - 1, 0).astype(np.int64) + 1
    codes = 2 * above + target.astype(bool)
    kind = np.uint16 if 2 * (thresholds + 1) <= 2**16 else np.int32
    return np.asarray(codes.reshape(len(predictions), -1), kind)
