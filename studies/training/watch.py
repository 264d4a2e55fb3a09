"""Follows a training epoch by epoch: its best epoch, failures and decisions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from studies.training.building.build import check_logged
from studies.training.states.best_weights import BestWeights
from studies.training.states.checkpointing import Checkpoints
from studies.training.states.training_state import TrainingState
from studies.training.trainer import Trainer
from tracking.records import (
    ALL_FOLDS,
    BestEpoch,
    Decision,
    EpochResult,
    TrialResult,
    TrialSpec,
    TrialState,
)

OnEpochResult = Callable[[EpochResult], Decision]


class Reports:
    """Reports epochs, and keeps errors of reporting, which are not the training's."""

    def __init__(self, on_epoch: OnEpochResult) -> None:
        self._on_epoch = on_epoch
        self._decided: dict[int, Decision] = {}
        self._known: dict[int, Decision] = {}
        self.error: Exception | None = None

    def begin_again(self) -> None:
        """Makes it repeat the decisions on epochs that were reported before."""
        self._known = dict(self._decided)

    def __call__(self, epoch: EpochResult) -> Decision:
        """Reports an epoch; returns the decision on it."""
        if epoch.epoch in self._known:
            return self._known[epoch.epoch]
        try:
            decision = self._decided[epoch.epoch] = self._on_epoch(epoch)
            return decision
        except Exception as error:
            self.error = error
            raise


