"""Properties of Keras models and callbacks: batch size, outputs, losses, overridden methods."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.library_internals.keras_internals import layers_within

if TYPE_CHECKING:
    import keras

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


def terminating(callbacks: Iterable[keras.callbacks.Callback]) -> bool:
    """Returns whether there is a TerminateOnNaN among the callbacks."""
    import keras

    return any(type(callback) is keras.callbacks.TerminateOnNaN for callback in callbacks)


def overrides(callback: keras.callbacks.Callback, name: str) -> bool:
    """Returns whether a callback overrides a method of Keras's Callback."""
    import keras

    # LambdaCallback sets methods on the object, and not in its class.
    if name in vars(callback):
        return True
    return getattr(type(callback), name, None) is not getattr(keras.callbacks.Callback, name, None)


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
