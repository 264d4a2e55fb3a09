"""Records the scores of a training's validation samples, after it has ended."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from studies.error_texts import describe
from studies.training.scoring.samples import sample_scores
from studies.training.scoring.scorer import NotScoredError
from studies.training.scoring.share import Share
from studies.training.states.best_weights import BestWeights
from studies.training.states.checkpointing import cannot_write
from studies.training.trainer import OnEpoch
from studies.training.variables import set_values, stateful_layers, values_of
from tracking.records import BestEpoch, Rank, TrialResult, TrialTask
from tracking.runs.mlflow_names import metric_name
from tracking.scores.sample_scores import SampleScores
from tracking.scores.score_files import write_scores

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits

_log = logging.getLogger(__name__)
_share = Share()
# The share of a training's time that its scores may take: of the best epoch, or of every epoch.
_BEST, _ALL = 0.02, 0.10
# Bytes that the weights of all epochs may take until the training ends.
_MOST_WEIGHTS = 128 * 2**20
# With so few validation samples the second best epoch is scored too. The choice of the epoch then
# counts for much, and their prediction takes one batch.
_FEW_SAMPLES = 256


# Weights after an epoch, and the epoch's measurements.
_Epoch = tuple[Sequence[np.ndarray], BestEpoch]


class ScoreRecorder:
    """Records the scores of one training, in its task's file.

    Nothing is computed before the training has ended: its steps, random states and bits are those
    of a training without scores.

    Args:
        task: The training.
        model: Its model.
        samples: The number of validation samples, 0 if it is unknown.
    """

    def __init__(self, task: TrialTask, model: keras.Model, samples: int) -> None:
        self._task, self._model = task, model
        self._began = time.process_time()
        self._epochs: dict[int, _Epoch] = {}
        self._why_not_all = ""
        self._all = task.scores_of != "best"
        # Scores that take what they take leave nothing to those of later trainings.
        self._share = Share() if task.scores_of == "every" else _share
        self._second = not self._all and 0 < samples <= _FEW_SAMPLES

    def following(self, on_epoch: OnEpoch) -> OnEpoch:
        """Returns a function to call after each epoch: it follows if not only the best counts."""
        if self._task.scores is None or not (self._all or self._second):
            return on_epoch

        def follow(epoch: int, metrics: Mapping[str, float]) -> bool:
            goes_on = on_epoch(epoch, metrics)
            self._take(epoch, metrics)
            return goes_on

        return follow

    def _take(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Copies the weights after an epoch: after each, or after the best two."""
        values = {metric_name(name): value for name, value in metrics.items()}
        value = values.get(self._task.spec.objective.metric)
        if value is None or self._why_not_all:
            return
        now = BestEpoch(epoch, value, values)
        if not self._all:
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
            self._why_not_all = (
                f"the weights of all epochs take more than {_MOST_WEIGHTS >> 20} MiB of memory"
            )
            return
        self._epochs[epoch] = weights, now

    def _rank(self, epoch: int) -> Rank:
        return self._epochs[epoch][1].rank(self._task.spec.objective)

    def record(self, result: TrialResult, splits: AnySplits, weights: BestWeights) -> TrialResult:
        """Writes the scores of a model that no longer trains.

        Args:
            result: Of the training.
            splits: The data that it was validated on.
            weights: The weights after its best epoch, if they are known.

        Returns:
            The result with the size of the file, or why there is none.

        Raises:
            StudyError: If they can't be written.
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
            why = self._why_not_all if self._all else ""
            return replace(result, scores_bytes=path.stat().st_size, unscored=why)
        except OSError as error:
            raise cannot_write(path, error) from None

    def _scores(
        self, splits: AnySplits, best: BestEpoch, weights: BestWeights
    ) -> list[SampleScores]:
        training = time.process_time() - self._began
        if weights.copy is None:
            raise NotScoredError("the weights of its best epoch are not known")
        if stateful_layers(self._model):
            raise NotScoredError("its layers keep their state between batches")
        every = self._all and not self._why_not_all
        if every and sorted(self._epochs) != list(range(1, max(self._epochs, default=0) + 1)):
            every, self._why_not_all = False, "not all its epochs are known: it was resumed"
        others = {e: each for e, each in self._epochs.items() if every and e != best.epoch}
        share = {"best": _BEST, "all": _ALL, "every": math.inf}[self._task.scores_of]
        count = len(others) + 1
        self._share.begin(training, share, count, good=self._task.may_stay(best))
        found: dict[int, SampleScores] = {}
        try:
            # The best one first: it counts, whatever the time is enough for.
            weights.restore()
            found[best.epoch] = self._present(splits, best.epoch, best.value, 0.0, 1 / count)
            for epoch, (values, measured) in others.items():
                set_values(self._model.weights, values)
                done = len(found) / count
                found[epoch] = self._present(splits, epoch, measured.value, done, 1 / count)
        except NotScoredError as error:
            if best.epoch not in found:
                raise
            self._why_not_all = str(error)
            return [found[best.epoch]]
        finally:
            self._share.end(whole=len(found) == count)
        if self._second and self._epochs.keys() - found.keys():
            found |= self._scores_of_second(splits, best)
        return [found[epoch] for epoch in sorted(found)]

    def _scores_of_second(self, splits: AnySplits, best: BestEpoch) -> dict[int, SampleScores]:
        """Returns the scores of the second best epoch, if the time is enough for them."""
        epoch = min((e for e in self._epochs if e != best.epoch), key=self._rank)
        weights, measured = self._epochs[epoch]
        with contextlib.suppress(NotScoredError), self._share.once_more():
            set_values(self._model.weights, weights)
            return {epoch: self._present(splits, epoch, measured.value, 1.0, 0.0)}
        return {}

    def _present(
        self, splits: AnySplits, epoch: int, value: float, done: float, part: float
    ) -> SampleScores:
        """Returns the scores of the model's present weights.

        Args:
            splits: The data.
            epoch: The epoch that the weights are of.
            value: The objective after it.
            done: Which part of all scores was made before.
            part: Which part these are.
        """
        spec = self._task.spec
        return sample_scores(
            self._model,
            splits,
            spec.objective.metric,
            epoch=epoch,
            batch_size=spec.batch_size,
            recorded=value,
            progressed=lambda scored: self._share.check(done + part * scored),
        )
