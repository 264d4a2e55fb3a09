"""Metrics and predictions of a trained model: on validation data, or on the sealed test part.

Metrics on the test part have confidence intervals. Predictions of the validation data are for
diagrams and tables. For classes, a confusion matrix and the worst-classified samples are kept. For
numbers, pairs of targets and predictions are kept. Only some samples are predicted at a time, so
that large data need not fit in memory.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from search_spaces.errors import StatisticsError
from studies.data import (
    Arrays,
    Preparation,
    class_labels,
    guess_on,
    image_of,
    map_arrays,
    named_arrays,
    pixels_of,
)
from studies.definition import without_class_weight
from studies.error_texts import describe
from studies.library_internals import compiled_metrics
from studies.training.batches_for_model_fit import (
    Batches,
    StreamedBatches,
    as_keras_reads,
    samples_between,
    validation_batches,
)
from studies.training.model_variables_and_properties import by_name, loss_of, named_outputs, scalars
from studies.training.scoring.keras_metrics_per_sample import NotScoredError, scores_by_metric
from tracking.records import (
    MOST_CLASSES,
    MOST_POINTS,
    MOST_SAMPLES,
    ConstantGuess,
    Reliability,
    ReliabilityBin,
    TrialSpec,
    ValidationPredictions,
    WorstSample,
)
from tracking.statistics import confirmed_value

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


@dataclass(frozen=True)
class Scores:
    """A model's loss and metrics on the test part, with confidence intervals."""

    scores: Mapping[str, float]  # The values of `model.evaluate`.
    intervals: Mapping[str, tuple[float, float]]  # By the metric's name.
    note: str  # The reasons why some metrics have no interval. Empty if all have one.
    samples: int
    digest: str  # SHA-256 of the test part.
    guess: ConstantGuess | None = None  # The most frequent class, or None.
    reliability: Reliability | None = None  # As in `Evaluation`.


def evaluate_test_part(
    model: keras.Model, splits: LoadedData, spec: TrialSpec, level: float = 0.95
) -> Scores:
    """Evaluates a compiled model on the sealed test part. No other function unseals the part.

    `spec` is the spec of the model's training. `level` is the confidence level of the intervals,
    between 0 and 1.
    """
    # The functions called below evaluate on the validation part, so the test part takes its place.
    test_data: LoadedData = replace(cast(Any, splits), validation=splits.unseal_test())
    values = scalars(evaluated(model, test_data, spec.batch_size))
    samples, digest = splits.sizes.get("test", 0), splits.digests["test"]
    guess, reliability = guess_on(test_data), None
    # A model that `model.predict` can't call has no reliability.
    with contextlib.suppress(Exception):
        predictions = validation_predictions(model, test_data, spec)
        reliability = None if predictions is None else predictions.reliability
    recorded = {f"val_{name}": value for name, value in values.items()}
    try:
        by_metric = scores_by_metric(model, test_data, recorded, 0, spec.batch_size)
    except Exception as error:
        # A model with its own `test_step` may make predictions that metrics can't take. Such a
        # model gets no intervals.
        note = f"its predictions can't be compared with targets: {describe(error)}"
        return Scores(values, {}, note, samples, digest, guess, reliability)
    metrics = compiled_metrics(model, None, None)
    accuracies = [name for name, compiled in metrics.items() if _is_accuracy(compiled.metric)]
    intervals: dict[str, tuple[float, float]] = {}
    notes: list[str] = []
    for name, scores in zip(values, by_metric.values(), strict=True):
        if isinstance(scores, NotScoredError):
            notes.append(f"{name} (its samples can't be scored: {scores})")
            continue
        samples = len(scores)
        try:
            # There is one model, so the interval is that of a confirmation with one seed.
            interval, _ = confirmed_value(
                [scores], "max" if name in accuracies else "min", level=level
            )
        except StatisticsError as error:
            notes.append(f"{name} ({error})")
        else:
            intervals[name] = interval.low, interval.high
    return Scores(values, intervals, ", ".join(notes), samples, digest, guess, reliability)


def _is_accuracy(metric: keras.metrics.Metric) -> bool:
    """Returns whether a metric is one of Keras's accuracies."""
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


