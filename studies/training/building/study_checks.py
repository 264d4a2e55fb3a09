"""Checks a study by a training of its default model, and finds the objective's direction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import BuilderError, StudyError
from studies.definition.objective import known_direction, unknown_direction, unknown_metric
from studies.training.batches import packed
from studies.training.building.build import build_callbacks, build_model, splits_for
from studies.training.building.custom_object_code import loading_warnings
from studies.training.building.target_checks import check_targets, snake_case
from studies.training.determinism.random_states import begin_trial
from studies.training.model_properties import fixed_batch_size, has_own_steps, scalars
from studies.training.model_variables import parameters_of
from studies.training.trainers import has_own_fit, rehearse, running_eagerly
from studies.training.user_and_library_code import library_of
from studies.user_code import explain, fatal, is_fatal, out_of_memory
from tracking.records import Direction, Objective

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition


_SAMPLES = 4
# If the default hyperparameters raise an error, the hyperparameters at a quarter and at three
# quarters of all ranges are tried.
_OTHER_PLACES = (0.25, 0.75)


class StudyCheck(NamedTuple):
    """The result of `check_study`."""

    # An error that only the default hyperparameters raise is one of the warnings.
    warnings: list[str]
    objective: Objective  # The study's objective, with its direction.
    model_bytes: int = 0  # The size of the weights as float32, or 0 if the model is unknown.


def check_study(study: StudyDefinition, data: LoadedData) -> StudyCheck:
    """Builds the model of the default hyperparameters, and trains it on a few samples.

    Raises BuilderError if the builder returns no compiled model or reads a hyperparameter that is
    not in the space, or if output layer, loss and targets don't fit each other. Raises
    ObjectiveError if the model does not log the objective, or if its direction is unknown.
    """
    assert study.space is not None, "a session resolves the study's space"
    hp = Hyperparameters(study.space, study.space.defaults())
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
            logged = _try_model(study, model, splits, hp)
    except StudyError:
        raise
    except Exception as error:
        called = "the builder" if model is None else "the model"
        warnings = [_failure(study, data, error, called)]
        return StudyCheck(warnings, settled(study.objective, model))
    if not callbacks and not has_own_steps(model):
        objective = study.objective
        check_logged(objective.metric if isinstance(objective, Objective) else objective, logged)
    objective = settled(study.objective, model)
    warnings = loading_warnings(model)
    if f"val_{objective.metric}" in logged:
        warnings.append(
            f"The objective {objective.metric} is measured on the training samples, which a model "
            f"may learn by heart. On the validation samples it is val_{objective.metric}."
        )
    return StudyCheck(warnings, objective, 4 * parameters_of(model))


def _try_model(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, hp: Hyperparameters
) -> set[str]:
    """Trains and validates a model on one batch. Returns the names of its metrics.

    TensorFlow first runs eagerly. If that raises an error, a new model is trained by traced steps,
    as in a trial. If these steps fail, too, the first error is raised.
    """
    try:
        with running_eagerly():
            return _fit_once(model, splits)
    except Exception as error:
        begin_trial(study.seed)
        try:
            return _fit_once(build_model(study, hp, splits), splits)
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


def _failure(study: StudyDefinition, data: LoadedData, error: Exception, called: str) -> str:
    """Returns a warning about an error that the default hyperparameters raise.

    Models of a few other hyperparameters are trained, too. If all of them raise the same error, the
    study's code is wrong, and this function raises BuilderError.
    """
    if is_fatal(error):
        raise fatal(error)
    text = explain(error, study.build)
    assert study.space is not None, "a session resolves the study's space"
    if not out_of_memory(error):
        others = list(_others(study.space))
        if all(_raised(study, data, hp) == text for hp in others):
            alike = f" and with {len(others)} others" if others else ""
            raise BuilderError(
                f"The study {study.name!r} can't be trained: {called} raised {text}, with the "
                f"default hyperparameters{alike}."
            )
    return (
        f"{called[0].upper()}{called[1:]} raised {text}, with the default hyperparameters. Trials "
        "that raise an error are recorded as infeasible."
    )


def _others(space: SearchSpace) -> Iterator[Hyperparameters]:
    """Yields hyperparameters whose values are all at the same place in their ranges.

    The places are `_OTHER_PLACES`. Hyperparameters that equal the defaults, or hyperparameters that
    were yielded before, are left out.
    """
    seen: list[Mapping[str, Any]] = [space.defaults()]
    for place in _OTHER_PLACES:
        values = space.from_unit(dict.fromkeys(space.dimensions, place))
        if values not in seen:
            seen.append(values)
            yield Hyperparameters(space, values)


def _raised(study: StudyDefinition, data: LoadedData, hp: Hyperparameters) -> str:
    """Builds and trains a model. Returns the text of the error, or an empty text."""
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


def check_logged(metric: str, logged: set[str]) -> None:
    """Raises ObjectiveError if a metric's name is not in `logged`."""
    if metric not in logged:
        raise unknown_metric(metric, logged)


def settled(objective: str | Objective, model: keras.Model | None) -> Objective:
    """Returns an objective with its direction.

    If the study gives only the metric's name, the direction is that of the model's metric. Keras
    lists all metrics only after a training or validation step, so the model must have run one.
    Raises ObjectiveError if the direction is unknown.
    """
    if isinstance(objective, Objective):
        return objective
    direction = None if model is None else _direction(objective, model)
    if direction is None:
        raise unknown_direction(objective)
    return Objective(objective, direction)


def _direction(name: str, model: keras.Model) -> Direction | None:
    """Returns the direction of the metric that Keras logs under a name, or None.

    With several outputs, Keras logs a metric as ``OUTPUT_METRIC``. If two metrics have the same
    name, Keras adds a number, as in ``accuracy_1``.
    """
    logged = name.removeprefix("val_")
    outputs = list(getattr(model, "output_names", None) or ())
    if logged.removesuffix("_loss") in outputs:
        return "min"
    names = [logged, re.sub(r"_\d+$", "", logged)]
    names += [name.removeprefix(f"{output}_") for name in names for output in outputs]
    # Keras keeps the metrics given to `compile` in a container metric.
    metrics = [m for metric in model.metrics for m in getattr(metric, "metrics", None) or [metric]]
    directions = {_direction_of(metric) for metric in metrics if metric.name in names}
    return directions.pop() if len(directions) == 1 else None


def _direction_of(metric: Any) -> Direction | None:
    classes = [kind for kind in type(metric).__mro__ if library_of(kind) == "keras"]
    directions = (known_direction(snake_case(kind.__name__)) for kind in classes)
    return next(filter(None, directions), None)
