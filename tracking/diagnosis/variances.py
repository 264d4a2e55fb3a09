"""Trial variance: are the differences between trials larger than those between seeds?"""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

import numpy as np

from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.numbers import counted, difference

_LEAST_TRIALS: Final = 8
_LEVEL: Final = 0.95
_SHOWN: Final = 20


def trial_variance(study: DiagnosedStudy) -> Finding | None:
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
    total = len(study.ranked)
    if total < _LEAST_TRIALS:
        raise TooThinError(
            f"{_LEAST_TRIALS} trials with a value are needed; the study has {total}."
        )
    noise, description = study.noise, study.history.description
    if noise is None:
        raise TooThinError(
            "no trial was trained under another seed; launch with --repeats 3, or confirm the best."
        )
    repeated = [t for t in study.ranked if len(t.result.repeats) > 1]
    spread = float(np.std(study.losses, ddof=1))
    matter = _differ(study) if repeated else spread >= noise.value
    near = int((study.losses <= study.losses[0] + noise.value).sum())
    evidence: dict[str, Any] = {
        "standard deviation of trials": spread,
        noise.source: noise.value,
        "trials within it of the best": near,
    }
    rows = tuple(
        {
            "trial": trial.number,
            "rank": place,
            "value": trial.value,
            "low": (trial.value or 0.0) - noise.value,
            "high": (trial.value or 0.0) + noise.value,
        }
        for place, trial in enumerate(study.ranked[:_SHOWN], start=1)
    )
    if not matter:
        return Finding(
            "trial variance",
            "problem",
            "Noise is larger than the differences between trials",
            f"Values of trials differ by {difference(spread)} (standard deviation); "
            f"{noise.source} is {difference(noise.value)}: the best trial may be the luckiest.",
            "Take more data, or draw folds several times: cross_validation=ks.splits.repeated()."
            if description.folds
            else "Take more validation data, or the mean of several seeds for each trial.",
            evidence=evidence,
            changes=Changes()
            if description.folds
            else Changes(settings={"repeats": max(3, 2 * description.repeats)}),
            rows=rows,
        )
    close = (
        f"{counted(near - 1, 'other trial')} {'is' if near == 2 else 'are'}"
        if near > 1
        else "no other trial is"
    )
    return Finding(
        "trial variance",
        "ok",
        "Differences between trials are larger than noise",
        f"Values of trials differ by {difference(spread)} (standard deviation); {noise.source} is "
        f"{difference(noise.value)}, and {close} that close to the best.",
        "Train the best ones under new seeds to choose among them." if near > 1 else "",
        command="confirm" if near > 1 and not description.folds else "",
        evidence=evidence,
        rows=rows,
    )


def _differ(study: DiagnosedStudy) -> bool:
    """Returns whether repeated trials differ by more than their seeds, by analysis of variance."""
    from scipy import special

    groups = [
        [study.objective.sort_key(repeat.counted) for repeat in trial.result.repeats]
        for trial in study.ranked
        if len(trial.result.repeats) > 1
    ]
    within = math.fsum((len(g) - 1) * statistics.variance(g) for g in groups)
    inside = sum(len(g) - 1 for g in groups)
    mean = statistics.fmean(value for group in groups for value in group)
    between = math.fsum(len(g) * (statistics.fmean(g) - mean) ** 2 for g in groups)
    if within == 0:
        return between > 0
    ratio = (between / (len(groups) - 1)) / (within / inside)
    return bool(ratio > special.fdtri(len(groups) - 1, inside, _LEVEL))
