"""The checks of hyperparameters: `boundary` and `isolation`.

`boundary` finds out whether the best trials crowd at an end of a range, `isolation` which value of
a scientific hyperparameter is best.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from search_spaces import Float, Int, Listed, Parameter, spell_values
from search_spaces.texts import counted, difference, listed, readable
from tracking.diagnosis.curve_checks import overfits
from tracking.diagnosis.findings_and_diagnosed_study import (
    Array,
    Changes,
    DiagnosedStudy,
    Finding,
    TooThinError,
    expected_best,
    of_best,
    weights_of_best,
)
from tracking.diagnosis.suggested_launch import wider
from tracking.history import StudyHistory
from tracking.records import EndedTrial

_LEAST_TRIALS: Final = 10
_MANY_TRIALS: Final = 50
# `boundary` explains these numbers. 1.645 is the 95 % quantile of the normal distribution.
_EDGE: Final = 0.1
_EDGE_OF_FEW: Final = 0.2
_UNLIKELY: Final = 0.01
_SIGNIFICANT: Final = 1.645

_LEAST_OF_VALUE: Final = 6
_LEVEL: Final = 0.95
_MOST_VALUES: Final = 8
_BUCKETS: Final = 4
_MOST_LISTED: Final = 7


def boundary(study: DiagnosedStudy, parameter: Float | Int) -> Finding | None:
    """Finds out whether the best trials crowd at an end of a hyperparameter's range.

    Deep Learning Tuning Playbook, "Identifying bad search space boundaries": "if the best points
    cluster towards the edge of a search space (in some dimension), then the search space boundaries
    might need to be expanded".

    Only trials in which the hyperparameter is active count. If it is inactive in most of the best
    trials, its range does not matter. The best tenth of the trials that count (at least 3, at most
    10) crowds at an end if three conditions hold:

    - At least half of the best trials are in the last tenth of the range on its scale, or at the
      last value of a short grid. With fewer than 50 trials, the last fifth counts instead.
    - The probability that so many trials are there by chance is below 1 % (binomial distribution).
    - In the half of the range next to the end, trials get better towards the end (Spearman's rank
      correlation, one-sided, 5 %). If they don't, the best trials may be there only because the
      sampler preferred the end: then the finding is a hint.
    """
    name = parameter.name
    active = [t for t in study.ranked if parameter.contains(t.params.get(name))]
    study.check_trials(_LEAST_TRIALS, active)
    leading = study.top(study.ranked)
    if 2 * sum(trial in active for trial in leading) < len(leading):
        return None
    units = np.array([parameter.to_unit(trial.params[name]) for trial in active])
    losses = np.array([study.loss(trial) for trial in active])
    best, edge = len(study.top(active)), _EDGE if len(active) >= _MANY_TRIALS else _EDGE_OF_FEW
    # In a short grid, the last value's share of the range may be larger than `edge`.
    width = max(edge, 1 / parameter.count) if parameter.count else edge
    way: Literal["lower", "upper"] = "upper"
    distances = 1 - units
    if not (crowding := _crowding(distances, best, width)):
        way, distances = "lower", units
        crowding = _crowding(distances, best, width)
    end, domain = parameter.high if way == "upper" else parameter.low, wider(parameter, way)
    is_clear = crowding > 0 and _better_towards(distances, losses)
    if not crowding or not (domain or is_clear):
        return None
    where = f"in the {'tenth' if edge == _EDGE else 'fifth'} of the range next to"
    having = "" if len(active) == len(study.ranked) else f" with {name}"
    place = f"{where if width == edge else 'at'} its {way} end, {readable(end)}"
    crowd = f"{of_best(crowding, best)} trials{having} lie {place}"
    crowd = f"{crowd[0].upper()}{crowd[1:]}"
    title, advice = f"{name}: the best trials crowd at its {way} end", f"Widen it to {domain}."
    verdict = "and trials get better towards it" if is_clear else "though not clearly better"
    if not domain:
        title, verdict = f"{name}: best at its natural end", "and nothing lies beyond"
        advice = f"Compare with {name} fixed at {readable(end)}: it may not be needed."
    return Finding(
        "boundary",
        ("problem" if is_clear else "hint") if domain else "ok",
        title,
        f"{crowd}, {verdict}.",
        advice,
        evidence={
            "end": end,
            "best trials": best,
            "of them at the end": crowding,
            "best value": study.ranked[0].params.get(name),
        },
        parameter=name,
        changes=Changes({name: domain} if domain else {}),
    )


def _crowding(distances: Array, best: int, width: float) -> int:
    """Returns how many of the best trials crowd at an end of a range, or 0 if they don't.

    `distances` has the distance of each trial from the end, as a share of the range. The best trial
    is first. A trial is at the end if its distance is at most `width`.
    """
    from scipy import special

    crowding = int((distances[:best] <= width + 1e-9).sum())
    by_chance = special.bdtrc(crowding - 1, best, width) >= _UNLIKELY
    return 0 if crowding * 2 < best or by_chance else crowding


def _better_towards(distances: Array, losses: Array) -> bool:
    """Returns whether trials in the half of the range next to an end get better towards it."""
    near = distances <= 0.5
    if np.ptp(distances[near]) == 0 or np.ptp(losses[near]) == 0:
        return False
    # This computes Spearman's correlation by numpy, as the import of `scipy.stats` takes half a
    # second.
    correlation = float(np.corrcoef(_ranks(distances[near]), _ranks(losses[near]))[0, 1])
    return correlation * math.sqrt(int(near.sum()) - 1) >= _SIGNIFICANT


def _ranks(values: Array) -> Array:
    """Returns the rank of each value. Equal values get the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


