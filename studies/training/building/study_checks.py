"""Checks a study by a training of its default model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from search_spaces import Hyperparameters
from search_spaces.errors import BuilderError, StudyError
from studies.definition.objective import unknown_metric
from studies.training.batches import packed
from studies.training.building.build import build_callbacks, build_model, splits_for
from studies.training.building.custom_object_code import loading_warnings
from studies.training.building.target_checks import check_targets
from studies.training.model_variables_and_properties import (
    fixed_batch_size,
    has_own_steps,
    parameters_of,
    scalars,
)
from studies.training.plain_and_hypermodel_trainers import has_own_fit, rehearse, running_eagerly
from studies.training.random_states_and_user_objects import begin_trial
from studies.user_code import explain, out_of_memory
from tracking.records import Objective

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition


_SAMPLES = 4


class StudyCheck(NamedTuple):
    """The result of `check_study`."""

    warnings: list[str]
    model_bytes: int = 0  # The size of the weights as float32, or 0 if the model is unknown.


def check_study(study: StudyDefinition, data: LoadedData) -> StudyCheck:
    """Builds the model of the default hyperparameters, and trains it on a few samples.

    Raises BuilderError if the builder or the training raises an error, unless memory runs out, or
    if output layer, loss and targets don't fit each other. Raises ObjectiveError if the model does
    not log the objective.
    """
    space, objective = study.space, study.objective
    assert space is not None and isinstance(objective, Objective), "the session resolves them"
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
            logged = _try_model(study, model, splits, hp)
    except StudyError:
        raise
    except Exception as error:
        called = "the builder" if model is None else "the model"
        raised = f"{called} raised {explain(error)}, with the default hyperparameters"
        if out_of_memory(error):
            return StudyCheck([f"{raised[0].upper()}{raised[1:]}."])
        raise BuilderError(
            f"The study {study.name!r} can't be trained: {raised}",
            hint="If only these values fail, give hyperparameters another default=.",
        ) from None
    if not callbacks and not has_own_steps(model):
        check_logged(objective.metric, logged)
    warnings = loading_warnings(model)
    if f"val_{objective.metric}" in logged:
        warnings.append(
            f"The objective {objective.metric} is measured on the training samples, which a model "
            f"may learn by heart. On the validation samples it is val_{objective.metric}."
        )
    return StudyCheck(warnings, 4 * parameters_of(model))


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


def check_logged(metric: str, logged: set[str]) -> None:
    """Raises ObjectiveError if a metric's name is not in `logged`."""
    if metric not in logged:
        raise unknown_metric(metric, logged)
