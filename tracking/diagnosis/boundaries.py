"""Boundaries: do the best trials crowd at an end of a range, or at where trials begin to fail?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from search_spaces.parameters.kinds import Float, Int
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding, TooThinError
from tracking.diagnosis.next_launch import Way, between, widened
from tracking.diagnosis.numbers import Array, at_least, counted, of_best, rank_correlation, shown
from tracking.diagnosis.schedules import is_learning_rate, schedule_of
from tracking.history.reasons import reasons

_LEAST_TRIALS: Final = 10
_MANY_TRIALS: Final = 50
_EDGE: Final = 0.1
_EDGE_OF_FEW: Final = 0.2
_UNLIKELY: Final = 0.01
_SIGNIFICANT: Final = 1.645
_FAILING: Final = 3
# As `infeasible_share` has it.
_MANY: Final = 0.2


@dataclass(frozen=True)
class _Side:
    """A hyperparameter's trials, seen from one of its ends.

    Attributes:
        way: The end.
        distances: Of the trials with a value, the best first, in the sampling scale.
        losses: Their losses.
        failed: Distances of the infeasible trials.
    """

    way: Way
    distances: Array
    losses: Array
    failed: Array

    @property
    def edge(self) -> float:
        """The end, or where trials begin to fail, if all beyond a place do.

        At least three must have failed there, and so many must be unlikely (below 1 %) by the share
        that fails elsewhere.
        """
        nearest = float(self.distances.min())
        beyond = int((self.failed < nearest).sum())
        elsewhere = len(self.failed) - beyond
        share = (elsewhere + 1) / (len(self.distances) + elsewhere + 2)
        return nearest if beyond >= _FAILING and share**beyond < _UNLIKELY else 0.0


def boundary(study: DiagnosedStudy, parameter: Float | Int) -> Finding | None:
    """Finds an end of a range at which the best trials crowd.

    Deep Learning Tuning Playbook, "Identifying bad search space boundaries": "if the best points
    cluster towards the edge of a search space (in some dimension), then the search space boundaries
    might need to be expanded"; "if all trials are infeasible for learning rates greater than some
    threshold value, and if the best performing trials have learning rates at the edge of that
    region", the model may be unstable beyond.

    The rule: at least half of the best tenth of trials (3 to 10 of them) lie in the last tenth of
    the range in its sampling scale, or at the last value of a short grid; so many would rarely lie
    there by chance (binomial, below 1 %); and in the half of the range next to the end, trials get
    better towards it (Spearman's rank correlation, one-sided, 5 %). The last keeps a sampler's own
    preference for a region from counting as evidence. Of fewer than fifty trials, a tenth of the
    range holds too few to tell: then it is the last fifth.

    Raises:
        TooThinError: If fewer than ten trials have a value.
    """
    active = [t for t in study.ranked if parameter.contains(t.params.get(parameter.name))]
    if len(active) < _LEAST_TRIALS:
        raise TooThinError(
            f"{counted(_LEAST_TRIALS, 'trial')} with a value are needed; the study has "
            f"{len(active)}."
        )
    units = np.array([parameter.to_unit(trial.params[parameter.name]) for trial in active])
    failed = np.array(
        [
            parameter.to_unit(trial.params[parameter.name])
            for trial in study.infeasible
            if parameter.contains(trial.params.get(parameter.name))
        ]
    )
    losses = np.array([study.loss(trial) for trial in active])
    amount = len(study.top(active))
    for side in (
        _Side("upper", 1 - units, losses, 1 - failed),
        _Side("lower", units, losses, failed),
    ):
        found = _crowded(side, parameter, amount)
        if found is not None:
            return _finding(study, parameter, side, found, amount, units)
    return None


def _crowded(side: _Side, parameter: Float | Int, amount: int) -> int | None:
    """Returns how many of the best trials lie at an end, if they crowd there."""
    # A short grid has more than that in its last value.
    share = _share(len(side.losses))
    share = max(share, 1 / parameter.count) if parameter.count else share
    beyond = side.distances - side.edge
    there = int((beyond[:amount] <= _width(side, parameter) + 1e-9).sum())
    if there * 2 < amount or at_least(there, amount, share) >= _UNLIKELY:
        return None
    near = beyond <= 0.5
    correlation = rank_correlation(beyond[near], side.losses[near])
    if correlation * math.sqrt(max(int(near.sum()) - 1, 0)) < _SIGNIFICANT:
        return None
    return there


def _width(side: _Side, parameter: Float | Int) -> float:
    """Returns the width of the region next to an end, in the sampling scale."""
    share = _share(len(side.losses))
    if parameter.count is not None and parameter.count * share < 1:
        return 1 / parameter.count
    return share * (1 - side.edge)


def _share(trials: int) -> float:
    """Returns which part of a range is next to its end."""
    return _EDGE if trials >= _MANY_TRIALS else _EDGE_OF_FEW


def _finding(
    study: DiagnosedStudy,
    parameter: Float | Int,
    side: _Side,
    there: int,
    amount: int,
    units: Array,
) -> Finding:
    name, end = parameter.name, parameter.low if side.way == "lower" else parameter.high
    evidence = {
        "end": end,
        "best trials": amount,
        "of them at the end": there,
        "best value": study.ranked[0].params.get(name),
    }
    rows = tuple(_rows(study, parameter, side, amount, units))
    if side.edge > 0:
        return _unstable(study, parameter, side, there, amount, evidence, rows)
    domain = widened(parameter, side.way)
    part = f"in the {'tenth' if _share(len(units)) == _EDGE else 'fifth'} of the range next to"
    if parameter.count is not None and parameter.count * _share(len(units)) < 1:
        part = "at"
    best = of_best(there, amount)
    crowd = f"{best[0].upper()}{best[1:]} trials lie {part} its {side.way} end, {shown(end)}"
    if not domain:
        return Finding(
            "boundary",
            "ok",
            f"{name}: best at its natural end",
            f"{crowd}, and nothing lies beyond.",
            f"Compare with {name} fixed at {shown(end)}: it may not be needed.",
            evidence=evidence,
            parameter=name,
            rows=rows,
        )
    advice = f"Widen it to {domain}."
    schedule = schedule_of(study) if is_learning_rate(name) else ""
    if schedule:
        evidence["schedule"] = schedule
        advice += (
            f" The rate is scheduled ({schedule}): "
            + ("a decay that is too fast" if side.way == "upper" else "one that is too slow")
            + " shows like this too, so tune both together."
        )
    return Finding(
        "boundary",
        "problem",
        f"{name}: the best trials crowd at its {side.way} end",
        f"{crowd}, and trials get better towards it.",
        advice,
        evidence=evidence,
        parameter=name,
        changes=Changes({name: domain}),
        rows=rows,
    )


def _unstable(
    study: DiagnosedStudy,
    parameter: Float | Int,
    side: _Side,
    there: int,
    amount: int,
    evidence: dict[str, object],
    rows: tuple[dict[str, object], ...],
) -> Finding:
    """Returns the finding of a range whose best trials lie next to where trials fail."""
    name = parameter.name
    unit = 1 - side.edge if side.way == "upper" else side.edge
    limit = parameter.from_unit(unit)
    failing = [
        trial
        for trial in study.infeasible
        if parameter.contains(trial.params.get(name))
        and (parameter.to_unit(trial.params[name]) > unit) == (side.way == "upper")
        and parameter.to_unit(trial.params[name]) != unit
    ]
    why = reasons(failing)[0].text if reasons(failing) else "no reason recorded"
    beyond = "above" if side.way == "upper" else "below"
    domain = between(parameter, 0.0, unit) if side.way == "upper" else between(parameter, unit, 1.0)
    return Finding(
        "boundary",
        "problem" if len(failing) >= _MANY * len(study.history.ended) else "hint",
        f"{name}: unstable beyond its best values",
        f"All {counted(len(failing), 'trial')} {beyond} {shown(limit)} failed ({why}), and "
        f"{of_best(there, amount)} trials lie next to it.",
        "A more stable training may do better there: warm-up, gradient clipping, normalization. "
        "Else keep the search where trials train.",
        evidence={**evidence, "fails beyond": limit, "failed there": len(failing), "reason": why},
        parameter=name,
        changes=Changes({name: domain} if domain else {}),
        rows=rows,
    )


def _rows(
    study: DiagnosedStudy, parameter: Float | Int, side: _Side, amount: int, units: Array
) -> Iterator[dict[str, object]]:
    """Yields the points of the picture: each trial's place in the sampling scale and its value."""
    start, stop = side.edge, side.edge + _width(side, parameter)
    if side.way == "upper":
        start, stop = 1 - stop, 1 - start
    yield {"kind": "edge", "unit": start, "until": stop}
    for place, (unit, loss) in enumerate(zip(units, side.losses, strict=True)):
        kind = "best" if place < amount else "other"
        yield {"kind": kind, "unit": round(float(unit), 4), "value": study.value(float(loss))}
    for distance in side.failed:
        unit = distance if side.way == "lower" else 1 - distance
        yield {"kind": "infeasible", "unit": round(float(unit), 4)}
