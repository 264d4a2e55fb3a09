"""The state of a training after an epoch, in a file from which it resumes bit for bit.

The file is a safetensors file (https://huggingface.co/docs/safetensors): arrays and a JSON header.
Reading it runs no code. It holds:

- the weights and the optimizer's variables after the last epoch and after the best one
- the metrics of each epoch
- the attributes of the callbacks
- variables of losses and metrics, if their order is certain

It holds no random states, as these follow from the trial's seed and the epoch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import InternalError
from studies.library_internals.keras_internals import GIVEN_TO_CALLBACKS
from studies.training.models import saved_variables
from studies.training.process.determinism import seed_generator_states
from studies.training.structure import Structure, library_of
from tracking.records import BestEpoch, TrialSpec
from tracking.store.atomic_writing import replacing

if TYPE_CHECKING:
    import keras

# These fields of a spec don't change the results of an epoch.
_NOT_COMPUTED = frozenset(
    {"number", "attempt", "epochs", "goes_on_from", "initial_epoch", "begun_as", "hardware"}
)


class StateError(InternalError):
    """A training can't resume from a file: it is damaged, or of another training."""


@dataclass(frozen=True)
class TrainingState:
    """The state of a training after its last epoch so far."""

    identity: str
    epochs: Sequence[Mapping[str, float]]  # The metrics of each epoch, from the first.
    best: BestEpoch | None
    weights_sha256: str  # The digest of the best epoch's weights.
    last: Sequence[np.ndarray]  # Weights, then the optimizer's variables, after the last epoch.
    best_weights: Sequence[np.ndarray]  # The same after the best epoch.
    callbacks: Sequence[Mapping[str, Any]] = ()
    stopped: bool = False  # Whether a callback ended the training with the last epoch.
    trainer: tuple[str, str] = ("", "")  # The trainer's name, and why it is not the faster one.


def identity_of(spec: TrialSpec) -> str:
    """Returns a key that is equal for two trainings if one can resume the other.

    It is a digest of the spec's fields that change results, and of the trial number that the
    builder sees.
    """
    fields = {**dataclasses.asdict(spec), "built_as": spec.built_as}
    computed = {name: value for name, value in fields.items() if name not in _NOT_COMPUTED}
    return hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()


