"""Checks a study before training: trains its default model on a few samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import BuilderError, StudyError
from studies.data import Arrays, map_arrays
from studies.library_internals.keras_internals import made_by
from studies.training.batches import as_keras_reads, as_tensor, packed
from studies.training.building.build import (
    build_callbacks,
    build_model,
    check_logged,
    settled,
    snake_case,
    splits_for,
)
from studies.training.building.own_code import loading_warnings
from studies.training.determinism.random_states import begin_trial
from studies.training.keras_models import (
    fixed_batch_size,
    has_own_steps,
    loss_of,
    parameters_of,
    scalars,
    single_output,
)
from studies.training.trainers import has_own_fit, rehearse
from studies.user_code import explain, fatal, is_fatal, out_of_memory
from tracking.records import Objective

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

    Shape = tuple[int | None, ...]


_SAMPLES = 4
# If the default hyperparameters fail, those at these points of the space are tried.
_OTHER_PLACES = (0.25, 0.75)


class Checked(NamedTuple):
    """The outcome of the check."""

    warnings: list[str]  # Also an error, if other values may raise none.
    objective: Objective  # Its direction is known.
    model_bytes: int = 0  # The bytes of the weights as float32; 0 without a model.


def check_study(study: StudyDefinition, data: LoadedData) -> Checked:
    """Builds the model of the default hyperparameters and trains it on a few samples.

    It reports mistakes before anything is written. Raises BuilderError if the builder returns no
    compiled model, reads a name that the space lacks, or if output layer, loss and targets can't
    fit. Raises ObjectiveError if the model does not log the objective, or the direction is unknown.
    """
    assert study.space is not None, "a session resolves the study's space"
    hp = Hyperparameters(study.space, study.space.defaults())
    splits = splits_for(study, data, hp)
    begin_trial(study.seed)
    try:
        model = build_model(study, hp, splits)
        callbacks = build_callbacks(study, hp)
    except StudyError:
        raise
    except Exception as error:
        warnings = [_failure(study, data, error, "the builder")]
        return Checked(warnings, settled(study.objective, None))
    try:
        if has_own_fit(study.build):
            logged = rehearse(study, model, splits, hp)
        else:
            for part in (splits.train.at_hand, splits.validation.at_hand):
                check_targets(model, part.x, part.y)
            logged = _try_model(study, model, splits, hp)
    except StudyError:
        raise
    except Exception as error:
        warnings = [_failure(study, data, error, "the model")]
        return Checked(warnings, settled(study.objective, model))
    if not callbacks and not has_own_steps(model):
        named = study.objective
        check_logged(named.metric if isinstance(named, Objective) else named, logged)
    objective = settled(study.objective, model)
    warnings = loading_warnings(model)
    return Checked(warnings, objective, 4 * parameters_of(model))


def _try_model(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, hp: Hyperparameters
) -> set[str]:
    """Trains and validates a model for one batch. Returns the names of its metrics.

    The steps run eagerly, which takes less time than tracing. If they fail, a new model is trained
    by `fit`, and only a failure of `fit` counts.
    """
    try:
        return _step_once(model, splits)
    except Exception as error:
        begin_trial(study.seed)
        try:
            return _fit_once(build_model(study, hp, splits), splits)
        except Exception:
            raise error from None


def _step_once(model: keras.Model, splits: LoadedData) -> set[str]:
    import tensorflow as tf

    names: set[str] = set()
    for step, data, prefix in zip(
        (model.train_step, model.test_step), _samples(model, splits), ("", "val_"), strict=True
    ):
        model.reset_metrics()
        logs = step(tf.nest.map_structure(as_tensor, data))
        names.update(f"{prefix}{name}" for name in scalars(logs))
    return names


def _fit_once(model: keras.Model, splits: LoadedData) -> set[str]:
    import tensorflow as tf

    # Keras takes texts only in a tf.data.Dataset.
    train, validation = map(tf.data.Dataset.from_tensors, _samples(model, splits))
    history = model.fit(train, validation_data=validation, shuffle=False, verbose=0).history
    return set(scalars({name: values[-1] for name, values in history.items()}))


def _samples(model: keras.Model, splits: LoadedData) -> list[tuple[Any, ...]]:
    size = fixed_batch_size(model) or _SAMPLES
    return [packed(part.first(size)) for part in (splits.train, splits.validation)]


def _failure(study: StudyDefinition, data: LoadedData, error: Exception, doing: str) -> str:
    """Returns a warning about an error that only the default hyperparameters raise.

    If a few others raise the same error, the study's code is wrong, and BuilderError is raised.
    """
    if is_fatal(error):
        raise fatal(error)
    text = explain(error, study.build)
    assert study.space is not None, "a session resolves the study's space"
    others = [] if out_of_memory(error) else list(_others(study.space))
    if not out_of_memory(error) and all(_raised(study, data, hp) == text for hp in others):
        alike = f", and those of {len(others)} others," if others else ""
        raise BuilderError(
            f"The study {study.name!r} can't be trained: {doing} of the default "
            f"hyperparameters{alike} raised {text}."
        )
    return (
        f"{doing[0].upper()}{doing[1:]} of the default hyperparameters raised {text}. Trials that "
        "raise are recorded as infeasible."
    )


def _others(space: SearchSpace) -> Iterator[Hyperparameters]:
    """Yields a few sets of values that are not the defaults, if the space has any."""
    seen: list[Mapping[str, Any]] = [space.defaults()]
    for place in _OTHER_PLACES:
        values = space.from_unit(dict.fromkeys(space.dimensions, place))
        if values not in seen:
            seen.append(values)
            yield Hyperparameters(space, values)


def _raised(study: StudyDefinition, data: LoadedData, hp: Hyperparameters) -> str:
    """Builds and tries a model. Returns the text of its error, or an empty text."""
    try:
        splits = splits_for(study, data, hp)
        begin_trial(study.seed)
        model = build_model(study, hp, splits)
        if has_own_fit(study.build):
            rehearse(study, model, splits, hp)
        else:
            _try_model(study, model, splits, hp)
    except StudyError as error:
        return str(error)
    except Exception as error:
        return explain(error, study.build)
    return ""


_SPARSE: Final = "sparse_categorical_crossentropy"
_BINARY: Final = ("binary_crossentropy", "binary_focal_crossentropy")
_CATEGORICAL: Final = ("categorical_crossentropy", "categorical_focal_crossentropy")
_CHECKED: Final = """
    BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy
    CategoricalFocalCrossentropy CosineSimilarity Hinge Huber KLDivergence LogCosh
    MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError
    Poisson SparseCategoricalCrossentropy SquaredHinge
    """.split()
"""Keras's losses that are checked.

