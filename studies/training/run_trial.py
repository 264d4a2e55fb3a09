"""The whole of a trial: build the model, train it, keep its best epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters
from studies.errors import BuilderError, StudyError
from studies.training.best_weights import BestWeights, read_state, write_state
from studies.training.building import (
    build_callbacks,
    build_model,
    build_variables,
    describe,
)
from studies.training.determinism import begin_trial
from studies.training.trainer import Trainer, Training
from studies.training.watch import OnEpochResult, Watch
from tracking.records import TrialResult, TrialTask

if TYPE_CHECKING:
    import keras

    from studies.data import Splits
    from studies.study import Study

_log = logging.getLogger(__name__)
_told: set[str] = set()


def run_trial(
    study: Study, splits: Splits, task: TrialTask, on_epoch: OnEpochResult, trainer: Trainer
) -> TrialResult:
    """Runs a trial.

    Args:
        study: Builder and callbacks.
        splits: The data.
        task: What to run, and where its checkpoints go.
        on_epoch: Told of each epoch; its answer says how to go on.
        trainer: What trains.

    Returns:
        What came of it. A builder or a training that raises makes a trial infeasible.

    Raises:
        ObjectiveError: If the model does not log the objective.
        StudyError: If a checkpoint cannot be written.
    """
    spec, started = task.spec, time.monotonic()
    hp = Hyperparameters(task.space, spec.values, number=spec.number)
    try:
        model, callbacks = _build(study, hp, spec.seed)
        goes_on = _go_on(task, model, splits, callbacks, trainer)
        if goes_on is False:
            model, callbacks = _build(study, hp, spec.seed)
    except Exception as error:
        # That it returns nothing, or reads what is not active, may be so for these values only:
        # for the default ones it was checked before (see `check_study`).
        if isinstance(error, BuilderError):
            reason = str(error)
        else:
            reason = f"the builder raised {describe(error)}"
            _tell_once(spec.number, reason)
        return TrialResult(
            spec.number,
            "infeasible",
            reason=reason,
            seconds=time.monotonic() - started,
            repeat=spec.repeat,
            joined=_joined(hp),
        )
    watch = Watch(spec, BestWeights(model), on_epoch, concludes=trainer.concludes, started=started)
    initial_epoch = 0
    if goes_on and task.origin is not None:
        watch.go_on_from(task.origin)
        initial_epoch = task.origin.result.epochs
    try:
        outcome = trainer.train(
            Training(model, splits, spec, callbacks, hp, initial_epoch), watch.on_epoch_end
        )
        if outcome is not None:
            watch.conclude(outcome)
    except StudyError:
        raise
    except Exception as error:
        watch.fail(_training_failed(error))
        _tell_once(spec.number, describe(error))
    last_sha256 = _write(task, model, watch, bool(callbacks))
    result = watch.result(model.count_params() if model.built else 0)
    return replace(result, last_sha256=last_sha256, joined=_joined(hp))


def _build(
    study: Study, hp: Hyperparameters, seed: int
) -> tuple[keras.Model, Sequence[keras.callbacks.Callback]]:
    begin_trial(seed)
    return build_model(study, hp), build_callbacks(study, hp)


def _go_on(
    task: TrialTask,
    model: keras.Model,
    splits: Splits,
    callbacks: Sequence[object],
    trainer: Trainer,
) -> bool | None:
    """Sets a model to where the trial that it goes on from ended.

    Returns:
        None if the trial starts anew: it goes on from none, or it has callbacks, whose state no
        file holds. False if the files are damaged: then the model is of no use any more.
    """
    if task.origin is None or callbacks or trainer.concludes:
        return None
    try:
        build_variables(model, splits)
        read_state(model, task.origin.best, task.origin.result.weights_sha256)
        read_state(model, task.origin.last, task.origin.result.last_sha256)
    except Exception as error:
        _log.warning(
            "trial %d trains from its first epoch: the checkpoint that it was to go on from "
            "cannot be used (%s)",
            task.spec.number,
            describe(error),
        )
        return False
    return True


def _write(task: TrialTask, model: keras.Model, watch: Watch, has_callbacks: bool) -> str:
    """Writes the checkpoints of a training that ended well; returns the last one's digest."""
    if watch.best is None or watch.state not in ("complete", "pruned"):
        return ""
    path, last_sha256 = task.checkpoint, ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if task.last is not None and not has_callbacks:
            path = task.last
            last_sha256 = write_state(model, path)
        path = task.checkpoint
        watch.weights.write(path)
    except OSError as error:
        # Not the trial's fault: the study stops, and tries it again when it goes on.
        raise StudyError(
            f"The checkpoint {str(path)!r} cannot be written: "
            f"{error.strerror or error}. Make room, and launch again to go on."
        ) from None
    return last_sha256


def _joined(hp: Hyperparameters) -> tuple[dict[str, object], ...]:
    return tuple(parameter.to_dict() for parameter in hp.joined)


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
