"""Checks a study before its first trial, with the model of its default hyperparameters.

The model is trained on a few samples. The model's output and loss must fit the targets.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from search_spaces import Hyperparameters
from search_spaces.errors import BuilderError, StudyError
from search_spaces.texts import counted, number
from studies.data import Arrays, map_arrays
from studies.definition import known_direction, metric_of, unknown_direction, unknown_metric
from studies.library_internals import compiled_metrics, made_by
from studies.training.batches_for_model_fit import as_keras_reads, packed
from studies.training.building_models import build_callbacks, build_model, splits_for
from studies.training.model_variables_and_properties import (
    fixed_batch_size,
    has_own_steps,
    loss_of,
    parameters_of,
    scalars,
    single_output,
)
from studies.training.plain_and_hypermodel_trainers import has_own_fit, rehearse, running_eagerly
from studies.training.pure_library_functions import library_of
from studies.training.random_states_and_user_objects import begin_trial
from studies.training.saved_models.pickled_custom_objects import loading_warnings
from studies.user_code import explain, out_of_memory
from tracking.records import Objective

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

    Shape = tuple[int | None, ...]


_SAMPLES = 4


class StudyCheck(NamedTuple):
    """The result of `check_study`."""

    objective: Objective
    warnings: list[str]
    model_bytes: int = 0  # The size of the weights as float32, or 0 if the model is unknown.


def check_study(study: StudyDefinition, data: LoadedData) -> StudyCheck:
    """Builds the model of the default hyperparameters, and trains it on a few samples.

    Raises BuilderError if output layer, loss and targets don't fit each other, or if the builder or
    the training raises an error. If memory runs out, the result has a warning instead. Raises
    ObjectiveError if the model does not log the objective, or if its direction is unknown.
    """
    space, objective = study.space, study.objective
    assert space is not None, "the session resolves it"
    hp = Hyperparameters(space, space.defaults())
    splits = splits_for(study, data, hp)
    begin_trial(study.seed)
    model: keras.Model | None = None
    try:
        model, callbacks = build_model(study, hp, splits), build_callbacks(study, hp)
        if has_own_fit(study.build):
            logged = rehearse(study, model, splits, hp)
        else:
            for part in (splits.train.at_hand, splits.validation.at_hand):
                check_targets(model, part.x, part.y)
            model, logged = _try_model(study, model, splits, hp)
    except StudyError:
        raise
    except Exception as error:
        called = "the builder" if model is None else "the model"
        raised = f"{called} raised {explain(error)}, with the default hyperparameters"
        if out_of_memory(error):
            return StudyCheck(_directed(objective), [f"{raised[0].upper()}{raised[1:]}."])
        raise BuilderError(
            f"The study {study.name!r} can't be trained: {raised}",
            hint="If only these values make the model fail, give hyperparameters another default=.",
        ) from None
    if not callbacks and not has_own_steps(model):
        check_logged(objective if isinstance(objective, str) else objective.metric, logged)
    objective = _directed(objective, model)
    warnings = loading_warnings(model)
    if f"val_{objective.metric}" in logged:
        warnings.append(
            f"The objective {objective.metric} is measured on the training samples, which a model "
            f"may learn by heart. On the validation samples it is val_{objective.metric}."
        )
    return StudyCheck(objective, warnings, 4 * parameters_of(model))


def _directed(objective: str | Objective, model: keras.Model | None = None) -> Objective:
    """Returns the objective with its direction, which follows from the class of Keras's metric.

    `model` has been trained. Raises ObjectiveError if the direction is unknown.
    """
    import keras

    if isinstance(objective, Objective):
        return objective
    metrics = {} if model is None else compiled_metrics(model, None, None)
    found = metrics.get(objective.removeprefix("val_")) or metrics.get(metric_of(objective))
    kind = type(found.metric) if found else object
    direction = known_direction(snake_case(kind.__name__))
    if direction is None or getattr(keras.metrics, kind.__name__, None) is not kind:
        raise unknown_direction(objective)
    return Objective(objective, direction)


def _try_model(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, hp: Hyperparameters
) -> tuple[keras.Model, set[str]]:
    """Trains and validates a model on one batch. Returns the model, and its metrics' names.

    TensorFlow first runs eagerly. If that raises an error, a new model is trained by traced steps,
    as in a trial. If these steps fail, too, the first error is raised.
    """
    try:
        with running_eagerly():
            return model, _fit_once(model, splits)
    except Exception as error:
        begin_trial(study.seed)
        try:
            model = build_model(study, hp, splits)
            return model, _fit_once(model, splits)
        except Exception:
            raise error from None


def _fit_once(model: keras.Model, splits: LoadedData) -> set[str]:
    import tensorflow as tf

    size = fixed_batch_size(model) or _SAMPLES
    samples = [packed(part.first(size)) for part in (splits.train, splits.validation)]
    # Keras takes texts only in a tf.data.Dataset.
    train, validation = map(tf.data.Dataset.from_tensors, samples)
    history = model.fit(train, validation_data=validation, shuffle=False, verbose=0).history
    return set(scalars({name: values[-1] for name, values in history.items()}))


def check_logged(metric: str, logged: set[str]) -> None:
    """Raises ObjectiveError if a metric's name is not in `logged`."""
    if metric not in logged:
        raise unknown_metric(metric, logged)


