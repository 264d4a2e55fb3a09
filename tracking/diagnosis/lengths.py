"""Lengths of trainings: too few epochs, or far too many."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from search_spaces.parameters.kinds import Float, Int
from tracking.diagnosis.diagnosed import Curve, DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.fits import curve_rows, turned
from tracking.diagnosis.next_launch import between, widened
from tracking.diagnosis.numbers import difference, of_best, step_noise

_LEAST_CURVES: Final = 3
_LAST_QUARTER: Final = 0.75
_EARLY: Final = 0.25
_GAIN: Final = 0.02
_LEAST_EPOCHS: Final = 8


def too_short(study: DiagnosedStudy) -> Finding | None:
    """Finds trainings that end while they still improve.

    Deep Learning Tuning Playbook, "Deciding how long to train when training is not compute-bound":
    "if the best step is consistently in the last 25% of training we might benefit from training
    longer and re-tuning the decay schedule"; and "Examining the training curves": "Are the trials
    still improving at the end of training?"

    Consistently: in more than half of the best trials that trained all their epochs. Improving: by
    more than the noise from epoch to epoch, and more than 2 % of all that the trial improved (a
    rule of thumb), against its best before the last quarter. Else the best epoch of a converged
    training, which is any of the later ones, would count.

    Raises:
        TooThinError: If fewer than three of them have four epochs.
    """
    curves = [curve for curve in study.top_curves if curve.complete]
    _check(curves)
    gains = [(curve, gain) for curve in curves if (gain := _late_gain(curve)) > 0]
    if len(gains) * 2 <= len(curves):
        return None
    gain = statistics.median(gain for _, gain in gains)
    epochs = max(curve.trial.spec.epochs for curve in curves)
    changes, asked = _longer(study, epochs)
    return Finding(
        "too short",
        "problem",
        "Trainings end too early",
        f"In their last quarter of {epochs} epochs, {of_best(len(gains), len(curves))} complete "
        f"trials were at their best, and improved by {difference(gain)} (median).",
        asked,
        evidence={
            "epochs": epochs,
            "best trials": len(curves),
            "best in the last quarter": len(gains),
            "improved there by": gain,
            "best epochs": [int(c.epochs[c.best]) for c in curves],
        },
        changes=changes,
        rows=curve_rows(study, curves),
    )


def too_long(study: DiagnosedStudy) -> Finding | None:
    """Finds trainings whose best comes long before their end.

    Deep Learning Tuning Playbook, "Deciding how long to train when training is not compute-bound":
    "if the best step is always during the first 10% of training, then the maximum number of steps
    is way too high"; and "Examining the training curves": "Has performance on the training and
    validation sets saturated long before the final training step?"

    Saturated: within 2 % of all that the trial improved, or within the noise from epoch to epoch,
    of its best value. Always: in all of the best trials. Long before: in the first quarter; the
    first tenth is less than one epoch where trainings are as short as here. Trials that overfit are
    another finding.

    Raises:
        TooThinError: If fewer than three of them have eight epochs.
    """
    curves = [curve for curve in study.top_curves if curve.complete]
    _check(curves, _LEAST_EPOCHS)
    places = [_saturated(curve) for curve in curves]
    if any(place >= _EARLY * len(c.epochs) for place, c in zip(places, curves, strict=True)):
        return None
    if sum(turned(curve) for curve in curves) * 2 > len(curves):
        return None
    epochs = max(curve.trial.spec.epochs for curve in curves)
    latest = max(int(c.epochs[place]) for place, c in zip(places, curves, strict=True))
    shorter = max(2 * latest, 4)
    if shorter >= epochs:
        return None
    of_function = study.history.description.objective_function
    changes = Changes(settings={} if of_function else {"epochs": shorter})
    parameter = _epochs_parameter(study)
    if parameter is not None:
        domain = between(parameter, 0.0, parameter.to_unit(parameter.nearest(shorter)))
        changes = Changes({"epochs": domain} if domain else {})
    return Finding(
        "too long",
        "hint",
        "Trainings are far longer than needed",
        f"All of the best {len(curves)} complete trials were as good as at their best by epoch "
        f"{latest} of {epochs}.",
        f"Train {shorter} epochs: more trials for the same time.",
        evidence={
            "epochs": epochs,
            "best trials": len(curves),
            "as good as best from epoch": [
                int(c.epochs[place]) for place, c in zip(places, curves, strict=True)
            ],
        },
        changes=changes,
        rows=curve_rows(study, curves),
    )


def _check(curves: Sequence[Curve], epochs: int = 4) -> None:
    amount = sum(len(curve.epochs) >= epochs for curve in curves)
    if amount < _LEAST_CURVES:
        raise TooThinError(
            f"{_LEAST_CURVES} complete trials of {epochs} epochs or more are needed, and there "
            f"{'is' if amount == 1 else 'are'} {amount or 'none'}."
        )


def _late_gain(curve: Curve) -> float:
    """Returns how far a trial improved in its last quarter; 0 if it was best before, or as good."""
    start = math.ceil(len(curve.losses) * _LAST_QUARTER)
    if curve.best < start:
        return 0.0
    gain = float(curve.losses[:start].min() - curve.losses[curve.best])
    return gain if gain > max(step_noise(curve.losses), _GAIN * curve.gained) else 0.0


def _saturated(curve: Curve) -> int:
    """Returns the first place at which a trial is as good as at its best."""
    near = max(step_noise(curve.losses), _GAIN * curve.gained)
    return int((curve.losses <= curve.losses[curve.best] + near).argmax())


def _longer(study: DiagnosedStudy, epochs: int) -> tuple[Changes, str]:
    """Returns what makes trainings twice as long, and the advice."""
    parameter = _epochs_parameter(study)
    if parameter is None and study.history.description.objective_function:
        return Changes(), f"Let the objective function train {2 * epochs} epochs."
    if parameter is None:
        return Changes(settings={"epochs": 2 * epochs}), f"Train {2 * epochs} epochs."
    domain = widened(parameter, "upper")
    return Changes({"epochs": domain} if domain else {}), f"Widen epochs to {domain}."


def _epochs_parameter(study: DiagnosedStudy) -> Float | Int | None:
    return next((each for each in study.ranges if each.name == "epochs"), None)
