"""The checks of the space: do the best trials crowd at a range's end, and where do trials fail?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal, NamedTuple

import numpy as np

from search_spaces import Float, Int, Listed, Parameter, read_domain, spell_domain, spell_values
from search_spaces.errors import SearchSpaceError
from search_spaces.texts import counted, readable
from tracking.diagnosis.evidence import Array, Changes, DiagnosedStudy, Finding, of_best
from tracking.history.trial_ranks import reasons
from tracking.records import EndedTrial

_LEAST_TRIALS: Final = 10
_MANY_TRIALS: Final = 50
_EDGE: Final = 0.1
_EDGE_OF_FEW: Final = 0.2
_UNLIKELY: Final = 0.01
_SIGNIFICANT: Final = 1.645

_MANY_FAILED: Final = 0.2
_LEAST_FAILED: Final = 2
_PURE: Final = 0.7


def boundary(study: DiagnosedStudy, parameter: Float | Int) -> Finding | None:
    """Finds an end of a range at which the best trials crowd.

    Deep Learning Tuning Playbook, "Identifying bad search space boundaries": "if the best points
    cluster towards the edge of a search space (in some dimension), then the search space boundaries
    might need to be expanded".

    Only trials count in which the hyperparameter is active. The best tenth of these (3 to 10
    trials) crowds at an end if three conditions hold:

    - At least half of it lies in the last tenth of the range on its scale, or at the last value of
      a short grid. With fewer than 50 trials, the last fifth counts instead.
    - The chance that so many lie there is below 1 % (binomial).
    - In the half of the range next to the end, trials get better towards the end (Spearman's rank
      correlation, one-sided, 5 %). Without this condition, a sampler's preference for the end would
      be enough.
    """
    name = parameter.name
    active = [t for t in study.ranked if parameter.contains(t.params.get(name))]
    study.check_trials(_LEAST_TRIALS, active)
    units = np.array([parameter.to_unit(trial.params[name]) for trial in active])
    losses = np.array([study.loss(trial) for trial in active])
    best, edge = len(study.top(active)), _EDGE if len(active) >= _MANY_TRIALS else _EDGE_OF_FEW
    # The last value of a short grid takes a larger part of the range.
    width = max(edge, 1 / parameter.count) if parameter.count else edge
    if crowding := _crowded(1 - units, losses, best, width):
        domain, way, end = wider(parameter, "upper"), "upper", parameter.high
    elif crowding := _crowded(units, losses, best, width):
        domain, way, end = wider(parameter, "lower"), "lower", parameter.low
    else:
        return None
    where = f"in the {'tenth' if edge == _EDGE else 'fifth'} of the range next to"
    crowd = f"{of_best(crowding, best)} trials lie {where if width == edge else 'at'} its {way} "
    crowd = f"{crowd[0].upper()}{crowd[1:]}end, {readable(end)}"
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

    `distances` has each trial's distance from the end, the best trial first. The range has length
    1, and the end has length `width`.
    """
    from scipy import special

    crowding = int((distances[:best] <= width + 1e-9).sum())
    if crowding * 2 < best or special.bdtrc(crowding - 1, best, width) >= _UNLIKELY:
        return 0
    near = distances <= 0.5
    if np.ptp(distances[near]) == 0 or np.ptp(losses[near]) == 0:
        return 0
    # This is Spearman's correlation. The import of `scipy.stats` would take half a second.
    correlation = float(np.corrcoef(_ranks(distances[near]), _ranks(losses[near]))[0, 1])
    return crowding if correlation * math.sqrt(int(near.sum()) - 1) >= _SIGNIFICANT else 0


