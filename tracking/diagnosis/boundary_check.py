"""The check `boundary`: do the best trials crowd at an end of a range?

`wider` and `part` return the ranges that checks suggest for the next launch.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal

import numpy as np

from search_spaces import Float, Int, read_domain, spell_domain
from search_spaces.errors import SearchSpaceError
from search_spaces.texts import readable
from tracking.diagnosis.diagnosed_study import Array, Changes, DiagnosedStudy, Finding, of_best

_LEAST_TRIALS: Final = 10
_MANY_TRIALS: Final = 50
# `boundary` explains these numbers. 1.645 is the 95 % quantile of the normal distribution.
_EDGE: Final = 0.1
_EDGE_OF_FEW: Final = 0.2
_UNLIKELY: Final = 0.01
_SIGNIFICANT: Final = 1.645


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
      sampler preferred the end.
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
    crowding = _crowded(1 - units, losses, best, width)
    if not crowding:
        way, crowding = "lower", _crowded(units, losses, best, width)
    if not crowding:
        return None
    end, domain = parameter.high if way == "upper" else parameter.low, wider(parameter, way)
    where = f"in the {'tenth' if edge == _EDGE else 'fifth'} of the range next to"
    having = "" if len(active) == len(study.ranked) else f" with {name}"
    place = f"{where if width == edge else 'at'} its {way} end, {readable(end)}"
    crowd = f"{of_best(crowding, best)} trials{having} lie {place}"
    crowd = f"{crowd[0].upper()}{crowd[1:]}"
    title, verdict = (
        f"{name}: the best trials crowd at its {way} end",
        "trials get better towards it",
    )
    advice = f"Widen it to {domain}."
    if not domain:
        title, verdict = f"{name}: best at its natural end", "nothing lies beyond"
        advice = f"Compare with {name} fixed at {readable(end)}: it may not be needed."
    return Finding(
        "boundary",
        "problem" if domain else "ok",
        title,
        f"{crowd}, and {verdict}.",
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


def _crowded(distances: Array, losses: Array, best: int, width: float) -> int:
    """Returns how many of the best trials crowd at an end of a range, or 0 if they don't.

    `distances` has the distance of each trial from the end, as a share of the range. The best trial
    is first. A trial is at the end if its distance is at most `width`.
    """
    from scipy import special

    crowding = int((distances[:best] <= width + 1e-9).sum())
    if crowding * 2 < best or special.bdtrc(crowding - 1, best, width) >= _UNLIKELY:
        return 0
    near = distances <= 0.5
    if np.ptp(distances[near]) == 0 or np.ptp(losses[near]) == 0:
        return 0
    # This computes Spearman's correlation by numpy, as the import of `scipy.stats` takes half a
    # second.
    correlation = float(np.corrcoef(_ranks(distances[near]), _ranks(losses[near]))[0, 1])
    return crowding if correlation * math.sqrt(int(near.sum()) - 1) >= _SIGNIFICANT else 0


def _ranks(values: Array) -> Array:
    """Returns the rank of each value. Equal values get the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


# The playbook doesn't say how far to widen a range. As a rule of thumb, `wider` adds half of the
# range's length on its scale. On a log scale, it adds at most a factor of ten.
_LARGEST_FACTOR: Final = 10.0
_COUNTS: Final = ("epochs", "batch_size")


def wider(parameter: Float | Int, way: Literal["lower", "upper"]) -> str:
    """Returns a domain that is wider at one end, or an empty text if nothing lies beyond that end.

    Positive ranges stay positive, and ranges within 0 … 1 stay below 1. A grid keeps its steps.
    """
    low, high, up = float(parameter.low), float(parameter.high), way == "upper"
    log, linear = parameter.scale == "log", parameter.scale == "linear"
    by = (high - low) / 2 if linear else min(math.sqrt(high / low), _LARGEST_FACTOR)
    if not log and not linear:
        # The sum low + high of a reverse log range stays the same: 0.01 to 0.99 becomes 0.001 to
        # 0.999. The lower end is not widened.
        nearer = float(f"{low / by:.2g}")
        return _spelled(parameter, nearer, low + high - nearer) if up else ""
    share = linear and isinstance(parameter, Float) and low >= 0 and high <= 1
    whole = parameter.name in _COUNTS or low >= 1 or (log and isinstance(parameter, Int))
    least = -math.inf if low < 0 else 1.0 if whole else 0.0
    if up and share:
        # If the values are shares, e.g. dropout rates, the upper end moves by at most half of its
        # distance from 1.
        by = min(by, (1 - high) / 2)
    elif not up:
        by = min(by, (low / least if least else by) if log else low - least)
    if parameter.count is not None and parameter.step != parameter.usual_step:
        step = float(parameter.step or 0)
        steps = int((math.log(by, step) if log else by / step) + 1e-9)
        by = step**steps if log else step * steps
        if isinstance(parameter, Int) and not up and log and low / by % 1:
            return ""
    # Sums are rounded, as 0.3 - 3 * 0.1 must be 0.
    if up:
        end = high * by if log else round(high + by, 12)
        return _spelled(parameter, low, end, digits=12 if share else 2)
    return _spelled(parameter, low / by if log else round(low - by, 12) or 0.0, high)


def part(parameter: Float | Int, low_unit: float, high_unit: float) -> str:
    """Returns the part of a domain between two results of `to_unit`, in the form of ``--set``.

    The text is empty if this part is the whole domain.
    """
    low, high = parameter.low, parameter.high
    # The ends are rounded outwards, so that no good value is cut off.
    if low_unit > 0:
        low = max(_rounded(parameter, parameter.from_unit(low_unit), ROUND_FLOOR), low)
    if high_unit < 1:
        high = min(_rounded(parameter, parameter.from_unit(high_unit), ROUND_CEILING), high)
    return _spelled(parameter, low, high)


def _rounded(parameter: Float | Int, value: float, rounding: str) -> float:
    """Rounds a value of a continuous domain to two digits, up or down."""
    if parameter.count is not None or value == 0:
        return value
    exact = Decimal(repr(float(value)))
    return float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), rounding=rounding))


def _spelled(parameter: Float | Int, low: float, high: float, digits: int = 2) -> str:
    """Returns a range in the form of ``--set``.

    The text is empty if the range is the present one, or is not valid for the hyperparameter.
    """
    if isinstance(parameter, Int):
        low, high = round(low), round(high)
    elif parameter.count is None:
        digits = 12 if parameter.scale == "reverse_log" else digits
        low = low if low == parameter.low else float(f"{low:.2g}")
        high = high if high == parameter.high else float(f"{high:.{digits}g}")
    if (low, high) == (parameter.low, parameter.high) or not low < high:
        return ""
    try:
        return spell_domain(read_domain(parameter, f"{low!r}..{high!r}:{parameter.scale}"))
    except SearchSpaceError:
        # The parameter can't have such a range.
        return ""