def write_state(path: Path, state: TrainingState) -> None:
    """Writes a state atomically. The replaced file is kept as `one_before`."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    # safetensors can't write types that numpy lacks (e.g. bfloat16), so these become integers.
    others: dict[str, str] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"callbacks/{len(arrays)}"
            arrays[name] = _in_order(value)
            return {"array": name}
        if isinstance(value, Mapping):
            return {"mapping": {key: plain(item) for key, item in value.items()}}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [plain(item) for item in value]}
        return value

    callbacks = [plain(dict(captured)) for captured in state.callbacks]
    # If the last epoch is the best one, both have the same arrays, written once.
    best_is_last = state.best_weights is state.last
    for part in ("last",) if best_is_last else ("last", "best_weights"):
        arrays |= {f"{part}/{i}": _in_order(array) for i, array in enumerate(getattr(state, part))}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            others[name] = array.dtype.name
            arrays[name] = array.view(f"u{array.dtype.itemsize}")
    header = json.dumps(
        {
            "identity": state.identity,
            "epochs": [dict(metrics) for metrics in state.epochs],
            "best": None if state.best is None else dataclasses.asdict(state.best),
            "weights_sha256": state.weights_sha256,
            "stopped": state.stopped,
            "trainer": state.trainer,
            "best_is_last": best_is_last,
            "callbacks": callbacks,
            "types": others,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, keeping=True) as partial:
        metadata = {"state": header, "sha256": _digest(header, arrays)}
        try:
            save_file(arrays, partial, metadata=metadata)
        except SafetensorError as error:
            # safetensors raises this for a full disk.
            raise OSError(str(error)) from error


def read_state(path: Path) -> TrainingState:
    """Reads a state. Raises StateError if the file is missing, damaged, or no state."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = metadata["state"]
        if metadata["sha256"] != _digest(header, arrays):
            raise StateError(f"{str(path)!r} does not have the content that was written")
        fields = json.loads(header)
        for name, kind in fields.pop("types").items():
            arrays[name] = arrays[name].view(np.dtype(kind))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StateError(f"{str(path)!r} can't be read ({error})") from None

    def restored(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        ((kind, content),) = value.items()
        if kind == "array":
            return arrays[content]
        if kind == "mapping":
            return {key: restored(item) for key, item in content.items()}
        items = [restored(item) for item in content]
        return tuple(items) if kind == "tuple" else items

    best, trainer = fields.pop("best"), fields.pop("trainer")
    callbacks = [restored(captured) for captured in fields.pop("callbacks")]
    last = _part(arrays, "last")
    best_weights = last if fields.pop("best_is_last") else _part(arrays, "best_weights")
    return TrainingState(
        **fields,
        best=None if best is None else BestEpoch(**best),
        last=last,
        best_weights=best_weights,
        callbacks=callbacks,
        trainer=tuple(trainer),
    )


def _in_order(array: np.ndarray) -> np.ndarray:
    # np.ascontiguousarray gives a scalar a dimension.
    return np.asarray(array, order="C")


def _part(arrays: Mapping[str, np.ndarray], part: str) -> list[np.ndarray]:
    count = sum(name.startswith(f"{part}/") for name in arrays)
    return [arrays[f"{part}/{i}"] for i in range(count)]


def _digest(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}{array.dtype.name}{array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


# These callbacks of Keras keep files or functions, which can't be saved.
_UNKNOWN = frozenset({"BackupAndRestore", "CSVLogger"})
_OPERATION = "keras.ops"


class CallbackStateError(InternalError):
    """A callback has an attribute that can't be saved. The error's text names it."""


def capture(callbacks: Sequence[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """Returns the attributes of each callback, with copies of arrays.

    Raises CallbackStateError for anything but numbers, texts, arrays and containers of these.
    Keras's own callbacks never change their functions, so these are left out.
    """
    return [_captured(callback) for callback in callbacks]


def restore(
    callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]
) -> None:
    """Sets callbacks to captured states. Call it after `on_train_begin`."""
    import keras

    for callback, state in zip(callbacks, states, strict=True):
        for name, value in state.items():
            if isinstance(value, Mapping) and set(value) == {_OPERATION}:
                setattr(callback, name, getattr(keras.ops, value[_OPERATION]))
            else:
                # Copy the value, as the callback may change it and the state must not change.
                setattr(callback, name, _copied(value, callback, name))


def _captured(callback: keras.callbacks.Callback) -> dict[str, Any]:
    if type(callback).__name__ in _UNKNOWN:
        raise CallbackStateError(f"the state of {type(callback).__name__} can't be saved")
    return {
        name: _copied(value, callback, name)
        for name, value in vars(callback).items()
        if name not in GIVEN_TO_CALLBACKS and (is_operation(value) or not callable(value))
    }


def is_operation(value: Any) -> bool:
    """Returns whether a value is a function of `keras.ops`.

    EarlyStopping and similar callbacks choose `less` or `greater` at their first epoch. So a state
    needs this attribute.
    """
    import keras

    return isinstance(value, types.FunctionType) and (
        getattr(keras.ops, value.__name__, None) is value
    )


def _copied(value: Any, callback: object, name: str) -> Any:
    if is_operation(value):
        return {_OPERATION: value.__name__}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.copy()
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_copied(item, callback, name) for item in value)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _copied(item, callback, name) for key, item in value.items()}
    kind = "a function" if isinstance(value, types.FunctionType) else type(value).__name__
    raise CallbackStateError(
        f"the state of {type(callback).__name__} can't be saved: {name} is {kind}"
    )


def beyond_weights(model: keras.Model, structure: Structure | None = None) -> str:
    """Returns why a state can't hold all variables of a training, or an empty text.

    It holds the weights. Two kinds are set for each epoch: the model's own seed generators, and
    Keras's metrics that are reset.
    """
    structure = structure or Structure(model)
    if structure.state:
        return f"the model holds {structure.state}"
    if structure.of_libraries:
        return ""
    held = {id(v) for v in (*saved_variables(model), *seed_generator_states(model))}
    held |= _reset_each_epoch(model)
    others = [variable.path for variable in structure.variables if id(variable) not in held]
    return f"the model holds variables beyond its weights: {', '.join(others)}" if others else ""


def _reset_each_epoch(model: keras.Model) -> set[int]:
    waiting: list[Any] = list(getattr(model, "metrics", ()))
    variables: set[int] = set()
    while waiting:
        metric = waiting.pop()
        if library_of(type(metric)) != "keras":
            continue
        inner = getattr(metric, "metrics", None)
        if inner:
            waiting += inner
        else:
            variables |= {id(variable) for variable in metric.variables}
    return variables
