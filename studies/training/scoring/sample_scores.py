"""Scores of validation samples, recorded after a training, and of the sealed test part."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from studies.data import Part, map_arrays
from studies.error_texts import describe
from studies.library_internals.keras_internals import compiled_metrics, is_accuracy, layers_within
from studies.training.batches import Batches, StreamedBatches, as_tensor, packed, validation_batches
from studies.training.checkpoints import BestWeights, cannot_write
from studies.training.models import (
    fixed_batch_size,
    scalars,
    set_values,
    stateful_layers,
    values_of,
)
from studies.training.scoring.rules import NotScoredError, Rule, Scored, rule_of
from tracking.records import BestEpoch, Rank, TrialResult, TrialTask
from tracking.scores.sample_scores import SampleScores
from tracking.scores.score_files import write_scores
from tracking.statistics.intervals import independent_samples, resample_counts, share_bounds

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


# Sums over other batches round differently. The absolute tolerance is for values near 0.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
# The outputs of all layers may take this many bytes.
_MEMORY = 64 * 2**20
# If shapes are unknown, the outputs of all layers are assumed to be this many times the input.
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

    The model is called in large batches, outside of TensorFlow functions. This may change its
    metrics, seeds and losses. To score other data, put it in the place of the validation part.

    `recorded` is the value that Keras computed, or None. Raises NotScoredError if single samples
    can't be scored, or if their scores contradict the recorded value. The tolerance is 0.01 % of
    the value plus 0.000001. An accuracy or a count has a tolerance of one more sample, as other
    batches may decide ties differently. R2, which Keras computes in single precision, has 0.1 % of
    1 - R2 more.
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
    """Returns the result or the error of `sample_scores` for each metric. Predicts once."""
    if stateful_layers(model):
        raise NotScoredError("its layers keep their state between batches")
    rules: dict[str, Rule] = {}
    pieces: dict[str, list[Scored]] = {metric: [] for metric in recorded}
    scores: dict[str, SampleScores | NotScoredError] = {}
    for y, y_pred, weights in _predicted(model, splits, batch_size):
        for metric in recorded.keys() - scores.keys():
            try:
                if metric not in rules:
                    rules[metric] = rule_of(model, metric, y, y_pred)
                pieces[metric].append(rules[metric].score(y, y_pred, weights))
            except NotScoredError as error:
                scores[metric] = error
    for metric in recorded.keys() - scores.keys():
        try:
            rule = rules.get(metric)
            of_metric = _scores(metric, rule, pieces[metric], splits, epoch, batch_size)
            _check(of_metric, recorded[metric])
            scores[metric] = of_metric
        except NotScoredError as error:
            scores[metric] = error
    return {metric: scores[metric] for metric in recorded}


def _scores(
    metric: str,
    rule: Rule | None,
    pieces: Sequence[Scored],
    splits: LoadedData,
    epoch: int,
    batch_size: int,
) -> SampleScores:
    if rule is None:
        raise NotScoredError("there are no validation samples")
    values = np.concatenate([values for values, _ in pieces])
    weights = None if pieces[0][1] is None else np.concatenate([each for _, each in pieces])
    last = len(values) % batch_size
    if rule.equal_batches and not splits.streams and last:
        weights = np.repeat([1 / batch_size, 1 / last], [len(values) - last, last])
        weights = weights.astype(np.float32)
    return SampleScores(
        metric,
        rule.kind,
        values,
        epoch,
        weights,
        rule.constant(),
        rule.settings,
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
            f"{recorded:.6g}"
        )


def _predicted(
    model: keras.Model, splits: LoadedData, batch_size: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Yields targets, predictions and weights of the validation samples, many at a time.

    The model is called directly. `model.predict` would trace a function for each trial, which takes
    0.1 s for a small dense model. Direct calls for 2,000 samples take 4 ms, or 60 ms in slices of
    32 samples (measured on one core).
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
    def cut(array: np.ndarray) -> np.ndarray:
        return array[start:end]

    weights = None if part.sample_weight is None else cut(part.sample_weight)
    return Part(map_arrays(cut, part.x), map_arrays(cut, part.y), weights, part.alone)


def _samples_at_once(model: keras.Model, x: Any, batch_size: int) -> int:
    """Returns how many samples to predict at once, so that all layers' outputs fit in memory.

    A number above the batch size is a multiple of it.
    """
    import tensorflow as tf

    fixed = fixed_batch_size(model)
    if fixed:
        return fixed
    shapes = [tuple(array.shape[1:]) for array in tf.nest.flatten(x)]
    steps = max((shape[0] for shape in shapes if shape), default=1)
    numbers = sum(math.prod(shape) for shape in shapes)
    of_layers = 0
    for layer in layers_within(model):
        for output in _outputs_of(layer):
            of_layers += math.prod(steps if each is None else each for each in output.shape[1:])
    bytes_each = 4 * (numbers + of_layers if of_layers else numbers * _UNKNOWN)
    size = int(np.clip(_MEMORY // max(bytes_each, 1), 1, 2**16))
    return size if size < batch_size else size // batch_size * batch_size


def _outputs_of(layer: keras.layers.Layer) -> list[Any]:
    """Returns a layer's symbolic outputs, or none if it has no symbolic inputs."""
    import keras

    try:
        return list(keras.tree.flatten(layer.output))
    except (AttributeError, ValueError):
        return []


