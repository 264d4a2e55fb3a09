"""A model's predictions of the validation data, counted, with the worst-classified samples.

Read in slices, so that neither predictions nor batches of large data are held at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.data import (
    Arrays,
    Preparation,
    by_rule,
    class_labels,
    image_of,
    map_arrays,
    named_arrays,
)
from studies.training.batches import as_keras_reads, validation_batches
from studies.training.building.study_checks import named_outputs
from tracking.records.checks import (
    MOST_CLASSES,
    MOST_POINTS,
    MOST_SAMPLES,
    ClassCounts,
    ValidationPredictions,
    WorstSample,
)

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


_SLICE = 2**14
# The largest side of an image, in pixels.
_LARGEST_SIDE = 256
_MOST_COLUMNS = 100
_LONGEST_TEXT = 200
# The name of the output of a model that has just one.
_ONLY = ""
# Samples; targets and predictions by the name of their output.
_Slice = tuple[Arrays, dict[str, tuple[np.ndarray, np.ndarray]]]


def validation_predictions(
    model: keras.Model,
    splits: LoadedData,
    number: int,
    batch_size: int,
    rule: Callable[[Any], Any] | None = None,
) -> ValidationPredictions | None:
    """Returns a model's predictions of the validation data.

    Without run and epoch: those of the first output, with those of others. Outputs that are neither
    a class for each sample nor a number are left out; None if all are. `rule` is the function that
    made the targets.
    """
    counting: dict[str, _Counting] = {}
    start = 0
    for x, outputs in _slices(model, splits, batch_size):
        if not start:
            made = {
                name: _counting(made, splits, name, rule) for name, (_, made) in outputs.items()
            }
            counting = {name: each for name, each in made.items() if each is not None}
        for name, each in list(counting.items()):
            y, predicted = outputs[name]
            if not each.add(start, x, y, _probabilities(_loss_of(model, name), predicted)):
                del counting[name]
        if not counting:
            return None
        start += len(next(iter(outputs.values()))[1])
    results = [each.result(number, start) for each in counting.values()]
    return replace(results[0], others=tuple(results[1:])) if results else None


def _slices(model: keras.Model, splits: LoadedData, batch_size: int) -> Iterator[_Slice]:
    """Yields samples, and targets and predictions of each output."""
    if splits.streams:
        yield from _read_batches(model, splits)
        return
    part = splits.arrays.validation
    size = max(1, _SLICE // batch_size) * batch_size
    for start in range(0, len(part), size):
        end = start + size
        x = map_arrays(lambda array: array[start:end], part.x)  # noqa: B023 - called at once
        predicted = model.predict(as_keras_reads(x), batch_size=batch_size, verbose=0)
        y = map_arrays(lambda array: array[start:end], part.y)  # noqa: B023 - called at once
        yield x, _paired_outputs(model, y, predicted)


def _read_batches(model: keras.Model, splits: LoadedData) -> Iterator[_Slice]:
    import keras

    for batch in validation_batches(splits):
        if not isinstance(batch, tuple) or len(batch) < 2:
            return
        x, y, predicted = batch[0], batch[1], model.predict_on_batch(batch[0])
        x, y = (keras.tree.map_structure(np.asarray, each) for each in (x, y))
        yield x, _paired_outputs(model, y, predicted)


def _probabilities(loss: Any, predicted: np.ndarray) -> np.ndarray:
    """Returns predictions of an output in double precision; logits become probabilities."""
    predicted = predicted.astype(np.float64)
    if not getattr(loss, "from_logits", False):
        return predicted
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        odds = np.exp(predicted - predicted.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-predicted)))


def _counting(
    predicted: np.ndarray, splits: LoadedData, output: str, rule: Callable[[Any], Any] | None
) -> _Counting | None:
    """Returns the counter for predictions of a shape, or None."""
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        return _OfClasses(splits, output, predicted.shape[1])
    if predicted.ndim in (1, 2):
        return _OfNumbers(splits, output, rule)
    return None


class _Counting:
    """Counts predictions of an output, and keeps the samples with the lowest probabilities."""

    def __init__(self, splits: LoadedData, output: str) -> None:
        self._preparation = splits.preparation
        self.output = output
        # A heap of the samples that are kept: the highest probability first.
        self._worst: list[tuple[float, int, WorstSample]] = []

    def add(self, start: int, x: Arrays, y: np.ndarray, made: np.ndarray) -> bool:
        """Adds a slice of the data, at least a sample; returns whether the targets can be counted.

        `start` is how many samples are before it.
        """
        raise NotImplementedError

    def result(self, number: int, samples: int) -> ValidationPredictions:
        """Returns the predictions of all slices."""
        raise NotImplementedError

    def _keep(self, start: int, x: Arrays, true: np.ndarray, probabilities: np.ndarray) -> None:
        """Keeps the worst samples of a slice, if they are among the worst of all."""
        of_true = probabilities[np.arange(len(true)), true]
        predicted = probabilities.argmax(axis=1)
        for place in np.argsort(of_true, kind="stable")[:MOST_SAMPLES].tolist():
            key = (-float(of_true[place]), -(start + place))
            full = len(self._worst) == MOST_SAMPLES
            if full and key <= self._worst[0][:2]:
                return
            png, row = _pictured(map_arrays(lambda a: np.asarray(a[place]), x), self._preparation)  # noqa: B023
            sample = WorstSample(
                index=start + place,
                true=int(true[place]),
                predicted=int(predicted[place]),
                probability=float(of_true[place]),
                confidence=float(probabilities[place].max()),
                png=png,
                row=row,
            )
            (heapq.heappushpop if full else heapq.heappush)(self._worst, (*key, sample))

    def _of_classes(
        self, kind: Any, number: int, samples: int, counts: np.ndarray, confusion: np.ndarray
    ) -> ValidationPredictions:
        names = self._names(counts.shape[1])
        return ValidationPredictions(
            uuid="",
            trial=number,
            epoch=0,
            kind=kind,
            output=self.output,
            samples=samples,
            class_names=names,
            classes=tuple(
                ClassCounts(name, *column)
                for name, column in zip(names, counts.T.tolist(), strict=True)
            ),
            confusion=tuple(map(tuple, confusion.tolist())),
            worst=tuple(sample for *_, sample in sorted(self._worst, reverse=True)),
        )

    def _names(self, count: int) -> tuple[str, ...]:
        known: Any = self._preparation.class_names
        if isinstance(known, Mapping):
            known = known.get(self.output, ())
        named = isinstance(known, tuple) and len(known) >= count
        return tuple(known[:count]) if named else tuple(map(str, range(count)))


class _OfClasses(_Counting):
    """Counts the classes that a model of several classes predicts."""

    def __init__(self, splits: LoadedData, output: str, classes: int) -> None:
        super().__init__(splits, output)
        self._matrix = classes if classes <= MOST_CLASSES else 0
        self._confusion = np.zeros((self._matrix, self._matrix), np.int64)
        self._counts = np.zeros((3, classes), np.int64)

    def add(self, start: int, x: Arrays, y: np.ndarray, made: np.ndarray) -> bool:
        """Adds a slice of the data."""
        labels, classes = class_labels(y), self._counts.shape[1]
        columns = y.shape[1] if y.ndim == 2 else 1
        if labels is None or columns not in (1, classes) or labels.max() >= classes:
            return False
        true, predicted = labels.astype(np.int64), made.argmax(axis=1)
        if self._matrix:
            np.add.at(self._confusion, (true, predicted), 1)
        counted = (true, predicted, true[true == predicted])
        self._counts += [np.bincount(each, minlength=classes) for each in counted]
        self._keep(start, x, true, made)
        return True

    def result(self, number: int, samples: int) -> ValidationPredictions:
        """Returns the predictions of all slices."""
        return self._of_classes("classes", number, samples, self._counts, self._confusion)


class _OfNumbers(_Counting):
    """Counts the predictions of a model with one number: a regression, or a probability."""

    def __init__(self, splits: LoadedData, output: str, rule: Callable[[Any], Any] | None) -> None:
        super().__init__(splits, output)
        self._rule = rule
        # The samples, if each is one number.
        self._x: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []
        self._made: list[np.ndarray] = []
        self._binary = True

    def add(self, start: int, x: Arrays, y: np.ndarray, made: np.ndarray) -> bool:
        """Adds a slice of the data."""
        if y.size != len(y) or y.dtype.kind not in "biuf":
            return False
        true, made = y.reshape(-1).astype(np.float64), made.reshape(-1)
        self._truth.append(true)
        self._made.append(made)
        if isinstance(x, np.ndarray) and x.size == len(x) and x.dtype.kind in "biuf":
            self._x.append(x)
        zeros_and_ones = bool(((true == 0) | (true == 1)).all())
        self._binary &= zeros_and_ones and bool(((made >= 0) & (made <= 1)).all())
        if self._binary:
            self._keep(start, x, true.astype(np.int64), np.stack([1 - made, made], axis=1))
        return True

    def result(self, number: int, samples: int) -> ValidationPredictions:
        """Returns the predictions of all slices."""
        truth, made = np.concatenate(self._truth), np.concatenate(self._made)
        if self._binary:
            true, predicted = truth.astype(np.int64), (made > 0.5).astype(np.int64)
            confusion = np.bincount(2 * true + predicted, minlength=4).reshape(2, 2)
            counts = np.stack([confusion.sum(1), confusion.sum(0), confusion.diagonal()])
            return self._of_classes("binary", number, samples, counts, confusion)
        count = min(samples, MOST_POINTS)
        chosen = np.linspace(0, samples - 1, count).round().astype(np.int64)
        x = np.concatenate(self._x) if len(self._x) == len(self._truth) else None
        given = None if x is None else _all_before_preprocessing(x[chosen], self._preparation)
        ruled: Sequence[float] = ()
        if self._rule is not None and given is not None:
            ruled = by_rule(self._rule, given).tolist()
        return ValidationPredictions(
            uuid="",
            trial=number,
            epoch=0,
            kind="regression",
            output=self.output,
            samples=samples,
            truth=tuple(truth[chosen].tolist()),
            predicted=tuple(made[chosen].tolist()),
            feature=() if given is None else tuple(given.reshape(-1).tolist()),
            feature_name=next((c[0][0] for c in self._preparation.columns.values()), "x"),
            rule=tuple(ruled),
        )


def _paired_outputs(
    model: keras.Model, y: Any, predicted: Any
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns targets and predictions by the name of their output; `_ONLY` for a single one.

    Empty if targets and outputs don't belong together.
    """
    if isinstance(y, np.ndarray) and isinstance(predicted, np.ndarray):
        return {_ONLY: (y, predicted)}
    names = list(named_outputs(model))
    targets, predicted = _by_name(names, y), _by_name(names, predicted)
    if not targets or targets.keys() != predicted.keys():
        return {}
    return {name: (targets[name], predicted[name]) for name in targets}


