"""The objective of a study, and which way is better; objectives that are functions.

A function ``objective(trial)``, as Optuna's are, loads its data, builds and trains its models, and
returns a number. So its study has no data, no builder and no settings of a training.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import EngineError, ObjectiveError, StudyError, near_match
from studies.definition.engine_names import HYPERBAND, split_options
from tracking.records import Direction, Objective, RecordedSettings

if TYPE_CHECKING:
    from studies.definition.study_definition import StudyDefinition

# Names under which Keras 3 logs its own metrics and losses (https://keras.io/api/metrics/),
# by the direction in which they get better. Counts such as true positives depend on the number
# of samples alone, so their direction holds too.
_MAX = frozenset(
    """accuracy acc binary_accuracy categorical_accuracy sparse_categorical_accuracy
    top_k_categorical_accuracy sparse_top_k_categorical_accuracy auc precision recall f1_score
    fbeta_score f_beta_score r2_score cosine_similarity concordance_correlation pearson_correlation
    mean_io_u io_u binary_io_u one_hot_io_u one_hot_mean_io_u true_positives true_negatives
    precision_at_recall recall_at_precision sensitivity_at_specificity
    specificity_at_sensitivity""".split()
)
_MIN = frozenset(
    """loss mean_squared_error mse mean_absolute_error mae mean_absolute_percentage_error mape
    mean_squared_logarithmic_error msle root_mean_squared_error rmse log_cosh logcosh huber
    poisson kl_divergence kld hinge squared_hinge categorical_hinge binary_crossentropy
    binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy
    sparse_categorical_crossentropy crossentropy false_positives false_negatives""".split()
)


def make_objective(objective: str | Objective) -> str | Objective:
    """Returns an objective with its direction, or the name if its direction is unknown.

    The direction is known for the metrics that Keras has. It is never guessed from a part of a
    name, which would minimize `val_f1_score`. For other names, the metric's object gives it once a
    model is built.
    """
    if not isinstance(objective, (str, Objective)):
        # keras_tuner.Objective, without importing Keras Tuner for it.
        name, direction = getattr(objective, "name", None), getattr(objective, "direction", None)
        if isinstance(name, str) and isinstance(direction, str):
            objective = Objective(name, direction)
    if isinstance(objective, Objective):
        if objective.direction not in ("max", "min"):
            raise ObjectiveError(
                "An objective's direction must be 'max' or 'min'. "
                f"Received: {objective.direction!r} for {objective.metric!r}."
            )
        return objective
    if not isinstance(objective, str) or not objective.strip():
        raise ObjectiveError(
            "The objective must be the name of a metric, such as 'val_accuracy', or an "
            f"Objective. Received: {objective!r}."
        )
    # Keras numbers a second metric of one class: auc, auc_1.
    direction = known_direction(re.sub(r"_\d+$", "", objective.removeprefix("val_")))
    return objective if direction is None else Objective(objective, direction)


def known_direction(name: str) -> Direction | None:
    """Returns which way one of Keras's metrics gets better, by its usual name; None for others."""
    if name in _MAX:
        return "max"
    return "min" if name in _MIN else None


def unknown_direction(metric: str) -> ObjectiveError:
    """Returns the error for an objective of unknown direction."""
    return ObjectiveError(
        f"It is not known whether {metric!r} should go up or down: it is none of Keras's own "
        f"metrics. If it is yours, say so: Objective({metric!r}, 'max') or 'min'."
        + _suggest(metric)
    )


def _suggest(metric: str) -> str:
    prefix = "val_" if metric.startswith("val_") else ""
    hint = near_match(metric, sorted(prefix + name for name in _MAX | _MIN))
    return hint and f" {hint}"


def unknown_metric(metric: str, logged: dict[str, float] | set[str]) -> ObjectiveError:
    """Returns the error for an objective that the model does not log."""
    names = ", ".join(map(repr, sorted(logged)))
    hint = near_match(metric, sorted(logged)) or "Choose one of them, or add it in compile()."
    return ObjectiveError(
        f"The objective {metric!r} is not among the metrics that the model logs: {names}. {hint}"
    )


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
    "compile",
    "class_weight",
    "cross_validation",
)


def check_objective_study(study: StudyDefinition) -> Objective:
    """Checks a study with an objective function; returns the objective.

    Its direction is minimize by default, as in Optuna.
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
    for name in ("epochs", "batch_size"):
        if getattr(study, name) != getattr(RecordedSettings, name):
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
    if split_options(study.engine)[0] == HYPERBAND:
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
