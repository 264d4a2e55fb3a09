"""Compares studies, or one study's engines, by best values, costs, and regions of top trials.

The cost of a study is its epochs and its seconds of training, summed over all trials:

- Pruned and infeasible trials count, too. Repeated trials count with all of their trainings.
- If a trial continues another trial, only its own epochs count.
- The sum does not depend on the number of workers.

A region is the part of a hyperparameter's domain that a study's top trials use. The region of a
number is the interval from its lowest to its highest value. The region of a choice is the set of
its values. The overlap of two regions is their Jaccard index: the size of their intersection
divided by the size of their union. The overlap of several studies is the mean over all pairs.

The length of an interval is measured on the scale from which values are sampled: on a log scale,
1e-4 to 1e-3 is as long as 1e-2 to 1e-1. If studies declare different scales, the scale is linear.
An integer, or a value of a grid, stands for the interval of half a step to either side.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces import Float, Int, Parameter, Scale, identity, value_to_unit
from search_spaces.checks import finite_number, whole_number
from search_spaces.errors import ComparisonError
from search_spaces.texts import listed
from tracking.history.answers import Answer, answer, epochs_of
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial, Objective, TrialRecord

_MOST_TOP = 10
_LEAST_TOP = 3
_Interval = tuple[float, float]


@dataclass(frozen=True)
class Reached:
    """The cost of reaching a target: all trials, by number, up to the first that reaches it.

    The costs are None if no trial reaches the target.

    Attributes:
        target: The value to reach.
        trials: The number of trials.
        epochs: Their epochs.
        seconds: Their seconds of training.
    """

    target: float
    trials: int | None = None
    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Standing:
    """A study in a comparison.

    Attributes:
        label: The study's name in this comparison.
        history: The study.
        best: Its best trial, or None if no trial has a value.
        epochs: The epochs of all trials.
        seconds: The seconds of training of all trials.
        reached: The cost of reaching each target.
    """

    label: str
    history: StudyHistory
    best: EndedTrial | None
    epochs: int
    seconds: float
    reached: tuple[Reached, ...]


@dataclass(frozen=True)
class ParameterOverlap:
    """The regions of studies' top trials in one hyperparameter.

    Attributes:
        name: The hyperparameter.
        numeric: Whether the regions are intervals.
        regions: For each study, `(lowest, highest)` of a number, or the values of a choice. Empty
            if no top trial has a value of the hyperparameter.
        overlap: The overlap of the regions that are not empty, from 0 to 1.
    """

    name: str
    numeric: bool
    regions: tuple[tuple[Any, ...], ...]
    overlap: float


@dataclass(frozen=True)
class Comparison:
    """Studies side by side.

    Attributes:
        objective: The objective of all studies.
        standings: The studies, in the order in which they were given.
        targets: The values to reach, the easiest first.
        top: The number of each study's best trials that make its region.
        parameters: The overlaps in the hyperparameters that all studies declare with the same kind
            of domain, a range or choices.
        overlap: The mean of these overlaps; None if there are none.
        notes: Sentences that warn of differences between the studies.
        answer: Which one is better at equal budget.
    """

    objective: Objective
    standings: tuple[Standing, ...]
    targets: tuple[float, ...]
    top: int
    parameters: tuple[ParameterOverlap, ...]
    overlap: float | None
    notes: tuple[str, ...]
    answer: Answer


def compare(
    histories: Sequence[StudyHistory], reach: Sequence[float] = (), top: int | None = None
) -> Comparison:
    """Compares studies, or one study's engines.

    Args:
        histories: Two or more studies, or a study under two or more engines.
        reach: Values of the objective to reach. There are three by default: the worst of the
            studies' best values, which all of them reach; the median of all trials' values; and the
            middle between these two.
        top: The number of each study's best trials that make its region, at least 1. By default it
            is a fifth of the trials with a value in the smallest study, at least 3, at most 10.

    Raises:
        ComparisonError: If there are fewer than two histories, or one twice; if their objectives or
            directions differ; if a value to reach is not finite, or `top` is below 1.
    """
    _check(histories, reach, top)
    objective = histories[0].description.objective
    bests = [history.holding for history in histories]
    targets = tuple(sorted(set(reach) or _targets(bests, objective), key=objective.sort_key))[::-1]
    standings = tuple(
        Standing(
            label=label,
            history=history,
            best=best[0] if best else None,
            epochs=sum(map(epochs_of, history.ended)),
            seconds=math.fsum(trial.result.seconds for trial in history.ended),
            reached=_reached(history, targets),
        )
        for label, history, best in zip(_labels(histories), histories, bests, strict=True)
    )
    # A study without a value has no region, so `top` does not depend on it.
    fewest = min((len(best) for best in bests if best), default=0)
    usual = min(max(fewest // 5, _LEAST_TOP), _MOST_TOP)
    count = min(usual if top is None else top, fewest)
    parameters = _overlaps(histories, [best[:count] for best in bests])
    overlaps = [each.overlap for each in parameters]
    return Comparison(
        objective=objective,
        standings=standings,
        targets=targets,
        top=count,
        parameters=parameters,
        overlap=statistics.fmean(overlaps) if overlaps else None,
        notes=tuple(_notes(standings)),
        answer=answer(histories, _labels(histories)),
    )


def _check(histories: Sequence[StudyHistory], reach: Sequence[float], top: int | None) -> None:
    keys = [(each.description.name, each.description.engine) for each in histories]
    called = [f"{name!r} by {engine}" for name, engine in keys]
    if len(set(keys)) < len(keys):
        twice = next(name for name in called if called.count(name) > 1)
        hint = "Name another study, or another engine."
        raise ComparisonError(f"The study {twice} is given twice", hint=hint)
    if len(keys) < 2:
        raise ComparisonError(
            "Comparing takes two studies, or one that was launched with two engines. Received: "
            f"{listed(called) or 'none'}."
        )
    objectives = [each.description.objective for each in histories]
    if len(set(objectives)) > 1:
        targets = (f"{objective.direction} {objective.metric}" for objective in objectives)
        pairs = "; ".join(map(": ".join, zip(called, targets, strict=True)))
        raise ComparisonError(
            "Studies with different objectives can't be compared by value. Received: "
            f"{pairs}. Compare studies that optimize the same metric in the same direction."
        )
    for value in reach:
        finite_number("A value to reach", value, ComparisonError)
    if top is not None:
        whole_number("top", top, ComparisonError)


def _overlaps(
    histories: Sequence[StudyHistory], regions: Sequence[Sequence[TrialRecord]]
) -> tuple[ParameterOverlap, ...]:
    spaces = [history.description.space for history in histories]
    overlaps = []
    for name in spaces[0].names:
        if all(name in space for space in spaces):
            values = [
                [trial.spec.values[name] for trial in region if name in trial.spec.values]
                for region in regions
            ]
            overlaps.append(_overlap([space[name] for space in spaces], values))
    return tuple(each for each in overlaps if each is not None)


def _labels(histories: Sequence[StudyHistory]) -> list[str]:
    names = [history.description.name for history in histories]
    engines = [history.description.engine for history in histories]
    if len(set(names)) == len(names):
        return names
    if len(set(names)) == 1:
        return engines
    return [f"{name} by {engine}" for name, engine in zip(names, engines, strict=True)]


def _targets(bests: Sequence[Sequence[TrialRecord]], objective: Objective) -> list[float]:
    values = [[trial.best.value for trial in best if trial.best] for best in bests]
    finite = [[value for value in each if math.isfinite(value)] for each in values]
    tops = [each[0] for each in finite if each]
    if not tops:
        return []
    hard = max(tops, key=objective.sort_key)
    median = statistics.median_low([value for each in finite for value in each])
    if not objective.is_better(hard, median):
        return [hard]
    return [median, (median + hard) / 2, hard]


def _reached(history: StudyHistory, targets: Sequence[float]) -> tuple[Reached, ...]:
    objective = history.description.objective
    valued = {trial.number for trial in history.holding}
    costs: dict[float, Reached] = {}
    epochs, seconds = 0, 0.0
    for count, trial in enumerate(history.trials, start=1):
        if isinstance(trial, EndedTrial):
            epochs += epochs_of(trial)
            seconds += trial.result.seconds
        if trial.number not in valued or trial.best is None:
            continue
        for target in targets:
            if target not in costs and not objective.is_better(target, trial.best.value):
                costs[target] = Reached(target, count, epochs, seconds)
    return tuple(costs.get(target, Reached(target)) for target in targets)


def _notes(standings: Sequence[Standing]) -> list[str]:
    first, *others = standings
    described = first.history.description
    notes = []
    for other in others:
        description = other.history.description
        if description.data.digest != described.data.digest:
            notes.append(
                f"The data of {first.label!r} ({described.data.name}, digest "
                f"{described.data.digest[:12]}) and {other.label!r} ({description.data.name}, "
                f"digest {description.data.digest[:12]}) differ: so may what their values mean."
            )
        apart = [
            f"{name!r} is only in {one.label!r}"
            for one, two in ((first, other), (other, first))
            for name in one.history.description.space.names
            if name not in two.history.description.space
        ]
        if apart:
            notes.append(f"The spaces differ: {', '.join(apart)}.")
    devices = {
        str(trial.environment["device"]): None
        for standing in standings
        for trial in standing.history.trials
        if "device" in trial.environment
    }
    if len(devices) > 1:
        notes.append(f"Trials ran on {' and '.join(devices)}: their seconds don't compare.")
    return notes


def _overlap(
    parameters: Sequence[Parameter], values: Sequence[Sequence[Any]]
) -> ParameterOverlap | None:
    """Returns the overlap in one hyperparameter; None if it can't be compared."""
    ranged = [parameter for parameter in parameters if isinstance(parameter, Float | Int)]
    regions: tuple[tuple[Any, ...], ...]
    if ranged:
        if len(ranged) < len(parameters):
            return None
        regions = tuple((min(each), max(each)) if each else () for each in values)
        pairs = itertools.combinations(_intervals(ranged, regions), 2)
        shares = [_of_intervals(one, other) for one, other in pairs]
    else:
        order = {identity(v): v for parameter in parameters for v in parameter.grid_values() or ()}
        if len(order) == 1:
            return None
        sets = [{identity(value) for value in each} for each in values]
        regions = tuple(tuple(v for key, v in order.items() if key in keys) for keys in sets)
        used = filter(None, sets)
        shares = [len(a & b) / len(a | b) for a, b in itertools.combinations(used, 2)]
    if not shares:
        return None
    return ParameterOverlap(parameters[0].name, bool(ranged), regions, statistics.fmean(shares))


