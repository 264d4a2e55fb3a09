"""Checks a study before training: trains its default model on a few samples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import BuilderError, StudyError
from studies.definition.objective import known_direction, unknown_direction, unknown_metric
from studies.training.batches import as_tensor, packed
from studies.training.building.build import (
    build_callbacks,
    build_model,
    snake_case,
    splits_for,
)
from studies.training.building.custom_objects import loading_warnings
from studies.training.building.target_checks import check_targets
from studies.training.models import (
    fixed_batch_size,
    has_own_steps,
    parameters_of,
    scalars,
)
from studies.training.process.determinism import begin_trial
from studies.training.trainers import has_own_fit, rehearse
from studies.user_code import explain, fatal, is_fatal, out_of_memory
from tracking.records import Direction, Objective

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


def check_logged(metric: str, logged: set[str]) -> None:
    """Raises ObjectiveError if a metric is not among the logged ones."""
    if metric not in logged:
        raise unknown_metric(metric, logged)


def settled(objective: str | Objective, model: keras.Model | None) -> Objective:
    """Returns an objective with its direction.

    An unknown direction is found by a model that has measured a batch. Raises ObjectiveError if
    neither the metric's name nor its object shows it.
    """
    if isinstance(objective, Objective):
        return objective
    direction = None if model is None else _direction(objective, model)
    if direction is None:
        raise unknown_direction(objective)
    return Objective(objective, direction)


def _direction(name: str, model: keras.Model) -> Direction | None:
    """Returns the direction of the metric that is logged under a name, or None.

    Keras logs a metric under its name. With several outputs, it puts the output's name before that.
    If two metrics have the same name, it puts a number after it.
    """
    logged = name.removeprefix("val_")
    outputs = list(getattr(model, "output_names", None) or ())
    if logged.removesuffix("_loss") in outputs:
        return "min"
    spelled = [logged, re.sub(r"_\d+$", "", logged)]
    spelled += [s.removeprefix(f"{o}_") for s in spelled for o in outputs]
    directions = {_direction_of(each) for each in _metrics(model) if each.name in spelled}
    return directions.pop() if len(directions) == 1 else None


def _metrics(model: keras.Model) -> Iterator[Any]:
    for each in model.metrics:
        # Keras keeps the metrics of `compile` in a container metric.
        yield from getattr(each, "metrics", None) or [each]


def _direction_of(metric: Any) -> Direction | None:
    for kind in type(metric).__mro__:
        if kind.__module__.partition(".")[0] == "keras":
            direction = known_direction(snake_case(kind.__name__))
            if direction is not None:
                return direction
    return None
