"""The state of callbacks between epochs, in their attributes and elsewhere."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import InternalError
from studies.libraries.keras_parts import GIVEN_TO_CALLBACKS
from studies.training.structures.code_reading import is_of_keras, is_own, library_of, module_of
from studies.training.structures.fingerprints import Fingerprint

if TYPE_CHECKING:
    import keras

# What they write to, or call, can't be saved.
_UNKNOWN = frozenset(
    {"BackupAndRestore", "CSVLogger", "LambdaCallback", "RemoteMonitor", "SwapEMAWeights",
     "TensorBoard"}
)  # fmt: skip
_OPERATION = "keras.ops"
# Modules of the standard library whose objects' state changes no training.
_OUTPUT = frozenset({"_io", "_thread", "io", "logging", "pathlib", "threading"})


class CallbackStateError(InternalError):
    """A callback keeps something that can't be saved; names it."""


def capture(callbacks: Sequence[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """Returns the state of each callback: its attributes, arrays copied.

    Anything but numbers, texts, arrays and containers of them raises CallbackStateError. Functions
    are ignored in Keras's own callbacks, which never change them.
    """
    return [_captured(callback) for callback in callbacks]


def restore(
    callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]]
) -> None:
    """Sets callbacks to captured states; call it after `on_train_begin`."""
    import keras

    for callback, state in zip(callbacks, states, strict=True):
        for name, value in state.items():
            if isinstance(value, Mapping) and set(value) == {_OPERATION}:
                setattr(callback, name, getattr(keras.ops, value[_OPERATION]))
            else:
                # Copied: the callback changes objects that the state still needs.
                setattr(callback, name, _copied(value, callback, name))


def _captured(callback: keras.callbacks.Callback) -> dict[str, Any]:
    ours = type(callback).__module__.startswith("keras.")
    if ours and type(callback).__name__ in _UNKNOWN:
        raise CallbackStateError(f"the state of {type(callback).__name__} can't be saved")
    return {
        name: _copied(value, callback, name)
        for name, value in vars(callback).items()
        if name not in GIVEN_TO_CALLBACKS
        and not (ours and callable(value) and not is_operation(value))
    }


def is_operation(value: Any) -> bool:
    """Returns whether a value is a function of `keras.ops`.

    Callbacks that monitor a metric choose `less` or `greater` at their first epoch, and the sign of
    their `min_delta` with it: a state needs both.
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


class Surroundings(Fingerprint):
    """A digest of what the code of callbacks can reach: closures, globals, classes, functions.

    Without their attributes, and what is outside of the process: no state of the code.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__(*map(type, callbacks), *(_functions_of(each) for each in callbacks))

    def _impure(self, name: str) -> None:
        pass

    def _visit_object(self, value: Any) -> None:
        kind, library = type(value), library_of(type(value))
        of_python = library in sys.stdlib_module_names and library not in _OUTPUT
        if of_python or (is_own(module_of(kind)) and not is_of_keras(kind)):
            super()._visit_object(value)
        else:
            self._write("object", kind.__module__, kind.__qualname__)


def _functions_of(callback: keras.callbacks.Callback) -> list[Any]:
    """Returns the functions that a callback was given, which aren't part of its state."""
    held = vars(callback).values()
    return [f for f in held if isinstance(f, types.FunctionType) and not is_operation(f)]