_log = logging.getLogger(__name__)
# Until a training ends, the weights of its epochs may take this many bytes.
_MOST_WEIGHTS = 128 * 2**20
# Up to this many validation samples, the second best epoch is scored too. The choice of the epoch
# then matters much, and predicting takes one batch.
_FEW_SAMPLES = 256


class ScoreRecorder:
    """Writes the scores of a training to its task's file.

    Nothing is computed before the training ends, so its random states and bits stay the same.
    `samples` is the number of validation samples, or 0 if unknown.
    """

    def __init__(self, task: TrialTask, model: keras.Model, samples: int) -> None:
        self._task, self._model = task, model
        # The weights and metrics of epochs, by number.
        self._epochs: dict[int, tuple[Sequence[np.ndarray], BestEpoch]] = {}
        self._why_not_every = ""
        self._every = task.scores_of == "every"
        # Whether other epochs than the best one are scored too.
        self._follows = task.scores is not None and (self._every or 0 < samples <= _FEW_SAMPLES)

    def take(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Copies the weights if all epochs are scored, or if this epoch is one of the best two."""
        value = metrics.get(self._task.spec.objective.metric)
        if not self._follows or value is None or self._why_not_every:
            return
        now = BestEpoch(epoch, value, dict(metrics))
        if not self._every:
            if not math.isfinite(value):
                return
            if len(self._epochs) == 2:
                last = max(self._epochs, key=self._rank)
                if now.rank(self._task.spec.objective) >= self._rank(last):
                    return
                del self._epochs[last]
        weights = values_of(self._model.weights)
        size = sum(array.nbytes for array in weights)
        if size * (len(self._epochs) + 1) > _MOST_WEIGHTS:
            self._epochs.clear()
            self._why_not_every = (
                f"the weights of all epochs take more than {_MOST_WEIGHTS >> 20} MiB of memory"
            )
            return
        self._epochs[epoch] = weights, now

    def _rank(self, epoch: int) -> Rank:
        return self._epochs[epoch][1].rank(self._task.spec.objective)

    def record(self, result: TrialResult, splits: LoadedData, weights: BestWeights) -> TrialResult:
        """Writes the scores of a model whose training has ended.

        Returns the result with the file's size, or with the reason why there is no file.
        """
        path = self._task.scores
        if path is None or result.best is None or result.state not in ("complete", "pruned"):
            return result
        # An earlier attempt at this trial may have written the file.
        path.unlink(missing_ok=True)
        try:
            scores = self._scores(splits, result.best, weights)
        except NotScoredError as error:
            return replace(result, unscored=str(error))
        except Exception as error:
            # The user's code may need what only a training step has.
            _log.debug("samples can't be scored", exc_info=True)
            return replace(result, unscored=f"its samples can't be scored: {describe(error)}")
        try:
            write_scores(path, scores, weights_sha256=result.weights_sha256)
            why = self._why_not_every if self._every else ""
            return replace(result, scores_bytes=path.stat().st_size, unscored=why)
        except OSError as error:
            raise cannot_write(path, error) from None

    def _scores(
        self, splits: LoadedData, best: BestEpoch, weights: BestWeights
    ) -> list[SampleScores]:
        """Returns the scores of the best epoch and, if possible, of the other epochs."""
        if weights.copy is None:
            raise NotScoredError("the weights of its best epoch are not known")
        weights.restore()
        by_epoch = {best.epoch: self._present(splits, best)}
        try:
            for epoch in self._others(best):
                values, measured = self._epochs[epoch]
                set_values(self._model.weights, values)
                by_epoch[epoch] = self._present(splits, measured)
        except NotScoredError as error:
            self._why_not_every = str(error)
            return [by_epoch[best.epoch]]
        return [by_epoch[epoch] for epoch in sorted(by_epoch)]

    def _others(self, best: BestEpoch) -> list[int]:
        others = [epoch for epoch in self._epochs if epoch != best.epoch]
        if not self._every:
            return sorted(others, key=self._rank)[:1]
        if sorted(self._epochs) == list(range(1, max(self._epochs, default=0) + 1)):
            return others
        self._why_not_every = "not all its epochs are known: it was resumed"
        return []

    def _present(self, splits: LoadedData, measured: BestEpoch) -> SampleScores:
        """Returns the scores of an epoch, whose weights the model has now."""
        spec = self._task.spec
        return sample_scores(
            self._model,
            splits,
            spec.objective.metric,
            epoch=measured.epoch,
            batch_size=spec.batch_size,
            recorded=measured.value,
        )


_RESAMPLES = 1_000
_SEED = 0
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Scores:
    """A model's loss and metrics on the test part, as `model.evaluate` returns them."""

    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]  # The 95 % intervals, by metric.
    resamples: int  # The number of resamples behind the intervals.
    note: str  # Why metrics have no interval, or empty.
    samples: int
    digest: str  # SHA-256 of the test part.


