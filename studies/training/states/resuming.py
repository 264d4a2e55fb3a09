"""Resumes a training from its last state."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.error_texts import describe
from studies.training.building.build import build_variables
from studies.training.states import callback_states
from studies.training.states.best_weights import weights_digest
from studies.training.states.beyond_weights import beyond_weights
from studies.training.states.training_state import (
    StateError,
    TrainingState,
    identity_of,
    read_state,
)
from studies.training.variables import assign, copy_of, make_variables, set_values
from tracking.records import TrialTask
from tracking.store.atomic import one_before

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData

_log = logging.getLogger(__name__)


def last_state(
    task: TrialTask,
    model: keras.Model,
    splits: LoadedData,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainingState | None:
    """Restores a new model from the last state of its trial, or of the trial that it continues.

    If the newest state can't be used, the one before is; a message says what that costs.

    Returns:
        The state, or None if none can be used: then the model may have been changed, and the
        training starts from its first epoch, to the same bits.
    """
    unfit = ""
    for path, own in _states(task):
        try:
            state = _restored(path, task, model, splits, callbacks)
        except Exception as error:
            # Any fault: training from the first epoch needs no state.
            why = str(error) if isinstance(error, StateError) else describe(error)
            unfit = unfit or why
            if own:
                # Otherwise it would replace a sound one when the next one is written.
                path.unlink(missing_ok=True)
            continue
        if unfit:
            _tell(task, unfit, f"resumes from an earlier one, after epoch {len(state.epochs)}")
        return state
    if unfit:
        _tell(task, unfit, "is trained from its first epoch")
    return None


def _states(task: TrialTask) -> Iterator[tuple[Path, bool]]:
    """Yields the existing states, newest first, and whether each is the trial's own."""
    for newest, own in ((task.state, True), (task.origin, False)):
        if newest is not None:
            yield from ((path, own) for path in (newest, one_before(newest)) if path.exists())


def _tell(task: TrialTask, unfit: str, how: str) -> None:
    """Logs the cost of a state that can't be used."""
    number = task.spec.number
    _log.warning("trial %d: its newest state can't be used (%s); it %s", number, unfit, how)


def _restored(
    path: Path,
    task: TrialTask,
    model: keras.Model,
    splits: LoadedData,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainingState:
    state = read_state(path)
    if state.identity != identity_of(task.spec) or len(state.epochs) > task.spec.epochs:
        raise StateError("it is of another training")
    callback_states.capture(callbacks)
    if len(callbacks) != len(state.callbacks):
        raise StateError("the trial has other callbacks")
    build_variables(model, splits)
    if state.beyond_names:
        make_variables(model, splits)
        beyond = beyond_weights(model)
        if beyond.names != list(state.beyond_names):
            raise StateError("the model holds other variables beyond its weights")
        set_values(beyond.variables, state.beyond)
    assign(model, state.best_weights)
    if weights_digest(copy_of(model)[: len(model.weights)]) != state.weights_sha256:
        raise StateError("its weights are not those that were recorded")
    assign(model, state.last)
    return state


def restoring(
    callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]
) -> keras.callbacks.Callback:
    """Returns a callback that sets the others to captured states, once they have begun."""
    import keras

    class Restoring(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            callback_states.restore(callbacks, states)

    return Restoring()
