"""Calls a study's functions with a trial's hyperparameters: builder, callbacks, class weights."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces import (
    HyperparameterError,
    Hyperparameters,
)
from search_spaces.errors import BuilderError
from studies.data import LoadedData, building_for
from studies.definition.class_weights import (
    check_class_weight,
    resolve_class_weight,
    with_class_weight,
)
from studies.training.plain_and_hypermodel_trainers import has_own_fit

if TYPE_CHECKING:
    import keras

    from studies.definition import StudyDefinition


def build_model(
    study: StudyDefinition, hp: Hyperparameters, splits: LoadedData | None = None
) -> keras.Model:
    """Calls the study's builder, and returns its compiled model.

    If the builder calls `kerastudy.preprocessing.adapted`, the layer adapts to the training part of
    `splits`. Errors of the builder are passed on. Raises BuilderError if the builder returns no
    Keras model, reads a hyperparameter that is not in the space, or returns an uncompiled model. A
    HyperModel with its own `fit` may return an uncompiled model.
    """
    try:
        with building_for(splits):
            model = build_function(study.build)(hp)
    except HyperparameterError as error:
        raise BuilderError(f"The builder of the study {study.name!r} failed: {error}") from None
    check_model(study, model)
    if not model.compiled and not has_own_fit(study.build):
        raise BuilderError(
            f"The builder of the study {study.name!r} returned a model that is not compiled. "
            "Call model.compile(optimizer, loss, metrics) before returning it."
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
                "Is it an objective of Optuna's, which trains the model and returns its score? "
                "Then it runs as it stands, as Study(objective_function=…), without data and build."
            )
        raise BuilderError(
            f"The builder of the study {study.name!r} must return a Keras model",
            received=returned,
            hint=hint,
        )
    check_one_device(returned)
    return returned


def check_one_device(model: keras.Model) -> None:
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

    callbacks = list(study.callbacks(hp) or []) if study.callbacks is not None else []
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
