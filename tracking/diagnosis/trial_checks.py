"""The checks of trials: do many fail, are there enough, do they differ by more than noise?"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from search_spaces.texts import counted, difference
from tracking.diagnosis.findings_and_diagnosed_study import (
    Changes,
    DiagnosedStudy,
    Finding,
    TooThinError,
    expected_best,
)
from tracking.history import called
from tracking.records import reasons

_MANY_FAILED: Final = 0.2
_LEAST_FAILED: Final = 2
_LEAST_TRIALS: Final = 10
_LEAST_TO_COMPARE: Final = 8
_LEVEL: Final = 0.95


def infeasible_share(study: DiagnosedStudy) -> Finding | None:
    """Finds out whether many trials fail.

    Deep Learning Tuning Playbook, "Extracting insight from experimental results": "When a very
    large fraction of points in a study are infeasible we should try to adjust the search space to
    avoid sampling such points [...]. In some cases, a large number of infeasible points can
    indicate a bug in the training code."

    Here the fraction is very large if at least a fifth of the trials and at least two trials fail
    (a rule of thumb).
    """
    failures, total = study.infeasible, len(study.ranked) + len(study.infeasible)
    if len(failures) < _LEAST_FAILED or len(failures) < _MANY_FAILED * total:
        return None
    why, changes = reasons(failures), Changes()
    most_often = f": most often, {why[0].text}" if why else ""
    advice = (
        "Look at the reasons. Search only ranges in which trials succeed, or make training more "
        "stable, by warm-up, gradient clipping or normalization."
    )
    if sum(bool(trial.result.raised) for trial in failures) * 2 > len(failures):
        changes = Changes(settings={"retry_infeasible": True}, resumes=True)
        advice = "The code raised an error: mend it, then train these trials again."
    return Finding(
        "infeasible",
        "problem",
        "Many trials are infeasible",
        f"{len(failures)} of {counted(total, 'trial')} have no value{most_often}.",
        advice,
        evidence={
            "infeasible": len(failures),
            "trials": total,
            "reasons": {reason.text: len(reason.trials) for reason in why[:5]},
        },
        changes=changes,
    )


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
        f"The best of {total} trials is better than the best of a random half of them, by "
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


def chosen(study: DiagnosedStudy) -> Finding | None:
    """Says whether the chosen trial beats chance and the default, if the verdict knows it."""
    verdict, confirmation = study.verdict, study.verdict.valid_confirmation
    if not (verdict.doubt or verdict.gain):
        return None
    trial = called(study.ranked[0].number if confirmation is None else confirmation.winner)
    if verdict.doubt is None:
        return Finding("trial variance", "ok", f"{trial} is better than the default", verdict.text)
    title, advice = f"{trial} is not shown to be better", "Take more samples, or better inputs."
    return Finding("trial variance", "problem", title, verdict.text, advice)


def trial_variance(study: DiagnosedStudy) -> Finding:
    """Compares the differences between trials with the noise of a value.

    Deep Learning Tuning Playbook, "Determining whether to adopt a training pipeline change or
    hyperparameter configuration": "often the trial variance alone can produce statistically
    significant differences between two different trained models that use the same hyperparameter
    settings".

    Trials differ by more than noise if the standard deviation of their values is at least
    `DiagnosedStudy.noise`. If trials have repeats or folds, the standard deviation must exceed the
    noise by the factor of a one-way analysis of variance (Fisher 1925; F at 95 %). (If the noise
    comes from the validation samples, one standard error is enough. All trials have the same
    validation samples, so their differences vary less than single values.)
    """
    study.check_trials(_LEAST_TO_COMPARE)
    noise, description = study.noise, study.history.description
    if noise is None:
        raise TooThinError(
            "no trial was trained under another seed; launch with --repeats 3, or confirm the best."
        )
    least = noise.value
    repeated = [count for trial in study.ranked if (count := len(trial.result.repeats)) > 1]
    if len(repeated) > 1:
        from scipy import special

        freedom = len(repeated) - 1, sum(repeated) - len(repeated)
        least *= math.sqrt(special.fdtri(*freedom, _LEVEL))
    confirmed = description.folds or study.verdict.valid_confirmation
    spread = float(np.std(study.losses, ddof=1))
    near = int((study.losses <= study.losses[0] + noise.value).sum())
    verdict = (
        f"Values of trials differ by {difference(spread)} (standard deviation); {noise.source} is "
        f"{difference(noise.value)}"
    )
    evidence = {
        "standard deviation of trials": spread,
        noise.source: noise.value,
        "trials within it of the best": near,
    }
    if spread >= least:
        return Finding(
            "trial variance",
            "ok",
            "Differences between trials are larger than noise",
            f"{verdict}, and {_others(near)} that close to the best.",
            "Train the best trials under new seeds to choose among them."
            if near > 1 and not confirmed
            else "",
            command="confirm" if near > 1 and not confirmed else "",
            evidence=evidence,
        )
    advice = "Take more data, or more folds."
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
        evidence=evidence,
        changes=changes,
    )


def _others(near: int) -> str:
    """Returns the subject and the verb of a sentence, e.g. "3 other trials are"."""
    if near == 1:
        return "no other trial is"
    return f"{counted(near - 1, 'other trial')} {'is' if near == 2 else 'are'}"
