"""Writes the scores of a trial's validation samples into a file."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from studies.error_texts import describe
from studies.training.checkpoints import BestWeights, cannot_write
from studies.training.model_variables_and_properties import (
    set_values,
    values_of,
)
from studies.training.scoring.keras_metrics_per_sample import (
    NotScoredError,
    sample_scores,
)
from tracking.records import BestEpoch, Rank, TrialResult, TrialTask
from tracking.statistics import SampleScores, write_scores

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


_log = logging.getLogger(__name__)
# The most bytes that copies of the weights of epochs may take in memory during a training.
_MOST_WEIGHTS = 128 * 2**20
# With at most this many validation samples, the second best epoch is scored too. With few samples,
# the value of the best of several epochs is much too good, and the scores of two epochs help to
# correct it. Predicting so few samples takes only one batch.
_FEW_SAMPLES = 256


class ScoreRecorder:
    """Writes the scores of a training's validation samples to the task's file.

    During the training, the recorder only copies weights, and so changes no random state and no
    result. `samples` is the number of validation samples, or 0 if unknown.
    """

    def __init__(self, task: TrialTask, model: keras.Model, samples: int) -> None:
        self._task, self._model = task, model
        # The weights and metrics of the epochs that may be scored, by the epoch's number.
        self._epochs: dict[int, tuple[Sequence[np.ndarray], BestEpoch]] = {}
        self._why_not_every = ""
        self._every = task.scores_of == "every"
        # Whether other epochs are scored, too, and not only the best one.
        self._several = task.scores is not None and (self._every or 0 < samples <= _FEW_SAMPLES)

    def take(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Copies the weights if all epochs are scored, or if the epoch is among the best two."""
        value = metrics.get(self._task.spec.objective.metric)
        if not self._several or value is None or self._why_not_every:
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
        # An earlier attempt to train this trial may have written the file, so remove it.
        path.unlink(missing_ok=True)
        try:
            scores = self._scores(splits, result.best, weights)
        except NotScoredError as error:
            return replace(result, unscored=str(error))
        except Exception as error:
            # Some users' metrics work only in TensorFlow functions, and not in direct calls.
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
        """Returns the scores of the best epoch and, if possible, of other epochs."""
        if weights.copy is None:
            raise NotScoredError("the weights of the best epoch are not known")
        weights.restore()
        by_epoch = {best.epoch: self._scores_of(splits, best)}
        try:
            for epoch in self._others(best):
                values, measured = self._epochs[epoch]
                set_values(self._model.weights, values)
                by_epoch[epoch] = self._scores_of(splits, measured)
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

    def _scores_of(self, splits: LoadedData, measured: BestEpoch) -> SampleScores:
        """Returns the scores of an epoch. The model must have the weights of that epoch."""
        spec = self._task.spec
        return sample_scores(
            self._model,
            splits,
            spec.objective.metric,
            epoch=measured.epoch,
            batch_size=spec.batch_size,
            recorded=measured.value,
        )
