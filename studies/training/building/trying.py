"""Tries a study's default model on a few samples, to report mistakes before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import BuilderError, StudyError
from studies.training.batches import as_tensor, packed
from studies.training.building.build import build_callbacks, build_model, check_logged, settled
from studies.training.building.hypermodel import has_own_fit, rehearse
from studies.training.building.made_data import AnyData, splits_for
from studies.training.building.own_code import loading_warnings
from studies.training.building.target_checks import check_targets, check_weighted
from studies.training.models import fixed_batch_size, has_own_steps, parameters_of, scalars
from studies.training.process.determinism import begin_trial
from studies.training.programs.compiled import CompiledTrainer, why_not
from studies.user_code.causes import explain, fatal, is_fatal, out_of_memory
from tracking.records import Objective

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition

_SAMPLES = 4
# Points of the space to check whether other hyperparameters fail like the default ones.
_OTHER_PLACES = (0.25, 0.75)


class Checked(NamedTuple):
    """The outcome of checking a study's default hyperparameters."""

    # A builder that raises is a warning: other hyperparameters may suit it.
    warnings: list[str]
    # With its direction.
    objective: Objective
    # Of the weights, as floats of 32 bits; 0 if there is no model.
    model_bytes: int = 0


def check_study(study: StudyDefinition, data: AnyData) -> Checked:
    """Builds the model of the default hyperparameters and trains it on a few samples.

    So mistakes are reported before anything is written. Raises BuilderError if the builder returns
    no compiled model, or reads what the space lacks; if output layer, loss and targets can't fit;
    or if the study's trainer is "compiled" and the model or its callbacks can't be. Raises
    ObjectiveError if the model does not log the objective, or its direction is unknown.
    """
    assert study.space is not None, "a session resolves the study's space"
    hp = Hyperparameters(study.space, study.space.defaults())
    splits = splits_for(data, hp)
    begin_trial(study.seed)
    try:
        model = build_model(study, hp, splits)
        callbacks = build_callbacks(study, hp)
    except StudyError:
        raise
    except Exception as error:
        found = [_failure(study, data, error, "the builder")]
        return Checked(found, settled(study.objective, None))
    _check_tensorboard(study, callbacks)
    compiles = study.trainer == "compiled" and not has_own_fit(study.build)
    if compiles:
        _refuse(study, splits.unfit or why_not(model, callbacks))
    try:
        if has_own_fit(study.build):
            logged = rehearse(study, model, splits, hp)
        else:
            for part in (splits.train.at_hand, splits.validation.at_hand):
                check_targets(model, part.x, part.y)
                check_weighted(model, part)
            logged = _try_model(study, model, splits, hp)
    except StudyError:
        raise
    except Exception as error:
        found = [_failure(study, data, error, "the model")]
        return Checked(found, settled(study.objective, model))
    if not callbacks and not has_own_steps(model):
        named = study.objective
        check_logged(named.metric if isinstance(named, Objective) else named, logged)
    objective = settled(study.objective, model)
    if compiles:
        # Only tracing shows which state it holds.
        trainer = CompiledTrainer()
        _refuse(study, trainer.why_not_traced(model, splits, study.batch_size))
    warnings = loading_warnings(model, study.build)
    return Checked(warnings, objective, 4 * parameters_of(model))


def _refuse(study: StudyDefinition, reason: str) -> None:
    """Raises BuilderError if there is a reason why a study cannot be compiled."""
    if reason:
        raise BuilderError(
            f"The study {study.name!r} cannot be compiled: {reason}. Take that away, or use the "
            "trainer 'auto', which leaves it to model.fit."
        )


def _try_model(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, hp: Hyperparameters
) -> set[str]:
    """Trains a model for one batch, and validates it; returns the names of its metrics.

    It runs the steps untraced: tracing, as in `fit`, would take longer than all the rest. A failure
    counts only if `fit`, with another model, fails too.
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

    # Not as arrays, of which Keras takes no texts.
    train, validation = map(tf.data.Dataset.from_tensors, _samples(model, splits))
    history = model.fit(train, validation_data=validation, shuffle=False, verbose=0).history
    return set(scalars({name: values[-1] for name, values in history.items()}))


def _samples(model: keras.Model, splits: LoadedData) -> list[tuple[Any, ...]]:
    size = fixed_batch_size(model) or _SAMPLES
    return [packed(part.first(size)) for part in (splits.train, splits.validation)]


def _failure(study: StudyDefinition, data: AnyData, error: Exception, doing: str) -> str:
    """Returns the message for default hyperparameters that fail, if others may not.

    If others fail alike, it is a mistake in the study's code, and a BuilderError is raised.
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


def _check_tensorboard(study: StudyDefinition, callbacks: Any) -> None:
    """Checks that the package for a TensorBoard callback is installed."""
    import keras

    found = find_spec("tensorboard")
    # A folder of that name, as for logs, can be imported too, and has no loader or file.
    installed = found is not None and found.origin is not None
    if not installed and any(
        isinstance(callback, keras.callbacks.TensorBoard) for callback in callbacks
    ):
        raise BuilderError(
            f"The study {study.name!r} has a TensorBoard callback, and the package tensorboard is "
            "not installed, so that every trial would fail. Install it (pip install tensorboard), "
            "or leave the callback out."
        )


def _others(space: SearchSpace) -> Iterator[Hyperparameters]:
    """Yields hyperparameters other than the default ones; none if the space has no others."""
    seen: list[Mapping[str, Any]] = [space.defaults()]
    for place in _OTHER_PLACES:
        values = space.from_unit(dict.fromkeys(space.dimensions, place))
        if values not in seen:
            seen.append(values)
            yield Hyperparameters(space, values)


def _raised(study: StudyDefinition, data: AnyData, hp: Hyperparameters) -> str:
    """Builds and tries a model; returns the error, or None."""
    try:
        splits = splits_for(data, hp)
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
