"""Bootstrap intervals of everything that a model is compiled with.

Keras itself computes loss and metrics of each resample, from predictions that were made once. So
metrics that don't average over samples, such as AUC, are as right as those that do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from studies.error_texts import describe
from studies.libraries.keras_parts import answers_of, compiled_metrics, flat, is_accuracy
from studies.training.models import scalars
from tracking.scores.sample_scores import SampleScores
from tracking.statistics.intervals import independent_samples, share_bounds
from tracking.statistics.resamples import resample_counts

if TYPE_CHECKING:
    import keras

RESAMPLES: Final = 1_000
_SEED = 0
_QUANTILES = (0.025, 0.975)
# Relative: sums of batches round otherwise than those of all samples.
_TOLERANCE = 1e-3
# Its probability is the smallest of a float32.
_LARGEST_LOGIT = 87.0


def intervals(
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

    Args:
        model: Compiled, and evaluated before.
        y: Targets, in the model's structure; arrays of shape (n, ...).
        predicted: What it predicts, likewise.
        sample_weight: Weights of the samples, likewise, or None.
        scores: What `model.evaluate` returned for the same samples. A metric that is another one
            when it is computed from the predictions gets no interval: it depends on more.
        batch_size: Samples of a batch of `model.evaluate`; None if they are not known. It averages
            the losses of several outputs over batches, the last one smaller; their intervals are
            of means over samples.
        groups: The group of each sample, where groups are what is drawn; see `Part.groups`.

    Returns:
        Bounds by metric; and why some, or all, have none.
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

    def alike_in(found: Mapping[str, float]) -> list[str]:
        return [n for n in scores if n in found and np.isclose(found[n], scores[n], _TOLERANCE)]

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
            for counts in resample_counts(places, RESAMPLES, _SEED)
            for row in counts
        )
        found = np.array([[logs[name] for name in alike] for logs in map(scores_of, drawn)])
    except Exception as error:
        # A model's own loss or metrics may need its samples.
        return {}, f"they can't be computed from predictions: {describe(error)}"
    finally:
        model.reset_metrics()
    bounds: dict[str, tuple[float, float]] = {}
    compiled = compiled_metrics(model, y, predicted)
    for name, values in zip(alike, found.T, strict=True):
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
