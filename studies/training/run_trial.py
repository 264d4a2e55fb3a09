"""The whole of a trial: build the model, train it, keep its best epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from search_spaces import Hyperparameters
from studies.class_weights import with_class_weight
from studies.errors import BuilderError, StudyError, describe
from studies.training import global_settings
from studies.training.best_weights import BestWeights
from studies.training.building import build_callbacks, build_model
from studies.training.checkpointing import Checkpoints, cannot_write, restoring, take_up
from studies.training.determinism import begin_trial
from studies.training.epochs import forgetting_gradients
from studies.training.states import TrainingState
from studies.training.trainer import Trainer, Training
from studies.training.watch import OnEpochResult, Watch
from tracking.records import TrialResult, TrialTask

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits
    from studies.study import Study

_log = logging.getLogger(__name__)
_told: set[str] = set()


def run_trial(
    study: Study, splits: AnySplits, task: TrialTask, on_epoch: OnEpochResult, trainer: Trainer
) -> TrialResult:
    """Runs a trial.

    Args:
        study: Builder and callbacks.
        splits: The data, without the weights of the spec's classes.
        task: What to run, and where its checkpoints go.
        on_epoch: Told of each epoch; its answer says how to go on.
        trainer: What trains.

    Returns:
        What came of it. A builder that raises makes a trial infeasible; so does a training that
        raises, or diverges, before an epoch has a value. Later it keeps its best epoch.

    Raises:
        ObjectiveError: If the model does not log the objective.
        StudyError: If a checkpoint cannot be written.
    """
    spec, started = task.spec, time.monotonic()
    splits = with_class_weight(splits, spec.class_weight)
    hp = Hyperparameters(task.space, spec.values, number=spec.built_as)
    try:
        model, callbacks = _build(study, hp, spec.seed)
        state = None if trainer.concludes else take_up(task, model, splits, callbacks)
        if state is None and _may_have_a_state(task):
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
    weights = BestWeights(model)
    checkpoints = Checkpoints(task, model, callbacks, weights, trainer)
    watch = Watch(
        spec, weights, checkpoints, on_epoch, concludes=trainer.concludes, started=started
    )
    with checkpoints:
        trained = _train(Training(model, splits, spec, callbacks, hp), watch, trainer, state)
    digest = ""
    if watch.best is not None and watch.state in ("complete", "pruned"):
        try:
            digest = weights.write(task.checkpoint, trainer.structure if trained else "")
        except OSError as error:
            raise cannot_write(task.checkpoint, error) from None
    result = watch.result(model.count_params() if model.built else 0)
    result = replace(result, checkpoint_sha256=digest)
    name, reason = state.trainer if state is not None and not trained else trainer.used
    return replace(result, joined=_joined(hp), trainer=name, trainer_reason=reason)


def _train(training: Training, watch: Watch, trainer: Trainer, state: TrainingState | None) -> bool:
    """Trains a model, from its first epoch or from a state; a training that raises fails.

    Returns:
        Whether there was anything left to train.
    """
    if state is not None:
        if not watch.go_on_from(state):
            return False
        restored = restoring(training.callbacks, state.callbacks)
        training = replace(
            training,
            callbacks=[*training.callbacks, restored],
            initial_epoch=len(state.epochs),
        )
    try:
        with forgetting_gradients():
            outcome = trainer.train(training, watch.on_epoch_end)
        if outcome is not None:
            watch.conclude(outcome)
    except StudyError:
        raise
    except Exception as error:
        watch.fail(_training_failed(error))
        _tell_once(training.spec.number, describe(error))
    return True


def _may_have_a_state(task: TrialTask) -> bool:
    """Tells whether an attempt to take up a state may have changed the model."""
    return task.origin is not None or task.spec.attempt > 1


def _build(
    study: Study, hp: Hyperparameters, seed: int
) -> tuple[keras.Model, Sequence[keras.callbacks.Callback]]:
    begin_trial(seed)
    with global_settings.noting_environment():
        return build_model(study, hp), build_callbacks(study, hp)


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
