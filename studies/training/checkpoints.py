"""Checkpoints of a training: its best epoch's weights, and states to resume from."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import StudyError
from studies.error_texts import describe
from studies.training.models import (
    as_built,
    assign,
    build_variables,
    copy_of,
    may_change_model,
    other_optimizers,
    stateful_layers,
)
from studies.training.process.determinism import global_random_states
from studies.training.process.users_state import UsersState
from studies.training.traced_programs.graph_checks import random_operation
from studies.training.trainers import Trainer
from studies.training.training_state import (
    CallbackStateError,
    StateError,
    TrainingState,
    beyond_weights,
    capture,
    identity_of,
    read_state,
    restore,
    write_state,
)
from tracking.records import BestEpoch, TrialTask
from tracking.store.atomic_writing import one_before, replacing
from tracking.store.checkpoint_files import CheckpointError, checkpoint_digest

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


_log = logging.getLogger(__name__)
# The share of a training's time that writing states may take. Short epochs get a state only
# sometimes, and a killed training loses a fraction of a second.
_SHARE = 0.03


class Checkpoints:
    """Writes the state of a training, unless the training can't be resumed."""

    def __init__(
        self,
        task: TrialTask,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        weights: BestWeights,
        trainer: Trainer,
    ) -> None:
        import keras

        # Why no more states are written, or empty.
        self.given_up = ""
        self._task, self._model, self._callbacks = task, model, callbacks
        self._weights, self._trainer = weights, trainer
        # A state lacks what stateful layers and further optimizers hold.
        resumable = not (trainer.concludes or stateful_layers(model) or other_optimizers(model))
        schedules = [c for c in callbacks if type(c) is keras.callbacks.LearningRateScheduler]
        others = [callback for callback in callbacks if callback not in schedules]
        if resumable and may_change_model(others):
            self.given_up, resumable = "a callback may change the model", False
        self._identity = identity_of(task.spec)
        self._path = task.state if resumable else None
        self._began, self._spent = time.monotonic(), 0.0
        # Why a state can't hold all of the model's variables. None if it is not known yet.
        self._beyond: str | None = None
        self._around = (
            UsersState(*(c.schedule for c in schedules)) if schedules and resumable else None
        )
        self._generator = global_random_states()[-1]

    def after_epoch(
        self, epochs: Sequence[Mapping[str, float]], best: BestEpoch | None, *, last: bool
    ) -> None:
        """Writes the state after an epoch. `last` says whether it is the training's last epoch.

        Raises StudyError if the file can't be written.
        """
        if self._path is None or best is None:
            return
        began = time.monotonic()
        if not last and self._spent > (began - self._began) * _SHARE:
            return
        reason = self._why_not()
        if reason:
            self._give_up(reason)
            return
        try:
            callbacks = capture(self._callbacks)
        except CallbackStateError as error:
            self._give_up(str(error))
            return
        best_copy = self._weights.copy
        assert best_copy is not None, "there is a best epoch"
        # The copy is never changed, so the state can share it.
        copy = best_copy if best.epoch == len(epochs) else copy_of(self._model)
        state = TrainingState(
            identity=self._identity,
            epochs=tuple(epochs),
            best=best,
            weights_sha256=self._weights.sha256,
            last=copy,
            best_weights=best_copy,
            callbacks=callbacks,
            stopped=bool(self._model.stop_training),
            trainer=self._trainer.used,
        )
        try:
            write_state(self._path, state)
        except OSError as error:
            raise cannot_write(self._path, error) from None
        self._spent += time.monotonic() - began

    def _why_not(self) -> str:
        """Returns why a state can't hold the training, or an empty text."""
        if self._beyond is None:
            drawing = random_operation(self._model)
            if drawing:
                return f"the state of {drawing} can't be saved"
            try:
                self._beyond = beyond_weights(self._model, self._trainer.walked)
            except Exception as error:
                return f"what the model holds can't be read ({describe(error)})"
        if self._beyond:
            return self._beyond
        if not _same(global_random_states()[-1], self._generator):
            return "something draws by keras.random without a seed generator"
        changed = [] if self._around is None else self._around.changed()
        if changed:
            return f"a schedule keeps something: {', '.join(changed)}"
        return ""

    def _give_up(self, reason: str) -> None:
        """Writes no more states. If interrupted, the training starts again, to the same bits."""
        number = self._task.spec.number
        _log.info(
            "trial %d is trained from its first epoch if it is interrupted: %s", number, reason
        )
        self.given_up, self._path = reason, None


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other or (one is not None and other is not None and bool((one == other).all()))