class _Isolated(NamedTuple):
    """The trials with one value, or one bucket of values, of a hyperparameter."""

    label: str
    losses: Array  # The best first.
    expected: float  # The `expected_best` of the losses.
    error: float  # The standard error of `expected`.
    freedom: float  # The degrees of freedom of `error`.


def isolation(study: DiagnosedStudy, parameter: Parameter) -> Finding:
    """Compares the values of a scientific hyperparameter by their best trials.

    Deep Learning Tuning Playbook, "Detecting whether a change is useful with isolation plots": for
    each value, take "the best trial across some (or all) of the nuisance hyperparameters", and
    compare these trials. A continuous hyperparameter is divided into buckets.

    The best of many trials tends to be better than the best of few. So the values of the
    hyperparameter are compared by the `expected_best` of equally many draws. The number of draws is
    a third of the number of trials with the rarest value.

    The `expected_best` is a U-statistic. Its standard error comes from the jackknife, and is not
    too small on average (Efron and Stein 1981, "The Jackknife Estimate of Variance"). The bootstrap
    would give too small standard errors for a minimum of so many draws.

    A difference from the best value is clear if the interval of the difference does not contain 0.
    The interval is Student's, with Satterthwaite's degrees of freedom. All intervals together have
    a level of 95 % (Bonferroni). In simulated studies of a hyperparameter without any effect, the
    check found a difference in 2 to 6 % of the studies. The interval covers the randomness in the
    search over nuisance hyperparameters, but not the randomness of seeds. So values that are close
    need a confirmation.
    """
    groups = _groups(study, parameter)
    if len(groups) < 2:
        raise TooThinError(f"at least two values need {counted(_LEAST_OF_VALUE, 'trial')} each.")
    draws = max(2, min(map(len, groups.values())) // 3)
    isolated = [
        _isolated(label, np.array([study.loss(trial) for trial in trials]), draws)
        for label, trials in groups.items()
    ]
    best, *others = sorted(isolated, key=lambda value: value.expected)
    level = 1 - (1 - _LEVEL) / len(others)
    # `gaps` has an entry for each value except the best: the difference from the best value, and
    # half the width of the interval of this difference.
    gaps = {
        other.label: (other.expected - best.expected, _half_width(level, best, other))
        for other in others
    }
    worse = [label for label, (gap, half) in gaps.items() if gap > half]
    title = f"{parameter.name}: no clear difference"
    advice = "Keep the simplest value, or the cheapest; more trials would narrow the intervals."
    changes = Changes()
    if worse:
        names = listed(_quoted(parameter, label) for label in worse)
        title = f"{parameter.name}: {names} {'is' if len(worse) == 1 else 'are'} clearly worse"
        advice = ""
        if isinstance(parameter, Listed):
            values = [v for v in parameter.values if readable(parameter.opened(v)) not in worse]
            domain = spell_values(parameter, values)
            advice = f"Leave out what is clearly worse: search {domain}."
            changes = Changes({parameter.name: domain})
    return Finding(
        "isolation",
        "hint" if worse else "ok",
        title,
        _comparison(study, parameter, best.label, gaps)
        + _fits(study, parameter, {label: groups[label] for label in (best.label, *gaps)}, worse),
        advice,
        evidence={
            "best of so many trials": draws,
            "values": {
                value.label: {
                    "trials": len(value.losses),
                    "best": study.value(float(value.losses[0])),
                    "expected": study.value(value.expected),
                    "standard error": value.error,
                }
                for value in (best, *others)
            },
            "differences": {
                label: {"by": gap, "plus or minus": half} for label, (gap, half) in gaps.items()
            },
        },
        parameter=parameter.name,
        changes=changes,
    )


def answers(history: StudyHistory) -> Mapping[str, str]:
    """Returns the verdicts of `isolation`, by hyperparameter, if there are enough trials."""
    study, sentences = DiagnosedStudy(history), {}
    for parameter in study.scientific:
        with contextlib.suppress(TooThinError):
            sentences[parameter.name] = isolation(study, parameter).verdict
    return sentences


def _groups(study: DiagnosedStudy, parameter: Parameter) -> dict[str, list[EndedTrial]]:
    """Groups trials by the hyperparameter's value, or by the quarter of its range.

    The best trial of a group is first. Groups of fewer than 6 trials are left out.
    """
    name, count = parameter.name, parameter.count
    buckets = (count is None or count > _MOST_VALUES) and not isinstance(parameter, Listed)
    groups: dict[str, list[EndedTrial]] = {}
    for trial in study.ranked:
        if name not in trial.params or not parameter.contains(trial.params[name]):
            continue
        value = parameter.canonical(trial.params[name])
        label = readable(parameter.opened(value))
        if buckets:
            place = min(int(parameter.to_unit(value) * _BUCKETS), _BUCKETS - 1)
            low, high = (parameter.from_unit((place + by) / _BUCKETS) for by in (0, 1))
            label = f"{readable(low)} to {readable(high)}"
        groups.setdefault(label, []).append(trial)
    return {label: trials for label, trials in groups.items() if len(trials) >= _LEAST_OF_VALUE}


def _isolated(label: str, losses: Array, draws: int) -> _Isolated:
    """Computes the expected best of the trials that have these losses, and its standard error."""
    ordered = np.sort(losses)
    total = len(ordered)
    weights = weights_of_best(total - 1, draws)
    # `without` has, for each loss, the expected best of all other losses. If a loss is left out,
    # the losses before it keep their ranks, and the losses after it move up by one.
    before = np.concatenate([[0.0], np.cumsum(ordered[:-1] * weights)])
    after = np.concatenate([np.cumsum((ordered[1:] * weights)[::-1])[::-1], [0.0]])
    without = before + after
    error = math.sqrt((total - 1) / total * float(((without - without.mean()) ** 2).sum()))
    freedom = 2 * (total / draws - 1)
    return _Isolated(label, ordered, expected_best(ordered, draws), error, freedom)


def _half_width(level: float, *isolated: _Isolated) -> float:
    """Returns half the width of the interval of one value, or of the difference of two values."""
    from scipy import special

    variance = sum(value.error**2 for value in isolated)
    squares = sum(value.error**4 / value.freedom for value in isolated)
    if not squares:
        return 0.0
    freedom = max(variance**2 / squares, 1.0)
    return float(special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance)


def _quoted(parameter: Parameter, label: str) -> str:
    """Returns a value as a sentence shows it. Texts get quotes."""
    return repr(label) if isinstance(parameter, Listed) and label in parameter.values else label


def _comparison(
    study: DiagnosedStudy,
    parameter: Parameter,
    best: str,
    gaps: Mapping[str, tuple[float, float]],
) -> str:
    """Returns sentences on the differences from the best value, the clear differences first."""
    worse, close = (
        listed(
            (
                f"{_quoted(parameter, label)} (by {difference(gap)} ± {difference(half)})"
                for label, (gap, half) in gaps.items()
                if (gap > half) is clear
            ),
            most=_MOST_LISTED,
        )
        for clear in (True, False)
    )
    leader, metric = _quoted(parameter, best), study.objective.metric
    if not worse:
        return f"{parameter.name}: no clear difference in {metric}; {leader} is ahead of {close}."
    also = f" No clear difference from {close}." if close else ""
    return f"{parameter.name}: {leader} has a better {metric} than {worse}.{also}"


def _fits(
    study: DiagnosedStudy,
    parameter: Parameter,
    groups: Mapping[str, Sequence[EndedTrial]],
    worse: Sequence[str],
) -> str:
    """Returns a sentence on the values whose best trials overfit or underfit, or an empty text.

    A value underfits if it is clearly worse than the best value, also on training data. More
    exactly: in the value's best trial, the validation metric is closer to the training metric than
    to the best validation metric of all values.
    """
    best = {
        trial.number: label
        for label, trials in groups.items()
        for trial in [trial for trial in trials if not trial.cut_short][:1]
    }
    trials = [trial for group in groups.values() for trial in group if trial.number in best]
    curves = study.curves(trials)
    least = min((curve.losses.min() for curve in curves), default=0.0)
    over, under = list[str](), list[str]()
    for curve in curves:
        label = best[curve.trial.number]
        rise = None if curve.ended_itself else overfits(study, curve)
        if rise is not None:
            after = f"by {difference(rise)} after epoch {curve.epochs[curve.best]:g}"
            over.append(f"{_quoted(parameter, label)} ({after})")
        # If the hyperparameter is the loss function, a worse metric does not mean underfitting.
        elif label in worse and curve.training is not None and parameter.name != "loss":
            reached, trained = curve.losses.min(), curve.training.min()
            if least < trained and abs(trained - reached) < reached - least:
                under.append(_quoted(parameter, label))
    clauses = [
        f"{listed(labels, most=_MOST_LISTED)} {verb}{'s' if len(labels) == 1 else ''}"
        for labels, verb in ((over, "overfit"), (under, "underfit"))
        if labels
    ]
    if not clauses:
        return ""
    name = "" if clauses[0].startswith("'") else f"{parameter.name} "
    return f" {name}{'; '.join(clauses)}."
