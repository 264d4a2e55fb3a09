"""Checkpoints of a training: the weights of the best epoch, and states to resume from.

A state is a safetensors file (https://huggingface.co/docs/safetensors): arrays and a JSON header.
Reading the file runs no code. The file contains:

- the weights and the optimizer's variables after the last epoch and after the best epoch
- the metrics of each epoch
- the attributes of the callbacks

Random states are not saved, as they follow from the trial's seed and the epoch.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import logging
import os
import shutil
import time
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import InternalError, StudyError
from studies.error_texts import describe
from studies.library_internals import GIVEN_TO_CALLBACKS
from studies.training.model_structure_digest import Structure
from studies.training.model_variables_and_properties import (
    as_built,
    assign,
    build_variables,
    copy_of,
    may_change_model,
    saved_variables,
    stateful_layers,
)
from studies.training.plain_and_hypermodel_trainers import Trainer
from studies.training.pure_library_functions import library_of
from studies.training.random_states_and_user_objects import (
    UsersState,
    global_random_states,
    seed_generator_states,
)
from studies.training.traced_programs.traced_steps import random_operation
from tracking.records import BestEpoch, TrialSpec, TrialTask
from tracking.store import CheckpointError, checkpoint_digest, replacing

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


_log = logging.getLogger(__name__)
# The share of a training's time that writing states may take. If epochs are short, only some of
# them write a state. A killed training repeats the epochs since its last state, which costs little
# because they are short.
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

        # A phrase that says why no more states are written. Empty if states are written.
        self.given_up = ""
        self._task, self._model, self._callbacks = task, model, callbacks
        self._weights, self._trainer = weights, trainer
        self._path = None if trainer.concludes else task.state
        self._identity = identity_of(task.spec)
        self._began, self._spent = time.monotonic(), 0.0
        self._schedules = [c for c in callbacks if type(c) is keras.callbacks.LearningRateScheduler]
        # The objects that the learning rate schedules can reach. If a schedule changes one of them,
        # no more states are written.
        self._reached = UsersState(*(callback.schedule for callback in self._schedules))
        self._generator = global_random_states()[-1]
        self._resumable = False  # Whether `_why_never` was called, and gave no reason.

    def after_epoch(
        self, epochs: Sequence[Mapping[str, float]], best: BestEpoch | None, *, stopped: bool
    ) -> None:
        """Writes the state after an epoch, unless this would take too much of the training's time.

        If the training is `stopped` after the epoch, the state is always written. Raises
        StudyError if the file can't be written.
        """
        if self._path is None or best is None:
            return
        began = time.monotonic()
        if not stopped and self._spent > (began - self._began) * _SHARE:
            return
        try:
            self._check_resumable()
            callbacks = capture(self._callbacks)
        except StateError as error:
            # This is no error: if the training is interrupted, it starts again, and gives the same
            # bits.
            self.given_up = (
                "no state is written, so an interrupted training starts from its first epoch: "
                f"{error}"
            )
            self._path = None
            _log.info("trial %d: %s", self._task.spec.number, self.given_up)
            return
        best_copy = self._weights.copy
        assert best_copy is not None, "there is a best epoch"
        # A copy is never changed, so `last` and `best_weights` can be the same copy.
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

    def _check_resumable(self) -> None:
        """Raises StateError if the training can't resume from its present state."""
        if not self._resumable:
            reason = self._why_never()
            if reason:
                raise StateError(reason)
            self._resumable = True
        if not np.array_equal(global_random_states()[-1], self._generator):
            raise StateError("some code draws by keras.random without a seed generator")
        changed = self._reached.changed()
        if changed:
            raise StateError(f"a learning rate schedule changes {', '.join(changed)}")

    def _why_never(self) -> str:
        """Returns why this training can never resume from a state, or an empty text.

        The model must have all its variables, as it does after the first epoch.
        """
        others = [callback for callback in self._callbacks if callback not in self._schedules]
        if may_change_model(others):
            return "a callback may change the model"
        if stateful_layers(self._model):
            return "layers keep their state between batches"
        if any(array.dtype.kind not in "biuf" for array in copy_of(self._model)):
            return "numpy lacks the type of some weights, e.g. bfloat16"
        drawing = random_operation(self._model)
        if drawing:
            return f"the state of {drawing} can't be saved"
        try:
            return beyond_weights(self._model, self._trainer.walked)
        except Exception as error:
            return f"the model's variables can't be read ({describe(error)})"


def cannot_write(path: Path, error: OSError) -> StudyError:
    """Returns the error for a checkpoint that can't be written.

    The trial is not at fault. The study stops, and its next launch resumes the trial.
    """
    return StudyError(
        f"The checkpoint {str(path)!r} cannot be written: {error.strerror or error}",
        hint="Make room, and launch again to resume.",
    )


