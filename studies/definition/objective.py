"""Checks the objective of a study: a metric and its direction, or an objective function.

An objective function ``objective(trial)``, as in Optuna, loads data, builds and trains models, and
returns a number. A study with an objective function has no data, builder, epochs or batch size.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from search_spaces import argument_checks as checks
from search_spaces.errors import EngineError, ObjectiveError, StudyError
from search_spaces.texts import near_match
from studies.definition.engine_and_pruner_names import HYPERBAND, split_options
from tracking.records import Direction, Objective, RecordedSettings

if TYPE_CHECKING:
    from studies.definition.study_definition import StudyDefinition

# The names under which Keras 3 logs metrics and losses (https://keras.io/api/metrics/), by the
# direction in which they get better. Counts, such as true positives, have a direction too: they can
# be compared between trials, since all trials count the same samples.
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
    mean_squared_logarithmic_error msle root_mean_squared_error rmse log_cosh log_cosh_error logcosh
    huber poisson kl_divergence kld hinge squared_hinge categorical_hinge binary_crossentropy
    binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy
    sparse_categorical_crossentropy crossentropy false_positives false_negatives""".split()
)


def check_objective(setting: str, value: Any, error: checks.Error) -> str | Objective:
    """Checks that an objective is a name, or has a direction. `make_objective` checks the name."""
    if not isinstance(value, (str, Objective)):
        # A keras_tuner.Objective has these attributes.
        name, direction = getattr(value, "name", None), getattr(value, "direction", None)
        if isinstance(name, str) and direction is not None:
            value = Objective(name, direction)
    if isinstance(value, Objective) or (isinstance(value, str) and value.strip()):
        return value
    expected = "the name of a metric, such as 'val_accuracy', or an Objective"
    raise ObjectiveError.of_setting(setting, expected, value)


def make_objective(objective: str | Objective) -> str | Objective:
    """Returns the objective with its direction.

    If the name does not tell the direction, returns the name. The metric of this name may tell it,
    once a model is built (`studies.training.check_study`).
    """
    if isinstance(objective, Objective):
        return objective
    direction = known_direction(metric_of(objective))
    return objective if direction is None else Objective(objective, direction)


def metric_of(name: str) -> str:
    """Returns the name of a metric without ``val_`` and without the number that Keras adds.

    Keras adds it to the second metric of the same class (auc, auc_1).
    """
    return re.sub(r"_\d+$", "", name.removeprefix("val_"))


def known_direction(name: str) -> Direction | None:
    """Returns the direction of the Keras metric with this name, or None if there is none.

    With several outputs, Keras logs a loss as ``OUTPUT_loss``.
    """
    if name in _MAX:
        return "max"
    return "min" if name in _MIN or name.endswith("_loss") else None


def unknown_direction(metric: str) -> ObjectiveError:
    """Returns the error for an objective whose direction is unknown."""
    prefix = "val_" if metric.startswith("val_") else ""
    return ObjectiveError(
        f"It is not known whether {metric!r} should go up or down: it is no metric of Keras's own. "
        f"Pass Objective({metric!r}, 'max') or Objective({metric!r}, 'min')",
        hint=near_match(metric, sorted(prefix + name for name in _MAX | _MIN)),
    )


def unknown_metric(metric: str, logged: Collection[str]) -> ObjectiveError:
    """Returns the error for an objective that the model does not log."""
    return ObjectiveError(
        f"The objective {metric!r} is not among the metrics that the model logs: "
        f"{', '.join(map(repr, sorted(logged)))}",
        hint=near_match(metric, sorted(logged)) or "Choose one of them, or add it in compile().",
    )


VALUE: Final = "value"
"""The name, as in Optuna, of the metric that records what an objective function returns."""

PRUNER: Final = "median"
"""The default pruner of a study with an objective function, as in Optuna."""

NO_DIRECTION: Final = (
    "no direction was given, so the value is minimized, as by optuna.create_study(). To maximize "
    "it: --direction maximize, or Study(direction='maximize')."
)
"""The warning for a study with an objective function whose direction is not set."""

DIRECTIONS: Final[Mapping[str, Direction]] = {"maximize": "max", "minimize": "min"}
_OF_BUILDERS: Final = (*("data", "build", "callbacks", "class_weight", "cross_validation"),)


def check_objective_study(study: StudyDefinition) -> Objective:
    """Checks a study with an objective function, and returns its objective.

    By default, the objective is minimized, as in Optuna.
    """
    function = study.objective_function
    # `StudyDefinition` sets `build` to the objective function, and `dataclasses.replace` passes
    # `build` on to the new object. So a `build` that is the objective function is no mistake.
    others = [
        name
        for name in _OF_BUILDERS
        if getattr(study, name) is not None and getattr(study, name) is not function
    ]
    fits = ("epochs", "batch_size")
    others += [name for name in fits if getattr(study, name) != getattr(RecordedSettings, name)]
    if others:
        raise StudyError(
            f"The study {study.name!r} has an objective_function, which does everything itself, so "
            f"it takes no {others[0]}",
            received=getattr(study, others[0]),
            hint="Leave one of the two out.",
        )
    if split_options(study.engine)[0] == HYPERBAND:
        raise EngineError(
            f"{HYPERBAND} decides how many epochs a trial trains, but so does the "
            f"objective_function of the study {study.name!r}",
            hint="Use optuna:tpe with the pruner hyperband, "
            "which answers the function's trial.should_prune().",
        )
    objective = study.objective
    if not (objective == "val_loss" or getattr(objective, "metric", "") == VALUE):
        raise StudyError(
            f"The objective of the study {study.name!r} is what its objective_function returns",
            received=objective,
            hint="Leave objective out; direction='maximize' or 'minimize' says which values are "
            "better.",
        )
    if study.direction is not None:
        return Objective(VALUE, DIRECTIONS[study.direction])
    return objective if isinstance(objective, Objective) else Objective(VALUE, "min")


def check_no_objective_settings(study: StudyDefinition) -> None:
    """Checks that a study without objective function has data, a builder, and no direction."""
    if study.direction is not None:
        raise StudyError(
            "direction is for a study with an objective_function. In a study with a builder, the "
            "objective has the direction: objective='val_accuracy', or Objective('val_f1', 'max')."
        )
    for name in ("data", "build"):
        if getattr(study, name) is None:
            raise StudyError(
                f"The study {study.name!r} has no {name}",
                hint="Give data and build, or else an objective_function, which does everything "
                "itself and returns a number.",
            )


def no_data(study: str) -> str:
    """Returns the message that a study with an objective function has no data for an operation."""
    return (
        f"The study {study!r} has no data of its own: its objective_function loads it. A test "
        "part and scores of samples need a study with data and a builder: Study(data=…, build=…)."
    )
