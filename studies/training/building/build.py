"""Builds compiled models, and callbacks, from hyperparameters; which way metrics get better."""

from __future__ import annotations

import contextlib
import numbers
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import HyperparameterError, Hyperparameters
from search_spaces.errors import BuilderError
from studies.data.preprocessing import building_for
from studies.definition.objective import known_direction, unknown_direction, unknown_metric
from studies.libraries.keras_parts import compile_arguments
from studies.training.batches import as_keras_reads, packed
from studies.training.building.hypermodel import has_own_fit
from studies.training.models import fixed_batch_size, has_own_steps
from studies.training.process import global_settings
from tracking.records import Direction, Objective

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition


def build_model(
    study: StudyDefinition, hp: Hyperparameters, splits: LoadedData | None = None
) -> keras.Model:
    """Calls the study's builder, for the data of a trial; raises whatever that raises.

    Raises BuilderError if it returns no Keras model, or one that is not compiled although no `fit`
    of its own trains it, or reads what the space lacks.
    """
    try:
        with global_settings.noting_environment(), building_for(splits):
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
    """Returns callbacks for a training without validation data, and those that watch it."""
    watching = [c for c in callbacks if str(getattr(c, "monitor", "")).startswith("val_")]
    return [callback for callback in callbacks if callback not in watching], watching


def check_model(study: StudyDefinition, returned: Any) -> keras.Model:
    """Returns what a builder returned if it is a Keras model; else raises BuilderError."""
    import keras

    if not isinstance(returned, keras.Model):
        raise BuilderError(
            f"The builder of the study {study.name!r} must return a Keras model. "
            f"Received: {returned!r:.200}{_why_no_model(returned)}"
        )
    return returned


def _why_no_model(returned: Any) -> str:
    """Returns a guess why a builder returns something else."""
    if returned is None:
        return ". Does it return the model?"
    if isinstance(returned, numbers.Real):
        return (
            ". Is it an objective of Optuna's, which trains the model and returns its score? Then "
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
    """Returns new optimizers, losses and metrics: trials can't share objects with variables."""
    if isinstance(value, Mapping):
        return {name: _new(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_new(item) for item in value]
    return type(value).from_config(value.get_config()) if hasattr(value, "get_config") else value


def build_function(build: Any) -> Callable[[Hyperparameters], Any]:
    """Returns the function that builds a model: of a Keras Tuner HyperModel, its method."""
    method = getattr(build, "build", None)
    return method if callable(method) else build  # type: ignore[no-any-return]


def build_variables(model: keras.Model, splits: LoadedData) -> None:
    """Makes the missing variables of a model and its optimizer."""
    import keras

    x = splits.train.first(1).x
    if not model.built and isinstance(model, keras.Sequential) and isinstance(x, np.ndarray):
        # Not called, which would fix its batch size to that of the call.
        model.build((None, *x.shape[1:]))
    elif not model.built:
        # Called, as the first batch would: `build` makes no variables of a subclass's layers.
        try:
            model(as_keras_reads(x))
        except Exception:
            if not has_own_steps(model):
                raise
            # Its training step calls its parts, and never itself: they make their variables.
            if not model.weights:
                model.train_step(packed(splits.train.first(fixed_batch_size(model) or 1)))
    # Before weights are read: their file has the optimizer's state too. Once: a
    # LossScaleOptimizer that is built again has more variables.
    if model.compiled and model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def build_callbacks(
    study: StudyDefinition, hp: Hyperparameters
) -> Sequence[keras.callbacks.Callback]:
    """Calls the study's function that makes callbacks."""
    import keras

    callbacks = list(study.callbacks(hp) or []) if study.callbacks is not None else []
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise BuilderError(
                f"The callbacks of the study {study.name!r} must be a list of Keras callbacks. "
                f"Received in it: {callback!r:.200}"
            )
    return callbacks


def check_logged(metric: str, logged: set[str]) -> None:
    """Raises ObjectiveError, with the logged metrics, if an objective is not among them."""
    if metric not in logged:
        raise unknown_metric(metric, logged)


def settled(objective: str | Objective, model: keras.Model | None) -> Objective:
    """Returns an objective with its direction, by its name or a model that has measured a batch.

    Raises ObjectiveError if neither the name nor the metric's object shows the direction.
    """
    if isinstance(objective, Objective):
        return objective
    direction = None if model is None else _direction(objective, model)
    if direction is None:
        raise unknown_direction(objective)
    return Objective(objective, direction)


def _direction(name: str, model: keras.Model) -> Direction | None:
    """Returns the direction of a metric, by its logged name.

    Keras logs a metric under its name, after that of its output if there are several, and before a
    number if two have the same name.
    """
    logged = name.removeprefix("val_")
    outputs = list(getattr(model, "output_names", None) or ())
    if logged.removesuffix("_loss") in outputs:
        return "min"
    spelled = [logged, re.sub(r"_\d+$", "", logged)]
    spelled += [s.removeprefix(f"{o}_") for s in spelled for o in outputs]
    found = {_direction_of(each) for each in _metrics(model) if each.name in spelled}
    return found.pop() if len(found) == 1 else None


def _metrics(model: keras.Model) -> Iterator[Any]:
    for each in model.metrics:
        # Keras keeps the metrics of compile() in a container metric.
        yield from getattr(each, "metrics", None) or [each]


def _direction_of(metric: Any) -> Direction | None:
    for kind in type(metric).__mro__:
        if kind.__module__.partition(".")[0] == "keras":
            direction = known_direction(snake_case(kind.__name__))
            if direction is not None:
                return direction
    # Keras's function with a user's name: MeanMetricWrapper(keras.losses.mse, "error").
    with contextlib.suppress(Exception):
        function = metric.get_config()["fn"]
        if function.get("module", "").partition(".")[0] in ("keras", "builtins"):
            return known_direction(str(function["config"]))
    return None


def snake_case(name: str) -> str:
    """Returns Keras's name for a class: of a metric by default, of a loss for its function."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
