"""The scores of a model's validation samples, compared with the recorded value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.data import Part, map_arrays
from studies.libraries.keras_parts import layers_within
from studies.training.batches import as_tensor, packed
from studies.training.models import fixed_batch_size
from studies.training.scoring.objectives import NotScoredError, Rule, rule_of
from studies.training.streamed_batches import validation_batches
from tracking.scores.sample_scores import SampleScores

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


# Sums of other batches round otherwise: relative, and for objectives close to 0.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
# Bytes that the outputs of all layers may take.
_MEMORY = 64 * 2**20
# How much more than its input the layers of a model of unknown shapes hold.
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
    """Returns the objective of each validation sample.

    The model is called in large batches, outside of TensorFlow functions; its metrics, seeds and
    losses may be other ones afterwards.

    Other data than the validation part goes in its place. `recorded` is the value that Keras
    computed; None: the scores are not compared.

    Raises NotScoredError if single samples can't be scored, or if the scores contradict the
    recorded value by more than 0.01 % of it (and 0.000001). By one sample more for an accuracy or a
    count: a tie may be decided otherwise in another batch. By 0.1 % of 1 - R2 more for R2, which
    Keras computes in single precision.
    """
    rule: Rule | None = None
    values: list[np.ndarray] = []
    weights: list[np.ndarray | None] = []
    count = 0
    for y, y_pred, given in _predicted(model, splits, batch_size):
        if rule is None:
            rule = rule_of(model, metric, y, y_pred)
        value, weight = rule.score(y, y_pred, given)
        values.append(value)
        weights.append(weight)
        count += len(value)
    if rule is None:
        raise NotScoredError("there are no validation samples")
    joined = None if weights[0] is None else _joined(weights)
    if rule.equal_batches and not splits.streams and count % batch_size:
        last = count % batch_size
        joined = np.repeat([1 / batch_size, 1 / last], [count - last, last]).astype(np.float32)
    scores = SampleScores(
        metric,
        rule.kind,
        _joined(values),
        epoch,
        joined,
        rule.constant(),
        rule.settings,
        groups=splits.validation.groups,
    )
    if recorded is not None:
        _check(scores, recorded)
    return scores


def _check(scores: SampleScores, recorded: float) -> None:
    tolerance = _RELATIVE * abs(recorded) + _ABSOLUTE
    values = scores.values
    if scores.kind == "r2":
        # Keras subtracts sums of squares in single precision.
        tolerance += 10 * _RELATIVE * abs(1 - recorded)
    if values.dtype.kind in "biu" or bool(((values == 0) | (values == 1)).all()):
        tolerance += 1 / len(scores)
    if not abs(scores.value - recorded) <= tolerance:
        raise NotScoredError(
            f"the scores of its samples give {scores.metric} {scores.value:.6g}, and Keras "
            f"{recorded:.6g}"
        )


def _joined(pieces: list[Any]) -> np.ndarray:
    return np.asarray(pieces[0]) if len(pieces) == 1 else np.concatenate(pieces)


def _predicted(
    model: keras.Model, splits: LoadedData, batch_size: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Yields targets, predictions and weights of the validation samples, many at a time.

    A call of the model itself needs no TensorFlow function. `model.predict` would trace one for
    each trial: 0.1 s for a small dense model, whose 2,000 samples take 4 ms so. Measured on one
    core; in slices of 32 samples it would be 60 ms.
    """
    import keras

    parts = (
        _tensors(validation_batches(splits))
        if splits.streams
        else _slices(model, splits.arrays.validation, batch_size)
    )
    for data in parts:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        if y is None:
            raise NotScoredError("the data has no targets")
        yield y, model(x, training=False), weights


def _tensors(batches: Iterator[Any]) -> Iterator[Any]:
    import tensorflow as tf

    for batch in batches:
        yield tf.nest.map_structure(tf.convert_to_tensor, batch)


def _slices(model: keras.Model, part: Part, batch_size: int) -> Iterator[Any]:
    import tensorflow as tf

    if not part.has_targets:
        raise NotScoredError("the data has no targets")
    size = _samples_at_once(model, packed(part.first(1))[0], batch_size)
    for start in range(0, len(part), size):
        yield tf.nest.map_structure(as_tensor, packed(_between(part, start, start + size)))


def _between(part: Part, start: int, end: int) -> Part:
    """Returns a part of a part's samples."""

    def cut(array: np.ndarray) -> np.ndarray:
        return array[start:end]

    weights = None if part.sample_weight is None else cut(part.sample_weight)
    return Part(map_arrays(cut, part.x), map_arrays(cut, part.y), weights, part.alone)


def _samples_at_once(model: keras.Model, x: Any, batch_size: int) -> int:
    """Returns how many samples to predict at once, so that all layers' outputs fit in memory.

    The number is a multiple of the batch size, if it is more.
    """
    import tensorflow as tf

    fixed = fixed_batch_size(model)
    if fixed:
        return fixed
    shapes = [tuple(array.shape[1:]) for array in tf.nest.flatten(x)]
    steps = max((shape[0] for shape in shapes if shape), default=1)
    numbers = sum(math.prod(shape) for shape in shapes)
    known = 0
    for layer in layers_within(model):
        for output in _outputs_of(layer):
            known += math.prod(steps if each is None else each for each in output.shape[1:])
    bytes_each = 4 * (numbers + known if known else numbers * _UNKNOWN)
    size = int(np.clip(_MEMORY // max(bytes_each, 1), 1, 2**16))
    return size if size < batch_size else size // batch_size * batch_size


def _outputs_of(layer: keras.layers.Layer) -> list[Any]:
    """Returns symbolic outputs of a layer; none if it was never called with such."""
    import keras

    try:
        return list(keras.tree.flatten(layer.output))
    except (AttributeError, ValueError):
        return []
