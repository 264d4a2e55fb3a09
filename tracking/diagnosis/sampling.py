"""Trials as samples: were there enough of them, and do they differ by more than noise?"""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

import numpy as np

from tracking.diagnosis.diagnosed import DiagnosedStudy, Noise
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.numbers import counted, difference, expected_best, shown

_LEAST_TRIALS: Final = 10
_LEAST_TO_COMPARE: Final = 8
_LEVEL: Final = 0.95
_SHOWN: Final = 12


def sufficiency(study: DiagnosedStudy) -> Finding:
    """Finds whether twice the trials would be worth it.

    Deep Learning Tuning Playbook, "Not sampling enough points in the search space": one should get
    "a sense of how many points are in the 'good' region of the search space". Good are the trials
    that are as good as the best one but for noise; see `DiagnosedStudy.worth`.

    The mean of the best of k of the trials, over all samples of k of them, is what a search of k
    trials would have found (see `weights_of_best`). What the last doubling brought, from half of
    the trials to all, is the most that the next one can be expected to bring, since gains shrink.
    If it is no more than the noise, the search is long enough. For a sampler that learns, the order
    of the trials matters too; this mean forgets it.

    Raises:
        TooThinError: If fewer than ten trials have a value.
    """
    losses = study.losses
    total = len(losses)
    _check(total, _LEAST_TRIALS)
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
    """Compares the differences between trials with what seeds, or samples, make of one.

    Deep Learning Tuning Playbook, "Determining whether to adopt a training pipeline change or
    hyperparameter configuration": "often the trial variance alone can produce statistically
    significant differences between two different trained models that use the same hyperparameter
    settings".

    With repeats, one-way analysis of variance over the trials (Fisher 1925; F at 95 %) decides
    whether hyperparameters matter at all. Without, for accuracies, the standard error by validation
    sample: values of trials on the same samples vary less, as they depend on each other, so
    hyperparameters can't be told from noise if the standard deviation of all values is below one
    standard error.

    Raises:
        TooThinError: If fewer than eight trials have a value, or no noise is known: no trial was
            repeated, and the objective is no accuracy.
    """
    _check(len(study.ranked), _LEAST_TO_COMPARE)
    noise, description = study.noise, study.history.description
    if noise is None:
        raise TooThinError(
            "no trial was trained under another seed; launch with --repeats 3, or confirm the best."
        )
    repeated = [t for t in study.ranked if len(t.result.repeats) > 1]
    spread = float(np.std(study.losses, ddof=1))
    near = int((study.losses <= study.losses[0] + noise.value).sum())
    told = (
        f"Values of trials differ by {difference(spread)} (standard deviation); {noise.source} is "
        f"{difference(noise.value)}"
    )
    shared: dict[str, Any] = {
        "evidence": {
            "standard deviation of trials": spread,
            noise.source: noise.value,
            "trials within it of the best": near,
        },
        "rows": _rows(study, noise),
    }
    if _differ(study) if repeated else spread >= noise.value:
        return Finding(
            "trial variance",
            "ok",
            "Differences between trials are larger than noise",
            f"{told}, and {_others(near)} that close to the best.",
            "Train the best ones under new seeds to choose among them." if near > 1 else "",
            command="confirm" if near > 1 and not description.folds else "",
            **shared,
        )
    advice = "Take more validation data, or the mean of several seeds for each trial."
    if description.folds:
        advice = (
            "Take more data, or draw folds several times: cross_validation=ks.splits.repeated()."
        )
    repeats = {} if description.folds else {"repeats": max(3, 2 * description.repeats)}
    return Finding(
        "trial variance",
        "problem",
        "Noise is larger than the differences between trials",
        f"{told}: the best trial may be the luckiest.",
        advice,
        changes=Changes(settings=repeats),
        **shared,
    )


def _check(trials: int, least: int) -> None:
    if trials < least:
        raise TooThinError(f"{least} trials with a value are needed; the study has {trials}.")


def _others(near: int) -> str:
    """Returns how many trials besides the best are near it, with the verb."""
    if near == 1:
        return "no other trial is"
    return f"{counted(near - 1, 'other trial')} {'is' if near == 2 else 'are'}"


def _rows(study: DiagnosedStudy, noise: Noise) -> list[dict[str, Any]]:
    """Returns the best trials, each with the noise on both sides."""
    found = []
    for trial in study.ranked[:_SHOWN]:
        low, high = (study.value(study.loss(trial)) + by for by in (-noise.value, noise.value))
        told = f"{shown(low)} to {shown(high)}: {noise.source} on both sides"
        row = {"place": f"trial {trial.number}", "value": trial.value, "low": low, "high": high}
        found.append({**row, "interval": told})
    return found


def _differ(study: DiagnosedStudy) -> bool:
    """Returns whether repeated trials differ by more than their seeds, by analysis of variance."""
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
