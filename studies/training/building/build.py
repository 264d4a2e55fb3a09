"""Makes models, callbacks and data from hyperparameters, and finds the direction of metrics."""

from __future__ import annotations

import numbers
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from search_spaces import (
    Asked,
    HyperparameterError,
    Hyperparameters,
    RecordedHyperparameters,
    answers_alike,
)
from search_spaces.errors import BuilderError, DataError, StudyError
from studies.data import DescribedData, LoadedData, building_for
from studies.definition.class_weights import (
    check_class_weight,
    resolve_class_weight,
    with_class_weight,
)
from studies.definition.objective import known_direction, unknown_direction, unknown_metric
from studies.libraries.keras_parts import compile_arguments
from studies.training.process.determinism import begin_trial, noting_environment, restore_settings
from studies.training.trainers import has_own_fit
from studies.user_code import explain, fatal, is_fatal
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


DATA_SETS_KEPT = 4
"""The number of data sets that a process keeps, as each takes memory."""


class Made(NamedTuple):
    """The data of a trial and its class weights, which are not yet applied."""

    data: DescribedData
    splits: LoadedData
    class_weight: dict[int, float] | None


class MadeData:
    """Makes the data of each trial, if `data`, `class_weight` or both are functions of `hp`.

    The last data sets are kept, and used again for the same values of the hyperparameters that the
    function read. The function runs with the study's seed, and should depend only on `hp`.
    """

    def __init__(self, study: StudyDefinition) -> None:
        self._study = study
        self._kept: deque[tuple[tuple[Asked, ...], DescribedData]] = deque(maxlen=DATA_SETS_KEPT)
        self._streamed: bool | None = None

    def described(self, hp: Any) -> DescribedData:
        """Returns the data's description, kept or made anew. Both ways read the same from `hp`."""
        study = self._study
        if isinstance(study.data, DescribedData):
            return study.data
        for asked, data in tuple(self._kept)[::-1]:
            if answers_alike(asked, hp):
                self._kept.remove((asked, data))
                self._kept.append((asked, data))
                return data
        recorded = RecordedHyperparameters(hp)
        begin_trial(study.seed)
        try:
            with noting_environment():
                made: object = study.data(recorded)  # type: ignore[arg-type, misc]
        finally:
            # The function does not run for every trial, so its settings must not last.
            restore_settings()
        if not isinstance(made, DescribedData):
            raise BuilderError(
                f"The function of the data of the study {study.name!r} must return data from "
                "kerastudy.datasets, such as datasets.arrays(x, y)",
                received=made,
            )
        if recorded.asked is not None:
            self._kept.append((recorded.asked, made))
        return made

    def weights_of(self, hp: Any) -> Any:
        """Returns the class weights for hyperparameters, as the user gives them."""
        class_weight = self._study.class_weight
        return check_class_weight(class_weight(hp)) if callable(class_weight) else class_weight

    def of(self, hp: Any) -> Made:
        """Returns the data for hyperparameters, and its class weights.

        Errors of the user's functions are passed on. Raises DataError if the data can't be loaded.
        Raises StudyError if the functions return no data, another kind of data than before, or
        class weights that don't suit the data.
        """
        data = self.described(hp)
        streamed = data.in_batches
        if self._streamed not in (None, streamed):
            raise BuilderError(
                f"The function of the data of the study {self._study.name!r} returns arrays for "
                "some hyperparameters and batches for others. Return one of them for all."
            )
        if streamed:
            # Random operations in a pipeline need a seed.
            begin_trial(self._study.seed)
        splits = data.load()
        self._streamed = streamed
        return Made(data, splits, resolve_class_weight(self.weights_of(hp), splits))

    def of_defaults(self, hp: Any) -> Made:
        """Returns the data of the default hyperparameters. Raises StudyError for any failure."""
        try:
            return self.of(hp)
        except Exception as error:
            raise self.failed(error) from None

    def failed(self, error: Exception) -> StudyError:
        """Returns the error to raise if the default hyperparameters give no data."""
        if is_fatal(error):
            return fatal(error)
        if isinstance(error, StudyError):
            return error
        return BuilderError(
            f"The data of the study {self._study.name!r} can't be made of the default "
            f"hyperparameters: {self.cause(error)}."
        )

    def cause(self, error: Exception) -> str:
        """Returns why data could not be made."""
        if isinstance(error, DataError | StudyError):
            return str(error).removesuffix(".")
        return explain(error, self._study.data)


AnyData = LoadedData | MadeData


def made_data(study: StudyDefinition) -> MadeData | None:
    """Returns the maker of each trial's data, or None if all trials have the same data."""
    of_study = isinstance(study.data, DescribedData)
    return None if of_study and not callable(study.class_weight) else MadeData(study)


def splits_for(data: AnyData, hp: Any) -> LoadedData:
    """Returns the data that a trial is trained on.

    Data that is made for the trial gets its class weights here.
    """
    if not isinstance(data, MadeData):
        return data
    data_of_trial = data.of(hp)
    return with_class_weight(data_of_trial.splits, data_of_trial.class_weight)
