"""The whole of a trial: build the model, train it, keep its best epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters, SearchSpace
from studies.errors import BuilderError, StudyError
from studies.training.best_weights import BestWeights
from studies.training.building import build_callbacks, build_model, check_logged, describe
from studies.training.determinism import begin_trial
from studies.training.trainer import Trainer, Training
from tracking.records import (
    BestEpoch,
    Decision,
    EpochResult,
    TrialResult,
    TrialSpec,
    TrialState,
)

if TYPE_CHECKING:
    from studies.data import Splits
    from studies.study import Study

_log = logging.getLogger(__name__)
_told: set[str] = set()

OnEpochResult = Callable[[EpochResult], Decision]


def run_trial(
    study: Study,
    space: SearchSpace,
    splits: Splits,
    spec: TrialSpec,
    checkpoint: Path,
    on_epoch: OnEpochResult,
    trainer: Trainer,
) -> TrialResult:
    """Runs a trial.

    Args:
        study: Builder and callbacks.
        space: The space that the spec's values belong to.
        splits: The data.
        spec: What to run.
        checkpoint: Where the weights of the best epoch go; ends in ``.weights.h5``.
        on_epoch: Told of each epoch; its answer says how to go on.
        trainer: What trains.

    Returns:
        What came of it. A builder or a training that raises makes a trial infeasible.

    Raises:
        ObjectiveError: If the model does not log the objective.
        StudyError: If the checkpoint cannot be written.
    """
    started = time.monotonic()
    begin_trial(spec.seed)
    hp = Hyperparameters(space, spec.values)
    try:
        model = build_model(study, hp)
        callbacks = build_callbacks(study, hp)
    except Exception as error:
        # That it returns nothing, or reads what is not active, may be so for these values only:
        # for the default ones it was checked before (see `check_study`).
        if isinstance(error, BuilderError):
            reason = str(error)
        else:
            reason = f"the builder raised {describe(error)}"
            _tell_once(spec.number, reason)
        return TrialResult(
            spec.number, "infeasible", reason=reason, seconds=time.monotonic() - started
        )
    watch = _Watch(spec, BestWeights(model), on_epoch, started)
    try:
        trainer.train(Training(model, splits, spec, callbacks), watch.on_epoch_end)
    except StudyError:
        raise
    except Exception as error:
        watch.fail(_training_failed(error))
        _tell_once(spec.number, describe(error))
    if watch.best is not None and watch.state in ("complete", "pruned"):
        try:
            watch.weights.write(checkpoint)
        except OSError as error:
            # Not the trial's fault: the study stops, and tries it again when it goes on.
            raise StudyError(
                f"The checkpoint {str(checkpoint)!r} cannot be written: "
                f"{error.strerror or error}. Make room, and launch again to go on."
            ) from None
    return watch.result(model.count_params() if model.built else 0)


class _Watch:
    """Follows a training epoch by epoch: best epoch, failures, decisions."""

    def __init__(
        self, spec: TrialSpec, weights: BestWeights, tell: OnEpochResult, started: float
    ) -> None:
        self.spec = spec
        self.weights = weights
        self.state: TrialState = "complete"
        self.best: BestEpoch | None = None
        self._tell = tell
        self._started = started
        self._epochs = 0
        self._reason = ""

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        objective = self.spec.objective
        check_logged(objective.metric, set(metrics))
        self._epochs = epoch
        value = metrics[objective.metric]
        if self.best is None or objective.is_better(value, self.best.value):
            self.best = BestEpoch(epoch, value, dict(metrics))
            self.weights.take()
        decision = self._tell(EpochResult(self.spec.number, epoch, dict(metrics), self._elapsed()))
        for name in ("loss", "val_loss", objective.metric):
            if not math.isfinite(metrics.get(name, 0.0)):
                self.fail(f"{name} is {metrics[name]} in epoch {epoch}")
                return False
        if decision == "prune":
            self.state = "pruned"
        elif decision == "stop":
            self.state, self._reason = "interrupted", f"stopped after epoch {epoch}"
        return decision == "continue"

    def fail(self, reason: str) -> None:
        self.state, self._reason = "infeasible", reason

    def result(self, parameters: int) -> TrialResult:
        if self.state == "complete" and self.best is None:
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
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def _tell_once(number: int, what: str) -> None:
    """Shows where an error was raised, the first time that it is."""
    if what not in _told:
        _told.add(what)
        _log.warning("trial %d raised", number, exc_info=True)


def _training_failed(error: Exception) -> str:
    import tensorflow as tf

    if isinstance(error, tf.errors.ResourceExhaustedError):
        return f"out of memory: {describe(error)}"
    return f"the training raised {describe(error)}"
