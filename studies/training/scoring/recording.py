"""Records the scores of a training's validation samples, after it has ended."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from studies.error_texts import describe
from studies.training.models import set_values, stateful_layers, values_of
from studies.training.scoring.objectives import NotScoredError
from studies.training.scoring.samples import sample_scores
from studies.training.states.best_weights import BestWeights
from studies.training.states.checkpointing import cannot_write
from tracking.records import BestEpoch, Rank, TrialResult, TrialTask
from tracking.scores.files import write_scores
from tracking.scores.sample_scores import SampleScores

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData

_log = logging.getLogger(__name__)
# Bytes that the weights of all epochs may take until the training ends.
_MOST_WEIGHTS = 128 * 2**20
# With so few validation samples the second best epoch is scored too. The choice of the epoch then
# counts for much, and their prediction takes one batch.
_FEW_SAMPLES = 256


class ScoreRecorder:
    """Records the scores of one training, in its task's file.

    Nothing is computed before the training has ended: its steps, random states and bits are those
    of a training without scores. `samples` is the number of validation samples, 0 if it is unknown.
    """

    def __init__(self, task: TrialTask, model: keras.Model, samples: int) -> None:
        self._task, self._model = task, model
        # The weights after an epoch, and what was measured then.
        self._epochs: dict[int, tuple[Sequence[np.ndarray], BestEpoch]] = {}
        self._why_not_every = ""
        self._every = task.scores_of == "every"
        # Whether not only the best epoch counts.
        self._follows = task.scores is not None and (self._every or 0 < samples <= _FEW_SAMPLES)

    def take(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Copies the weights after an epoch: after each, or after the best two."""
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
        """Writes the scores of a model that no longer trains.

        Returns the result with the size of the file, or why there is none.
        """
        path = self._task.scores
        if path is None or result.best is None or result.state not in ("complete", "pruned"):
            return result
        # Of another attempt.
        path.unlink(missing_ok=True)
        try:
            scores = self._scores(splits, result.best, weights)
        except NotScoredError as error:
            return replace(result, unscored=str(error))
        except Exception as error:
            # A model's own code may need what only a training step has.
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
        """Returns the scores of the best epoch, and of others if they can be made."""
        if weights.copy is None:
            raise NotScoredError("the weights of its best epoch are not known")
        if stateful_layers(self._model):
            raise NotScoredError("its layers keep their state between batches")
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
        """Returns the epochs that are scored beside the best one."""
        others = [epoch for epoch in self._epochs if epoch != best.epoch]
        if not self._every:
            return sorted(others, key=self._rank)[:1]
        if sorted(self._epochs) == list(range(1, max(self._epochs, default=0) + 1)):
            return others
        self._why_not_every = "not all its epochs are known: it was resumed"
        return []

    def _present(self, splits: LoadedData, measured: BestEpoch) -> SampleScores:
        """Returns the scores of the model's present weights: those of an epoch."""
        spec = self._task.spec
        return sample_scores(
            self._model,
            splits,
            spec.objective.metric,
            epoch=measured.epoch,
            batch_size=spec.batch_size,
            recorded=measured.value,
        )
