"""Private parts of Keras's losses and metrics: how they follow from samples.

Publicly a loss or a metric is one number for all samples. Functions raise `MissingPartError` if
their part is missing.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.library_parts import AttributePart

if TYPE_CHECKING:
    import keras

_LIBRARY = "keras"
_metrics_of = AttributePart(_LIBRARY, "Model", "_compile_metrics")
_loss_of = AttributePart(_LIBRARY, "Model", "_compile_loss")
_flat_losses = AttributePart(_LIBRARY, "CompileLoss", "_flat_losses")
_flat_metrics = AttributePart(_LIBRARY, "CompileMetrics", "_flat_metrics")
_flat_weighted = AttributePart(_LIBRARY, "CompileMetrics", "_flat_weighted_metrics")
_flatten = AttributePart(_LIBRARY, "CompileMetrics", "_flatten_y")
_function = AttributePart(_LIBRARY, "MeanMetricWrapper", "_fn")
_arguments = AttributePart(_LIBRARY, "MeanMetricWrapper", "_fn_kwargs")
_thresholds = AttributePart(_LIBRARY, "AUC", "_thresholds")
_evenly = AttributePart(_LIBRARY, "AUC", "_thresholds_distributed_evenly")
_from_logits = AttributePart(_LIBRARY, "AUC", "_from_logits")

OfLoss = Callable[..., Any]


@dataclass(frozen=True)
class CompiledMetric:
    """A metric that a model is compiled with.

    Attributes:
        metric: The metric.
        output: Its output by number, in the order of `flat`.
        weighted: Whether sample weights count.
    """

    metric: keras.metrics.Metric
    output: int
    weighted: bool


def compiled_metrics(model: keras.Model, y: Any, y_pred: Any) -> dict[str, CompiledMetric]:
    """Returns the metrics that a model is compiled with, by the names that it logs them by.

    Args:
        model: The compiled model.
        y: Some targets: metrics are made by them if the model has not validated yet.
        y_pred: Predictions for them.
    """
    compiled = _metrics_of.of(model)
    if compiled is None:
        return {}
    if not compiled.built:
        compiled.build(y, y_pred)
    found, names = [], []
    for lists, weighted in (
        (_flat_metrics.of(compiled), False),
        (_flat_weighted.of(compiled), True),
    ):
        for output, metrics in enumerate(lists):
            for metric in () if metrics is None else metrics.metrics:
                found.append(CompiledMetric(metric, output, weighted))
                prefix = f"{metrics.output_name}_" if metrics.output_name else ""
                names.append(f"{prefix}{metric.name}")
    if len(set(names)) < len(names):
        # Keras gives equal ones other names, in this order.
        names = list(compiled.result())
    return dict(zip(names, found, strict=False))


def is_accuracy(metric: keras.metrics.Metric) -> bool:
    """Returns whether a metric is one of Keras's accuracies, each sample right or wrong."""
    from keras import metrics

    return isinstance(
        metric,
        metrics.Accuracy
        | metrics.BinaryAccuracy
        | metrics.CategoricalAccuracy
        | metrics.SparseCategoricalAccuracy
        | metrics.TopKCategoricalAccuracy
        | metrics.SparseTopKCategoricalAccuracy,
    )


def answers_of(metric: keras.metrics.Metric, y_pred: Any) -> int:
    """Returns how many answers of each sample an accuracy takes as right or wrong.

    Args:
        metric: One of Keras's accuracies.
        y_pred: Predictions of its output, of shape (n, ...).
    """
    from keras import metrics

    shape = tuple(y_pred.shape[1:])
    each = isinstance(metric, metrics.Accuracy | metrics.BinaryAccuracy)
    return math.prod(shape if each else shape[:-1])


def flat(model: keras.Model, arrays: Any) -> list[Any]:
    """Returns targets, predictions or weights in the order of a model's outputs."""
    return list(_flatten.of(_metrics_of.of(model))(arrays))


def function_of(metric: keras.metrics.MeanMetricWrapper) -> Callable[[Any, Any], Any]:
    """Returns the function of targets and predictions that a metric is the mean of."""
    function, arguments = _function.of(metric), _arguments.of(metric)
    return lambda y_true, y_pred: function(y_true, y_pred, **arguments)


def mask_of(tensor: Any) -> Any:
    """Returns which steps of a sequence count, or None. Keras hangs it on the tensor."""
    return getattr(tensor, "_keras_mask", None)


def thresholds_of(metric: keras.metrics.AUC) -> tuple[list[float], bool, bool]:
    """Returns thresholds of `AUC`, whether they are evenly spaced, and whether it takes logits."""
    return list(_thresholds.of(metric)), bool(_evenly.of(metric)), bool(_from_logits.of(metric))


@contextlib.contextmanager
def losses_by(model: keras.Model, of_loss: OfLoss) -> Iterator[tuple[Any, list[str]]]:
    """Lets a function compute the losses that a model is compiled with, in the place of Keras.

    Args:
        model: A model that was compiled and has validated.
        of_loss: Takes one of the losses, targets, predictions, and sample weights or None. What it
            returns is weighted and added as Keras does with the losses of several outputs.

    Yields:
        The loss of all outputs, to call with targets, predictions and weights; None if there is
        none. And the names by which the losses of several outputs are logged.
    """
    compiled = _loss_of.of(model)
    if compiled is None:
        yield None, []
        return
    own = _flat_losses.of(compiled)

    def replaced(entry: Any) -> Any:
        return entry._replace(loss=lambda *arrays: of_loss(entry.loss, *arrays))

    _flat_losses.set(compiled, [replaced(entry) for entry in own])
    try:
        yield compiled, [f"{entry.name}_loss" for entry in own] if len(own) > 1 else []
    finally:
        _flat_losses.set(compiled, own)


def has_made_losses(model: keras.Model) -> bool:
    """Returns whether a model has the losses that it is compiled with, or none."""
    compiled = _loss_of.of(model)
    return compiled is None or bool(compiled.built)


def make_losses(model: keras.Model, y: Any, y_pred: Any, weights: Any) -> None:
    """Makes the losses that a model is compiled with, as its first step does."""
    _loss_of.of(model)(y, y_pred, weights)
