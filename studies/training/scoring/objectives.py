"""Which scorer an objective has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studies.libraries.keras_metrics import compiled_metrics
from studies.training.scoring.counts import counting_scorer
from studies.training.scoring.means import LossScorer, mean_scorer
from studies.training.scoring.scorer import NotScoredError, Scorer
from tracking.runs.mlflow_names import metric_name

if TYPE_CHECKING:
    import keras


def scorer_of(model: keras.Model, metric: str, y: Any, y_pred: Any) -> Scorer:
    """Returns what scores the samples of an objective.

    Args:
        model: The compiled model.
        metric: The objective's metric, as it is recorded, such as ``"val_accuracy"``.
        y: Some targets.
        y_pred: Predictions for them.

    Raises:
        NotScoredError: If nothing does.
    """
    if not metric.startswith("val_"):
        raise NotScoredError(f"{metric} is no metric of the validation data")
    for name, compiled in compiled_metrics(model, y, y_pred).items():
        recorded = metric_name(f"val_{name}")
        index = metric.removeprefix(f"{recorded}_")
        if metric == recorded or (metric != index and index.isdigit()):
            found = mean_scorer(model, compiled) if metric == recorded else None
            found = found or counting_scorer(
                model, compiled, None if metric == recorded else int(index)
            )
            if found is None:
                kind = type(compiled.metric).__name__
                raise NotScoredError(f"{metric} is of {kind}, which has no rule for single samples")
            return found
    if metric == "val_loss" or metric.endswith("_loss"):
        return LossScorer(model, metric)
    raise NotScoredError(f"the model was not compiled with {metric.removeprefix('val_')}")
