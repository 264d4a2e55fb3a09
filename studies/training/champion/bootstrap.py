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

    @tf.function(input_signature=[places])  # type: ignore[untyped-decorator]
    def computed(chosen: Any) -> Any:
        targets, made, weights = (gathered(each, chosen) for each in data)
        loss = model.compute_loss(None, targets, made, weights, training=False)
        logs = model.compute_metrics(None, targets, made, weights)
        return {**logs, "loss": loss}

    def scores_of(*batches: np.ndarray) -> dict[str, float]:
        model.reset_metrics()
        for chosen in batches:
            logs = computed(tf.constant(chosen))
        return scalars({name: value.numpy() for name, value in logs.items()})

    def alike_in(found: Mapping[str, float]) -> list[str]:
        return [n for n in scores if n in found and np.isclose(found[n], scores[n], _TOLERANCE)]

    try:
        every = np.arange(samples)
        alike = alike_in(scores_of(every))
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
