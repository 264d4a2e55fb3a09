"""A checkpoint on the sealed test part, with intervals of all that a model is compiled with."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from studies.error_texts import describe
from studies.libraries.keras_parts import answers_of, compiled_metrics, flat, is_accuracy
from studies.training.batches import (
    Batches,
    StreamedBatches,
    as_keras_reads,
    packed,
    validation_batches,
)
from studies.training.models import scalars
from tracking.scores.sample_scores import SampleScores
from tracking.statistics.intervals import independent_samples, resample_counts, share_bounds

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData

_RESAMPLES = 1_000
_SEED = 0
_QUANTILES = (0.025, 0.975)
# Relative: sums of batches round otherwise than those of all samples.
_TOLERANCE = 1e-3
# Its probability is the smallest of a float32.
_LARGEST_LOGIT = 87.0


@dataclass(frozen=True)
class Scores:
    """A model's loss and metrics on the test part, as `model.evaluate` returns them."""

    scores: Mapping[str, float]
    # Of 95 %, by metric.
    intervals: Mapping[str, tuple[float, float]]
    # Resamples that they are of; 0 if there are none.
    resamples: int
    # Why metrics have no interval, or empty.
    note: str
    samples: int
    # SHA-256 of the test part.
    digest: str


def evaluate_test_part(model: keras.Model, splits: LoadedData, batch_size: int) -> Scores:
    """Evaluates a compiled model on the sealed test part, which nothing else reads."""
    import keras

    # In the place of the validation part, which Keras reads in the same way.
    tested: LoadedData = replace(cast(Any, splits), validation=splits.unseal_test())
    scores = scalars(evaluated(model, tested, batch_size))
    samples = splits.sizes.get("test", 0)
    bounds: Mapping[str, tuple[float, float]] = {}
    try:
        y, predicted, sample_weight = _predicted(model, tested, batch_size)
        samples = len(keras.tree.flatten(predicted)[0])
        size, groups = None if tested.streams else batch_size, tested.validation.groups
        bounds, note = _intervals(model, y, predicted, sample_weight, scores, size, groups)
    except Exception as error:
        # A model's own steps may predict nothing, or something else.
        note = f"its predictions can't be compared with targets: {describe(error)}"
    resamples = _RESAMPLES if bounds else 0
    return Scores(scores, bounds, resamples, note, samples, splits.digests["test"])


def evaluated(model: keras.Model, splits: LoadedData, batch_size: int) -> Mapping[str, Any]:
    """Returns what `model.evaluate` returns for the validation part."""
    batches: Batches | StreamedBatches
    batches = StreamedBatches(splits) if splits.streams else Batches(splits.arrays, batch_size)
    with contextlib.closing(batches), warnings.catch_warnings():
        # Data of unknown length just ends.
        warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
        metrics: Mapping[str, Any] = model.evaluate(
            batches.validation, steps=batches.validation_steps, verbose=0, return_dict=True
        )
    return metrics


def _predicted(model: keras.Model, splits: LoadedData, batch_size: int) -> tuple[Any, Any, Any]:
    """Returns targets, predictions and weights of the validation part."""
    import keras

    if not splits.streams:
        part = splits.arrays.validation
        if not part.has_targets:
            raise ValueError("the data has no targets")
        made = model.predict(as_keras_reads(part.x), batch_size=batch_size, verbose=0)
        _, y, *weights = packed(part)
        return y, made, weights[0] if weights else None
    read: list[tuple[Any, Any, Any]] = []
    for batch in validation_batches(splits):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        if y is None:
            raise ValueError("the data has no targets")
        read.append((y, model.predict_on_batch(x), weights))
    return tuple(_joined(each) for each in zip(*read, strict=True))


def _joined(pieces: Any) -> Any:
    import keras

    if pieces[0] is None:
        return None
    return keras.tree.map_structure(lambda *each: np.concatenate(each), *pieces)