All but the sparse one take targets of the output's shape.
"""


@dataclass(frozen=True)
class _Loss:
    name: str
    from_logits: bool = False
    ignored: int | None = None  # The `ignore_class`.


def check_targets(model: keras.Model, x: Arrays, y: Arrays) -> None:
    """Raises BuilderError if outputs and losses certainly don't fit the targets.

    With such a mistake, Keras would raise during a trial, or learn nothing. Models with several
    outputs are not checked, nor are a user's own losses, layers and models.

    Sources: https://keras.io/api/losses/probabilistic_losses/ and
    https://keras.io/api/losses/regression_losses/ for what each loss takes, and keras 3.15's
    `losses.loss.squeeze_or_expand_to_same_rank` for shapes that fit.

    All targets are checked, as only a few may be wrong. Errors of building the model are passed on.
    """
    if not _is_of_keras(model):
        return
    if not model.built:
        model(as_keras_reads(map_arrays(lambda array: array[:1], x)))
    output = single_output(model)
    if output is None or not isinstance(y, np.ndarray):
        return
    problems = [problem for problem in _problems(output, y, loss_of(model)) if problem]
    if problems:
        raise BuilderError(
            f"The model can't learn the targets of shape {y.shape}: {'; '.join(problems)}."
        )


def _problems(output: Any, y: np.ndarray, compiled: Any) -> list[str]:
    shape: Shape = tuple(output.shape)
    loss = _loss(compiled)
    activation = _activation(output)
    if activation == "softmax" and shape[-1] == 1:
        return [
            "the last layer is a softmax of one unit, which gives 1 whatever its input: use a "
            "sigmoid, as kerastudy.outputs.binary() does, or one unit for each class"
        ]
    if loss is None:
        return []
    problems = [_misfit(loss, y, shape), _wrong_kind(loss, activation)]
    return problems if any(problems) else [_wrong_values(loss, y, shape)]


def _misfit(loss: _Loss, y: np.ndarray, output: Shape) -> str:
    """Returns why a loss can't compare targets and output of these shapes, or an empty text."""
    units = output[-1]
    labels = y.shape[:-1] if y.ndim == len(output) and y.shape[-1] == 1 else y.shape
    label_of_each = _agree(labels, output[:-1])
    if loss.name == _SPARSE:
        if label_of_each:
            return ""
        if y.ndim == len(output) and y.shape[-1] == units:
            return (
                f"{loss.name} takes one label for each sample, and these have one number for each "
                f"of the {units} units, as one-hot rows do: use categorical_crossentropy, as "
                f"kerastudy.outputs.one_hot({units}) does"
            )
        return f"{loss.name} takes one label for each output of shape {output[1:]}"
    if loss.name in _CATEGORICAL and label_of_each and units != 1:
        return (
            f"{loss.name} takes a one-hot row for each sample, and these are single labels: use "
            f"{_SPARSE}, as kerastudy.outputs.classes({units}) does"
        )
    if not _same_shape(y.shape, output):
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


