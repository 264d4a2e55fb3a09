"""Makes, reads and sets the variables of a Keras model and its optimizer."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.library_internals.keras_internals import call_symbolically, has_all_variables
from studies.training.batches import as_keras_reads, as_tensor, packed
from studies.training.model_properties import fixed_batch_size, has_own_steps
from studies.training.model_structure import Structure

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


def make_variables(model: keras.Model, splits: LoadedData) -> Structure | None:
    """Makes the variables that `fit` makes in its first step, and changes no values.

    If a model, its loss or metrics make variables while TensorFlow traces the training step,
    TensorFlow traces the step twice (0.25 s for a small model). So a validation step runs first,
    which makes the variables. If the model's class has its own training or validation step, this
    function does nothing, as such a step may do anything.

    If the validation step calls code of the user, returns the structure that the model had before.
    Otherwise returns None.
    """
    import keras
    import tensorflow as tf

    if has_own_steps(model) or has_all_variables(model):
        return None
    _build_sequential(model, splits)
    before = Structure(model)
    if model.built and before.of_libraries:
        # Keras's own code keeps its state only in Keras variables, and a StatelessScope discards
        # their new values.
        samples = packed(splits.train.first(fixed_batch_size(model) or 1))
        # Give the scope the values of these variables, because regularizers read them there.
        with keras.StatelessScope([(v, v.value) for v in model.trainable_variables]):
            model.test_step(tf.nest.map_structure(as_tensor, samples))
    else:
        # The model is not built yet, or the user's code may keep state outside of Keras variables.
        # So call the step with symbolic tensors, as Keras's `_symbolic_build` does. This makes
        # variables and changes no values, but takes three times as long.
        call_symbolically(model.test_step, _symbolic(packed(splits.train.first(1)), model))
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return None if before.of_libraries else before


def make_weights(model: keras.Model, splits: LoadedData) -> None:
    """Makes a model's weights now, and not only when the model is first called.

    The `build` of a layer may make more layers, which draw their seeds at that time. So every
    training makes the weights before it does anything else (docs/reproducing.md).
    """
    if not has_own_steps(model):
        _build(model, splits)


def build_variables(model: keras.Model, splits: LoadedData) -> None:
    """Makes the missing variables of a model and its optimizer."""
    try:
        _build(model, splits)
    except Exception:
        if not has_own_steps(model):
            raise
        # The model may have a training step that calls its layers, but no `call`. So run one step,
        # which makes the variables of the layers.
        if not model.weights:
            model.train_step(packed(splits.train.first(fixed_batch_size(model) or 1)))
    # A second `build` of a LossScaleOptimizer would add variables, so check `built` first.
    if model.compiled and model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _build(model: keras.Model, splits: LoadedData) -> None:
    _build_sequential(model, splits)
    if not model.built:
        # Call the model, because `model.build` does not make the variables of the layers in a
        # subclass of `keras.Model`.
        model(as_keras_reads(splits.train.first(1).x))


def _build_sequential(model: keras.Model, splits: LoadedData) -> None:
    """Builds a Sequential model without a call of it, as a call would fix its batch size."""
    import keras

    x = splits.train.first(1).x
    if not model.built and isinstance(model, keras.Sequential) and isinstance(x, np.ndarray):
        model.build((None, *x.shape[1:]))


def _symbolic(data: Any, model: keras.Model) -> Any:
    """Returns symbolic batches with the shapes and types of some samples."""
    import keras

    size = fixed_batch_size(model)

    def batch(array: np.ndarray) -> Any:
        dtype = keras.backend.standardize_dtype(array.dtype)
        return keras.KerasTensor((size, *array.shape[1:]), dtype)

    return keras.tree.map_structure(batch, data)


@contextlib.contextmanager
def as_built(model: keras.Model) -> Iterator[None]:
    """Lets Keras save and load the weights of a model that is never called.

    The training step of such a model calls parts of the model, as in a variational autoencoder. So
    the parts have weights, but the model is not `built`. Within this context, the model's `built`
    is true.
    """
    before = model.built
    model.built = before or bool(model.weights)
    try:
        yield
    finally:
        model.built = before


def parameters_of(model: keras.Model) -> int:
    """Returns the number of a model's parameters."""
    return sum(math.prod(weight.shape) for weight in model.weights)


def saved_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables that `save_weights` writes: the weights, then the optimizer's."""
    # A HyperModel with its own `fit` may not compile its model.
    optimizer = getattr(model, "optimizer", None)
    return [*model.weights, *(optimizer.variables if optimizer is not None else [])]


def copy_of(model: keras.Model) -> list[np.ndarray]:
    """Returns copies of the values of `saved_variables`."""
    return values_of(saved_variables(model))


def values_of(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Returns copies of the values of variables."""
    return [_value_of(variable) for variable in variables]


def assign(model: keras.Model, copy: Sequence[np.ndarray]) -> None:
    """Sets a model and its optimizer to the values that `copy_of` returned."""
    set_values(saved_variables(model), copy)


def set_values(variables: Iterable[keras.Variable], values: Iterable[np.ndarray]) -> None:
    """Sets variables to the values that `values_of` returned."""
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            raise ValueError(f"{variable.path} has the shape {variable.shape}, not {value.shape}")
        variable.assign(value)


def _value_of(variable: keras.Variable) -> np.ndarray:
    import tensorflow as tf

    tf_variable = variable.value
    # This operation takes a third of the time of `variable.numpy()`.
    value = tf.raw_ops.ReadVariableOp(resource=tf_variable.handle, dtype=tf_variable.dtype)
    # `ReadVariableOp` has made a copy already. `asarray` is needed for a variable without axes, for
    # which `numpy()` returns a scalar.
    return np.asarray(value.numpy())