def _loss_of(model: keras.Model, output: str) -> Any:
    """Returns the loss of an output, as the model was compiled with it; None if it has none."""
    loss = getattr(model, "loss", None)
    if output == _ONLY or not isinstance(loss, Mapping | list | tuple):
        return loss
    return _by_name(list(named_outputs(model)), loss).get(output)


def _by_name(names: Sequence[str], each: Any) -> Mapping[str, Any]:
    if isinstance(each, Mapping):
        return each
    if isinstance(each, list | tuple) and len(each) == len(names):
        return dict(zip(names, each, strict=True))
    return {}


def _pictured(sample: Arrays, preparation: Preparation) -> tuple[bytes, dict[str, float | str]]:
    """Returns a sample after preprocessing as people look at it: scalings are undone.

    A PNG file, or nothing; and the values by column, in 6 digits, if it is no image.
    """
    png, row = b"", {}
    arrays = named_arrays(sample, "x")
    if preparation.table is not None and isinstance(sample, np.ndarray):
        rows = preparation.table.columns_in(sample[None]) if sample.size <= _MOST_COLUMNS else {}
        return b"", {name: _cell(column[0]) for name, column in rows.items()}
    for name, array in arrays.items():
        values = _before_preprocessing(array, name, preparation)
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
            row.update({f"{prefix}{each}": cell for each, cell in zip(names, cells, strict=True)})
    return png, row


def _all_before_preprocessing(samples: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Returns samples of a single input as they were before preprocessing."""
    return np.stack([_before_preprocessing(sample, "x", preparation) for sample in samples])


def _before_preprocessing(array: np.ndarray, name: str, preparation: Preparation) -> np.ndarray:
    prepared = preparation.prepared.get(name)
    return array if prepared is None else np.asarray(prepared.undone(array[None])[0])


def _png(image: np.ndarray) -> bytes:
    import tensorflow as tf

    step = -(-max(image.shape[:2]) // _LARGEST_SIDE)
    pixels = image[::step, ::step].astype(np.float64)
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 255:
        pixels = (pixels - low) / (high - low)
        low, high = 0, 1
    if high <= 1 and image.dtype != np.uint8:
        pixels = pixels * 255
    encoded: bytes = tf.io.encode_png(pixels.round().astype(np.uint8)).numpy()
    return encoded


def _cell(value: object) -> float | str:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[: _LONGEST_TEXT - 1]}…"
    number = float(value)  # type: ignore[arg-type]
    return "" if np.isnan(number) else float(f"{number:.6g}")