def _wrong_kind(loss: _Loss, activation: str) -> str:
    """Returns a message if a loss takes logits for probabilities, or an empty text."""
    if activation == "linear" and loss.name.endswith("crossentropy") and not loss.from_logits:
        fitting = "sigmoid" if loss.name in _BINARY else "softmax"
        return (
            f"{loss.name} takes probabilities, and the last layer is linear: give it the "
            f"activation {fitting!r}, or the loss from_logits=True"
        )
    return ""


def _wrong_values(loss: _Loss, y: np.ndarray, output: Shape) -> str:
    if loss.name in _BINARY:
        low, high = y.min(), y.max()
        if low < 0 or high > 1:
            return (
                f"{loss.name} takes targets from 0 to 1, and these go from {_number(low)} to "
                f"{_number(high)}: encode them as 0 and 1, or use the loss of another kind of "
                "target, as in kerastudy.outputs"
            )
    if loss.name == _SPARSE:
        labels = y if loss.ignored is None else y[y != loss.ignored]
        if not labels.size:
            return ""
        fractions = labels[labels != np.floor(labels)] if labels.dtype.kind == "f" else labels[:0]
        if fractions.size:
            return (
                f"{loss.name} takes whole numbers as labels, and these have fractions, such as "
                f"{_number(fractions[0])}: use the loss of a regression, as "
                "kerastudy.outputs.regression() does"
            )
        low, high, units = labels.min(), labels.max(), output[-1]
        if low < 0 or (units is not None and high >= units):
            return (
                f"the labels go from {_number(low)} to {_number(high)}, and a model of {units} "
                "unit(s) takes one label for each unit, from 0 up: encode them as 0, 1, 2 and so "
                "on, and give the last layer a unit for each class"
            )
    return ""


def _loss(compiled: Any) -> _Loss | None:
    """Returns the loss given to `compile`, or None if it is not one of `_CHECKED`."""
    import keras

    if isinstance(compiled, str):
        try:
            compiled = keras.losses.get(compiled)
        except ValueError:
            # Keras raises when it first needs the loss.
            return None
    for class_name in _CHECKED:
        name = snake_case(class_name)
        if compiled is getattr(keras.losses, name):
            return _Loss(name)
        # A subclass may compute anything.
        if type(compiled) is getattr(keras.losses, class_name):
            if getattr(compiled, "axis", -1) != -1:
                return None
            from_logits = bool(getattr(compiled, "from_logits", False))
            return _Loss(name, from_logits, getattr(compiled, "ignore_class", None))
    return None


def _activation(output: Any) -> str:
    """Returns "softmax" (over the last axis), "sigmoid", "linear", or "" if unknown."""
    import keras

    layer = made_by(output)
    if not _is_of_keras(layer):
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
    # With constraints or frozen weights, a linear layer may still give probabilities. A linear
    # Activation passes on whatever came before.
    free = dense and layer.trainable
    free = free and layer.kernel_constraint is None and layer.bias_constraint is None
    return "linear" if free and layer.activation is keras.activations.linear else ""


def _is_of_keras(thing: object) -> bool:
    """Returns whether an object's class is Keras's own, and no subclass."""
    return type(thing).__module__.partition(".")[0] == "keras"


def _same_shape(targets: Shape, output: Shape) -> bool:
    """Returns whether Keras takes two shapes for equal. One may have an extra last axis of 1."""
    if len(targets) == len(output) + 1 and targets[-1] == 1:
        targets = targets[:-1]
    elif len(output) == len(targets) + 1 and output[-1] == 1:
        output = output[:-1]
    return _agree(targets, output)


def _agree(targets: Shape, output: Shape) -> bool:
    """Returns whether all known axes but the first are equal."""
    return len(targets) == len(output) and all(
        one == other or other is None for one, other in zip(targets[1:], output[1:], strict=True)
    )


def _number(value: Any) -> str:
    number = value.item()
    return str(int(number)) if number == int(number) else f"{number:g}"