def evaluated(model: keras.Model, splits: LoadedData, batch_size: int) -> Mapping[str, Any]:
    """Returns the metrics of `model.evaluate` on the validation part."""
    batches: Batches | StreamedBatches
    batches = StreamedBatches(splits) if splits.streams else Batches(splits.arrays, batch_size)
    with contextlib.closing(batches), warnings.catch_warnings():
        # Keras gives this warning when data of unknown length ends.
        warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
        metrics: Mapping[str, Any] = model.evaluate(
            batches.validation, steps=batches.validation_steps, verbose=0, return_dict=True
        )
    return metrics


_SLICE = 2**14
# A reliability diagram has at most so many bins, and on average at least so many samples in each.
_MOST_BINS, _LEAST_IN_BIN = 10, 20
# The largest side of an image, in pixels.
_LARGEST_SIDE = 256
_MOST_COLUMNS = 100
_LONGEST_TEXT = 200
# Some samples, their targets and their predictions.
_Slice = tuple[Arrays, Any, Any]


def validation_predictions(
    model: keras.Model, splits: LoadedData, spec: TrialSpec
) -> ValidationPredictions | None:
    """Returns a model's predictions of the validation data.

    `spec` is the spec of the model's training, with its own class weights. If the model has several
    outputs, the result is for the output of the objective, such as "kind" for "val_kind_accuracy",
    or for the first output. Returns None if the output gives neither a class nor a number for each
    sample. The result's field `epoch` is left 0.
    """
    counter: _Classes | _Numbers | None = None
    start = 0
    for x, targets, predictions in _slices(model, splits, spec.batch_size):
        of_output = _output_of(spec.objective.metric, model, targets, predictions)
        if of_output is None:
            return None
        name, y, predicted = of_output
        if counter is None:
            if predicted.ndim == 2 and predicted.shape[1] > 1:
                counter = _Classes(splits, name, predicted.shape[1], spec)
            elif predicted.ndim in (1, 2):
                counter = _Numbers(splits, name, spec)
            else:
                return None
        loss = loss_of(model, name)
        if not counter.add(start, x, y, _probabilities(loss, predicted)):
            return None
        start += len(predicted)
    result = counter.result(start) if counter else None
    if result is None or class_probabilities(loss, predicted) is not None:
        return result
    return replace(result, reliability=None)