def evaluate_test_part(model: keras.Model, splits: LoadedData, batch_size: int) -> Scores:
    """Evaluates a compiled model on the sealed test part. Only this function unseals it."""
    # The test part is put in the place of the validation part.
    tested: LoadedData = replace(cast(Any, splits), validation=splits.unseal_test())
    values = scalars(evaluated(model, tested, batch_size))
    samples, digest = splits.sizes.get("test", 0), splits.digests["test"]
    recorded = {f"val_{name}": value for name, value in values.items()}
    try:
        by_metric = scores_by_metric(model, tested, recorded, 0, batch_size)
    except Exception as error:
        # A model with its own steps may predict nothing, or something else.
        note = f"its predictions can't be compared with targets: {describe(error)}"
        return Scores(values, {}, 0, note, samples, digest)
    accuracies = [
        name
        for name, each in compiled_metrics(model, None, None).items()
        if is_accuracy(each.metric)
    ]
    intervals: dict[str, tuple[float, float]] = {}
    notes: list[str] = []
    for name, scores in zip(values, by_metric.values(), strict=True):
        if isinstance(scores, NotScoredError):
            notes.append(f"{name} (its samples can't be scored: {scores})")
            continue
        samples = len(scores)
        low, high = _interval(scores, values[name] if name in accuracies else None)
        if low < high:
            intervals[name] = low, high
        else:
            notes.append(f"{name} (it is the same on all resamples)")
    resamples = _RESAMPLES if intervals else 0
    return Scores(values, intervals, resamples, ", ".join(notes), samples, digest)


def _interval(scores: SampleScores, accuracy: float | None) -> tuple[float, float]:
    """Returns the 95 % interval of a value, by bootstrap percentiles of samples or groups.

    Percentiles have no width where all samples agree. So an accuracy gets the interval of Clopper
    and Pearson, for as many independent samples as would vary like the resamples.
    """
    counts = resample_counts(scores.places, _RESAMPLES, _SEED)
    values = np.concatenate([scores.of_resamples(each) for each in counts])
    if accuracy is None:
        low, high = np.nanquantile(values, _QUANTILES).tolist()
        return low, high
    variance = np.nanvar(values, ddof=1)
    worth = independent_samples(np.array(accuracy), variance, scores.fewest, scores.most)
    return share_bounds(accuracy, accuracy, worth)


def evaluated(model: keras.Model, splits: LoadedData, batch_size: int) -> Mapping[str, Any]:
    """Returns the metrics of `model.evaluate` on the validation part."""
    batches: Batches | StreamedBatches
    batches = StreamedBatches(splits) if splits.streams else Batches(splits.arrays, batch_size)
    with contextlib.closing(batches), warnings.catch_warnings():
        # Keras warns when data of unknown length ends.
        warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
        metrics: Mapping[str, Any] = model.evaluate(
            batches.validation, steps=batches.validation_steps, verbose=0, return_dict=True
        )
    return metrics
