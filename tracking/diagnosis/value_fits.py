"""Which values of a scientific hyperparameter underfit, fit or overfit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from search_spaces.parameters.kinds import Parameter
from tracking.diagnosis.diagnosed import Curve, DiagnosedStudy
from tracking.diagnosis.findings import Finding, TooThinError
from tracking.diagnosis.fits import curve_rows, turned, underfits
from tracking.diagnosis.isolation import by_value
from tracking.diagnosis.numbers import difference
from tracking.records import EndedTrial

CHECK: Final = "fit of values"
_LEAST_TRIALS, _LEAST_EPOCHS = 3, 8
_MOST: Final = 8
_GAP: Final = 1 / 3
_FIT: Final = 0.8


@dataclass(frozen=True)
class ValueFit:
    """How the best trial of a value fits.

    Attributes:
        label: The value, or a range of values.
        fit: ``"underfits"``, ``"overfits"`` or ``"fits"``.
        curve: The trial by epoch.
    """

    label: str
    fit: str
    curve: Curve

    @property
    def epoch(self) -> int:
        """The best epoch, whose checkpoint counts."""
        return int(self.curve.epochs[self.curve.best])

    @property
    def last(self) -> int:
        """The last epoch."""
        return int(self.curve.epochs[-1])


def value_fits(study: DiagnosedStudy, parameter: Parameter) -> Finding:
    """Tells the values of a scientific hyperparameter apart by how well they fit.

    Each stands by its best trial that was not stopped on its way. It underfits or overfits by the
    rules of `underfitting` and `overfitting`, which ask the same of a study's best trials. On few
    data the smallest model, too, fits training data better: here by a third of what it improved.
    What underfits must gain clearly less on training data than the value that gains most.

    Raises:
        TooThinError: If fewer than two values have three trials, one of which trained eight epochs
            or more, with the objective on training data too.
    """
    found = _fits(study, parameter)
    if len(found) < 2:
        raise TooThinError(
            f"two of its values need {_LEAST_TRIALS} trials each, and a complete one of "
            f"{_LEAST_EPOCHS} epochs or more, with {study.objective.metric} on training data too."
        )
    return Finding(
        CHECK,
        "ok",
        f"{parameter.name}: {_counts(found)}",
        f"At its best, {'; '.join(_sentence(each) for each in found)}.",
        evidence={
            each.label: {
                "fit": each.fit,
                "trial": each.curve.trial.number,
                "best epoch": each.epoch,
                "epochs": each.last,
                "worse at the end by": _rise(each.curve),
            }
            for each in found
        },
        parameter=parameter.name,
        rows=tuple(
            {**row, "label": each.label, "fit": each.fit}
            for each in found
            for row in curve_rows(study, [each.curve])
        ),
    )


def _fits(study: DiagnosedStudy, parameter: Parameter) -> list[ValueFit]:
    curves = dict(_curves(study, parameter))
    reached = min((_fit(curve) for curve in curves.values()), default=0.0)

    def fit(curve: Curve) -> str:
        assert curve.training is not None
        first = float(curve.training[0])
        # Where no value fits it better, noise may be what is left.
        less = first - _fit(curve) < _FIT * (first - reached)
        if less and underfits(study, curve, _GAP):
            return "underfits"
        return "overfits" if turned(curve) else "fits"

    return [ValueFit(label, fit(curve), curve) for label, curve in curves.items()]


def _curves(study: DiagnosedStudy, parameter: Parameter) -> Iterator[tuple[str, Curve]]:
    """Yields the best trial of each value, by epoch, that can be judged."""
    for label, trials in _in_order(study, parameter):
        for trial in trials:
            curve = study.curves.get(trial.number)
            if curve is not None and len(curve.losses) >= _LEAST_EPOCHS and not trial.cut_short:
                if curve.training is not None:
                    yield label, curve
                break


def _fit(curve: Curve) -> float:
    assert curve.training is not None
    return float(curve.training.min())


def _in_order(study: DiagnosedStudy, parameter: Parameter) -> list[tuple[str, list[EndedTrial]]]:
    """Returns the trials of the best values, in the order in which the space has these."""
    found = [
        (label, trials)
        for label, (_, trials) in by_value(study, parameter).items()
        if len(trials) >= _LEAST_TRIALS
    ]

    def place(each: tuple[str, list[EndedTrial]]) -> float:
        value = parameter.canonical(each[1][0].params[parameter.name])
        return float(parameter.to_unit(value))

    return sorted(found[:_MOST], key=place)


def _counts(found: Sequence[ValueFit]) -> str:
    kinds = [each.fit for each in found]
    amounts = {"underfit": kinds.count("underfits"), "overfit": kinds.count("overfits")}
    told = ", ".join(
        f"{amount} of {len(found)} values {fit}{'s' if amount == 1 else ''}"
        for fit, amount in amounts.items()
        if amount
    )
    return told or "no value under- or overfits"


def _sentence(each: ValueFit) -> str:
    told = f"{each.label} {each.fit} (best epoch {each.epoch} of {each.last}"
    if each.fit == "overfits":
        told += f", then worse by {difference(_rise(each.curve))}"
    return told + ")"


def _rise(curve: Curve) -> float:
    return float(curve.losses[-1] - curve.losses[curve.best])
