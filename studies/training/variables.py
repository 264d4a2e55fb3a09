"""A model's variables: made ahead of the training; read and set."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from studies.libraries.keras_parts import layers_within
from studies.libraries.tensorflow_parts import is_plain_variable
from studies.training.batches import packed
from studies.training.building import build_variables, fixed_batch_size, has_own_steps

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits


def make_variables(model: keras.Model, splits: AnySplits) -> None:
    """Makes what variables of a model `fit` would make in its first step.

    Made while TensorFlow traces the training step, they have it trace the step twice: a quarter
    of a second for a small model. A model with steps of its own is left alone: nobody knows what
    they do.
    """
    if has_own_steps(model):
        return
    build_variables(model, splits)
    # Layers may keep something from call to call.
    before = [(variable, _value_of(variable)) for variable in model.non_trainable_variables]
    model.test_step(packed(splits.train.first(fixed_batch_size(model) or 1)))
    model.reset_metrics()
    for variable, value in before:
        if not np.array_equal(_value_of(variable), value):
            variable.assign(value)
    for layer in stateful_layers(model):
        layer.reset_state()


@contextlib.contextmanager
def as_built(model: keras.Model) -> Iterator[None]:
    """Makes Keras save and load the weights of a model that is never called itself.

    Its training step calls its parts, as that of a variational autoencoder does, so that these have
    weights and Keras takes the whole for a model that is not built.
    """
    before = model.built
    model.built = before or bool(model.weights)
    try:
        yield
    finally:
        model.built = before


def parameters_of(model: keras.Model) -> int:
    """Returns how many numbers the weights of a model are, built or not."""
    return sum(math.prod(weight.shape) for weight in model.weights)


def stateful_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the recurrent layers that go on from batch to batch (``stateful=True``).

    Their states are no weights, nor any variables of the model.
    """
    return [
        layer
        for layer in layers_within(model)
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state")
    ]


def other_optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers that a model has beside the one that it is compiled with.

    As a model of two that train against each other has.
    """
    import keras

    own = getattr(model, "optimizer", None)
    held = vars(model).values()
    return [
        each for each in held if isinstance(each, keras.optimizers.Optimizer) and each is not own
    ]


def saved_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns what `save_weights` keeps of a model: its weights, then its optimizer's variables."""
    # A HyperModel that trains by itself may leave its model without one.
    optimizer = getattr(model, "optimizer", None)
    return [*model.weights, *(optimizer.variables if optimizer is not None else [])]


def copy_of(model: keras.Model) -> list[np.ndarray]:
    """Returns copies of what `saved_variables` returns."""
    return [_value_of(variable) for variable in saved_variables(model)]


def assign(model: keras.Model, copy: Sequence[np.ndarray]) -> None:
    """Sets a model, with its optimizer, to what `copy_of` returned.

    Raises:
        ValueError: If it is of another model.
    """
    for variable, value in zip(saved_variables(model), copy, strict=True):
        if tuple(variable.shape) != value.shape:
            raise ValueError(f"{variable.path} has the shape {variable.shape}, not {value.shape}")
        variable.assign(value)


def _value_of(variable: keras.Variable) -> np.ndarray:
    import tensorflow as tf

    held = variable.value
    # Not one of a distribution strategy, which has several values.
    if not is_plain_variable(held):
        return np.array(variable.numpy())
    # A third of the time that `variable.numpy()` takes.
    value = tf.raw_ops.ReadVariableOp(resource=held.handle, dtype=held.dtype)
    # A copy of its own; of a scalar, numpy's.
    return np.asarray(value.numpy())
