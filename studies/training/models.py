"""Facts about Keras models and callbacks; logs as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

# Keras's callbacks that change nothing of a model but its variables.
_CHANGING_VALUES = frozenset(
    {"BackupAndRestore", "CSVLogger", "EarlyStopping", "History", "ModelCheckpoint",
     "ReduceLROnPlateau", "TerminateOnNaN"}
)  # fmt: skip


def fixed_batch_size(model: keras.Model) -> int | None:
    """Returns the batch size that a model demands, or None."""
    inputs = getattr(model, "inputs", None)
    return inputs[0].shape[0] if inputs else None


def has_own_steps(model: keras.Model) -> bool:
    """Returns whether a model's class has its own training or validation step."""
    return any(class_overrides(model, name) for name in ("train_step", "test_step"))


def class_overrides(model: keras.Model, name: str) -> bool:
    """Returns whether a model's class has its own method of a name."""
    import keras

    base = keras.Sequential if isinstance(model, keras.Sequential) else keras.Model
    return getattr(type(model), name) is not getattr(base, name)


def scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    """Returns logs as numbers; a metric with a value per class becomes name_0, name_1 and so on.

    One with a single value, as F1Score of one output, keeps its name.
    """
    numbers: dict[str, float] = {}
    for name, value in logs.items():
        values = np.asarray(value)
        if values.size == 1:
            numbers[name] = float(values.item())
        else:
            numbers.update({f"{name}_{i}": float(v) for i, v in enumerate(values.ravel())})
    return numbers


def may_change_model(callbacks: Iterable[keras.callbacks.Callback]) -> bool:
    """Returns whether callbacks may change more of a model than its variables: the user's may."""
    import keras

    return any(
        type(callback).__name__ not in _CHANGING_VALUES
        or type(callback) is not getattr(keras.callbacks, type(callback).__name__, None)
        for callback in callbacks
    )


def terminating(callbacks: Iterable[keras.callbacks.Callback]) -> bool:
    """Returns whether a training ends at the first batch after which its loss is not finite."""
    import keras

    return any(type(callback) is keras.callbacks.TerminateOnNaN for callback in callbacks)


def overrides(callback: keras.callbacks.Callback, name: str) -> bool:
    """Returns whether a callback does something in one of its methods."""
    import keras

    # LambdaCallback and similar classes set methods on the object.
    if name in vars(callback):
        return True
    return getattr(type(callback), name, None) is not getattr(keras.callbacks.Callback, name, None)
