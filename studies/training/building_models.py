"""Builds a study's models, and rebuilds the model of a trial with its best weights.

A study's functions that return callbacks and class weights are called here, too.
"""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from search_spaces import (
    HyperparameterError,
    Hyperparameters,
    SearchSpace,
)
from search_spaces.errors import BuilderError
from studies.data import LoadedData, Part, Preparation, Splits, building_for, examples_of, seal
from studies.definition import (
    check_class_weight,
    resolve_class_weight,
    with_class_weight,
)
from studies.training.model_variables_and_properties import (
    as_built,
    build_variables,
    replaced_method,
)
from studies.training.plain_and_hypermodel_trainers import has_own_fit
from studies.training.random_states_and_user_objects import begin_trial
from studies.user_code import prunes_trial
from tracking.records import TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.definition import StudyDefinition


def build_model(
    study: StudyDefinition, hp: Hyperparameters, splits: LoadedData | None = None
) -> keras.Model:
    """Calls the study's builder, and returns its compiled model.

    If the builder calls `kerastudy.preprocessing.adapted` with a layer, this layer adapts to the
    training part of `splits`. Errors of the builder are passed on. Raises BuilderError if the
    builder returns no Keras model, reads a hyperparameter that is not in the space, or returns an
    uncompiled model. A HyperModel with its own `fit` may return an uncompiled model.
    """
    try:
        with building_for(splits):
            model = build_function(study.build)(hp)
    except HyperparameterError as error:
        where = f"The builder of the study {study.name!r} failed: "
        raise error.of_kind(BuilderError, where) from None
    check_model(study, model)
    if not model.compiled and not has_own_fit(study.build):
        raise BuilderError(
            f"The builder of the study {study.name!r} returned a model that is not compiled",
            hint="Call model.compile(optimizer, loss, metrics) before you return the model.",
        )
    return model


