"""Studies whose objective is a function that does everything itself, as Optuna's are.

``objective(trial)`` loads its data, builds and trains its models, and returns a number. So the
study has no data, no builder and no settings of a training.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import EngineError, StudyError
from tracking.records import Direction, Objective

if TYPE_CHECKING:
    from studies.definition.study_definition import StudyDefinition

VALUE: Final = "value"
"""What the returned number is called in the record; Optuna's word."""

PRUNER: Final = "median"
"""The pruner of such a study, unless it says another: Optuna's default."""

_DIRECTIONS: Final[Mapping[str, Direction]] = {
    "maximize": "max",
    "max": "max",
    "minimize": "min",
    "min": "min",
}
_OF_BUILDERS: Final = (
    "data",
    "build",
    "callbacks",
    "optimizer",
    "loss",
    "metrics",
    "class_weight",
    "cross_validation",
)


def check_objective_study(study: StudyDefinition) -> Objective:
    """Checks a study with an objective function; returns the objective.

    Its direction is minimize by default, as in Optuna.

    Raises:
        StudyError: If the function is none, or the study has what only builders need.
    """
    function = study.objective_function
    if not callable(function) or inspect.isclass(function):
        raise StudyError(
            "objective_function must be a function of a trial that returns a number. "
            f"Received: {function!r:.200}"
        )
    _check_takes_a_trial(function)
    for name in _OF_BUILDERS:
        given = getattr(study, name)
        # `dataclasses.replace` gives the function, which stands for the builder, again.
        if given is not None and given is not function:
            raise StudyError(
                f"The study {study.name!r} has an objective_function, which does everything "
                f"itself, and {name}, which is for builders. Leave one of them out."
            )
    _check_no_training_settings(study)
    named = study.objective
    default = isinstance(named, str) and named == "val_loss"
    if not default and not (isinstance(named, Objective) and named.metric == VALUE):
        raise StudyError(
            f"The value of the study {study.name!r} is what its objective_function returns. "
            f"Received: objective={named!r}. Leave it out; direction='maximize' or 'minimize' "
            "says which way is better."
        )
    if study.direction is not None:
        return Objective(VALUE, direction_of(study.direction))
    return named if isinstance(named, Objective) else Objective(VALUE, "min")


def _check_takes_a_trial(function: Any) -> None:
    try:
        parameters = inspect.signature(function)
        parameters.bind(None)
    except ValueError:
        # A function of C has no signature.
        return
    except TypeError:
        raise StudyError(
            "An objective function must take one argument, the trial. "
            f"{getattr(function, '__name__', 'Yours')} takes {parameters}. Define a function of "
            "the trial alone that calls it."
        ) from None


def _check_no_training_settings(study: StudyDefinition) -> None:
    from studies.definition.study_definition import DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS

    for name, default in (("epochs", DEFAULT_EPOCHS), ("batch_size", DEFAULT_BATCH_SIZE)):
        if getattr(study, name) != default:
            raise StudyError(
                f"The objective_function of the study {study.name!r} decides on its {name} "
                f"itself. Received: {name}={getattr(study, name)!r}. Leave it out, or change the "
                "function."
            )
    if study.trainer == "compiled":
        raise StudyError(
            f"The study {study.name!r} cannot be compiled: its objective_function trains its "
            "models by itself. Use the trainer 'auto'."
        )


def check_objective_engine(study: StudyDefinition) -> None:
    """Refuses an engine that decides how long a trial trains: the function does."""
    if study.engine.partition(",")[0] == "keras-tuner:hyperband":
        raise EngineError(
            "keras-tuner:hyperband decides how many epochs a trial trains, and the "
            f"objective_function of the study {study.name!r} does so itself. Use optuna:tpe with "
            "the pruner hyperband, which answers its trial.should_prune()."
        )


def direction_of(given: object) -> Direction:
    """Returns a direction; Optuna's own ``StudyDirection`` is taken too.

    Raises StudyError if it is none.
    """
    text = given if isinstance(given, str) else getattr(given, "name", None)
    found = _DIRECTIONS.get(text.lower()) if isinstance(text, str) else None
    if found is None:
        raise StudyError(f"direction must be 'maximize' or 'minimize'. Received: {given!r:.200}")
    return found


def check_no_objective_settings(study: StudyDefinition) -> None:
    """Refuses a direction without an objective function, and a study that lacks its parts."""
    if study.direction is not None:
        raise StudyError(
            "direction is for a study with an objective_function. A study with a builder says so "
            "by its objective: objective='val_accuracy', or Objective('val_f1', 'max')."
        )
    for name in ("data", "build"):
        if getattr(study, name) is None:
            raise StudyError(
                f"The study {study.name!r} has no {name}. Give data and build; or an "
                "objective_function, which does everything itself and returns a number."
            )


def check_overrides(overrides: Mapping[str, Any], study: StudyDefinition) -> None:
    """Refuses settings at launch that a study with an objective function can't have.

    Raises StudyError.
    """
    if "data" in overrides and study.objective_function is not None:
        raise StudyError(
            f"The objective_function of the study {study.name!r} loads its data itself, so --data "
            "can't replace it. Change the function, or let it read the file's name from a variable."
        )


def no_data(study: str) -> str:
    """Returns the message for what needs a study's data."""
    return (
        f"The study {study!r} has no data of its own: its objective_function loads it. For what "
        "needs data (a test part, scores of samples, training on more of it), launch a study with "
        "data and a builder: Study(data=…, build=…)."
    )
