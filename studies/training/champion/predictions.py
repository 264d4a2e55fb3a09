"""What a model predicts of the validation data, counted, with the worst-classified samples.

Read in slices, so that neither predictions nor batches of large data are held at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.data.arrays.checks import by_rule
from studies.data.arrays.classes import class_labels
from studies.data.arrays.structures import Arrays, map_arrays
from studies.training.batches import as_keras_reads
from studies.training.champion.paired_outputs import loss_of, paired_outputs
from studies.training.champion.pictured import before_preprocessing, pictured
from studies.training.streamed_batches import validation_batches
from tracking.records.validation_predictions import (
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
# Samples; targets and predictions by the name of their output.
_Slice = tuple[Arrays, dict[str, tuple[np.ndarray, np.ndarray]]]


def validation_predictions(
    model: keras.Model,
    splits: LoadedData,
    number: int,
    batch_size: int,
    rule: Callable[[Any], Any] | None = None,
) -> ValidationPredictions | None:
    """Returns what a model predicts of the validation data.

    Args:
        model: Built, with its final weights; it takes samples after preprocessing.
        splits: The data.
        number: The trial's number.
        batch_size: Samples that it predicts at once; data in batches has its own.
        rule: The function that made the targets; see `datasets.arrays`.

    Returns:
        The predictions, without run and epoch: those of the first output, with those of others.
        Outputs that are neither a class for each sample nor a number are left out; None if all are.
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
            y, found = outputs[name]
            if not each.add(start, x, y, _probabilities(loss_of(model, name), found)):
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
        made = model.predict(as_keras_reads(x), batch_size=batch_size, verbose=0)
        y = map_arrays(lambda array: array[start:end], part.y)  # noqa: B023 - called at once
        yield x, paired_outputs(model, y, made)


def _read_batches(model: keras.Model, splits: LoadedData) -> Iterator[_Slice]:
    import keras

    for batch in validation_batches(splits):
        if not isinstance(batch, tuple) or len(batch) < 2:
            return
        x, y, made = batch[0], batch[1], model.predict_on_batch(batch[0])
        x, y = (keras.tree.map_structure(np.asarray, each) for each in (x, y))
        yield x, paired_outputs(model, y, made)


def _probabilities(loss: Any, made: np.ndarray) -> np.ndarray:
    """Returns what an output predicts, in double precision; logits as probabilities."""
    made = made.astype(np.float64)
    if not getattr(loss, "from_logits", False):
        return made
    if made.ndim == 2 and made.shape[1] > 1:
        odds = np.exp(made - made.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-made)))


def _counting(
    made: np.ndarray, splits: LoadedData, output: str, rule: Callable[[Any], Any] | None
) -> _Counting | None:
    """Returns what counts predictions of a shape; None if nothing does."""
    if made.ndim == 2 and made.shape[1] > 1:
        return _OfClasses(splits, output, made.shape[1])
    if made.ndim in (1, 2):
        return _OfNumbers(splits, output, rule)
    return None


class _Counting:
    """Counts predictions, and keeps the samples with the lowest probabilities.

    Args:
        splits: The data.
        output: The name of the output; see `paired_outputs`.
    """

    def __init__(self, splits: LoadedData, output: str) -> None:
        self._given = splits.given
        self.output = output
        # Of the samples kept: the highest probability first.
        self._worst: list[tuple[float, int, WorstSample]] = []

    def add(self, start: int, x: Arrays, y: np.ndarray, made: np.ndarray) -> bool:
        """Adds a slice of the data; returns whether the targets can be counted.

        Args:
            start: Samples before it.
            x: Samples, at least one.
            y: Their targets.
            made: Their predictions.
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
            png, row = pictured(map_arrays(lambda a: np.asarray(a[place]), x), self._given)  # noqa: B023
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

    def _worst_first(self) -> tuple[WorstSample, ...]:
        return tuple(sample for *_, sample in sorted(self._worst, reverse=True))

    def _names(self, count: int) -> tuple[str, ...]:
        known: Any = self._given.class_names
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
        """See `_Counting`."""
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
        """See `_Counting`."""
        return _of_classes("classes", self, number, samples, self._counts, self._confusion)


class _OfNumbers(_Counting):
    """Counts the predictions of a model with one number: a regression, or a probability."""

    def __init__(self, splits: LoadedData, output: str, rule: Callable[[Any], Any] | None) -> None:
        super().__init__(splits, output)
        self._rule = rule
        # Samples of one number each.
        self._x: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []
        self._made: list[np.ndarray] = []
        self._binary = True

    def add(self, start: int, x: Arrays, y: np.ndarray, made: np.ndarray) -> bool:
        """See `_Counting`."""
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
        """See `_Counting`."""
        truth, made = np.concatenate(self._truth), np.concatenate(self._made)
        if self._binary:
            true, predicted = truth.astype(np.int64), (made > 0.5).astype(np.int64)
            confusion = np.bincount(2 * true + predicted, minlength=4).reshape(2, 2)
            counts = np.stack([confusion.sum(1), confusion.sum(0), confusion.diagonal()])
            return _of_classes("binary", self, number, samples, counts, confusion)
        count = min(samples, MOST_POINTS)
        chosen = np.linspace(0, samples - 1, count).round().astype(np.int64)
        x = np.concatenate(self._x) if len(self._x) == len(self._truth) else None
        given = None if x is None else before_preprocessing(x[chosen], self._given)
        ruled: Sequence[float] = ()
        if self._rule is not None and given is not None:
            ruled = by_rule(self._rule, given).tolist()
        return ValidationPredictions(
            run_id="",
            trial=number,
            epoch=0,
            kind="regression",
            output=self.output,
            samples=samples,
            truth=tuple(truth[chosen].tolist()),
            predicted=tuple(made[chosen].tolist()),
            feature=() if given is None else tuple(given.reshape(-1).tolist()),
            feature_name=next((c[0][0] for c in self._given.columns.values()), "x"),
            rule=tuple(ruled),
        )


def _of_classes(
    kind: Any,
    counting: _Counting,
    number: int,
    samples: int,
    counts: np.ndarray,
    confusion: np.ndarray,
) -> ValidationPredictions:
    names: Sequence[str] = counting._names(counts.shape[1])
    return ValidationPredictions(
        run_id="",
        trial=number,
        epoch=0,
        kind=kind,
        output=counting.output,
        samples=samples,
        class_names=tuple(names),
        classes=tuple(
            ClassCounts(name, *column)
            for name, column in zip(names, counts.T.tolist(), strict=True)
        ),
        confusion=tuple(map(tuple, confusion.tolist())),
        worst=counting._worst_first(),
    )
