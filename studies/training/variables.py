"""A model's variables: making them before the training, reading and setting them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.libraries.keras_parts import call_symbolically, has_all_variables, layers_within
from studies.libraries.tensorflow_parts import is_plain_variable
from studies.training.batches import as_keras_reads, as_tensor, packed
from studies.training.models import fixed_batch_size, has_own_steps
from studies.training.structures.structure import Structure

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


def make_variables(model: keras.Model, splits: LoadedData) -> Structure | None:
    """Makes the variables of a model, its loss and metrics that `fit` would make first.

    Variables made while TensorFlow traces the training step make it trace twice: a quarter of a
    second for a small model. Here a validation step that changes no variable makes them. A model
    with its own steps is skipped, as these may do anything.

    Returns:
        The model's structure before the user's code was called; None if none was.
    """
    import keras
    import tensorflow as tf

    if has_own_steps(model) or has_all_variables(model):
        return None
    _build_sequential(model, splits)
    before = Structure(model)
    if model.built and before.of_libraries:
        # Everything called is Keras's, which keeps state only in Keras variables.
        samples = packed(splits.train.first(fixed_batch_size(model) or 1))
        # Regularizers read the variables from the scope.
        with keras.StatelessScope([(v, v.value) for v in model.trainable_variables]):
            model.test_step(tf.nest.map_structure(as_tensor, samples))
    else:
        # Without any values, as Keras itself makes them elsewhere (`_symbolic_build`). It takes
        # three times as long.
        call_symbolically(model.test_step, _symbolic(packed(splits.train.first(1)), model))
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return None if before.of_libraries else before


def make_weights(model: keras.Model, splits: LoadedData) -> None:
    """Makes the weights of a model that is built when it is first called.

    Sublayers that a `build` makes draw their seeds then. So every training begins with it, in the
    words of docs/reproducing.md.
    """
    if not has_own_steps(model):
        _build_sequential(model, splits)
        if not model.built:
            model(as_keras_reads(splits.train.first(1).x))


def _build_sequential(model: keras.Model, splits: LoadedData) -> None:
    import keras

    x = splits.train.first(1).x
    if not model.built and isinstance(model, keras.Sequential) and isinstance(x, np.ndarray):
        model.build((None, *x.shape[1:]))


def _symbolic(data: Any, model: keras.Model) -> Any:
    """Returns symbolic batches like some samples, of any size if the model takes any."""
    import keras

    size = fixed_batch_size(model)

    def batch(array: np.ndarray) -> Any:
        dtype = keras.backend.standardize_dtype(array.dtype)
        return keras.KerasTensor((size, *array.shape[1:]), dtype)

    return keras.tree.map_structure(batch, data)


@contextlib.contextmanager
def as_built(model: keras.Model) -> Iterator[None]:
    """Makes Keras save and load the weights of a model that is never called.

    Its training step calls its parts, as in a variational autoencoder. So the parts have weights,
    but Keras treats the whole as not built.
    """
    before = model.built
    model.built = before or bool(model.weights)
    try:
        yield
    finally:
        model.built = before


def parameters_of(model: keras.Model) -> int:
    """Returns the number of scalar weights of a model, built or not."""
    return sum(math.prod(weight.shape) for weight in model.weights)


def stateful_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the recurrent layers that keep their state between batches (``stateful=True``).

    Their states are no weights, nor any variables of the model.
    """
    return [
        layer
        for layer in layers_within(model)
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state")
    ]


def other_optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns a model's optimizers other than the one that it is compiled with.

    For example in a model of two adversarial parts.
    """
    import keras

    own = getattr(model, "optimizer", None)
    held = vars(model).values()
    return [
        each for each in held if isinstance(each, keras.optimizers.Optimizer) and each is not own
    ]


def saved_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables in `save_weights`: the weights, then the optimizer's."""
    # A HyperModel with its own `fit` may leave its model without one.
    optimizer = getattr(model, "optimizer", None)
    return [*model.weights, *(optimizer.variables if optimizer is not None else [])]


def copy_of(model: keras.Model) -> list[np.ndarray]:
    """Returns copies of the values of `saved_variables`."""
    return values_of(saved_variables(model))


def values_of(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Returns copies of the values of variables."""
    return [_value_of(variable) for variable in variables]


def assign(model: keras.Model, copy: Sequence[np.ndarray]) -> None:
    """Sets a model, with its optimizer, to the values that `copy_of` returned."""
    set_values(saved_variables(model), copy)


def set_values(variables: Iterable[keras.Variable], values: Iterable[np.ndarray]) -> None:
    """Sets variables to the values that `values_of` returned."""
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            raise ValueError(f"{variable.path} has the shape {variable.shape}, not {value.shape}")
        variable.assign(value)


def _value_of(variable: keras.Variable) -> np.ndarray:
    import tensorflow as tf

    held = variable.value
    # Not for a distribution strategy, whose variables have several values.
    if not is_plain_variable(held):
        return np.array(variable.numpy())
    # A third of the time that `variable.numpy()` takes.
    value = tf.raw_ops.ReadVariableOp(resource=held.handle, dtype=held.dtype)
    # Its own copy; for a scalar, numpy's.
    return np.asarray(value.numpy())
