"""A checkpoint on the sealed test part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from studies.error_texts import describe
from studies.training.batches import as_keras_reads, packed
from studies.training.champion.bootstrap import RESAMPLES, intervals
from studies.training.champion.champion_model import evaluated
from studies.training.models import scalars
from studies.training.streamed_batches import validation_batches

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


@dataclass(frozen=True)
class Scores:
    """A model's loss and metrics on the test part.

    Attributes:
        scores: As `model.evaluate` returns them.
        intervals: 95 % intervals by metric; see `bootstrap`.
        resamples: Resamples that they are of; 0 if there are none.
        note: Why metrics have no interval, or empty.
        samples: Test samples.
        digest: SHA-256 of the test part.
    """

    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    resamples: int
    note: str
    samples: int
    digest: str


def evaluate_test_part(model: keras.Model, splits: LoadedData, batch_size: int) -> Scores:
    """Evaluates a model on the sealed test part, which nothing else reads.

    Args:
        model: Built and compiled, with its final weights.
        splits: The data.
        batch_size: Samples of a step; data in batches has its own.

    Raises:
        DataError: If the data has no test part.
        Exception: Whatever Keras raises.
    """
    # In the place of the validation part, which Keras reads in the same way.
    tested: LoadedData = replace(cast(Any, splits), validation=splits.unseal_test())
    scores = scalars(evaluated(model, tested, batch_size))
    samples = splits.sizes.get("test", 0)
    found: Mapping[str, tuple[float, float]] = {}
    try:
        y, predicted, sample_weight = _predicted(model, tested, batch_size)
        samples = len(_first(predicted))
        size, groups = None if tested.streams else batch_size, tested.validation.groups
        found, note = intervals(model, y, predicted, sample_weight, scores, size, groups)
    except Exception as error:
        # A model's own steps may predict nothing, or something else.
        note = f"its predictions can't be compared with targets: {describe(error)}"
    resamples = RESAMPLES if found else 0
    return Scores(scores, found, resamples, note, samples, splits.digests["test"])


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


def _first(arrays: Any) -> Any:
    import keras

    return keras.tree.flatten(arrays)[0]
