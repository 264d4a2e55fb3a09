"""How well trials fit: overfitting, underfitting, noise from epoch to epoch, losses that rise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from tracking.diagnosis.diagnosed import Curve, DiagnosedStudy
from tracking.diagnosis.findings import Finding, TooThinError
from tracking.diagnosis.numbers import Array, difference, of_best, shown, step_noise

_LEAST_CURVES: Final = 3
_RISE: Final = 0.05
_RISE_OF_LOSS: Final = 0.1
_NOISY: Final = 0.1
_NOISY_OF_TRIALS: Final = 0.25
_POOR_ERROR: Final = 0.1
_POOR_SHARE: Final = 0.5
_REGULARIZERS: Final = ("dropout", "l2", "l1", "weight_decay", "label_smoothing")


def overfitting(study: DiagnosedStudy) -> Finding | None:
    """Finds validation that gets worse while training goes on.

    Deep Learning Tuning Playbook, "Examining the training curves": "Problematic overfitting occurs
    when the validation error starts increasing at some point during training."

    In more than half of the best trials, the objective at the end is worse than at the best epoch:
    by more than three times the noise from epoch to epoch and 5 % of all that it had improved, on
    the mean of the last epochs, while the training data is fitted better still. If the objective
    does not, but val_loss does by 10 % (rules of thumb), that is a hint: the model grows too sure
    of itself.

    Raises:
        TooThinError: If fewer than three of the best trials have four epochs.
    """
    curves = study.top_curves
    _check(curves)
    worse = [curve for curve in curves if turned(curve)]
    if len(worse) * 2 > len(curves):
        turn = round(statistics.median(int(c.epochs[c.best]) for c in worse))
        rise = statistics.median(_end(c.losses) - float(c.losses.min()) for c in worse)
        return Finding(
            "overfitting",
            "problem",
            "The best trials overfit",
            f"In {of_best(len(worse), len(curves))}, {study.objective.metric} gets worse after "
            f"epoch {turn} (median), by {difference(rise)} at the end.",
            _more_regularization(study),
            evidence={
                "best trials": len(curves),
                "get worse": len(worse),
                "best epoch": turn,
                "worse by": rise,
            },
            rows=curve_rows(study, curves),
        )
    if study.objective.metric == "val_loss":
        return None
    fitted = study.loss_curves("val_loss")
    rising = [(c, losses) for c, losses in fitted if _rises(c, losses)]
    if len(fitted) < _LEAST_CURVES or len(rising) * 2 <= len(fitted):
        return None
    turn = round(statistics.median(int(c.epochs[int(v.argmin())]) for c, v in rising))
    return Finding(
        "overfitting",
        "hint",
        "The best trials grow too sure of themselves",
        f"In {of_best(len(rising), len(fitted))}, val_loss rises after epoch {turn} (median), "
        f"though {study.objective.metric} does not get worse.",
        "Their probabilities can't be trusted as they stand. " + _more_regularization(study),
        evidence={"best trials": len(fitted), "val_loss rises": len(rising), "from epoch": turn},
        rows=curve_rows(study, [c for c, _ in fitted], {c.trial.number: v for c, v in fitted}),
    )


def underfitting(study: DiagnosedStudy) -> Finding | None:
    """Finds models that don't even fit their training data.

    Goodfellow, Bengio and Courville 2016, Deep Learning, 5.2: a model underfits that does not
    obtain a sufficiently low error on the training set. Poor is, by a rule of thumb, an accuracy
    below 0.9 on training data, or a loss above half of that in the first epoch; and training data
    is fitted no better than validation data. So it must be in all of the best trials.

    Raises:
        TooThinError: If fewer than three of the best trials have four epochs with the objective on
            training data.
    """
    curves = [curve for curve in study.top_curves if curve.training is not None]
    _check(curves, f" with {study.objective.metric} on training data too")
    accuracy = "accuracy" in study.objective.metric.split("_")
    if not accuracy and study.objective.direction == "max":
        # No scale says what is poor.
        return None
    if not all(underfits(study, curve) for curve in curves):
        return None
    best = curves[0]
    assert best.training is not None
    reached = study.value(float(best.training.min()))
    return Finding(
        "underfitting",
        "hint",
        "The best trials underfit",
        f"They fit training data no better than validation data, and poorly: "
        f"{study.training_metric} {shown(reached)} in the best trial.",
        "Try a larger model, more epochs, a higher learning rate, or less regularization.",
        evidence={
            "best trials": len(curves),
            study.training_metric: reached,
            study.objective.metric: study.value(float(best.losses[best.best])),
        },
        rows=curve_rows(study, curves),
    )


def noise_at_end(study: DiagnosedStudy) -> Finding | None:
    """Finds values that depend on the epoch at which they are taken.

    Deep Learning Tuning Playbook, "Examining the training curves": "Is there high step-to-step
    variance in the training or validation error late in training?" Causes are batch variance, small
    validation sets, and a learning rate that is too high late in training.

    High is, by a rule of thumb, noise (see `step_noise`) above a tenth of what the trial improved,
    and above a quarter of the interquartile range of all trials' values; the median over the best
    trials counts.

    Raises:
        TooThinError: If fewer than three of the best trials have eight epochs.
    """
    curves = [curve for curve in study.top_curves if len(curve.epochs) >= 8]
    _check(curves, epochs=8)
    noise = statistics.median(step_noise(curve.losses) for curve in curves)
    gained = statistics.median(curve.gained for curve in curves)
    low, high = np.quantile(study.losses, (0.25, 0.75))
    if noise <= _NOISY * gained or noise <= _NOISY_OF_TRIALS * float(high - low):
        return None
    return Finding(
        "noise at the end",
        "hint",
        "Values change from epoch to epoch until the end",
        f"{study.objective.metric} varies by {difference(noise)} from epoch to epoch late in the "
        f"best trials, and differs by {difference(float(high - low))} between the middle half of "
        "all trials: a lucky epoch counts as much as a good setting.",
        "Let the learning rate decay, use larger batches, or more validation data.",
        evidence={
            "noise": noise,
            "improved from first to best epoch": gained,
            "interquartile range of values": float(high - low),
        },
        rows=curve_rows(study, curves),
    )


def rising_loss(study: DiagnosedStudy) -> Finding | None:
    """Finds a training loss that rises.

    Deep Learning Tuning Playbook, "Examining the training curves": "training loss increasing during
    training usually indicates a bug in the training pipeline". It rises if its last quarter is
    above its first quarter, on average, in more than half of the best trials.

    Raises:
        TooThinError: If fewer than three of the best trials have four epochs with a loss.
    """
    fitted = study.loss_curves("loss")
    _check([curve for curve, _ in fitted], " with their loss")
    rising = [
        (curve, losses)
        for curve, losses in fitted
        if _mean_of_last(losses) > float(losses[: _quarter(losses)].mean())
        and _mean_of_last(losses) - float(losses.min()) > 3 * step_noise(losses)
    ]
    if len(rising) * 2 <= len(fitted):
        return None
    first, last = (
        statistics.median(float(losses[place]) for _, losses in rising) for place in (0, -1)
    )
    return Finding(
        "rising loss",
        "problem",
        "The training loss rises",
        f"In {of_best(len(rising), len(fitted))} trials the loss on training data ends above "
        f"where it began: {shown(first)} in the first epoch, {shown(last)} in the last (medians).",
        "Look for a mistake in the training: the loss, its sign, the targets, the callbacks.",
        evidence={
            "best trials": len(fitted),
            "loss rises": len(rising),
            "first epoch": first,
            "last epoch": last,
        },
        rows=curve_rows(study, [c for c, _ in fitted], {c.trial.number: v for c, v in fitted}),
    )


def curve_rows(
    study: DiagnosedStudy,
    curves: Sequence[Curve],
    losses: dict[int, Array] | None = None,
) -> list[dict[str, Any]]:
    """Returns the points of the curves; of a loss, if it is given by trial."""
    rows = []
    for curve in curves:
        other = None if losses is None else losses[curve.trial.number]
        for i, epoch in enumerate(curve.epochs):
            row: dict[str, Any] = {"trial": curve.trial.number, "epoch": int(epoch)}
            if other is not None:
                row |= {"value": float(other[i]), "best": int(i == int(other.argmin()))}
            else:
                row |= {
                    "value": study.value(float(curve.losses[i])),
                    "training": None
                    if curve.training is None
                    else study.value(float(curve.training[i])),
                    "best": int(i == curve.best),
                }
            rows.append(row)
    return rows


def regularizes(name: str) -> bool:
    """Returns whether a hyperparameter is the strength of a regularization, by its name."""
    return any(word in name for word in _REGULARIZERS)


def underfits(study: DiagnosedStudy, curve: Curve, gap: float = 0.0) -> bool:
    """Returns whether a trial underfits; see `underfitting`.

    Args:
        study: Its study.
        curve: The trial.
        gap: How much better than validation data it may fit training data, as a share of what it
            improved.
    """
    accuracy = "accuracy" in study.objective.metric.split("_")
    if curve.training is None or (not accuracy and study.objective.direction == "max"):
        return False
    # At its best: what fits its training data later does not underfit.
    fit = float(curve.training.min())
    near = max(step_noise(curve.losses), gap * curve.gained)
    no_gap = fit >= float(curve.losses[curve.best]) - near
    first = float(curve.training[0])
    poor = 1 + fit > _POOR_ERROR if accuracy else first > 0 and fit > _POOR_SHARE * first
    return no_gap and poor


def turned(curve: Curve) -> bool:
    """Returns whether a trial's objective gets worse after its best epoch; see `overfitting`."""
    after = len(curve.losses) - 1 - curve.best
    if after < max(2, len(curve.losses) // 5):
        return False
    rise = _end(curve.losses) - float(curve.losses[curve.best])
    if rise <= max(3 * step_noise(curve.losses), _RISE * curve.gained):
        return False
    # Whatever gets worse on training data too does not overfit.
    return curve.training is None or _end(curve.training) <= float(curve.training[curve.best])


def _rises(curve: Curve, losses: Array) -> bool:
    """Returns whether a loss on validation data rises, while training data is fitted better."""
    best = int(losses.argmin())
    if len(losses) - 1 - best < max(2, len(losses) // 5):
        return False
    rise, gained = _end(losses) - float(losses[best]), float(losses[0] - losses[best])
    if rise <= max(3 * step_noise(losses), _RISE_OF_LOSS * gained):
        return False
    return curve.training is None or _end(curve.training) <= float(curve.training[best])


def _end(losses: Array) -> float:
    """Returns the mean of the last epochs: two, or a tenth of all."""
    return float(losses[-max(2, len(losses) // 10) :].mean())


def _quarter(losses: Array) -> int:
    return max(1, math.ceil(len(losses) / 4))


def _mean_of_last(losses: Array) -> float:
    return float(losses[-_quarter(losses) :].mean())


def _more_regularization(study: DiagnosedStudy) -> str:
    """Returns the advice against overfitting, with what the space already has."""
    space = study.history.description.space
    there = [each.name for each in space if regularizes(each.name)]
    if there:
        return f"Search stronger regularization ({', '.join(there[:3])}), or add another kind."
    return "Add regularization to the space: ks.dropout(), ks.l2(), ks.label_smoothing()."


def _check(curves: Sequence[Curve], what: str = "", epochs: int = 4) -> None:
    if len(curves) < _LEAST_CURVES:
        raise TooThinError(
            f"{_LEAST_CURVES} of the best complete trials need {epochs} epochs or more{what}, and "
            f"{len(curves) or 'none'} {'have' if len(curves) > 1 else 'has'} them."
        )
