"""The checks of trials' values: are there enough, and do they differ by more than noise?"""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

import numpy as np

from search_spaces.texts import counted, readable
from tracking.diagnosis.diagnosed_study import (
    Changes,
    DiagnosedStudy,
    Finding,
    Noise,
    TooThinError,
    difference,
    expected_best,
)
from tracking.history.verdicts import valid_confirmation

_LEAST_TRIALS: Final = 10
_LEAST_TO_COMPARE: Final = 8
_LEVEL: Final = 0.95
_SHOWN: Final = 12


def sufficiency(study: DiagnosedStudy) -> Finding:
    """Finds out whether twice as many trials are worth their cost.

    `expected_best` estimates the best value of a random half of the trials. The difference between
    this estimate and the best value of all trials is the gain from doubling the number of trials.
    Gains shrink as a search goes on, so the next doubling is expected to gain no more. If the gain
    is not above the noise, there are enough trials. The estimate ignores the order of the trials,
    which matters for a sampler that learns.

    The Deep Learning Tuning Playbook, "Not sampling enough points in the search space", also asks
    "how many points are in the 'good' region of the search space". Here a trial is good if it
    differs from the best trial by no more than noise.
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
        f"{total} trials have a better best value than a random half of them, by "
        f"{difference(gain)} on average: {'no ' if enough else ''}more than {source} "
        f"({difference(least)}). {_others(good).capitalize()} as good as the best.",
        "" if enough else f"Run up to {more} trials, which may bring as much again.",
        evidence={
            "trials with a value": total,
            "gain of a doubling": gain,
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
    whether trials differ by more than noise. Otherwise they do if the standard deviation of all
    values is at least `DiagnosedStudy.noise`. (If the noise comes from the validation samples, one
    standard error is enough. All trials have the same validation samples, so their differences vary
    less than single values.)
    """
    study.check_trials(_LEAST_TO_COMPARE)
    noise, description = study.noise, study.history.description
    if noise is None:
        raise TooThinError(
            "no trial was trained under another seed; launch with --repeats 3, or confirm the best."
        )
    repeated = any(len(trial.result.repeats) > 1 for trial in study.ranked)
    confirmed = description.folds or valid_confirmation(study.history)
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
            "Train the best trials under new seeds to choose among them."
            if near > 1 and not confirmed
            else "",
            command="confirm" if near > 1 and not confirmed else "",
            **shared,
        )
    advice = "Take more data, or draw folds several times: cross_validation=ks.splits.repeated()."
    changes = Changes()
    if not description.folds:
        advice = "Take more validation data, or the mean of several seeds for each trial."
        changes = Changes(settings={"repeats": max(3, 2 * description.repeats)})
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
    """Returns the subject and the verb of a sentence, e.g. "3 other trials are"."""
    if near == 1:
        return "no other trial is"
    return f"{counted(near - 1, 'other trial')} {'is' if near == 2 else 'are'}"


def _noise_rows(study: DiagnosedStudy, noise: Noise) -> list[dict[str, Any]]:
    """Returns the chart's rows: the values of the best trials, plus and minus the noise."""
    rows = []
    for trial in study.ranked[:_SHOWN]:
        value = study.value(study.loss(trial))
        low, high = value - noise.value, value + noise.value
        interval = f"{readable(low)} to {readable(high)}: {noise.source} on both sides"
        row = {"place": f"trial {trial.number}", "value": value, "low": low, "high": high}
        rows.append({**row, "interval": interval})
    return rows


def _differ(study: DiagnosedStudy) -> bool:
    """Returns whether repeated trials differ by more than noise, by an analysis of variance."""
    from scipy import special

    groups = [
        [repeat.counted for repeat in trial.result.repeats]
        for trial in study.ranked
        if len(trial.result.repeats) > 1
    ]
    if len(groups) < 2:
        raise TooThinError("2 trials with several repeats each are needed.")
    within = math.fsum((len(g) - 1) * statistics.variance(g) for g in groups)
    inside = sum(len(g) - 1 for g in groups)
    mean = statistics.fmean(value for group in groups for value in group)
    between = math.fsum(len(g) * (statistics.fmean(g) - mean) ** 2 for g in groups)
    if within == 0:
        return between > 0
    ratio = (between / (len(groups) - 1)) / (within / inside)
    return bool(ratio > special.fdtri(len(groups) - 1, inside, _LEVEL))
