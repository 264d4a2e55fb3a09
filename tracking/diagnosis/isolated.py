"""Isolation: what a scientific hyperparameter does once the nuisance ones are tuned."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from search_spaces.parameters.choices import Listed
from search_spaces.parameters.parameter import Parameter
from search_spaces.tailoring import spell_values
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.numbers import (
    Array,
    counted,
    difference,
    expected_best,
    shown,
    weights_of_best,
)
from tracking.history.study_history import StudyHistory

_LEAST_TRIALS: Final = 6
_MOST_VALUES: Final = 8
_BUCKETS: Final = 4
_MOST_LISTED: Final = 7
_LEVEL: Final = 0.95


@dataclass(frozen=True)
class Isolated:
    """The trials with one value, or one bucket of values, of a hyperparameter.

    Attributes:
        label: The value, or the range of the bucket.
        value: The value; None for a bucket.
        losses: The losses of its trials, the best first.
        expected: The mean of the best of `draws` of them.
        error: Its standard error, by the jackknife over the trials.
        freedom: Its degrees of freedom.
    """

    label: str
    value: Any
    losses: Array
    expected: float
    error: float
    freedom: float


def isolation(study: DiagnosedStudy, parameter: Parameter) -> Finding:
    """Compares the values of a scientific hyperparameter, each at its best nuisance values.

    Deep Learning Tuning Playbook, "Detecting whether a change is useful with isolation plots": one
    compares "the best trial across some (or all) of the nuisance hyperparameters" for each value;
    a continuous hyperparameter is put into buckets.

    The best of more trials is better by itself, so each value stands by the mean of the best of the
    same number of trials: a third of the fewest that a value has (`weights_of_best`). This mean is
    a U-statistic; its standard error is the jackknife's, which is not too small on average (Efron
    and Stein 1981, "The Jackknife Estimate of Variance"), where a bootstrap's is, so close to a
    maximum. A difference is clear if its interval leaves out 0: Student's t, degrees of freedom
    by Satterthwaite, at 95 % over all comparisons with the best value (Bonferroni). Where a value
    does not matter, 2 to 6 % of simulated studies find a difference. The interval is over the
    search of the nuisance hyperparameters, not over seeds: confirm what is close.

    Raises:
        TooThinError: If fewer than two values have six trials with a value.
    """
    groups = _groups(study, parameter)
    if len(groups) < 2:
        raise TooThinError(
            f"two of its values need {counted(_LEAST_TRIALS, 'trial')} each with a value."
        )
    draws = max(2, min(len(losses) for _, _, losses in groups) // 3)
    isolated = sorted(
        (_isolated(label, value, losses, draws) for label, value, losses in groups),
        key=lambda each: each.expected,
    )
    best, *others = isolated
    level = 1 - (1 - _LEVEL) / len(others)
    gaps = [(each.expected - best.expected, _half_width(level, best, each)) for each in others]
    clear = [each for each, (gap, half) in zip(others, gaps, strict=True) if gap > half]
    evidence: dict[str, Any] = {
        "best of so many trials": draws,
        "values": {
            each.label: {
                "trials": len(each.losses),
                "best": study.value(float(each.losses[0])),
                "expected": study.value(each.expected),
                "standard error": each.error,
            }
            for each in isolated
        },
        "differences": {
            each.label: {"by": gap, "plus or minus": half}
            for each, (gap, half) in zip(others, gaps, strict=True)
        },
    }
    change = _change(parameter, best, others, clear)
    return Finding(
        "isolation",
        "hint" if clear else "ok",
        _title(parameter, best, others, clear),
        _verdict(parameter, best, others, gaps, draws),
        _advice(parameter, clear, change),
        evidence=evidence,
        parameter=parameter.name,
        changes=Changes({parameter.name: change} if change else {}),
        rows=[_row(study, each) for each in isolated],
    )


def answers(history: StudyHistory) -> Mapping[str, str]:
    """Returns what each scientific hyperparameter does, as a sentence with its intervals, by name.

    Those with too few trials are left out; see `isolation`.
    """
    study, found = DiagnosedStudy(history), {}
    for parameter in study.scientific:
        with contextlib.suppress(TooThinError):
            found[parameter.name] = isolation(study, parameter).verdict
    return found


def _groups(study: DiagnosedStudy, parameter: Parameter) -> list[tuple[str, Any, Array]]:
    """Returns the losses of trials by value, of values with enough of them.

    Of a range, by a quarter of its sampling scale: with its label, and no value.
    """
    name, count = parameter.name, parameter.count
    buckets = (count is None or count > _MOST_VALUES) and not isinstance(parameter, Listed)
    found: dict[str, tuple[Any, list[float]]] = {}
    for trial in study.ranked:
        if name not in trial.params or not parameter.contains(trial.params[name]):
            continue
        value = parameter.canonical(trial.params[name])
        label = shown(parameter.opened(value))
        if buckets:
            place = min(int(parameter.to_unit(value) * _BUCKETS), _BUCKETS - 1)
            ends = [parameter.from_unit((place + further) / _BUCKETS) for further in (0, 1)]
            label, value = f"{shown(ends[0])} to {shown(ends[1])}", None
        found.setdefault(label, (value, []))[1].append(study.loss(trial))
    return [
        (label, value, np.array(losses))
        for label, (value, losses) in found.items()
        if len(losses) >= _LEAST_TRIALS
    ]


def _isolated(label: str, value: Any, losses: Array, draws: int) -> Isolated:
    """Isolates a value: its best, with the jackknife's standard error."""
    ordered = np.sort(losses)
    total = len(ordered)
    weights = weights_of_best(total - 1, draws)
    # Without one each: what stands before it, and what moves up after it.
    before = np.concatenate([[0.0], np.cumsum(ordered[:-1] * weights)])
    after = np.concatenate([np.cumsum((ordered[1:] * weights)[::-1])[::-1], [0.0]])
    without = before + after
    error = math.sqrt((total - 1) / total * float(((without - without.mean()) ** 2).sum()))
    freedom = 2 * (total / draws - 1)
    return Isolated(label, value, ordered, expected_best(ordered, draws), error, freedom)