def _slices(model: keras.Model, splits: LoadedData, batch_size: int) -> Iterator[_Slice]:
    if splits.streams:
        yield from _read_batches(model, splits)
        return
    part = splits.arrays.validation
    size = max(1, _SLICE // batch_size) * batch_size
    for start in range(0, len(part), size):
        some = samples_between(part, start, start + size)
        predicted = model.predict(as_keras_reads(some.x), batch_size=batch_size, verbose=0)
        yield some.x, some.y, predicted


def _read_batches(model: keras.Model, splits: LoadedData) -> Iterator[_Slice]:
    import keras

    for batch in validation_batches(splits):
        if not isinstance(batch, tuple) or len(batch) < 2:
            return
        x, y, predicted = batch[0], batch[1], model.predict_on_batch(batch[0])
        x, y = (keras.tree.map_structure(np.asarray, tensors) for tensors in (x, y))
        yield x, y, predicted


def _probabilities(loss: Any, predicted: np.ndarray) -> np.ndarray:
    """Returns predictions in double precision. Logits become probabilities."""
    from scipy import special

    predicted = predicted.astype(np.float64)
    if not getattr(loss, "from_logits", False):
        return predicted
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        return np.asarray(special.softmax(predicted, axis=1))
    return np.asarray(special.expit(predicted))


def class_probabilities(loss: Any, predicted: np.ndarray, classes: int = 0) -> np.ndarray | None:
    """Returns the probabilities of classes that an output predicts, of shape (n, classes).

    Returns None for other outputs: those of another loss than a cross-entropy, and those for
    several labels at once. `classes` is the number of classes that have names. An output of one
    number with a cross-entropy of the user's own is for two classes if two have names.
    """
    name, odds = _name_of(loss), _probabilities(loss, predicted)
    crossentropy, binary = "crossentropy" in name, "binary" in name
    if odds.ndim == 1 or odds.shape[1:] == (1,):
        two = binary or (crossentropy and classes == 2)
        odds = odds.reshape(-1)
        return np.stack([1 - odds, odds], axis=1) if two else None
    return odds if odds.ndim == 2 and crossentropy and not binary else None


def _name_of(loss: Any) -> str:
    """Returns a loss's name in lower case, such as "binary_crossentropy" for "bce"."""
    import keras

    if isinstance(loss, str):
        with contextlib.suppress(ValueError):
            loss = keras.losses.get(loss)
    return str(getattr(loss, "name", "") or getattr(loss, "__name__", "") or loss).lower()


class _Classes:
    """Counts the predicted classes of an output, and keeps its worst-classified samples."""

    def __init__(self, splits: LoadedData, output: str, classes: int, spec: TrialSpec) -> None:
        self._preparation, self._output, self._count = splits.preparation, output, classes
        self._spec = spec
        # For each sample: a probability, 1 if it came true, and the squared error. `Reliability`
        # says whose probability it is, and what is squared.
        self._forecasts: list[np.ndarray] = []
        size = classes if classes <= MOST_CLASSES else 0
        self._confusion = np.zeros((size, size), np.int64)
        # The worst-classified samples so far, the worst first, and their inputs.
        self._worst: list[tuple[WorstSample, Arrays]] = []

    def add(self, start: int, x: Arrays, y: np.ndarray, probabilities: np.ndarray) -> bool:
        """Adds one or more samples. Returns False if the targets are no labels of the classes.

        `start` is the number of samples that were added before.
        """
        labels, classes = class_labels(y), self._count
        columns = y.shape[1] if y.ndim == 2 else 1
        if labels is None or columns not in (1, classes) or labels.max() >= classes:
            return False
        true, predicted = labels.astype(np.int64), probabilities.argmax(axis=1)
        if self._confusion.size:
            np.add.at(self._confusion, (true, predicted), 1)
        rows = np.arange(len(true))
        corrected = without_class_weight(probabilities, self._spec.class_weight)
        forecast = corrected[:, 1] if classes == 2 else corrected[rows, predicted]
        observed = true == (1 if classes == 2 else predicted)
        squares = ((corrected - np.eye(classes)[true]) ** 2).sum(axis=1) / (1 + (classes == 2))
        self._forecasts.append(np.stack([forecast, observed, squares], axis=1))
        of_true = probabilities[rows, true]  # The probabilities of true classes.
        for row in np.argsort(of_true, kind="stable")[:MOST_SAMPLES].tolist():
            worst = WorstSample(
                index=start + row,
                true=int(true[row]),
                predicted=int(predicted[row]),
                probability=float(of_true[row]),
                confidence=float(probabilities[row].max()),
            )
            # Copy the inputs, as views would keep all samples in memory.
            inputs = map_arrays(lambda a: np.array(a[row]), x)  # noqa: B023 - called at once
            self._worst.append((worst, inputs))
        self._worst.sort(key=lambda sample: (sample[0].probability, sample[0].index))
        del self._worst[MOST_SAMPLES:]
        return True

    def result(self, samples: int) -> ValidationPredictions:
        names: Any = self._preparation.class_names
        if isinstance(names, Mapping):
            names = names.get(self._output, ())
        if not isinstance(names, tuple) or len(names) < self._count:
            names = tuple(map(str, range(self._count)))
        return ValidationPredictions(
            trial=self._spec.number,
            epoch=0,
            output=self._output,
            samples=samples,
            class_names=names[: self._count],
            confusion=tuple(map(tuple, self._confusion.tolist())),
            worst=tuple(_with_inputs(worst, x, self._preparation) for worst, x in self._worst),
            reliability=self._reliability(names),
        )

    def _reliability(self, names: Sequence[str]) -> Reliability:
        forecasts = np.concatenate(self._forecasts)
        count = min(_MOST_BINS, max(1, len(forecasts) // _LEAST_IN_BIN))
        # Samples with the same probability are in the same bin.
        edges = np.quantile(forecasts[:, 0], np.linspace(0, 1, count + 1))
        places = np.searchsorted(edges[1:-1], forecasts[:, 0])
        groups = (forecasts[places == place] for place in np.unique(places))
        bins = tuple(ReliabilityBin(len(rows), *rows.mean(axis=0)[:2].tolist()) for rows in groups)
        weights = self._spec.class_weight or {}
        brier, corrected = float(forecasts[:, 2].mean()), bool(weights) and all(weights.values())
        return Reliability(names[1] if self._count == 2 else None, brier, bins, corrected)


class _Numbers:
    """Keeps the predictions of an output with one number: a regression, or a probability."""

    def __init__(self, splits: LoadedData, output: str, spec: TrialSpec) -> None:
        self._output, self._number = output, spec.number
        self._truth: list[np.ndarray] = []
        self._predicted: list[np.ndarray] = []
        # The counts of the two classes, if the output is a probability. It becomes None as soon as
        # a target is not 0 or 1, or a prediction is not between 0 and 1.
        self._classes: _Classes | None = _Classes(splits, output, 2, spec)

    def add(self, start: int, x: Arrays, y: np.ndarray, predicted: np.ndarray) -> bool:
        if y.size != len(y) or y.dtype.kind not in "biuf":
            return False
        true, predicted = y.reshape(-1).astype(np.float64), predicted.reshape(-1)
        self._truth.append(true)
        self._predicted.append(predicted)
        if self._classes is not None:
            within = bool(((predicted >= 0) & (predicted <= 1)).all())
            both = np.stack([1 - predicted, predicted], axis=1)
            if not within or not self._classes.add(start, x, true, both):
                self._classes = None
        return True

    def result(self, samples: int) -> ValidationPredictions:
        if self._classes is not None:
            return self._classes.result(samples)
        truth, predicted = np.concatenate(self._truth), np.concatenate(self._predicted)
        count = min(samples, MOST_POINTS)
        places = np.linspace(0, samples - 1, count).round().astype(np.int64)
        return ValidationPredictions(
            trial=self._number,
            epoch=0,
            output=self._output,
            samples=samples,
            truth=tuple(truth[places].tolist()),
            predicted=tuple(predicted[places].tolist()),
        )


def _output_of(
    objective: str, model: keras.Model, y: Any, predicted: Any
) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Returns the name of the objective's output, and the output's targets and predictions.

    The name is empty if a model has one output. Returns None if targets and predictions have
    different names.
    """
    if isinstance(y, np.ndarray) and isinstance(predicted, np.ndarray):
        return "", y, predicted
    names = list(named_outputs(model))
    targets, predicted = by_name(names, y), by_name(names, predicted)
    if not targets or targets.keys() != predicted.keys():
        return None
    of_objective = [name for name in targets if objective.startswith(f"val_{name}_")]
    name = max(of_objective, key=len) if of_objective else next(iter(targets))
    return name, targets[name], predicted[name]


def _with_inputs(worst: WorstSample, sample: Arrays, preparation: Preparation) -> WorstSample:
    """Adds a sample's inputs as they were before preprocessing.

    Images become a PNG file. Other values are rounded to 6 digits, and named by their columns.
    """
    png, row = b"", dict[str, float | str]()
    arrays = named_arrays(sample, "x")
    if preparation.table is not None and isinstance(sample, np.ndarray):
        rows = preparation.table.columns_in(sample[None]) if sample.size <= _MOST_COLUMNS else {}
        return replace(worst, row={name: _cell(column[0]) for name, column in rows.items()})
    for name, array in arrays.items():
        prepared = preparation.prepared.get(name)
        values = array if prepared is None else prepared.undone(array[None])[0]
        columns = preparation.columns.get(name)
        image = None if columns else image_of(values)
        if image is not None:
            png = png or _png(image)
        elif values.size <= _MOST_COLUMNS and values.ndim <= 1:
            names = [str(place) for place in range(values.size)]
            if columns and len(columns) == values.size:
                names = [column for column, _ in columns]
            prefix = "" if len(arrays) == 1 else f"{name} "
            cells = map(_cell, values.reshape(-1).tolist())
            row.update({f"{prefix}{name}": cell for name, cell in zip(names, cells, strict=True)})
    return replace(worst, png=png, row=row)


def _png(image: np.ndarray) -> bytes:
    import tensorflow as tf

    step = -(-max(image.shape[:2]) // _LARGEST_SIDE)
    encoded: bytes = tf.io.encode_png(pixels_of(image[::step, ::step])).numpy()
    return encoded


def _cell(value: object) -> float | str:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[: _LONGEST_TEXT - 1]}…"
    number = float(value)  # type: ignore[arg-type]
    return "" if np.isnan(number) else float(f"{number:.6g}")
