"""The checks of trials' values.

- `sufficiency`: are there enough trials?
- `trial_variance`: do trials differ by more than noise?
- `isolation`: which value of a scientific hyperparameter is best, if the nuisance hyperparameters
  are tuned for each value?
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from search_spaces import Listed, Parameter, spell_values
from search_spaces.texts import counted, listed, readable
from tracking.diagnosis.curve_checks import turned
from tracking.diagnosis.diagnosed_study import (
    Array,
    Changes,
    DiagnosedStudy,
    Finding,
    Noise,
    TooThinError,
    difference,
    expected_best,
    weights_of_best,
)
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial

_LEAST_TRIALS: Final = 10
_LEAST_TO_COMPARE: Final = 8
_LEAST_OF_VALUE: Final = 6
_LEVEL: Final = 0.95
_SHOWN: Final = 12
_MOST_VALUES: Final = 8
_BUCKETS: Final = 4
_MOST_LISTED: Final = 7


def sufficiency(study: DiagnosedStudy) -> Finding:
    """Finds whether twice as many trials are worth their cost.

    `expected_best` estimates the best value that a search with half of the trials finds. Its
    difference from the best value is the gain of the last doubling. As gains shrink, the next
    doubling is expected to bring no more. If this gain is not above the noise, there are enough
    trials. The estimate ignores the order of the trials, which matters for a sampler that learns.

    The Deep Learning Tuning Playbook, "Not sampling enough points in the search space", also asks
    "how many points are in the 'good' region of the search space". Here a trial is good if it
    differs from the best one by noise at most.
    """
    losses = study.losses
    total = len(losses)
    study.check_trials(_LEAST_TRIALS)
    half = expected_best(losses, total // 2)
    gain = half - float(losses[0])
    least, source = study.worth
    good = int((losses <= losses[0] + least).sum())
    enough = gain <= least
    more = max(2 * len(study.history.trials), study.history.description.trials)
    return Finding(
        "sufficiency",
        "ok" if enough else "hint",
        "Enough trials for this space" if enough else "More trials are worth it",
        f"The last doubling, from {total // 2} to {total} trials, brought {difference(gain)}, "
        f"{'no ' if enough else ''}more than {source} ({difference(least)}); "
        f"{_others(good)} as good as the best.",
        "" if enough else f"Run up to {more} trials, which may bring as much again.",
        evidence={
            "trials with a value": total,
            "gain of the last doubling": gain,
            "worth having": least,
            "good trials": good,
            "best": study.ranked[0].value,
            "expected best of half": study.value(half),
        },
        changes=Changes() if enough else Changes(settings={"trials": more}, resumes=True),
    )


def trial_variance(study: DiagnosedStudy) -> Finding:
    """Compares the differences between trials with the noise of a value.

    Deep Learning Tuning Playbook, "Determining whether to adopt a training pipeline change or
    hyperparameter configuration": "often the trial variance alone can produce statistically
    significant differences between two different trained models that use the same hyperparameter
    settings".

    If trials have repeats or folds, a one-way analysis of variance (Fisher 1925; F at 95 %) decides
    whether trials differ by more than noise. Otherwise the standard deviation of all values is
    compared with `DiagnosedStudy.noise`. (If the noise is that of the validation samples, one
    standard error is enough: trials are validated on the same samples, so their differences vary
    less.)
    """
    study.check_trials(_LEAST_TO_COMPARE)
    noise, description = study.noise, study.history.description
    if noise is None:
        raise TooThinError(
            "no trial was trained under another seed; launch with --repeats 3, or confirm the best."
        )
    repeated = any(len(trial.result.repeats) > 1 for trial in study.ranked)
    spread = float(np.std(study.losses, ddof=1))
    near = int((study.losses <= study.losses[0] + noise.value).sum())
    verdict = (
        f"Values of trials differ by {difference(spread)} (standard deviation); {noise.source} is "
        f"{difference(noise.value)}"
    )
    shared: dict[str, Any] = {
        "evidence": {
            "standard deviation of trials": spread,
            noise.source: noise.value,
            "trials within it of the best": near,
        },
        "rows": _noise_rows(study, noise),
    }
    if _differ(study) if repeated else spread >= noise.value:
        return Finding(
            "trial variance",
            "ok",
            "Differences between trials are larger than noise",
            f"{verdict}, and {_others(near)} that close to the best.",
            "Train the best ones under new seeds to choose among them." if near > 1 else "",
            command="confirm" if near > 1 and not description.folds else "",
            **shared,
        )
    advice = "Take more validation data, or the mean of several seeds for each trial."
    changes = Changes(settings={"repeats": max(3, 2 * description.repeats)})
    if description.folds:
        advice = (
            "Take more data, or draw folds several times: cross_validation=ks.splits.repeated()."
        )
        changes = Changes()
    return Finding(
        "trial variance",
        "problem",
        "Noise is larger than the differences between trials",
        f"{verdict}: the best trial may be the luckiest.",
        advice,
        changes=changes,
        **shared,
    )


def _others(near: int) -> str:
    """Returns the beginning of a sentence, e.g. "3 other trials are"."""
    if near == 1:
        return "no other trial is"
    return f"{counted(near - 1, 'other trial')} {'is' if near == 2 else 'are'}"


def _noise_rows(study: DiagnosedStudy, noise: Noise) -> list[dict[str, Any]]:
    """Returns the chart's rows: the best trials, with the noise added on both sides."""
    rows = []
    for trial in study.ranked[:_SHOWN]:
        low, high = (study.value(study.loss(trial)) + by for by in (-noise.value, noise.value))
        interval = f"{readable(low)} to {readable(high)}: {noise.source} on both sides"
        row = {"place": f"trial {trial.number}", "value": trial.value, "low": low, "high": high}
        rows.append({**row, "interval": interval})
    return rows


