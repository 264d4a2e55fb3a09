"""Evaluates a model on its validation part or, with confidence intervals, on the test part."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from studies.data import guess_on
from studies.error_texts import describe
from studies.library_internals.keras_internals import compiled_metrics, is_accuracy
from studies.training.batches import Batches, StreamedBatches
from studies.training.model_variables_and_properties import scalars
from studies.training.scoring.computing_scores import scores_by_metric
from studies.training.scoring.metrics_per_sample import NotScoredError
from tracking.records.study_and_data_records import ConstantGuess
from tracking.statistics.intervals import independent_samples, share_bounds
from tracking.statistics.sample_scores_and_resamples import SampleScores, resample_counts

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData

_RESAMPLES, _SEED = 1_000, 0


@dataclass(frozen=True)
class Scores:
    """A model's loss and metrics on the test part, with confidence intervals."""

    scores: Mapping[str, float]  # The values of `model.evaluate`.
    intervals: Mapping[str, tuple[float, float]]  # By the metric's name.
    resamples: int  # The number of bootstrap resamples, or 0 without intervals.
    note: str  # The reasons why some metrics have no interval. Empty if all have one.
    samples: int
    digest: str  # SHA-256 of the test part.
    guess: ConstantGuess | None = None  # The most frequent class, or None.


def evaluate_test_part(
    model: keras.Model, splits: LoadedData, batch_size: int, level: float = 0.95
) -> Scores:
    """Evaluates a compiled model on the sealed test part. No other function unseals the part.

    `level` is the confidence level of the intervals, between 0 and 1.
    """
    # The functions called below evaluate on the validation part, so the test part takes its place.
    test_data: LoadedData = replace(cast(Any, splits), validation=splits.unseal_test())
    values = scalars(evaluated(model, test_data, batch_size))
    samples, digest = splits.sizes.get("test", 0), splits.digests["test"]
    guess = guess_on(test_data)
    recorded = {f"val_{name}": value for name, value in values.items()}
    try:
        by_metric = scores_by_metric(model, test_data, recorded, 0, batch_size)
    except Exception as error:
        # A model with its own `test_step` may make predictions that metrics can't take. Such a
        # model gets no intervals.
        note = f"its predictions can't be compared with targets: {describe(error)}"
        return Scores(values, {}, 0, note, samples, digest, guess)
    metrics = compiled_metrics(model, None, None)
    accuracies = [name for name, compiled in metrics.items() if is_accuracy(compiled.metric)]
    intervals: dict[str, tuple[float, float]] = {}
    notes: list[str] = []
    for name, scores in zip(values, by_metric.values(), strict=True):
        if isinstance(scores, NotScoredError):
            notes.append(f"{name} (its samples can't be scored: {scores})")
            continue
        samples = len(scores)
        low, high = _interval(scores, values[name] if name in accuracies else None, level)
        if low < high:
            intervals[name] = low, high
        else:
            notes.append(f"{name} (it is the same on all resamples)")
    resamples = _RESAMPLES if intervals else 0
    return Scores(values, intervals, resamples, ", ".join(notes), samples, digest, guess)


def _interval(scores: SampleScores, accuracy: float | None, level: float) -> tuple[float, float]:
    """Returns a metric's confidence interval: percentiles of a bootstrap of samples or groups.

    If a model is right on all samples, or wrong on all, both percentiles are equal. So an accuracy
    gets the interval of Clopper and Pearson instead. Its sample size is the number of independent
    samples for which the accuracy would have the variance that it has over the resamples.
    """
    counts = resample_counts(scores.places, _RESAMPLES, _SEED)
    values = np.concatenate([scores.of_resamples(some) for some in counts])
    if accuracy is None:
        low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
        return low, high
    variance = np.nanvar(values, ddof=1)
    worth = independent_samples(np.array(accuracy), variance, scores.fewest, scores.most)
    return share_bounds(accuracy, accuracy, worth, level=level)


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