def _intervals(
    parameters: Sequence[Float | Int], regions: Sequence[tuple[Any, ...]]
) -> list[_Interval]:
    """Returns the regions that are not empty, scaled to 0 … 1 over all studies' ranges."""
    whole = [_widened(each, each.low, each.high) for each in parameters]
    low, high = min(first for first, _ in whole), max(last for _, last in whole)
    scales = {parameter.scale for parameter in parameters}
    scale: Scale = scales.pop() if len(scales) == 1 else "linear"
    widened = [
        _widened(p, *region) for p, region in zip(parameters, regions, strict=True) if region
    ]
    return [
        (value_to_unit(first, low, high, scale), value_to_unit(last, low, high, scale))
        for first, last in widened
    ]


def _widened(parameter: Float | Int, low: float, high: float) -> _Interval:
    """Returns the interval, longer by half a step on either side if the parameter has steps."""
    step = parameter.step or 0
    if parameter.scale == "log" and step > 1:
        # A step on a log scale is a ratio. (An Int's default step, 1, is no ratio.)
        half = math.sqrt(step)
        return low / half, high * half
    return low - step / 2, high + step / 2


def _of_intervals(one: _Interval, other: _Interval) -> float:
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    together = (one[1] - one[0]) + (other[1] - other[0]) - shared
    if together <= 0.0:
        # Both intervals are points.
        return float(one == other)
    return min(shared / together, 1.0)
