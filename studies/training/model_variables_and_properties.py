"""Reads and sets the variables of Keras models, and reads properties such as outputs and losses."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.library_internals import (
    call_symbolically,
    has_all_variables,
    layers_within,
)
from studies.training.batches_for_model_fit import as_keras_reads, as_tensor, packed
from studies.training.model_structure_digest import Structure

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData


def make_variables(model: keras.Model, splits: LoadedData) -> Structure | None:
    """Makes the variables that `fit` makes in its first step, and changes no values.

    If a model, its loss or metrics make variables while TensorFlow traces the training step,
    TensorFlow traces the step twice (0.25 s for a small model). So a validation step runs first,
    which makes the variables. If the model's class has its own training or validation step, this
    function does nothing, as such a step may do anything.

    If the validation step calls code of the user, returns the structure that the model had before
    this step. Otherwise returns None.
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
    """Builds a Sequential model without calling it, as a call would fix its batch size."""
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
    # The model of a HyperModel with its own `fit` need not be compiled.
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


# These callbacks of Keras change only the values of a model's variables.
_CHANGING_VALUES = frozenset(
    {"BackupAndRestore", "CSVLogger", "EarlyStopping", "History", "ModelCheckpoint",
     "ReduceLROnPlateau", "TerminateOnNaN"}
)  # fmt: skip


def fixed_batch_size(model: keras.Model) -> int | None:
    """Returns the batch size in the shape of a model's inputs. None if any batch size fits."""
    inputs = getattr(model, "inputs", None)
    return inputs[0].shape[0] if inputs else None


def has_own_steps(model: keras.Model) -> bool:
    """Returns whether a model's class has its own training or validation step."""
    return any(class_overrides(model, name) for name in ("train_step", "test_step"))


def class_overrides(model: keras.Model, name: str) -> bool:
    """Returns whether a model's class overrides a method of Keras's."""
    import keras

    base = keras.Sequential if isinstance(model, keras.Sequential) else keras.Model
    return getattr(type(model), name) is not getattr(base, name)


def single_output(model: keras.Model) -> Any:
    """Returns the symbolic output of a Sequential or Functional model with one output, or None."""
    output = _declared_output(model)
    if isinstance(output, list | tuple) and len(output) == 1:
        output = output[0]
    return output if _is_comparable(output) else None


def named_outputs(model: keras.Model) -> dict[str, Any]:
    """Returns a model's symbolic outputs by the names that Keras uses for targets and losses.

    Outputs in a dict are named and sorted by the keys. Other outputs are named by their layers.
    Returns an empty dict if names are missing or not unique.
    """
    output = _declared_output(model)
    if isinstance(output, list | tuple):
        names = list(getattr(model, "output_names", ()))
        output = dict(zip(names, output, strict=False)) if len(set(names)) == len(output) else {}
    elif type(output) is dict:
        output = dict(sorted(output.items()))
    if type(output) is not dict or not all(map(_is_comparable, output.values())):
        return {}
    return output


def loss_of(model: keras.Model, output: str = "") -> Any:
    """Returns the loss that was given to `compile` for an output, or None.

    `output` is the output's name, or empty for a model with one output.
    """
    loss = getattr(model, "loss", None)
    if not isinstance(loss, Mapping | list | tuple):
        return loss
    if output:
        return by_name(list(named_outputs(model)), loss).get(output)
    # A model with one output may have its loss in a list or a dict, too.
    return next(iter(loss.values() if isinstance(loss, Mapping) else loss), None)


def by_name(names: Sequence[str], values: Any) -> Mapping[str, Any]:
    """Returns targets, predictions or losses in a dict, by the names of the outputs.

    The dict is empty if it is not certain which value belongs to which output.
    """
    if isinstance(values, Mapping):
        return values
    if isinstance(values, list | tuple) and len(values) == len(names):
        return dict(zip(names, values, strict=True))
    return {}


def _declared_output(model: keras.Model) -> Any:
    import keras

    # A Sequential model has only `outputs`. In a Functional model, `output` is nested as the model
    # was declared, e.g. as a dict.
    sequential = isinstance(model, keras.Sequential)
    return getattr(model, "outputs" if sequential else "output", None)


def _is_comparable(output: Any) -> bool:
    import keras

    return isinstance(output, keras.KerasTensor) and len(output.shape) > 0


def scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    """Converts logs to floats. A metric with a value per class becomes name_0, name_1 and so on."""
    arrays = {str(name): np.ravel(value) for name, value in logs.items()}
    return {
        name if array.size == 1 else f"{name}_{position}": float(value)
        for name, array in arrays.items()
        for position, value in enumerate(array)
    }


def may_change_model(callbacks: Iterable[keras.callbacks.Callback]) -> bool:
    """Returns whether a callback may change more in a model than the values of its variables.

    Callbacks of the user may change anything.
    """
    import keras

    return any(
        type(callback).__name__ not in _CHANGING_VALUES
        or type(callback) is not getattr(keras.callbacks, type(callback).__name__, None)
        for callback in callbacks
    )


@contextlib.contextmanager
def replaced_method(name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replaces a method of all Keras models within the context."""
    import keras

    owner = next(kind for kind in keras.Model.__mro__ if name in vars(kind))
    before = vars(owner)[name]
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, before)


def stateful_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the recurrent layers with ``stateful=True``.

    The states that these layers keep between batches are not among the model's variables.
    """
    return [
        layer
        for layer in layers_within(model)
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state")
    ]
