"""Makes models, callbacks and data from hyperparameters, and finds the direction of metrics."""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from studies.definition.objective import known_direction, unknown_direction, unknown_metric
from studies.library_internals.keras_internals import compile_arguments
from studies.training.determinism.tensorflow_settings import noting_environment
from studies.training.trainers import has_own_fit
from tracking.records import Direction, Objective

if TYPE_CHECKING:
    import keras

    from studies.definition import StudyDefinition


def build_model(
    study: StudyDefinition, hp: Hyperparameters, splits: LoadedData | None = None
) -> keras.Model:
    """Calls the study's builder. `splits` is the data that the builder may ask about.

    Errors of the builder are passed on. Raises BuilderError if it returns no Keras model, reads a
    name that the space lacks, or returns an uncompiled model though there is no overridden `fit`.
    """
    try:
        with noting_environment(), building_for(splits):
            model = build_function(study.build)(hp)
    except HyperparameterError as error:
        raise BuilderError(f"The builder of the study {study.name!r} failed: {error}") from None
    check_model(study, model)
    if study.compile:
        recompile(study, model, study.compile)
    if not model.compiled and not has_own_fit(study.build):
        raise BuilderError(
            f"The builder of the study {study.name!r} returned a model that is not compiled. "
            "Call model.compile(optimizer, loss, metrics) before returning it."
        )
    return model


def without_watching(
    callbacks: Sequence[keras.callbacks.Callback],
) -> tuple[list[keras.callbacks.Callback], list[keras.callbacks.Callback]]:
    """Splits callbacks into those that need no validation data, and those that monitor it."""
    watching = [c for c in callbacks if str(getattr(c, "monitor", "")).startswith("val_")]
    return [callback for callback in callbacks if callback not in watching], watching


def check_model(study: StudyDefinition, returned: Any) -> keras.Model:
    """Raises BuilderError if the builder has returned no Keras model."""
    import keras

    if not isinstance(returned, keras.Model):
        raise BuilderError(
            f"The builder of the study {study.name!r} must return a Keras model",
            received=returned,
            hint=_why_no_model(returned),
        )
    return returned


def _why_no_model(returned: Any) -> str:
    if returned is None:
        return "Does it return the model?"
    if isinstance(returned, numbers.Real):
        return (
            "Is it an objective of Optuna's, which trains the model and returns its score? Then "
            "it runs as it stands, as Study(objective_function=…), without data and build."
        )
    return ""


def recompile(study: StudyDefinition, model: keras.Model, arguments: Mapping[str, Any]) -> None:
    """Compiles a model with the study's arguments instead of the builder's."""
    if not model.compiled and not {"optimizer", "loss"} <= set(arguments):
        raise BuilderError(
            f"The builder of the study {study.name!r} returned a model that is not compiled, so "
            "the study must give both optimizer and loss."
        )
    before = compile_arguments(model) if model.compiled else {}
    model.compile(**{**before, **{name: _new(value) for name, value in arguments.items()}})


def _new(value: Any) -> Any:
    """Returns new optimizers, losses and metrics, as trials can't share their variables."""
    if isinstance(value, Mapping):
        return {name: _new(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_new(item) for item in value]
    return type(value).from_config(value.get_config()) if hasattr(value, "get_config") else value


def build_function(build: Any) -> Callable[[Hyperparameters], Any]:
    """Returns the function that builds a model: the builder itself, or a HyperModel's `build`."""
    method = getattr(build, "build", None)
    return method if callable(method) else build  # type: ignore[no-any-return]


def build_callbacks(
    study: StudyDefinition, hp: Hyperparameters
) -> Sequence[keras.callbacks.Callback]:
    """Calls the study's function that makes callbacks."""
    import keras

    callbacks = list(study.callbacks(hp) or []) if study.callbacks is not None else []
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise BuilderError(
                f"The callbacks of the study {study.name!r} must be a list of Keras callbacks",
                received=callback,
            )
    return callbacks


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


def snake_case(name: str) -> str:
    """Returns a class's name in snake case, as Keras names metrics and the functions of losses."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def splits_for(study: StudyDefinition, splits: LoadedData, hp: Hyperparameters) -> LoadedData:
    """Returns data with the class weights of a trial, if these depend on hyperparameters."""
    if not callable(study.class_weight):
        return splits
    return with_class_weight(splits, class_weight_of(study, splits, hp))


def class_weight_of(
    study: StudyDefinition, splits: LoadedData, hp: Hyperparameters
) -> dict[int, float] | None:
    """Returns the class weights that a study's function makes of hyperparameters."""
    assert callable(study.class_weight), "others are the study's"
    return resolve_class_weight(check_class_weight(study.class_weight(hp)), splits)