class Watch:
    """Follows one training. After the answer to an epoch it calls `then` with it.

    If its trainer concludes, the training may return its outcome at the end: epochs may then lack
    the objective.
    """

    def __init__(
        self,
        spec: TrialSpec,
        weights: BestWeights,
        checkpoints: Checkpoints,
        tell: OnEpochResult,
        *,
        then: Callable[[int, Mapping[str, float]], None],
        trainer: Trainer,
        started: float,
    ) -> None:
        self.spec = spec
        self.weights = weights
        self.state: TrialState = "complete"
        self.best: BestEpoch | None = None
        # Why the weights of the best epoch can't be kept.
        self.unsaved = ""
        self._checkpoints = checkpoints
        self._tell, self._then = tell, then
        self._trainer, self._concludes = trainer, trainer.concludes
        self._started = started
        self._epochs: list[Mapping[str, float]] = []
        self._reason = self._raised = ""
        # Whether it has reached an epoch after which it can't be resumed.
        self._diverged = False

    def resume_from(self, state: TrainingState) -> bool:
        """Resumes a training where it stopped; False if it has ended."""
        self.best = state.best
        self.weights.take_copy(state.best_weights, state.weights_sha256)
        last = len(state.epochs)
        for epoch, metrics in enumerate(state.epochs, start=1):
            self._epochs.append(metrics)
            # The training continued after earlier epochs, so a pruner that knows more by now can't
            # stop it there: best epoch and weights are those after the last epoch.
            if not self._decided(epoch, metrics, prunes=epoch == last):
                return False
        return not state.stopped and last < self.spec.epochs

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Takes an epoch; False ends the training."""
        goes_on = self._take_epoch(epoch, metrics)
        self._then(epoch, metrics)
        return goes_on

    def _take_epoch(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        objective = self.spec.objective
        if self.state != "complete" or self._diverged:
            # A user's own training loop may continue although it should stop.
            return False
        # Without validation data, the last epoch counts.
        whole = self.spec.fold == ALL_FOLDS
        if not self._concludes and not whole:
            check_logged(objective.metric, set(metrics))
        self._epochs.append(dict(metrics))
        value = metrics.get("loss", 0.0) if whole else metrics.get(objective.metric)
        if value is not None and not self._not_finite(metrics):
            now, best = BestEpoch(epoch, value, dict(metrics)), self.best
            if whole or best is None or now.rank(objective) < best.rank(objective):
                self._take(now)
        goes_on = self._decided(epoch, metrics)
        # A cut training is resumed; an ended one may be continued by another trial.
        ends = not goes_on or epoch == self.spec.epochs
        self._checkpoints.after_epoch(self._epochs, self.best, last=ends)
        return goes_on

    def _decided(self, epoch: int, metrics: Mapping[str, float], *, prunes: bool = True) -> bool:
        """Reports an epoch, and takes the decision; False ends the training."""
        # The trial that this one continues has reported it already.
        known = epoch <= self.spec.initial_epoch
        decision = "continue" if known else self._tell(self._result_of(epoch, metrics))
        wrong = self._not_finite(metrics)
        if wrong:
            self._diverged = True
            self.fail(f"{wrong} is {metrics[wrong]} in epoch {epoch}")
            return False
        if decision == "prune" and not prunes:
            return True
        if decision == "prune":
            self.state = "pruned"
        elif decision == "stop":
            again = "; it begins again" if self._concludes else ""
            self.state, self._reason = "interrupted", f"stopped after epoch {epoch}{again}"
        return decision == "continue"

    def conclude(self, outcome: Mapping[str, float]) -> None:
        """Takes the outcome that a training returns: it counts instead of epochs."""
        if self.state != "complete":
            return
        if self._diverged:
            # The outcome is of a training beyond the epoch that the trial ends with.
            self._give_up(self._reason)
            return
        metric = self.spec.objective.metric
        metrics = {**(self._epochs[-1] if self._epochs else {}), **outcome}
        check_logged(metric, set(metrics))
        self._epochs = [*self._epochs[:-1], metrics]
        self._tell(self._result_of(len(self._epochs), metrics))
        if not math.isfinite(metrics[metric]):
            self._give_up(f"{metric} is {metrics[metric]}")
            return
        if (
            self.best is not None
            and self.best.value == metrics[metric]
            and self.weights.copy is not None
        ):
            # The outcome is that of an epoch whose weights are known.
            self.best = replace(self.best, metrics={**self.best.metrics, **outcome})
            return
        self._take(BestEpoch(len(self._epochs), metrics[metric], metrics))

    def _take(self, best: BestEpoch) -> None:
        """Takes the best epoch so far, with the weights if the model has them."""
        self.best, self.unsaved = best, self._trainer.unsaved
        if self.unsaved:
            self.weights.forget()
        else:
            self.weights.take()

    def fail(self, reason: str, raised: str = "") -> None:
        """Ends the training for a reason: with its best epoch, or infeasible if it has none.

        A training that concludes has none before its end: its outcome counts instead of epochs.
        """
        self._raised = raised
        if self.best is None or (self._concludes and not self._diverged):
            self._give_up(reason)
        else:
            self._reason = reason

    def _give_up(self, reason: str) -> None:
        """Makes the trial infeasible, whatever its epochs."""
        self.state, self._reason = "infeasible", reason

    def _not_finite(self, metrics: Mapping[str, float]) -> str:
        """Returns the first of loss, validation loss and objective that is not finite, or none."""
        watched = ("loss", "val_loss", self.spec.objective.metric)
        return next((name for name in watched if not math.isfinite(metrics.get(name, 0.0))), "")

    def result(self, parameters: int) -> TrialResult:
        """Returns the result of the training."""
        if self.state == "complete" and self.best is None:
            if self._epochs:
                check_logged(self.spec.objective.metric, set(self._epochs[-1]))
            self.fail("no epoch was trained")
        valued = self.state != "infeasible"
        return TrialResult(
            self.spec.number,
            self.state,
            epochs=len(self._epochs),
            best=self.best if valued else None,
            weights_sha256=self.weights.sha256 if valued else "",
            unsaved=self.unsaved if valued else "",
            reason=self._reason,
            raised=self._raised,
            seconds=self._elapsed(),
            model_parameters=int(parameters),
            repeat=self.spec.repeat,
        )

    def _result_of(self, epoch: int, metrics: Mapping[str, float]) -> EpochResult:
        spec = self.spec
        return EpochResult(spec.number, epoch, dict(metrics), self._elapsed(), spec.repeat)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started
