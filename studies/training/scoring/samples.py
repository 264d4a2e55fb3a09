"""The scores of a model's validation samples, compared with the recorded value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from studies.training.scoring.objectives import NotScoredError, Rule, rule_of
from studies.training.scoring.predictions import predicted
from tracking.scores.sample_scores import SampleScores

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData

# Sums of other batches round otherwise: relative, and for objectives close to 0.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6


def sample_scores(
    model: keras.Model,
    splits: LoadedData,
    metric: str,
    *,
    epoch: int,
    batch_size: int,
    recorded: float | None = None,
) -> SampleScores:
    """Returns the objective of each validation sample.

    The model is called in large batches, outside of TensorFlow functions; its metrics, seeds and
    losses may be other ones afterwards.

    Args:
        model: Compiled, with the weights to score.
        splits: The data; in a part of another kind, put it in the place of the validation part.
        metric: The objective's metric, such as ``"val_accuracy"``.
        epoch: The epoch of the weights, counted from 1.
        batch_size: Samples of a validation step.
        recorded: The value that Keras computed. None: the scores are not compared.

    Raises:
        NotScoredError: If single samples can't be scored, or if the scores contradict the recorded
            value by more than 0.01 % of it (and 0.000001). By one sample more for an accuracy or a
            count: a tie may be decided otherwise in another batch. By 0.1 % of 1 - R2 more for R2,
            which Keras computes in single precision.
        Exception: Whatever the model raises.
    """
    rule: Rule | None = None
    values: list[np.ndarray] = []
    weights: list[np.ndarray | None] = []
    count = 0
    for y, y_pred, given in predicted(model, splits, batch_size):
        if rule is None:
            rule = rule_of(model, metric, y, y_pred)
        value, weight = rule.score(y, y_pred, given)
        values.append(value)
        weights.append(weight)
        count += len(value)
    if rule is None:
        raise NotScoredError("there are no validation samples")
    joined = None if weights[0] is None else _joined(weights)
    if rule.equal_batches and not splits.streams and count % batch_size:
        last = count % batch_size
        joined = np.repeat([1 / batch_size, 1 / last], [count - last, last]).astype(np.float32)
    scores = SampleScores(
        metric,
        rule.kind,
        _joined(values),
        epoch,
        joined,
        rule.constant(),
        rule.settings,
        groups=splits.validation.groups,
    )
    if recorded is not None:
        _check(scores, recorded)
    return scores


def _check(scores: SampleScores, recorded: float) -> None:
    tolerance = _RELATIVE * abs(recorded) + _ABSOLUTE
    values = scores.values
    if scores.kind == "r2":
        # Keras subtracts sums of squares in single precision.
        tolerance += 10 * _RELATIVE * abs(1 - recorded)
    if values.dtype.kind in "biu" or bool(((values == 0) | (values == 1)).all()):
        tolerance += 1 / len(scores)
    if not abs(scores.value - recorded) <= tolerance:
        raise NotScoredError(
            f"the scores of its samples give {scores.metric} {scores.value:.6g}, and Keras "
            f"{recorded:.6g}"
        )


def _joined(pieces: list[Any]) -> np.ndarray:
    return np.asarray(pieces[0]) if len(pieces) == 1 else np.concatenate(pieces)