def without_watching(
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that monitor no validation metric."""
    return [c for c in callbacks if not str(getattr(c, "monitor", "")).startswith("val_")]


def check_model(study: StudyDefinition, returned: Any) -> keras.Model:
    """Returns the builder's return value. Raises BuilderError if it is no Keras model."""
    import keras

    if not isinstance(returned, keras.Model):
        hint = "Does it return the model?" if returned is None else ""
        if isinstance(returned, numbers.Real):
            hint = (
                "Is it an objective function of Optuna, which trains a model and returns a score? "
                "Then pass it unchanged: Study(objective_function=…), without data and build."
            )
        raise BuilderError(
            f"The builder of the study {study.name!r} must return a Keras model",
            received=returned,
            hint=hint,
        )
    _check_one_device(returned)
    return returned


def _check_one_device(model: keras.Model) -> None:
    """Raises BuilderError if a distribution strategy spreads the model over several devices."""
    import tensorflow as tf

    strategy = model.distribute_strategy
    if tf.distribute.has_strategy() or strategy is not tf.distribute.get_strategy():
        raise BuilderError(
            f"The model is made in a distribution strategy ({type(strategy).__name__}), but a "
            "trial runs on one device",
            hint="Leave the strategy out. --workers N runs N trials at once, each on a GPU of its "
            "own.",
        )


def build_function(build: Any) -> Callable[[Hyperparameters], Any]:
    """Returns the function that builds a model: the builder itself, or a HyperModel's `build`."""
    method = getattr(build, "build", None)
    return method if callable(method) else build  # type: ignore[no-any-return]


def build_callbacks(
    study: StudyDefinition, hp: Hyperparameters
) -> Sequence[keras.callbacks.Callback]:
    """Returns the callbacks that the study's function makes for a trial."""
    import keras

    callbacks = list(study.callbacks(hp) or []) if callable(study.callbacks) else []
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise BuilderError(
                f"The callbacks of the study {study.name!r} must be a list of Keras callbacks",
                received=callback,
            )
    return callbacks


def splits_for(study: StudyDefinition, splits: LoadedData, hp: Hyperparameters) -> LoadedData:
    """Returns data with a trial's class weights, if the study's `class_weight` is a function.

    Otherwise returns `splits` unchanged.
    """
    if not callable(study.class_weight):
        return splits
    return with_class_weight(splits, class_weight_of(study, splits, hp))


def class_weight_of(
    study: StudyDefinition, splits: LoadedData, hp: Hyperparameters
) -> dict[int, float] | None:
    """Returns the class weights that a study's function `class_weight` makes for a trial."""
    assert callable(study.class_weight), "other class weights are the same for all trials"
    return resolve_class_weight(check_class_weight(study.class_weight(hp)), splits)


class FirstFit(NamedTuple):
    """The model and the arguments of the first `fit` that a function calls."""

    model: keras.Model
    arguments: Mapping[str, Any]  # The arguments of `fit`, by name.


class FunctionEnded(BaseException):
    """Stops a user's function early. An ``except Exception`` in the function does not catch it."""


def up_to_first_fit(function: Callable[[Any], Any], trial: Any) -> tuple[FirstFit | None, Any]:
    """Runs an objective function up to its first training. Errors of the function are passed on.

    Returns the first training. If the function trains nothing, returns None and the value that the
    function returned.
    """
    import keras

    fits: list[FirstFit] = []

    def stopping(name: str) -> Callable[..., Any]:
        method = getattr(keras.Model, name)
        signature = inspect.signature(method)

        @functools.wraps(method)
        def stop(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
            _check_one_device(model)
            arguments_by_name = signature.bind_partial(model, *arguments, **keywords).arguments
            fits.append(FirstFit(model, arguments_by_name))
            raise FunctionEnded

        return stop

    returned = None
    with ExitStack() as methods:
        for name in ("fit", "train_on_batch"):
            methods.enter_context(replaced_method(name, stopping(name)))
        try:
            returned = function(trial)
        except FunctionEnded:
            pass
        except Exception as error:
            if not fits and not prunes_trial(error):
                raise
    return next(iter(fits), None), returned


def _model_of(study: str, function: Callable[[Any], Any], hp: Hyperparameters) -> FirstFit:
    """Returns the first training of an objective function. Raises BuilderError if it has none."""
    fit, _ = up_to_first_fit(function, hp)
    if fit is None:
        raise BuilderError(
            f"The objective_function of the study {study!r} trains no Keras model for these "
            "hyperparameters."
        )
    return fit


# An objective function's model is called on this many samples, to make its variables and signature.
_SAMPLES = 32


def rebuilt(
    study: StudyDefinition,
    space: SearchSpace,
    splits: LoadedData,
    spec: TrialSpec,
    checkpoint: Path,
) -> keras.Model:
    """Returns a trial's model with its best weights."""
    begin_trial(spec.seed)
    model = build_model(study, Hyperparameters(space, spec.values, number=spec.built_as), splits)
    _load_weights(model, splits, checkpoint)
    return model


def rebuilt_objective(
    study: StudyDefinition, space: SearchSpace, spec: TrialSpec, checkpoint: Path
) -> tuple[keras.Model, Splits]:
    """Returns the model of an objective function's trial with its best weights, and some samples.

    The objective function runs with the trial's seed up to its first `fit`, and so builds the
    model.
    """
    assert study.objective_function is not None, "the study has an objective function"
    begin_trial(spec.seed)
    hp = Hyperparameters(space, spec.values, number=spec.built_as)
    fit = _model_of(study.name, study.objective_function, hp)
    splits = _samples_of(fit)
    _load_weights(fit.model, splits, checkpoint)
    return fit.model, splits


def _load_weights(model: keras.Model, splits: LoadedData, checkpoint: Path) -> None:
    build_variables(model, splits)
    with as_built(model):
        model.load_weights(checkpoint)


def _samples_of(fit: FirstFit) -> Splits:
    """Returns the first samples that were passed to `fit`, as a study's data."""
    import keras

    x: Any = fit.arguments.get("x")
    y = fit.arguments.get("y")
    if y is None and not (isinstance(x, Mapping | list | tuple) or hasattr(x, "shape")):
        # `x` is a tf.data.Dataset, a PyDataset or a generator, which yields batches.
        x, y, _ = keras.utils.unpack_x_y_sample_weight(next(iter(x)))
    x, y = _first(x), () if y is None else _first(y)
    part = Part(x, y)
    return seal(part, part, None, preparation=Preparation(example=examples_of(x)))


def _first(samples: Any) -> Any:
    """Returns the first samples of an array, or of all arrays in a dict, list or tuple."""
    if isinstance(samples, Mapping):
        return {name: _first(array) for name, array in samples.items()}
    if isinstance(samples, list | tuple) and hasattr(samples[0], "shape") and samples[0].shape:
        return tuple(map(_first, samples))
    return np.asarray(samples[:_SAMPLES])