def last_state(
    task: TrialTask,
    model: keras.Model,
    splits: LoadedData,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainingState | None:
    """Restores a newly built model from the trial's state, and returns the state.

    Returns None if there is no usable state. A failed attempt may have changed the model, so build
    it again, and train it from the first epoch, which gives the same bits.
    """
    if task.state is None or not task.state.exists():
        return None
    try:
        return _restored(task.state, task, model, splits, callbacks)
    except Exception as error:
        # An unusable state is no error, as the model can be trained from the first epoch.
        why = str(error) if isinstance(error, StateError) else describe(error)
        how = "it is trained from its first epoch"
        _log.warning("trial %d: its state can't be used (%s); %s", task.spec.number, why, how)
        return None


def _restored(
    path: Path,
    task: TrialTask,
    model: keras.Model,
    splits: LoadedData,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainingState:
    state = read_state(path)
    if state.identity != identity_of(task.spec) or len(state.epochs) > task.spec.epochs:
        raise StateError("the state is of another training")
    capture(callbacks)
    if len(callbacks) != len(state.callbacks):
        raise StateError("the trial has other callbacks")
    build_variables(model, splits)
    assign(model, state.last)
    return state


class BestWeights:
    """A copy in memory of a model's weights and optimizer variables after the best epoch so far.

    The copy is written only at the end of the trial. Writing takes longer than an epoch of a small
    model, and a later epoch is often better.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        # The weights, then the optimizer's variables. None if there is no copy.
        self.copy: Sequence[np.ndarray] | None = None
        self._sha256 = ""

    @property
    def sha256(self) -> str:
        """The digest of the copied weights. Empty if there is no copy."""
        if self.copy is not None and not self._sha256:
            self._sha256 = weights_digest(self.copy[: len(self._model.weights)])
        return self._sha256

    def take(self) -> None:
        """Copies the present values of the model's weights and of the optimizer's variables."""
        self.take_copy(copy_of(self._model))

    def take_copy(self, copy: Sequence[np.ndarray] | None, sha256: str = "") -> None:
        """Keeps a result of `copy_of` as the copy. None drops the present copy.

        `sha256` is the digest of the weights in the copy, or empty if it is not known.
        """
        self.copy, self._sha256 = copy, sha256

    def restore(self) -> None:
        """Gives the model the values of the copy. Call this after the training."""
        assert self.copy is not None, "there is a best epoch"
        assign(self._model, self.copy)

    def write(self, path: Path) -> str:
        """Writes the copy atomically. Returns the digest of the file's content.

        The model has the copy's values afterwards. Raises OSError if the file can't be written.
        Keras's errors for a model that can't be saved are passed on.
        """
        assert self.copy is not None, "there is a best epoch"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.restore()
        # On a full disk, HDF5 can't close the file, and the process would crash at its end. So
        # raise an error before HDF5 writes.
        if shutil.disk_usage(path.parent).free < 2 * sum(array.nbytes for array in self.copy):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with replacing(path) as partial:
            with as_built(self._model):
                self._model.save_weights(partial)
            try:
                return checkpoint_digest(partial)
            except CheckpointError as error:
                raise OSError(f"the written file can't be read back: {error}") from None


def weights_digest(weights: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 of the types, shapes and bytes of weights."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype.name}{weight.shape};".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


# These fields of a spec don't change the results of an epoch.
_WITHOUT_EFFECT = frozenset({"number", "attempt", "epochs", "confirms"})


class StateError(InternalError):
    """A state can't be saved, or a training can't resume from it. The error's text says why."""


@dataclass(frozen=True)
class TrainingState:
    """The state of a training after its last epoch so far."""

    identity: str
    epochs: Sequence[Mapping[str, float]]  # The metrics of each epoch, from the first.
    best: BestEpoch
    weights_sha256: str  # The digest of the best epoch's weights.
    last: Sequence[np.ndarray]  # Weights, then the optimizer's variables, after the last epoch.
    best_weights: Sequence[np.ndarray]  # Weights and optimizer's variables after the best epoch.
    callbacks: Sequence[Mapping[str, Any]] = ()  # The attributes of each callback.
    stopped: bool = False  # Whether a callback ended the training after the last epoch.
    trainer: tuple[str, str] = ("", "")  # The trainer's name, and why no faster trainer was used.


def identity_of(spec: TrialSpec) -> str:
    """Returns a key. A training can resume from a state if both have the same key.

    The key is a digest of the spec's fields that change results, and of the trial number that the
    builder sees.
    """
    fields = {**dataclasses.asdict(spec), "built_as": spec.built_as}
    fields = {name: value for name, value in fields.items() if name not in _WITHOUT_EFFECT}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def write_state(path: Path, state: TrainingState) -> None:
    """Writes a state atomically."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}

    def in_file(array: np.ndarray) -> dict[str, str]:
        name = f"callbacks/{len(arrays)}"
        arrays[name] = _in_order(array)
        return {_ARRAY: name}

    # If the last epoch is the best one, both parts are the same arrays, so write them once.
    best_is_last = state.best_weights is state.last
    for part in ("last",) if best_is_last else ("last", "best_weights"):
        arrays |= {f"{part}/{i}": _in_order(array) for i, array in enumerate(getattr(state, part))}
    fields = dataclasses.asdict(dataclasses.replace(state, last=(), best_weights=()))
    header = json.dumps({**fields, "best_is_last": best_is_last}, default=in_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        metadata = {"header": header, "sha256": _digest(header, arrays)}
        try:
            save_file(arrays, partial, metadata=metadata)
        except SafetensorError as error:
            # safetensors raises this for a full disk.
            raise OSError(str(error)) from error


def read_state(path: Path) -> TrainingState:
    """Reads a state. Raises StateError if the file is missing, damaged, or no state."""
    from safetensors import SafetensorError, safe_open

    def with_array(value: dict[str, Any]) -> Any:
        return arrays[value[_ARRAY]] if value.keys() == {_ARRAY} else value

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = metadata["header"]
        if metadata["sha256"] != _digest(header, arrays):
            raise StateError(f"{str(path)!r} does not have the content that was written")
        fields = json.loads(header, object_hook=with_array)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StateError(f"{str(path)!r} can't be read ({error})") from None
    last = _part(arrays, "last")
    fields["best_weights"] = last if fields.pop("best_is_last") else _part(arrays, "best_weights")
    fields |= {
        "last": last,
        "best": BestEpoch(**fields["best"]),
        "trainer": tuple(fields["trainer"]),
    }
    return TrainingState(**fields)


def _in_order(array: np.ndarray) -> np.ndarray:
    # `np.ascontiguousarray` would add a dimension to an array without dimensions.
    return np.asarray(array, order="C")


def _part(arrays: Mapping[str, np.ndarray], part: str) -> list[np.ndarray]:
    count = sum(name.startswith(f"{part}/") for name in arrays)
    return [arrays[f"{part}/{i}"] for i in range(count)]


def _digest(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    names = sorted(arrays)
    content = f"{header}{names}{weights_digest([arrays[name] for name in names])}"
    return hashlib.sha256(content.encode()).hexdigest()


# These callbacks of Keras keep files or functions, which can't be saved.
_UNKNOWN = frozenset({"BackupAndRestore", "CSVLogger"})
# A function of `keras.ops` is saved as {_OPERATION: the function's name}. An array is saved as
# {_ARRAY: the array's name in the file}.
_OPERATION = "keras.ops"
_ARRAY = "numpy.ndarray"


def capture(callbacks: Sequence[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """Returns the attributes of each callback, with copies of arrays.

    Raises StateError for anything but numbers, texts, arrays, and lists and dicts of these.
    Functions are left out, as the callbacks of a resumed training have them already. The exceptions
    are functions of `keras.ops`, such as `less`: EarlyStopping chooses one at its first epoch.
    """
    for callback in callbacks:
        if type(callback).__name__ in _UNKNOWN:
            raise StateError(f"the state of {type(callback).__name__} can't be saved")
    return [
        {
            name: _copied(value, callback, name)
            for name, value in vars(callback).items()
            if name not in GIVEN_TO_CALLBACKS and (_is_operation(value) or not callable(value))
        }
        for callback in callbacks
    ]


def restore(
    callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]
) -> None:
    """Sets the attributes that `capture` returned.

    Call this after `on_train_begin`, in which callbacks reset their attributes.
    """
    import keras

    for callback, state in zip(callbacks, states, strict=True):
        for name, value in state.items():
            if isinstance(value, Mapping) and set(value) == {_OPERATION}:
                setattr(callback, name, getattr(keras.ops, value[_OPERATION]))
            else:
                # Copy the value, as the callback may change it and the state must not change.
                setattr(callback, name, _copied(value, callback, name))


def _is_operation(value: Any) -> bool:
    """Returns whether a value is a function of `keras.ops`.

    EarlyStopping and similar callbacks choose `less` or `greater` at their first epoch, and keep
    the function in an attribute. So a state needs this attribute.
    """
    import keras

    return isinstance(value, types.FunctionType) and (
        getattr(keras.ops, value.__name__, None) is value
    )


def _copied(value: Any, callback: object, name: str) -> Any:
    if _is_operation(value):
        return {_OPERATION: value.__name__}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.copy()
    if type(value) in (list, tuple):
        return [_copied(item, callback, name) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _copied(item, callback, name) for key, item in value.items()}
    kind = "a function" if isinstance(value, types.FunctionType) else type(value).__name__
    raise StateError(f"the state of {type(callback).__name__} can't be saved: {name} is {kind}")


def beyond_weights(model: keras.Model, structure: Structure | None = None) -> str:
    """Returns why a state can't hold all variables of a training, or an empty text.

    Variables that are set at the beginning of each epoch need not be in a state. These are the
    variables of the model's own seed generators and of Keras's metrics.
    """
    structure = structure or Structure(model)
    if structure.state:
        return f"the model has {structure.state}"
    if structure.of_libraries:
        return ""
    in_state = {id(v) for v in (*saved_variables(model), *seed_generator_states(model))}
    for metric in getattr(model, "metrics", ()):
        # Keras keeps the metrics given to `compile` in a container metric.
        for inner in getattr(metric, "metrics", None) or [metric]:
            if library_of(type(metric)) == library_of(type(inner)) == "keras":
                in_state |= {id(variable) for variable in inner.variables}
    others = [v.path for v in structure.variables if id(v) not in in_state]
    return f"the model has variables beyond its weights: {', '.join(others)}" if others else ""