_SPARSE: Final = "sparse_categorical_crossentropy"
_BINARY: Final = ("binary_crossentropy", "binary_focal_crossentropy")
_CATEGORICAL: Final = ("categorical_crossentropy", "categorical_focal_crossentropy")
_CHECKED: Final = """
    binary_crossentropy binary_focal_crossentropy categorical_crossentropy
    categorical_focal_crossentropy cosine_similarity hinge huber kl_divergence log_cosh
    mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error poisson sparse_categorical_crossentropy squared_hinge
    """.split()
"""Keras's losses that are checked. All except sparse_categorical_crossentropy take targets of the
output's shape."""


@dataclass(frozen=True)
class _Loss:
    name: str
    from_logits: bool = False


def check_targets(model: keras.Model, x: Arrays, y: Arrays) -> None:
    """Raises BuilderError if a model certainly does not fit the targets.

    With most of these mistakes, Keras raises no error, and the model learns nothing. Models with
    several outputs are not checked, nor are a user's own losses, layers and models. All targets are
    checked, as only a few may be wrong. Errors of building the model are passed on.

    Sources: https://keras.io/api/losses/probabilistic_losses/ and
    https://keras.io/api/losses/regression_losses/ for the targets that each loss takes, and keras
    3.15's `losses.loss.squeeze_or_expand_to_same_rank` for the shapes that fit.
    """
    # A subclass of the user's may compute anything.
    if library_of(type(model)) != "keras":
        return
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
    if loss.name == _SPARSE:
        if y.ndim == len(output) and y.shape[-1] == units != 1:
            return (
                f"{loss.name} takes one label for each sample, but a target has a number for each "
                f"of the {units} units, as a one-hot row does: use categorical_crossentropy, as "
                f"kerastudy.outputs.one_hot({units}) does"
            )
        return ""
    if not _same_shape(y.shape, output):
        return (
            f"the output of a sample has shape {output[1:]} and its target {y.shape[1:]}, "
            f"and {loss.name} compares them number by number: give the last layer a unit for each "
            f"number of a target, or use {_SPARSE} if the targets are class numbers"
        )
    if loss.name in _CATEGORICAL and units == 1:
        return (
            f"{loss.name} of one unit is 0 whatever the output: use binary_crossentropy, as "
            "kerastudy.outputs.binary() does"
        )
    return ""


def _wrong_values(loss: _Loss, y: np.ndarray, output: Shape) -> str:
    """Returns why a loss can't take the values of targets, or an empty text."""
    low, high, units = y.min().item(), y.max().item(), output[-1]
    if loss.name in _BINARY and (low < 0 or high > 1):
        return (
            f"{loss.name} takes targets from 0 to 1, but the targets go from {number(low)} to "
            f"{number(high)}: encode them as 0 and 1, or use the loss of another kind of target, "
            "as in kerastudy.outputs"
        )
    if loss.name == _SPARSE and y.dtype.kind == "f" and (y != np.floor(y)).any():
        return (
            f"{loss.name} takes whole numbers as labels, but there are fractions: use the loss of "
            "a regression, as kerastudy.outputs.regression() does"
        )
    if loss.name == _SPARSE and (low < 0 or (units is not None and high >= units)):
        layer = "" if units is None else f", and the last layer has {counted(units, 'unit')}"
        return (
            f"the labels go from {number(low)} to {number(high)}{layer}: encode the labels as 0, "
            "1, 2 and so on, and give the last layer a unit for each class"
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
    usual = getattr(compiled, "axis", -1) == -1 and getattr(compiled, "ignore_class", None) is None
    if not is_of_keras or name not in _CHECKED or not usual:
        return None
    return _Loss(name, bool(getattr(compiled, "from_logits", False)))


def _activation(output: Any) -> str:
    """Returns the last layer's activation: "softmax", "sigmoid", "linear", or "" for others.

    The text is also empty if the last layer is not one of Keras's dense or convolutional layers.
    """
    import keras

    layer = made_by(output)
    dense = isinstance(layer, keras.layers.Dense | keras.layers.Conv1D | keras.layers.Conv2D)
    if not dense or library_of(type(layer)) != "keras":
        return ""
    for name in ("softmax", "sigmoid"):
        if layer.activation is getattr(keras.activations, name):
            return name
    # A linear layer with constraints or frozen weights may give probabilities.
    plain = layer.trainable and not (layer.kernel_constraint or layer.bias_constraint)
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