def _intervals(
    model: keras.Model,
    y: Any,
    predicted: Any,
    sample_weight: Any,
    scores: Mapping[str, float],
    batch_size: int | None = None,
    groups: np.ndarray | None = None,
) -> tuple[dict[str, tuple[float, float]], str]:
    """Returns 95 % intervals of a model's loss and metrics, by bootstrap percentiles.

    Those of accuracies are Clopper's and Pearson's, for as many independent samples as vary like
    the resamples: percentiles have no width where all samples agree. Any other metric that has the
    same value on all resamples has no interval.

    Keras itself computes loss and metrics of each resample, from predictions that were made once.
    So metrics that don't average over samples, such as AUC, are as right as those that do. A metric
    that differs from `scores`, the values of `model.evaluate`, when it is computed from the
    predictions gets no interval: it depends on more.

    Keras averages the losses of several outputs over batches, the last one smaller; their
    intervals are of means over samples. `batch_size` is None if the batches are not known, `groups`
    the group of each sample, where groups are what is drawn.

    Returns bounds by metric; and why some, or all, have none.
    """
    import tensorflow as tf

    data = [
        None if each is None else tf.nest.map_structure(tf.constant, each)
        for each in (y, predicted, sample_weight)
    ]
    samples = int(tf.nest.flatten(data[1])[0].shape[0])
    # Of several outputs.
    losses = {f"{name}_loss" for name in getattr(model, "output_names", None) or ()}

    def gathered(arrays: Any, chosen: Any) -> Any:
        if arrays is None:
            return None
        return tf.nest.map_structure(lambda each: tf.gather(each, chosen), arrays)

    places = tf.TensorSpec([None], tf.int64)

    def computing(read: Any) -> Any:
        @tf.function(input_signature=[places])  # type: ignore[untyped-decorator]
        def computed(chosen: Any) -> Any:
            targets, made, weights = (gathered(each, chosen) for each in data)
            lost = tf.nest.map_structure(read, made)
            loss = model.compute_loss(None, targets, lost, weights, training=False)
            logs = model.compute_metrics(None, targets, made, weights)
            return {**logs, "loss": loss}

        return computed

    def scores_of(*batches: np.ndarray) -> dict[str, float]:
        model.reset_metrics()
        for chosen in batches:
            logs = computed(tf.constant(chosen))
        return scalars({name: value.numpy() for name, value in logs.items()})

    def alike_in(values: Mapping[str, float]) -> list[str]:
        return [n for n in scores if n in values and np.isclose(values[n], scores[n], _TOLERANCE)]

    try:
        every = np.arange(samples)
        for read in (lambda made: made, _of_logits):
            computed = computing(read)
            alike = alike_in(scores_of(every))
            if "loss" in alike:
                break
        if batch_size is not None and samples > batch_size:
            batched = scores_of(*np.split(every, range(batch_size, samples, batch_size)))
            alike += [n for n in alike_in(batched) if n in losses and n not in alike]
        if not alike:
            return {}, "they can't be computed from predictions"
        places = every if groups is None else np.unique(groups, return_inverse=True)[1]
        drawn = (
            np.repeat(every, row.astype(int))
            for counts in resample_counts(places, _RESAMPLES, _SEED)
            for row in counts
        )
        resampled = np.array([[logs[name] for name in alike] for logs in map(scores_of, drawn)])
    except Exception as error:
        # A model's own loss or metrics may need its samples.
        return {}, f"they can't be computed from predictions: {describe(error)}"
    finally:
        model.reset_metrics()
    bounds: dict[str, tuple[float, float]] = {}
    compiled = compiled_metrics(model, y, predicted)
    for name, values in zip(alike, resampled.T, strict=True):
        low, high = np.nanquantile(values, _QUANTILES).tolist()
        metric = compiled.get(name)
        if metric is not None and is_accuracy(metric.metric):
            weights = sample_weight if metric.weighted and np.ndim(sample_weight) == 1 else None
            answers = answers_of(metric.metric, flat(model, predicted)[metric.output])
            # Only their number, weights and groups count, and whether each is right or wrong.
            right = np.full(samples, 1.0 if answers == 1 else 0.5)
            hits = SampleScores(name, "mean", right, 0, weights, groups=groups)
            low, high = _share_bounds(scores[name], values, hits)
        if low < high:
            bounds[name] = low, high
    return bounds, _why_not(scores, alike, bounds)


def _share_bounds(value: float, resampled: np.ndarray, hits: SampleScores) -> tuple[float, float]:
    variance = np.nanvar(resampled, ddof=1)
    worth = independent_samples(np.array(value), variance, hits.fewest, hits.most)
    return share_bounds(value, value, worth)


def _why_not(
    scores: Mapping[str, float], alike: list[str], bounds: Mapping[str, tuple[float, float]]
) -> str:
    """Returns why some metrics have no interval, or an empty text."""
    lacking = ", ".join(name for name in scores if name not in alike)
    constant = ", ".join(name for name in alike if name not in bounds)
    why = [f"{lacking} can't be computed from predictions alone"] if lacking else []
    why += [f"{constant} is the same on all resamples"] if constant else []
    return "; ".join(why)


def _of_logits(made: Any) -> Any:
    """Returns probabilities as TensorFlow makes them of logits, from which Keras takes a loss.

    Of probabilities alone it takes none below 1e-7, so that a sure mistake would cost less.
    """
    import tensorflow as tf

    if not made.dtype.is_floating or made.shape.rank is None or made.shape.rank < 1:
        return made
    if made.shape[-1] == 1:
        logits = tf.math.log(made) - tf.math.log1p(-made)
        return tf.sigmoid(tf.clip_by_value(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT))
    return tf.nn.softmax(tf.math.log(made))