def cannot_write(path: Path, error: OSError) -> StudyError:
    """Returns the error for a checkpoint that can't be written.

    The trial is not at fault. The study stops, and its next launch resumes the trial.
    """
    return StudyError(
        f"The checkpoint {str(path)!r} cannot be written: {error.strerror or error}. Make room, "
        "and launch again to resume."
    )


def last_state(
    task: TrialTask,
    model: keras.Model,
    splits: LoadedData,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainingState | None:
    """Restores a new model from the last state of its trial, or of the trial that it continues.

    If that state can't be used, the one before is used. Returns None if there is no usable state.
    The model may have changed then. The training starts from its first epoch, and gives the same
    bits.
    """
    unfit = ""
    for path, own in _states(task):
        try:
            state = _restored(path, task, model, splits, callbacks)
        except Exception as error:
            # Training from the first epoch is always possible.
            why = str(error) if isinstance(error, StateError) else describe(error)
            unfit = unfit or why
            if own:
                # Otherwise this file would become `one_before`, and replace a good state.
                path.unlink(missing_ok=True)
            continue
        if unfit:
            _tell(task, unfit, f"resumes from an earlier one, after epoch {len(state.epochs)}")
        return state
    if unfit:
        _tell(task, unfit, "is trained from its first epoch")
    return None


def _states(task: TrialTask) -> Iterator[tuple[Path, bool]]:
    """Yields the existing states, newest first, and whether each is this trial's."""
    for newest, own in ((task.state, True), (task.origin, False)):
        if newest is not None:
            yield from ((path, own) for path in (newest, one_before(newest)) if path.exists())


def _tell(task: TrialTask, unfit: str, how: str) -> None:
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
    capture(callbacks)
    if len(callbacks) != len(state.callbacks):
        raise StateError("the trial has other callbacks")
    build_variables(model, splits)
    assign(model, state.best_weights)
    if weights_digest(copy_of(model)[: len(model.weights)]) != state.weights_sha256:
        raise StateError("its weights are not those that were recorded")
    assign(model, state.last)
    return state


def restoring(
    callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]
) -> keras.callbacks.Callback:
    """Returns a callback that restores other callbacks when the training begins."""
    import keras

    class Restoring(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            restore(callbacks, states)

    return Restoring()


class BestWeights:
    """A copy in memory of a model's weights and optimizer variables after its best epoch so far.

    It is written only at the end of the trial. Writing takes longer than an epoch of a small model,
    and most best epochs are soon surpassed.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        # Weights, then the optimizer's variables, or None.
        self.copy: Sequence[np.ndarray] | None = None
        self._sha256, self._weights = "", 0
        self._restored = False

    @property
    def sha256(self) -> str:
        """The digest of the weights, or empty without a copy."""
        if self.copy is not None and not self._sha256:
            self._sha256 = weights_digest(self.copy[: self._weights])
        return self._sha256

    def forget(self) -> None:
        """Drops the copy."""
        self.copy, self._sha256, self._restored = None, "", False

    def take(self) -> None:
        """Copies the model's present state."""
        self.take_copy(copy_of(self._model))

    def take_copy(self, copy: Sequence[np.ndarray], sha256: str = "") -> None:
        """Keeps a result of `copy_of`, with its digest if known."""
        self.copy, self._sha256, self._restored = copy, sha256, False
        self._weights = len(self._model.weights)

    def restore(self) -> None:
        """Sets the model to the copy, at the end of its training."""
        assert self.copy is not None, "there is a best epoch"
        if not self._restored:
            assign(self._model, self.copy)
            self._restored = True

    def write(self, path: Path) -> str:
        """Writes the copy atomically. Returns the digest of the file's content.

        The model has the copy's values afterwards. Raises OSError. Keras's errors for a model that
        can't be saved are passed on.
        """
        assert self.copy is not None, "there is a best epoch"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.restore()
        # On a full disk, HDF5 can't close the file, and the process would crash at its end.
        if shutil.disk_usage(path.parent).free < 2 * sum(array.nbytes for array in self.copy):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with replacing(path) as partial:
            with as_built(self._model):
                self._model.save_weights(partial)
            try:
                return checkpoint_digest(partial)
            except CheckpointError as error:
                raise OSError(f"what was written can't be read back: {error}") from None


def weights_digest(weights: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 of the types, shapes and bytes of weights, in their order."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype.name}{weight.shape};".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