def _differ(study: DiagnosedStudy) -> bool:
    """Returns whether repeated trials differ by more than noise, by an analysis of variance."""
    from scipy import special

    groups = [
        [study.objective.sort_key(repeat.counted) for repeat in trial.result.repeats]
        for trial in study.ranked
        if len(trial.result.repeats) > 1
    ]
    if len(groups) < 2:
        raise TooThinError("2 trials of several repeats are needed.")
    within = math.fsum((len(g) - 1) * statistics.variance(g) for g in groups)
    inside = sum(len(g) - 1 for g in groups)
    mean = statistics.fmean(value for group in groups for value in group)
    between = math.fsum(len(g) * (statistics.fmean(g) - mean) ** 2 for g in groups)
    if within == 0:
        return between > 0
    ratio = (between / (len(groups) - 1)) / (within / inside)
    return bool(ratio > special.fdtri(len(groups) - 1, inside, _LEVEL))


class _Isolated(NamedTuple):
    """The trials with one value, or one bucket of values, of a hyperparameter.

    Attributes:
        losses: The losses of these trials, the best first.
        expected: Their `expected_best`.
        error: The standard error of `expected`, by the jackknife over the trials.
        freedom: The degrees of freedom of `error`.
    """

    label: str
    losses: Array
    expected: float
    error: float
    freedom: float


