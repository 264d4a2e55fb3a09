"""The objective of a study, and which way is better."""

from __future__ import annotations

import re

from search_spaces.errors import ObjectiveError, near_match
from tracking.records import Direction, Objective

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
    model is built; see `studies.training.building.build`.

    Args:
        objective: A metric that the model logs, such as ``"val_accuracy"``, or an `Objective`,
            which says its direction; Keras Tuner's is taken too.

    Raises:
        ObjectiveError: If it is no name, or the direction is not ``"max"`` or ``"min"``.
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
