"""Sufficiency: has the space been sampled densely enough, or is more search worth it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.numbers import (
    counted,
    difference,
    expected_best,
    weights_of_best,
)

_LEAST_TRIALS: Final = 10
_POINTS: Final = 60


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
    if total < _LEAST_TRIALS:
        raise TooThinError(
            f"{_LEAST_TRIALS} trials with a value are needed; the study has {total}."
        )
    half = expected_best(losses, total // 2)
    gain = half - float(losses[0])
    least, source = study.worth
    good = int((losses <= losses[0] + least).sum())
    best = study.ranked[0]
    came = sum(trial.number <= best.number for trial in study.history.trials)
    evidence = {
        "trials with a value": total,
        "gain of the last doubling": gain,
        "worth having": least,
        "good trials": good,
        "best": best.value,
        "expected best of half": study.value(half),
        "best came as trial": came,
    }
    rows = tuple(_rows(study))
    told = f"The last doubling, from {total // 2} to {total} trials, brought {difference(gain)}"
    near = (
        f"{counted(good - 1, 'other trial')} {'is' if good == 2 else 'are'} as good as the best"
        if good > 1
        else "no other trial is as good as the best"
    )
    if gain <= least:
        return Finding(
            "sufficiency",
            "ok",
            "Enough trials for this space",
            f"{told}, no more than {source} ({difference(least)}); {near}.",
            evidence=evidence,
            rows=rows,
        )
    more = max(2 * len(study.history.trials), study.history.description.trials)
    return Finding(
        "sufficiency",
        "hint",
        "More trials are worth it",
        f"{told}, more than {source} ({difference(least)}); {near}.",
        f"Run up to {more} trials, which may bring as much again.",
        evidence=evidence,
        changes=Changes(settings={"trials": more}, resumes=True),
        rows=rows,
    )


def _rows(study: DiagnosedStudy) -> Iterator[dict[str, object]]:
    """Yields the best to expect of so many trials, with the middle nine tenths, and the record."""
    losses = study.losses
    total = len(losses)
    amounts = sorted({max(1, round(float(k))) for k in np.geomspace(1, total, _POINTS)})
    for amount in amounts:
        sums = np.cumsum(weights_of_best(total, amount))
        low, high = (int(np.searchsorted(sums, part)) for part in (0.05, 0.95))
        ends = [study.value(float(losses[min(each, total - 1)])) for each in (low, high)]
        yield {
            "trials": amount,
            "expected": study.value(expected_best(losses, amount)),
            "low": min(ends),
            "high": max(ends),
        }
    best = None
    for place, trial in enumerate(sorted(study.ranked, key=lambda each: each.number), start=1):
        loss = study.loss(trial)
        if best is None or loss < best:
            best = loss
            yield {"trials": place, "found": study.value(loss)}
    if best is not None:
        yield {"trials": total, "found": study.value(best)}
