"""Checks that a model's input fits the samples, and that its output and loss fit the targets."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces.errors import BuilderError
from search_spaces.texts import number
from studies.data import Arrays, map_arrays
from studies.library_internals.keras_internals import made_by
from studies.training.batches import as_keras_reads
from studies.training.model_properties import loss_of, single_output
from studies.training.user_and_library_code import library_of

if TYPE_CHECKING:
    import keras

    Shape = tuple[int | None, ...]

_SPARSE: Final = "sparse_categorical_crossentropy"
_BINARY: Final = ("binary_crossentropy", "binary_focal_crossentropy")
_CATEGORICAL: Final = ("categorical_crossentropy", "categorical_focal_crossentropy")
_CHECKED: Final = """
    binary_crossentropy binary_focal_crossentropy categorical_crossentropy
    categorical_focal_crossentropy cosine_similarity hinge huber kl_divergence log_cosh
    mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error poisson sparse_categorical_crossentropy squared_hinge
    """.split()
"""Keras's losses that are checked. All but the sparse one take targets of the output's shape."""


@dataclass(frozen=True)
class _Loss:
    name: str
    from_logits: bool = False
    ignored: int | None = None  # The loss's `ignore_class`, a label that does not count.


def check_targets(model: keras.Model, x: Arrays, y: Arrays) -> None:
    """Raises BuilderError if a model certainly does not fit the samples or the targets.

    With such a mistake, Keras raises an error during a trial, or the model learns nothing. Models
    with several outputs are not checked, nor are a user's own losses, layers and models. All
    targets are checked, as only a few may be wrong. Errors of building the model are passed on.

    Sources: https://keras.io/api/losses/probabilistic_losses/ and
    https://keras.io/api/losses/regression_losses/ for the targets that each loss takes, and keras
    3.15's `losses.loss.squeeze_or_expand_to_same_rank` for the shapes that fit.
    """
    # A subclass of the user's may compute anything.
    if library_of(type(model)) != "keras":
        return
    _check_input(model, x)
    if not model.built:
        model(as_keras_reads(map_arrays(lambda array: array[:1], x)))
    output = single_output(model)
    if output is None or not isinstance(y, np.ndarray):
        return
    problems = _problems(output, y, loss_of(model))
    if problems:
        raise BuilderError(
            f"The model can't learn the targets of shape {y.shape}: {'; '.join(problems)}."
        )


def _check_input(model: keras.Model, x: Arrays) -> None:
    tensors: Sequence[Any] = getattr(model, "inputs", None) or ()
    if len(tensors) != 1 or not isinstance(x, np.ndarray):
        return
    input_shape: Shape = tuple(tensors[0].shape)
    if not _same_shape(x.shape, input_shape):
        raise BuilderError(
            f"The model takes samples of shape {input_shape[1:]}, but the data's samples have "
            f"shape {x.shape[1:]}: write keras.Input({x.shape[1:]}), or reshape the samples."
        )


def _problems(output: Any, y: np.ndarray, compiled: Any) -> list[str]:
    shape: Shape = tuple(output.shape)
    loss, activation = _loss(compiled), _activation(output)
    if activation == "softmax" and shape[-1] == 1:
        return [
            "the last layer is a softmax of one unit, which gives 1 whatever its input: use a "
            "sigmoid, as kerastudy.outputs.binary() does, or one unit for each class"
        ]
    if loss is None:
        return []
    problems = [_wrong_shape(loss, y, shape)]
    if activation == "linear" and loss.name.endswith("crossentropy") and not loss.from_logits:
        fitting = "sigmoid" if loss.name in _BINARY else "softmax"
        problems.append(
            f"{loss.name} takes probabilities, and the last layer is linear: give it the "
            f"activation {fitting!r}, or pass the loss as an object with from_logits=True"
        )
    # The values of the targets are checked only if their shape and the last layer are right.
    return [*filter(None, problems)] or [*filter(None, [_wrong_values(loss, y, shape)])]


def _wrong_shape(loss: _Loss, y: np.ndarray, output: Shape) -> str:
    """Returns why a loss can't compare targets and output of these shapes, or an empty text."""
    units = output[-1]
    labels = y.shape[:-1] if y.ndim == len(output) and y.shape[-1] == 1 else y.shape
    label_of_each = _agree(labels, output[:-1])
    if loss.name == _SPARSE:
        if label_of_each:
            return ""
        if y.ndim == len(output) and y.shape[-1] == units:
            return (
                f"{loss.name} takes one label for each sample, but a target has a number for each "
                f"of the {units} units, as a one-hot row does: use categorical_crossentropy, as "
                f"kerastudy.outputs.one_hot({units}) does"
            )
        return f"{loss.name} takes one label for each output of shape {output[1:]}"
    if loss.name in _CATEGORICAL and label_of_each and units != 1:
        return (
            f"{loss.name} takes a one-hot row for each sample, but the targets are single labels: "
            f"use {_SPARSE}, as kerastudy.outputs.classes({units}) does"
        )
    if not _same_shape(y.shape, output):
        if label_of_each and y.dtype.kind in "iu" and y.min() >= 0 and units == y.max() + 1 > 2:
            return (
                f"the targets are class numbers, and the last layer has a unit for each of {units} "
                f"classes: use {_SPARSE}, as kerastudy.outputs.classes({units}) does"
            )
        return (
            f"the output of a sample has shape {output[1:]} and its target {y.shape[1:]}, "
            f"and {loss.name} compares them number by number: give the last layer a unit for each "
            "number of a target"
        )
    if loss.name in _CATEGORICAL and units == 1:
        return (
            f"{loss.name} of one unit is 0 whatever the output: use binary_crossentropy, as "
            "kerastudy.outputs.binary() does"
        )
    return ""