def _half_width(level: float, *isolated: Isolated) -> float:
    """Returns half the width of the interval of one value, or of the difference of two."""
    from scipy import special

    variances = [each.error**2 for each in isolated]
    parts = [v**2 / each.freedom for v, each in zip(variances, isolated, strict=True)]
    if not sum(parts):
        return 0.0
    freedom = max(sum(variances) ** 2 / sum(parts), 1.0)
    return float(special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt(sum(variances))


def _title(
    parameter: Parameter, best: Isolated, others: Sequence[Isolated], clear: Sequence[Isolated]
) -> str:
    if not clear:
        return f"{parameter.name}: no clear difference"
    if len(clear) == len(others):
        return f"{parameter.name}: {best.label} is best"
    worse = ", ".join(each.label for each in clear)
    return f"{parameter.name}: {worse} {'is' if len(clear) == 1 else 'are'} clearly worse"


def _verdict(
    parameter: Parameter,
    best: Isolated,
    others: Sequence[Isolated],
    gaps: Sequence[tuple[float, float]],
    draws: int,
) -> str:
    """Returns by how much the best value leads, apart by whether the lead is clear."""
    told = [
        (gap > half, f"{each.label} by {difference(gap)} ± {difference(half)}")
        for each, (gap, half) in zip(others, gaps, strict=True)
    ]
    worse, close = ([text for clear, text in told if clear is which] for which in (True, False))
    said = f"{parameter.name} {best.label}"
    if worse:
        said += f" is better than {_listed(worse)}"
    if close:
        said += f"{'; it' if worse else ''} leads {_listed(close)}"
        said += " without a clear difference" if worse else ""
    said += f", for the best of {draws} trials each, at 95 %"
    return f"{said}{'' if worse else ': no clear difference'}."


def _listed(told: Sequence[str]) -> str:
    left = len(told) - _MOST_LISTED
    return ", ".join(told[:_MOST_LISTED]) + (f" and {left} more" if left > 0 else "")


def _change(
    parameter: Parameter, best: Isolated, others: Sequence[Isolated], clear: Sequence[Isolated]
) -> str:
    """Returns the values that are left in the next study, in the text form of `--set`."""
    if not clear or not isinstance(parameter, Listed):
        return ""
    worse = {each.label for each in clear}
    left = [v for v in parameter.values if shown(parameter.opened(v)) not in worse]
    return spell_values(parameter, left)


def _advice(parameter: Parameter, clear: Sequence[Isolated], change: str) -> str:
    if change:
        return f"Leave out what is clearly worse: search {change}."
    if clear:
        return ""
    return "Keep what is simplest, or cheapest; more trials would narrow the intervals."


def _row(study: DiagnosedStudy, each: Isolated) -> Mapping[str, Any]:
    """Returns a value's row in the chart: its interval, of the search of nuisance values."""
    half = _half_width(_LEVEL, each)
    low, high = sorted((study.value(each.expected - half), study.value(each.expected + half)))
    told = f"{shown(low)} to {shown(high)} (95 %), {counted(len(each.losses), 'trial')}"
    value = study.value(each.expected)
    return {"place": each.label, "value": value, "low": low, "high": high, "interval": told}
