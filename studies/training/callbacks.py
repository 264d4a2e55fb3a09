"""Finds callbacks that watch batches, or may change a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

_BATCH_METHODS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)

# Keras's callbacks that change nothing of a model but its variables.
_CHANGING_VALUES = frozenset(
    {"BackupAndRestore", "CSVLogger", "EarlyStopping", "History", "ModelCheckpoint",
     "ReduceLROnPlateau", "TerminateOnNaN"}
)  # fmt: skip


def may_change_model(callbacks: Iterable[keras.callbacks.Callback]) -> bool:
    """Returns whether callbacks may change more of a model than its variables: the user's may."""
    import keras

    return any(
        type(callback).__name__ not in _CHANGING_VALUES
        or type(callback) is not getattr(keras.callbacks, type(callback).__name__, None)
        for callback in callbacks
    )


def watching_batches(callbacks: Iterable[keras.callbacks.Callback]) -> str:
    """Returns the class of the first callback that does something at each batch, or nothing.

    Callbacks whose effect follows from the epoch are ignored; see `terminating`.
    """
    for callback in callbacks:
        if _saves_by_epoch(callback) or terminating([callback]):
            continue
        if any(overrides(callback, name) for name in _BATCH_METHODS):
            return type(callback).__name__
    return ""


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


def _saves_by_epoch(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a callback's batch methods do nothing, as it saves at the end of epochs."""
    import keras

    saving = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)
    return type(callback) in saving and getattr(callback, "save_freq", None) == "epoch"