def _wrong_values(loss: _Loss, y: np.ndarray, output: Shape) -> str:
    """Returns why a loss can't take the values of targets, or an empty text."""
    if loss.name in _BINARY:
        low, high = y.min().item(), y.max().item()
        if low < 0 or high > 1:
            return (
                f"{loss.name} takes targets from 0 to 1, but the targets go from {number(low)} to "
                f"{number(high)}: encode them as 0 and 1, or use the loss of another kind of "
                "target, as in kerastudy.outputs"
            )
    if loss.name == _SPARSE:
        labels = y if loss.ignored is None else y[y != loss.ignored]
        if not labels.size:
            return ""
        fractions = labels[labels != np.floor(labels)] if labels.dtype.kind == "f" else labels[:0]
        if fractions.size:
            return (
                f"{loss.name} takes whole numbers as labels, but there are fractions, such as "
                f"{number(fractions[0].item())}: use the loss of a regression, as "
                "kerastudy.outputs.regression() does"
            )
        low, high, units = labels.min().item(), labels.max().item(), output[-1]
        if low < 0 or (units is not None and high >= units):
            valid = "from 0 up" if units is None else f"0 to {units - 1}, as it has {units} unit(s)"
            encode = "" if low == 0 else "encode the labels as 0, 1, 2 and so on, and "
            return (
                f"the labels go from {number(low)} to {number(high)}, and the last layer takes "
                f"labels {valid}: {encode}give it a unit for each class"
            )
    return ""


def _loss(compiled: Any) -> _Loss | None:
    """Returns the loss given to `compile`, or None if it is not one of `_CHECKED`."""
    import keras

    if isinstance(compiled, str):
        try:
            compiled = keras.losses.get(compiled)
        except ValueError:
            # Keras has no loss of this name. It raises an error when it first needs the loss.
            return None
    kind = compiled if inspect.isfunction(compiled) else type(compiled)
    name = snake_case(kind.__name__)
    is_of_keras = getattr(keras.losses, kind.__name__, None) is kind
    if not is_of_keras or name not in _CHECKED or getattr(compiled, "axis", -1) != -1:
        return None
    from_logits = bool(getattr(compiled, "from_logits", False))
    return _Loss(name, from_logits, getattr(compiled, "ignore_class", None))


def _activation(output: Any) -> str:
    """Returns "softmax" (over the last axis), "sigmoid", "linear", or "" for other activations."""
    import keras

    layer = made_by(output)
    if library_of(type(layer)) != "keras":
        return ""
    if isinstance(layer, keras.Model):
        inner = single_output(layer)
        return "" if inner is None else _activation(inner)
    if isinstance(layer, keras.layers.Softmax):
        return "softmax" if layer.axis == -1 else ""
    dense = isinstance(layer, keras.layers.Dense | keras.layers.Conv1D | keras.layers.Conv2D)
    if not dense and not isinstance(layer, keras.layers.Activation):
        return ""
    for name in ("softmax", "sigmoid"):
        if layer.activation is getattr(keras.activations, name):
            return name
    # A linear layer with constraints or frozen weights may give probabilities, and so may the layer
    # before a linear Activation.
    plain = dense and layer.trainable and not (layer.kernel_constraint or layer.bias_constraint)
    return "linear" if plain and layer.activation is keras.activations.linear else ""


def _same_shape(targets: Shape, output: Shape) -> bool:
    """Returns whether Keras can compare the targets with the output element by element.

    Their shapes must be equal, except that one may have an additional last axis of length 1.
    """
    if len(targets) == len(output) + 1 and targets[-1] == 1:
        targets = targets[:-1]
    elif len(output) == len(targets) + 1 and output[-1] == 1:
        output = output[:-1]
    return _agree(targets, output)


def _agree(targets: Shape, output: Shape) -> bool:
    """Returns whether two shapes are equal after the first axis.

    An axis of unknown length in the output equals any axis of the targets.
    """
    return len(targets) == len(output) and all(
        one == other or other is None for one, other in zip(targets[1:], output[1:], strict=True)
    )


def snake_case(name: str) -> str:
    """Returns a class's name in snake case, such as ``mean_squared_error``."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
