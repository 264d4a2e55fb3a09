"""The checks of learning curves: trainings that are too short or too long, overfit, or underfit.

Each check is a row of `CURVE_CHECKS`. The checks look at `DiagnosedStudy.top_curves`: the curves of
the best tenth of the trials that were not cut short (`EndedTrial.cut_short`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from search_spaces import Float, Int
from search_spaces.texts import difference, listed, readable
from tracking.diagnosis.findings_and_diagnosed_study import (
    Array,
    Changes,
    Curve,
    DiagnosedStudy,
    Finding,
    TooThinError,
    of_best,
)
from tracking.diagnosis.suggested_launch import part, wider
from tracking.records import Severity

_LEAST_CURVES: Final = 3
_LAST_QUARTER: Final = 0.75
_EARLY: Final = 0.25
_GAIN: Final = 0.02
_RISE: Final = 0.05
_POOR_ERROR: Final = 0.1
_POOR_SHARE: Final = 0.5
_REGULARIZERS: Final = ("dropout", "l2", "l1", "weight_decay", "label_smoothing")


@dataclass(frozen=True)
class CurveCheck:
    """A check of the curves of the best trials.

    Attributes:
        epochs: Only curves of at least this many epochs count. At least three curves must count.
        measure: A function that returns how strongly a trial shows the fault, or None if the trial
            does not show it.
        always: Whether all of the best trials must show the fault, instead of more than half.
        sentence: The finding's verdict, with placeholders: `{trials}` says how many of the best
            trials show the fault. `{typical}`, `{largest}` and `{first}` are the median measure,
            the largest measure, and the measure of the best trial. `{turn}` is the median best
            epoch, and `{epochs}` the length of the longest training.
        follows: A function of the study, of the length of the longest training, and of the largest
            measure. It returns the advice and the changes to the next launch.
        fitted: Whether the check needs the objective on training data.
    """

    name: str
    severity: Severity
    title: str
    epochs: int
    measure: Callable[[DiagnosedStudy, Curve], float | None]
    always: bool
    sentence: str
    follows: Callable[[DiagnosedStudy, int, float], tuple[str, Changes]]
    fitted: bool = False

    def __call__(self, study: DiagnosedStudy) -> Finding | None:
        """Returns the finding, or None."""
        curves = [
            curve
            for curve in study.top_curves
            if len(curve.epochs) >= self.epochs and (curve.training is not None or not self.fitted)
        ]
        if len(curves) < _LEAST_CURVES:
            fitted = f" with {study.objective.metric} on training data too" if self.fitted else ""
            raise TooThinError(
                f"{_LEAST_CURVES} complete trials of {self.epochs} epochs or more{fitted} are "
                f"needed; the study has {len(curves) or 'none'}."
            )
        measures = [(curve, self.measure(study, curve)) for curve in curves]
        shows = [(curve, by) for curve, by in measures if by is not None]
        if len(shows) * 2 <= len(curves) or (self.always and len(shows) < len(curves)):
            return None
        typical, largest = statistics.median(by for _, by in shows), max(by for _, by in shows)
        epochs = int(max(curve.epochs[-1] for curve in curves))
        turn = round(statistics.median(int(curve.epochs[curve.best]) for curve, _ in shows))
        advice, changes = self.follows(study, epochs, largest)
        if not advice:
            return None
        sentence = self.sentence.format(
            trials=of_best(len(shows), len(curves)),
            metric=study.objective.metric,
            training=study.training_metric,
            typical=difference(typical),
            largest=readable(largest),
            first=readable(shows[0][1]),
            turn=turn,
            epochs=epochs,
        )
        return Finding(
            self.name,
            self.severity,
            self.title,
            sentence[0].upper() + sentence[1:],
            advice,
            evidence={
                "best trials": len(curves),
                "of them": len(shows),
                "measure": typical,
                "epochs": epochs,
                "best epochs": [int(curve.epochs[curve.best]) for curve in curves],
            },
            changes=changes,
        )


def _late_gain(study: DiagnosedStudy, curve: Curve) -> float | None:
    """Returns how much the last quarter of the epochs improved the best value, or None.

    The result is None if the gain is so small that a converged training may have it by chance: at
    most the noise from epoch to epoch, or at most 2 % of the training's whole improvement (a rule
    of thumb).
    """
    start = math.ceil(len(curve.losses) * _LAST_QUARTER)
    if curve.best < start or curve.ended_itself:
        return None
    gain = float(curve.losses[:start].min() - curve.losses[curve.best])
    return gain if gain > max(curve.noise, _GAIN * curve.gained) else None


def _saturated(study: DiagnosedStudy, curve: Curve) -> float | None:
    """Returns the first epoch that is as good as the best, if it is in the first quarter.

    An epoch is as good as the best if the difference is at most the noise from epoch to epoch, or
    at most 2 % of the training's whole improvement. (The playbook takes the first tenth of the
    training, not the first quarter. But a tenth of a short training is less than an epoch.) The
    result is None for trials that overfit.
    """
    near = max(curve.noise, _GAIN * curve.gained)
    place = int((curve.losses <= curve.losses[curve.best] + near).argmax())
    early = place < _EARLY * len(curve.epochs) and overfits(study, curve) is None
    return int(curve.epochs[place]) if early else None


def overfits(study: DiagnosedStudy, curve: Curve) -> float | None:
    """Returns how much worse the last epochs are than the best epoch, if the trial overfits.

    A trial overfits if two conditions hold:

    - The mean of the last epochs is worse than the best epoch, by more than three times the noise
      from epoch to epoch, and by more than 5 % of the whole improvement (rules of thumb).
    - The objective on training data does not get worse.
    """
    after = len(curve.losses) - 1 - curve.best
    rise = _end(curve.losses) - float(curve.losses[curve.best])
    enough = max(3 * curve.noise, _RISE * curve.gained)
    if after < max(2, len(curve.losses) // 5) or rise <= enough:
        return None
    fitted = curve.training
    return rise if fitted is None or _end(fitted) <= float(fitted[curve.best]) else None


def _underfits(study: DiagnosedStudy, curve: Curve) -> float | None:
    """Returns the best objective on training data, if the trial underfits.

    A trial underfits if its objective on training data is poor, and no better than on validation
    data. As a rule of thumb, an accuracy is poor if it is below 0.9, and a loss if it is above half
    of the first epoch's loss. Other maximized metrics are not checked, because no rule says which
    of their values are poor.
    """
    accuracy = "accuracy" in study.objective.metric.split("_")
    if curve.training is None or (not accuracy and study.objective.direction == "max"):
        return None
    # `fit` is the best objective on training data. It may come after the trial's best epoch.
    fit, first = float(curve.training.min()), float(curve.training[0])
    no_gap = fit >= float(curve.losses[curve.best]) - curve.noise
    poor = 1 + fit > _POOR_ERROR if accuracy else first > 0 and fit > _POOR_SHARE * first
    return study.value(fit) if no_gap and poor else None


def _end(losses: Array) -> float:
    """Returns the mean over the last tenth of the epochs, but at least over the last two epochs."""
    return float(losses[-max(2, len(losses) // 10) :].mean())


def _epochs(study: DiagnosedStudy) -> Float | Int | None:
    return next((parameter for parameter in study.ranges if parameter.name == "epochs"), None)


def _longer(study: DiagnosedStudy, epochs: int, _: float) -> tuple[str, Changes]:
    parameter = _epochs(study)
    if parameter is not None:
        domain = wider(parameter, "upper")
        advice = f"Widen epochs to {domain}." if domain else ""
        return advice, Changes({"epochs": domain})
    if study.history.description.objective_function:
        return f"Let the objective function train {2 * epochs} epochs.", Changes()
    return f"Train {2 * epochs} epochs.", Changes(settings={"epochs": 2 * epochs})


def _shorter(study: DiagnosedStudy, epochs: int, latest: float) -> tuple[str, Changes]:
    enough = max(2 * int(latest), 4)
    if enough >= epochs:
        return "", Changes()
    advice = f"Train {enough} epochs. The same time is then enough for more trials."
    parameter = _epochs(study)
    if parameter is not None:
        domain = part(parameter, 0.0, parameter.to_unit(parameter.nearest(enough)))
        return advice, Changes({"epochs": domain} if domain else {})
    of_function = study.history.description.objective_function
    return advice, Changes(settings={} if of_function else {"epochs": enough})


def _regularize(study: DiagnosedStudy, *_: float) -> tuple[str, Changes]:
    names = study.history.description.space.names
    regularizers = [name for name in names if any(word in name for word in _REGULARIZERS)]
    advice = "Add regularization to the space: ks.dropout(), ks.l2()."
    if regularizers:
        kinds = listed(regularizers[:3])
        advice = f"Search stronger regularization ({kinds}), or add another kind."
    return advice, Changes()


def _enlarge(study: DiagnosedStudy, *_: float) -> tuple[str, Changes]:
    advice = "Try a larger model, more epochs, a higher learning rate, or less regularization."
    return advice, Changes()


CURVE_CHECKS: Final = (
    # Deep Learning Tuning Playbook, "Deciding how long to train when training is not
    # compute-bound": "if the best step is consistently in the last 25% of training we might
    # benefit from training longer".
    CurveCheck(
        "too short",
        "problem",
        "Trainings end too early",
        4,
        _late_gain,
        always=False,
        sentence="in the last quarter of {epochs} epochs, {trials} trials were at their best, and "
        "improved by {typical} (median).",
        follows=_longer,
    ),
    # The playbook, "Examining the training curves": "Problematic overfitting occurs when the
    # validation error starts increasing at some point during training."
    CurveCheck(
        "overfitting",
        "problem",
        "The best trials overfit",
        4,
        overfits,
        always=False,
        sentence="in {trials} trials, {metric} gets worse after epoch {turn} (median), by "
        "{typical} at the end.",
        follows=_regularize,
    ),
    # Goodfellow, Bengio and Courville 2016, Deep Learning, 5.2: a model underfits if it does not
    # obtain a sufficiently low error on the training set.
    CurveCheck(
        "underfitting",
        "hint",
        "The best trials underfit",
        4,
        _underfits,
        always=True,
        sentence="they fit the training data poorly, and no better than the validation data: "
        "{training} {first} in the best trial.",
        follows=_enlarge,
        fitted=True,
    ),
    # The playbook: "if the best step is always during the first 10% of training, then the
    # maximum number of steps is way too high".
    CurveCheck(
        "too long",
        "hint",
        "Trainings are far longer than needed",
        8,
        _saturated,
        always=True,
        sentence="by epoch {largest} of {epochs}, {trials} trials were nearly at their best.",
        follows=_shorter,
    ),
)
