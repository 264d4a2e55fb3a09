"""Pruning: does the epoch at which the pruner cuts say anything about the end?"""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

import numpy as np

from tracking.diagnosis.diagnosed import Curve, DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.numbers import counted, rank_correlation, upper_bound

_LEAST_COMPLETE: Final = 8
_LEAST_PRUNED: Final = 3
_POOR: Final = 0.6
_GOOD: Final = 0.8
_WARM_UP: Final = {
    "median": "n_warmup_steps",
    "percentile": "n_warmup_steps",
    "patient": "n_warmup_steps",
    "successive-halving": "min_resource",
    "hyperband": "min_resource",
}


def pruners_regret(study: DiagnosedStudy) -> Finding | None:
    """Compares the order of trials where the pruner cuts with their order at the end.

    A pruner that stops trials by their early values relies on these being in the order of the last
    ones (Li et al. 2018, "Hyperband", JMLR 18, section 2: low-fidelity ranks). Spearman's rank
    correlation over the trials that went on to their end, between their best until the median epoch
    of the cuts and their best of all, says whether they are. It is poor if even the upper end of
    its interval (95 %, one-sided, by Fisher's z) is below 0.6: a rule of thumb, and a careful one,
    as trials that were let through are alike, and so correlate less.

    Raises:
        TooThinError: If fewer than three trials were pruned, or fewer than eight trained on.
    """
    pruned = [trial for trial in study.ranked if trial.state == "pruned"]
    curves = [
        curve
        for curve in study.curves.values()
        if curve.trial.state == "complete" and curve.complete
    ]
    if study.history.description.pruner.partition(",")[0] == "none":
        return None
    if len(pruned) < _LEAST_PRUNED or len(curves) < _LEAST_COMPLETE:
        raise TooThinError(
            f"{_LEAST_PRUNED} pruned and {_LEAST_COMPLETE} complete trials of four epochs are "
            f"needed, and there are {len(pruned)} and {len(curves)}."
        )
    rung = round(statistics.median(trial.result.epochs for trial in pruned))
    early, ends = _bests(curves, rung)
    correlation = rank_correlation(early, ends)
    bound = upper_bound(correlation, len(curves))
    saved = sum(t.spec.epochs - t.result.epochs for t in pruned)
    evidence: dict[str, Any] = {
        "pruned": len(pruned),
        "median epoch of the cuts": rung,
        "rank correlation with the end": correlation,
        "its upper bound": bound,
        "complete trials": len(curves),
        "epochs saved": saved,
    }
    rows = tuple(
        {"trial": c.trial.number, "early": study.value(e), "end": study.value(f)}
        for c, e, f in zip(curves, early, ends, strict=True)
    )
    told = (
        f"Over the {counted(len(curves), 'trial')} that trained to the end, the order at epoch "
        f"{rung}, where the pruner cut {len(pruned)}, has a rank correlation of "
        f"{correlation:.2f} with the last"
    )
    if bound >= _POOR:
        return Finding(
            "pruning",
            "ok",
            "The pruner's cuts agree with the end",
            f"{told}; it saved {counted(saved, 'epoch')}."
            if correlation >= _POOR
            else f"{told}, too few to call it poor; it saved {counted(saved, 'epoch')}.",
            evidence=evidence,
            rows=rows,
        )
    epochs = study.history.description.epochs
    later = _telling_epoch(curves, rung, max(int(c.epochs[-1]) for c in curves))
    name, *options = study.history.description.pruner.split(",")
    option = _WARM_UP.get(name)
    settings = {}
    if option and later < epochs:
        kept = [each for each in options if not each.startswith(f"{option}=")]
        settings = {"pruner": ",".join([name, *kept, f"{option}={later}"])}
    return Finding(
        "pruning",
        "problem",
        "The pruner cuts too early",
        f"{told}: it may have stopped the best ones.",
        f"Let trials train {later} epochs before the pruner may stop them."
        if settings
        else "Train without a pruner: --pruner none.",
        evidence=evidence,
        changes=Changes(settings=settings or {"pruner": "none"}),
        rows=rows,
    )


def _bests(curves: list[Curve], rung: int) -> tuple[list[float], list[float]]:
    """Returns the best loss of each trial until an epoch, and of all."""
    early = [float(np.min(c.losses[c.epochs <= rung], initial=math.inf)) for c in curves]
    # One whose first epoch comes later, such as of a trial that continues another.
    early = [float(c.losses[0]) if math.isinf(e) else e for c, e in zip(curves, early, strict=True)]
    return early, [float(c.losses.min()) for c in curves]


def _telling_epoch(curves: list[Curve], rung: int, last: int) -> int:
    """Returns the first epoch after a rung whose order agrees with the last; else half of all."""
    for epoch in range(rung + 1, last):
        if rank_correlation(*_bests(curves, epoch)) >= _GOOD:
            return epoch
    return max(rung + 1, last // 2)