def isolation(study: DiagnosedStudy, parameter: Parameter) -> Finding:
    """Compares the values of a scientific hyperparameter by their best trials.

    Deep Learning Tuning Playbook, "Detecting whether a change is useful with isolation plots": one
    compares "the best trial across some (or all) of the nuisance hyperparameters" for each value.
    A continuous hyperparameter is divided into buckets.

    The best of many trials tends to be better than the best of few. So each value is represented by
    its `expected_best` of the same number of draws, a third of the trials of the rarest value. This
    is a U-statistic. Its standard error comes from the jackknife, which is not too small on average
    (Efron and Stein 1981, "The Jackknife Estimate of Variance"). A bootstrap's standard error is
    too small so close to a maximum.

    A difference from the best value is clear if its interval does not contain 0. The interval is
    Student's, with Satterthwaite's degrees of freedom. All intervals together have a level of 95 %
    (Bonferroni). In simulated studies whose hyperparameter does not matter, 2 to 6 % find a
    difference. The interval shows the chance in the search of the nuisance hyperparameters, not the
    chance in seeds. So values that are close need a confirmation.
    """
    groups = _groups(study, parameter)
    if len(groups) < 2:
        raise TooThinError(
            f"two of its values need {counted(_LEAST_OF_VALUE, 'trial')} each with a value."
        )
    draws = max(2, min(map(len, groups.values())) // 3)
    isolated = [
        _isolated(label, np.array([study.loss(trial) for trial in trials]), draws)
        for label, trials in groups.items()
    ]
    best, *others = sorted(isolated, key=lambda each: each.expected)
    level = 1 - (1 - _LEVEL) / len(others)
    gaps = {each.label: each.expected - best.expected for each in others}
    halves = {each.label: _half_width(level, best, each) for each in others}
    worse = [label for label, gap in gaps.items() if gap > halves[label]]
    left = _left(parameter, worse)
    advice = "Keep what is simplest, or cheapest; more trials would narrow the intervals."
    if worse:
        advice = f"Leave out what is clearly worse: search {left}." if left else ""
    return Finding(
        "isolation",
        "hint" if worse else "ok",
        _title(parameter, worse),
        _comparison(study, parameter, best.label, gaps, halves)
        + _fits(study, parameter, {label: groups[label] for label in (best.label, *gaps)}, worse),
        advice,
        evidence={
            "best of so many trials": draws,
            "values": {
                each.label: {
                    "trials": len(each.losses),
                    "best": study.value(float(each.losses[0])),
                    "expected": study.value(each.expected),
                    "standard error": each.error,
                }
                for each in (best, *others)
            },
            "differences": {
                label: {"by": gap, "plus or minus": halves[label]} for label, gap in gaps.items()
            },
        },
        parameter=parameter.name,
        changes=Changes({parameter.name: left} if left else {}),
        rows=[_row(study, each) for each in (best, *others)],
    )


def answers(history: StudyHistory) -> Mapping[str, str]:
    """Returns the verdicts of `isolation`, by hyperparameter.

    Hyperparameters with too few trials are left out.
    """
    study, sentences = DiagnosedStudy(history), {}
    for parameter in study.scientific:
        with contextlib.suppress(TooThinError):
            sentences[parameter.name] = isolation(study, parameter).verdict
    return sentences


def _groups(study: DiagnosedStudy, parameter: Parameter) -> dict[str, list[EndedTrial]]:
    """Returns trials by value, or by quarter of a range, the best first. Leaves out rare values."""
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
    """Returns a value's expected best, with its standard error by the jackknife."""
    ordered = np.sort(losses)
    total = len(ordered)
    weights = weights_of_best(total - 1, draws)
    # `without` has the expected best without each of the losses. If one is left out, the losses
    # before it keep their ranks, and the others move up.
    before = np.concatenate([[0.0], np.cumsum(ordered[:-1] * weights)])
    after = np.concatenate([np.cumsum((ordered[1:] * weights)[::-1])[::-1], [0.0]])
    without = before + after
    error = math.sqrt((total - 1) / total * float(((without - without.mean()) ** 2).sum()))
    freedom = 2 * (total / draws - 1)
    return _Isolated(label, ordered, expected_best(ordered, draws), error, freedom)


def _half_width(level: float, *isolated: _Isolated) -> float:
    """Returns half the width of the interval of one value, or of the difference of two values."""
    from scipy import special

    variances = [each.error**2 for each in isolated]
    parts = [v**2 / each.freedom for v, each in zip(variances, isolated, strict=True)]
    if not sum(parts):
        return 0.0
    freedom = max(sum(variances) ** 2 / sum(parts), 1.0)
    return float(special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt(sum(variances))


def _left(parameter: Parameter, worse: Sequence[str]) -> str:
    """Returns the values that the next study should keep, in the form of ``--set``."""
    if not worse or not isinstance(parameter, Listed):
        return ""
    left = [value for value in parameter.values if readable(parameter.opened(value)) not in worse]
    return spell_values(parameter, left)


def _title(parameter: Parameter, worse: Sequence[str]) -> str:
    if not worse:
        return f"{parameter.name}: no clear difference"
    names = listed(_spelled(parameter, label) for label in worse)
    return f"{parameter.name}: {names} {'is' if len(worse) == 1 else 'are'} clearly worse"


def _spelled(parameter: Parameter, label: str) -> str:
    """Returns a value in a sentence: a text in quotes."""
    return repr(label) if isinstance(parameter, Listed) and label in parameter.values else label


def _comparison(
    study: DiagnosedStudy,
    parameter: Parameter,
    best: str,
    gaps: Mapping[str, float],
    halves: Mapping[str, float],
) -> str:
    """Returns sentences on the differences from the best value, the clear ones first."""
    worse, close = (
        listed(
            (
                f"{_spelled(parameter, label)} (by {difference(gap)} ± {difference(halves[label])})"
                for label, gap in gaps.items()
                if (gap > halves[label]) is clear
            ),
            most=_MOST_LISTED,
        )
        for clear in (True, False)
    )
    leader, metric = _spelled(parameter, best), study.objective.metric
    if not worse:
        return f"{parameter.name}: no clear difference in {metric}. {leader} leads {close}."
    also = f" No clear difference from {close}." if close else ""
    return f"{parameter.name}: {leader} has a better {metric} than {worse}.{also}"


def _fits(
    study: DiagnosedStudy,
    parameter: Parameter,
    groups: Mapping[str, Sequence[EndedTrial]],
    worse: Sequence[str],
) -> str:
    """Returns a sentence on the values whose best trials overfit or underfit, or nothing.

    A value underfits if it is clearly worse, and its best trial is so on training data too: its
    values on training and on validation data are closer to each other than to the best trial's.
    """
    best = {
        trial.number: label
        for label, trials in groups.items()
        for trial in [each for each in trials if not each.cut_short][:1]
    }
    trials = [trial for group in groups.values() for trial in group if trial.number in best]
    curves = study.curves(trials)
    least = min((curve.losses.min() for curve in curves), default=0.0)
    over, under = list[str](), list[str]()
    for curve in curves:
        label = best[curve.trial.number]
        rise = None if curve.ended_itself else turned(study, curve)
        if rise is not None:
            after = f"by {difference(rise)} after epoch {curve.epochs[curve.best]:g}"
            over.append(f"{_spelled(parameter, label)} ({after})")
        # Trials with another loss may be worse in the metric on any data.
        elif label in worse and curve.training is not None and parameter.name != "loss":
            reached, trained = curve.losses.min(), curve.training.min()
            if least < trained and abs(trained - reached) < reached - least:
                under.append(_spelled(parameter, label))
    clauses = [
        f"{listed(labels, most=_MOST_LISTED)} {verb}{'s' if len(labels) == 1 else ''}"
        for labels, verb in ((over, "overfit"), (under, "underfit"))
        if labels
    ]
    if not clauses:
        return ""
    name = "" if clauses[0].startswith("'") else f"{parameter.name} "
    return f" {name}{'; '.join(clauses)}."


def _row(study: DiagnosedStudy, isolated: _Isolated) -> Mapping[str, Any]:
    half = _half_width(_LEVEL, isolated)
    ends = (isolated.expected - half, isolated.expected + half)
    low, high = sorted(map(study.value, ends))
    trials = counted(len(isolated.losses), "trial")
    interval = f"{readable(low)} to {readable(high)} (95 %), {trials}"
    value = study.value(isolated.expected)
    return {"place": isolated.label, "value": value, "low": low, "high": high, "interval": interval}
