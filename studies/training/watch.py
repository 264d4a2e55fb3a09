"""Following a training epoch by epoch: its best epoch, its failures, what is decided of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from studies.training.best_weights import BestWeights
from studies.training.building import check_logged
from tracking.records import (
    BestEpoch,
    Decision,
    EpochResult,
    Origin,
    TrialResult,
    TrialSpec,
    TrialState,
)

OnEpochResult = Callable[[EpochResult], Decision]


class Watch:
    """Follows one training.

    Args:
        spec: What is trained.
        weights: Keeps the weights of the best epoch.
        tell: Told of each epoch after the spec's initial one; its answer says how to go on.
        concludes: Whether the training may say itself, at its end, what came of it: an epoch may
            then lack the objective.
        started: When the trial began, by `time.monotonic`.
    """

    def __init__(
        self,
        spec: TrialSpec,
        weights: BestWeights,
        tell: OnEpochResult,
        *,
        concludes: bool,
        started: float,
    ) -> None:
        self.spec = spec
        self.weights = weights
        self.state: TrialState = "complete"
        self.best: BestEpoch | None = None
        self._tell = tell
        self._concludes = concludes
        self._started = started
        self._epochs = 0
        self._metrics: Mapping[str, float] = {}
        self._reason = ""

    def go_on_from(self, origin: Origin) -> None:
        """Takes up the best epoch of the training that this one goes on with."""
        assert origin.result.best is not None
        self.best = origin.result.best
        self.weights.take_file(origin.best, origin.result.weights_sha256)
        self._epochs = origin.result.epochs

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Takes an epoch; False ends the training."""
        objective = self.spec.objective
        if not self._concludes:
            check_logged(objective.metric, set(metrics))
        self._epochs, self._metrics = epoch, dict(metrics)
        value = metrics.get(objective.metric)
        if value is not None and (self.best is None or objective.is_better(value, self.best.value)):
            self.best = BestEpoch(epoch, value, dict(metrics))
            self.weights.take()
        # What the trial that this one goes on from was told already.
        known = epoch <= self.spec.initial_epoch
        decision = "continue" if known else self._tell(self._result_of(epoch, metrics))
        for name in ("loss", "val_loss", objective.metric):
            if not math.isfinite(metrics.get(name, 0.0)):
                self.fail(f"{name} is {metrics[name]} in epoch {epoch}")
                return False
        if decision == "prune":
            self.state = "pruned"
        elif decision == "stop":
            self.state, self._reason = "interrupted", f"stopped after epoch {epoch}"
        return decision == "continue"

    def conclude(self, outcome: Mapping[str, float]) -> None:
        """Takes what a training says, at its end, came of it: that counts, and no epoch does."""
        if self.state != "complete":
            return
        metric = self.spec.objective.metric
        metrics = {**self._metrics, **outcome}
        check_logged(metric, set(metrics))
        self._epochs = max(self._epochs, 1)
        self._tell(self._result_of(self._epochs, metrics))
        if not math.isfinite(metrics[metric]):
            self.fail(f"{metric} is {metrics[metric]}")
            return
        self.best = BestEpoch(self._epochs, metrics[metric], metrics)
        self.weights.take()

    def fail(self, reason: str) -> None:
        """Makes the trial infeasible."""
        self.state, self._reason = "infeasible", reason

    def result(self, parameters: int) -> TrialResult:
        """Returns what came of the training.

        Raises:
            ObjectiveError: If no epoch had the objective.
        """
        if self.state == "complete" and self.best is None:
            if self._epochs:
                check_logged(self.spec.objective.metric, set(self._metrics))
            self.fail("no epoch was trained")
        valued = self.state != "infeasible"
        return TrialResult(
            self.spec.number,
            self.state,
            epochs=self._epochs,
            best=self.best if valued else None,
            weights_sha256=self.weights.sha256 if valued else "",
            reason=self._reason,
            seconds=self._elapsed(),
            model_parameters=int(parameters),
            repeat=self.spec.repeat,
        )

    def _result_of(self, epoch: int, metrics: Mapping[str, float]) -> EpochResult:
        spec = self.spec
        return EpochResult(spec.number, epoch, dict(metrics), self._elapsed(), spec.repeat)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started
