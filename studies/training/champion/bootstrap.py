"""Bootstrap intervals of everything that a model is compiled with.

Keras itself computes loss and metrics of each resample, from predictions that were made once. So
metrics that don't average over samples, such as AUC, are as right as those that do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from studies.error_texts import describe
from studies.training.models import scalars

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
) -> tuple[dict[str, tuple[float, float]], str]:
    """Returns 95 % intervals of a model's loss and metrics, by bootstrap percentiles.

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
        random = np.random.default_rng(_SEED)
        drawn = (random.integers(0, samples, samples) for _ in range(RESAMPLES))
        found = [[logs[name] for name in alike] for logs in map(scores_of, drawn)]
    except Exception as error:
        # A model's own loss or metrics may need its samples.
        return {}, f"they can't be computed from predictions: {describe(error)}"
    finally:
        model.reset_metrics()
    bounds = np.nanquantile(np.array(found), _QUANTILES, axis=0).T.tolist()
    lacking = [name for name in scores if name not in alike]
    why = f"{', '.join(lacking)} can't be computed from predictions alone" if lacking else ""
    return dict(zip(alike, map(tuple, bounds), strict=True)), why


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
