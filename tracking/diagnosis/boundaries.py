"""Boundaries: do the best trials crowd at an end of a range?"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from search_spaces.parameters.ranges import Float, Int
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.numbers import Array, counted, of_best, shown
from tracking.diagnosis.ranges import wider

_LEAST_TRIALS: Final = 10
_MANY_TRIALS: Final = 50
_EDGE: Final = 0.1
_EDGE_OF_FEW: Final = 0.2
_UNLIKELY: Final = 0.01
_SIGNIFICANT: Final = 1.645


def boundary(study: DiagnosedStudy, parameter: Float | Int) -> Finding | None:
    """Finds an end of a range at which the best trials crowd.

    Deep Learning Tuning Playbook, "Identifying bad search space boundaries": "if the best points
    cluster towards the edge of a search space (in some dimension), then the search space boundaries
    might need to be expanded".

    The rule: at least half of the best tenth of trials (3 to 10 of them) lie in the last tenth of
    the range in its sampling scale, or at the last value of a short grid; so many would rarely lie
    there by chance (binomial, below 1 %); and in the half of the range next to the end, trials get
    better towards it (Spearman's rank correlation, one-sided, 5 %). The last keeps a sampler's own
    preference for a region from counting as evidence. Of fewer than fifty trials, a tenth of the
    range holds too few to tell: then it is the last fifth.

    Raises:
        TooThinError: If fewer than ten trials have a value.
    """
    name = parameter.name
    active = [t for t in study.ranked if parameter.contains(t.params.get(name))]
    if len(active) < _LEAST_TRIALS:
        raise TooThinError(
            f"{counted(_LEAST_TRIALS, 'trial')} with a value are needed; the study has "
            f"{len(active)}."
        )
    units = np.array([parameter.to_unit(trial.params[name]) for trial in active])
    losses = np.array([study.loss(trial) for trial in active])
    best, part = len(study.top(active)), _EDGE if len(active) >= _MANY_TRIALS else _EDGE_OF_FEW
    # A short grid has more than that in its last value.
    width = max(part, 1 / parameter.count) if parameter.count else part
    if there := _crowded(1 - units, losses, best, width):
        upper = True
    elif there := _crowded(units, losses, best, width):
        upper = False
    else:
        return None
    way, end = ("upper", parameter.high) if upper else ("lower", parameter.low)
    domain = wider(parameter, "upper" if upper else "lower")
    where = f"in the {'tenth' if part == _EDGE else 'fifth'} of the range next to"
    crowd = of_best(there, best)
    crowd = (
        f"{crowd[0].upper()}{crowd[1:]} trials lie {where if width == part else 'at'} its {way} "
        f"end, {shown(end)}"
    )
    evidence = {
        "end": end,
        "best trials": best,
        "of them at the end": there,
        "best value": study.ranked[0].params.get(name),
    }
    if not domain:
        return Finding(
            "boundary",
            "ok",
            f"{name}: best at its natural end",
            f"{crowd}, and nothing lies beyond.",
            f"Compare with {name} fixed at {shown(end)}: it may not be needed.",
            evidence=evidence,
            parameter=name,
        )
    return Finding(
        "boundary",
        "problem",
        f"{name}: the best trials crowd at its {way} end",
        f"{crowd}, and trials get better towards it.",
        f"Widen it to {domain}.",
        evidence=evidence,
        parameter=name,
        changes=Changes({name: domain}),
    )


def _crowded(distances: Array, losses: Array, best: int, width: float) -> int:
    """Returns how many of the best trials lie at an end, if they crowd there; else 0.

    Args:
        distances: Of trials from that end, the best first.
        losses: Their losses.
        best: How many of them are the best.
        width: Of the region at the end.
    """
    # It takes half a second to import, and lists of studies need none of it.
    from scipy import stats

    there = int((distances[:best] <= width + 1e-9).sum())
    if there * 2 < best or stats.binom.sf(there - 1, best, width) >= _UNLIKELY:
        return 0
    near = distances <= 0.5
    if np.ptp(distances[near]) == 0 or np.ptp(losses[near]) == 0:
        return 0
    correlation = float(stats.spearmanr(distances[near], losses[near]).statistic)
    return there if correlation * math.sqrt(int(near.sum()) - 1) >= _SIGNIFICANT else 0
