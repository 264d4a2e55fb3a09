"""Decides which trainings programs can do, before anything is traced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from studies.libraries.keras_parts import layers_within, logs_of_its_own
from studies.training.models import class_overrides, has_own_steps, overrides, terminating

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

# Methods of `fit` that a program replaces.
_PARTS_OF_FIT = ("fit", "evaluate", "make_train_function", "make_test_function", "reset_metrics")


def why_not(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> str:
    """Returns why a program can't train a model with its callbacks, or an empty text."""
    import keras
    import tensorflow as tf

    watching = _watching_batches(callbacks)
    if watching:
        return f"the callback {watching} watches batches"
    if has_own_steps(model):
        return f"{type(model).__name__} has its own training step or validation step"
    for name in _PARTS_OF_FIT:
        if class_overrides(model, name):
            return f"{type(model).__name__} has its own {name}"
        if name in vars(model):
            return f"the model was given its own {name}"
    config, traced = keras.config, (model.train_function, model.test_function)
    reasons = {
        f"{type(model).__name__} decides itself which metrics it logs": logs_of_its_own(model),
        # `fit` would continue with the functions traced then.
        "the model was trained or evaluated by its builder": any(traced),
        "the model runs eagerly": model.run_eagerly or tf.config.functions_run_eagerly(),
        "the model is compiled by XLA (jit_compile)": model.jit_compile,
        "XLA compiles what runs (tf.config.optimizer.set_jit)": tf.config.optimizer.get_jit(),
        "the model has steps_per_execution": model.steps_per_execution != 1,
        "cells of StackedRNNCells have dropout, whose gradients round differently in a program": (
            _has_stacked_dropout(model)
        ),
        "a distribution strategy is in force": tf.distribute.has_strategy(),
        "keras.config limits epochs or steps": config.max_epochs() or config.max_steps_per_epoch(),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _has_stacked_dropout(model: keras.Model) -> bool:
    import keras

    return any(
        getattr(cell, rate, 0.0) > 0
        for layer in layers_within(model)
        if isinstance(layer, keras.layers.StackedRNNCells)
        for cell in layer.cells
        for rate in ("dropout", "recurrent_dropout")
    )


def _watching_batches(callbacks: Iterable[keras.callbacks.Callback]) -> str:
    """Returns the class of the first callback that does something at each batch, or nothing.

    Callbacks whose effect follows from the epoch are ignored; see `terminating`.
    """
    for callback in callbacks:
        if _saves_by_epoch(callback) or terminating([callback]):
            continue
        if any(overrides(callback, name) for name in _BATCH_METHODS):
            return type(callback).__name__
    return ""


def _saves_by_epoch(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a callback's batch methods do nothing, as it saves at the end of epochs."""
    import keras

    saving = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)
    return type(callback) in saving and getattr(callback, "save_freq", None) == "epoch"