def _ranks(values: Array) -> Array:
    """Returns the rank of each value. Equal values get the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


class _Region(NamedTuple):
    """A part of a hyperparameter's domain in which trials fail.

    ``chance`` is the probability that so many failures lie in the region by chance. ``rest`` is the
    rest of the domain in the form of ``--set``, or empty.
    """

    parameter: Parameter
    text: str
    failed: int
    total: int
    chance: float
    rest: str


def infeasible_share(study: DiagnosedStudy) -> Finding | None:
    """Finds that many trials fail, and where.

    Deep Learning Tuning Playbook, "Extracting insight from experimental results": "When a very
    large fraction of points in a study are infeasible we should try to adjust the search space to
    avoid sampling such points [...]. In some cases, a large number of infeasible points can
    indicate a bug in the training code."

    Here the fraction is very large if it is a fifth of the trials, at least two (a rule of thumb).
    The finding names the part of a range, or the value of a choice, with the most significant
    accumulation of failures (Fisher's exact test, at 1 % over all hyperparameters). At least 70 %
    of the trials there must have failed.
    """
    ended, failed = [*study.ranked, *study.infeasible], study.infeasible
    if len(failed) < _LEAST_FAILED or len(failed) < _MANY_FAILED * len(ended):
        return None
    why = reasons(failed)
    region = _where(study, ended)
    verdict = f"{len(failed)} of {counted(len(ended), 'trial')} have no value"
    evidence = {
        "infeasible": len(failed),
        "trials": len(ended),
        "reasons": {each.text: len(each.trials) for each in why[:5]},
    }
    advice, changes = "No single hyperparameter says where: look at the reasons.", Changes()
    if why:
        verdict += f": most often, {why[0].text}"
    if region is not None:
        verdict += f"; {region.failed} of {region.total} fail where {region.text}"
        evidence |= {"where": region.text, "failed there": region.failed}
        changes = Changes({region.parameter.name: region.rest} if region.rest else {})
        advice = (
            f"Search {region.parameter.name} where trials train: {region.rest or 'elsewhere'}; or "
            "make training more stable there, by warm-up, gradient clipping or normalization."
        )
    if sum(bool(trial.result.raised) for trial in failed) * 2 > len(failed):
        changes = Changes(settings={"retry_infeasible": True}, resumes=True)
        advice = "Code raised an error: mend it, then train them again."
    return Finding(
        "infeasible",
        "problem",
        "Many trials are infeasible",
        f"{verdict}.",
        advice,
        evidence=evidence,
        parameter="" if region is None else region.parameter.name,
        changes=changes,
    )


def _where(study: DiagnosedStudy, ended: list[EndedTrial]) -> _Region | None:
    """Returns the region with the most significant accumulation of failures, or None."""
    regions = [
        region
        for parameter in study.varying
        for region in _regions(parameter, [t for t in ended if parameter.name in t.params])
    ]
    if not regions:
        return None
    best = min(regions, key=lambda each: (each.chance, -each.failed))
    return best if best.chance * len(study.varying) < _UNLIKELY else None


def _regions(parameter: Parameter, ended: list[EndedTrial]) -> Iterator[_Region]:
    name = parameter.name
    active = [trial for trial in ended if parameter.contains(trial.params[name])]
    failed = [trial for trial in active if trial.state == "infeasible"]
    total, marked = len(active), len(failed)
    if not marked or marked == total:
        return

    def region(text: str, inside: int, inside_it: int, rest: str) -> Iterator[_Region]:
        if inside >= _LEAST_FAILED and inside >= _PURE * inside_it:
            # This import takes half a second.
            from scipy import stats

            chance = float(stats.hypergeom.sf(inside - 1, total, marked, inside_it))
            yield _Region(parameter, f"{name} {text}", inside, inside_it, chance, rest)

    if isinstance(parameter, Listed):
        for value in parameter.values:
            inside_it = [t for t in active if parameter.canonical(t.params[name]) == value]
            inside = sum(trial.state == "infeasible" for trial in inside_it)
            left = [other for other in parameter.values if other != value]
            rest = spell_values(parameter, left) if left else ""
            text = f"is {readable(parameter.opened(value))}"
            yield from region(text, inside, len(inside_it), rest)
        return
    assert isinstance(parameter, Float | Int)
    placed = sorted((parameter.to_unit(t.params[name]), t.state == "infeasible") for t in active)
    units = [unit for unit, _ in placed]
    before = 0
    for place in range(1, total):
        before += placed[place - 1][1]
        # Only cuts between a failed trial and a sound one can be the best.
        if units[place] == units[place - 1] or placed[place][1] == placed[place - 1][1]:
            continue
        cut = (units[place - 1] + units[place]) / 2
        limit, inside = readable(parameter.from_unit(cut)), marked - before
        yield from region(f"is above {limit}", inside, total - place, part(parameter, 0.0, cut))
        yield from region(f"is below {limit}", before, place, part(parameter, cut, 1.0))


# The playbook doesn't say how far to widen a range. By a rule of thumb, a range grows by half of
# its length on its scale, and by a factor of ten at most.
_LARGEST_FACTOR: Final = 10.0
_COUNTS: Final = ("epochs", "batch_size")


def wider(parameter: Float | Int, way: Literal["lower", "upper"]) -> str:
    """Returns a domain that is wider at one end, or an empty text if nothing lies beyond that end.

    A positive range doesn't grow below 0, and a range within 0 … 1 not above 1. A grid keeps its
    steps.
    """
    low, high, up = float(parameter.low), float(parameter.high), way == "upper"
    log, linear = parameter.scale == "log", parameter.scale == "linear"
    by = (high - low) / 2 if linear else min(math.sqrt(high / low), _LARGEST_FACTOR)
    if not log and not linear:
        # A reverse log range keeps its sum low + high: 0.01 to 0.99 becomes 0.001 to 0.999. At
        # its lower end, it need not be widened.
        nearer = float(f"{low / by:.2g}")
        return _spelled(parameter, nearer, low + high - nearer) if up else ""
    share = linear and isinstance(parameter, Float) and low >= 0 and high <= 1
    whole = parameter.name in _COUNTS or low >= 1 or (log and isinstance(parameter, Int))
    least = -math.inf if low < 0 else 1.0 if whole else 0.0
    if up and share:
        # A share, e.g. a dropout rate, grows by at most half of its distance from 1.
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
    """Returns the domain between two results of `to_unit`; empty if it is not smaller."""
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
    """Returns a range in the form of ``--set``; empty if it is the present range, or not valid."""
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
