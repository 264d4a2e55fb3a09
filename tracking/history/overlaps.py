"""How far the regions that good trials occupy overlap, hyperparameter by hyperparameter.

A region is the part of one hyperparameter that a study's top trials use: for numbers the interval
from their lowest to their highest value, for choices the set of their values. Two regions overlap
by their Jaccard index, the size of their intersection by that of their union: 0 if they are
disjoint, 1 if they are the same. With more than two studies it is the mean over all pairs.

Intervals are measured in the sampling scale, as `Parameter.to_unit` does: on a log scale 1e-4 to
1e-3 is as long as 1e-2 to 1e-1. Where studies declare different ranges, it is measured in the range
that holds them all; where they declare different scales, linearly. An int, or a value of a grid,
counts with its share of the range: half a step to either side.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from search_spaces import Fixed, Float, Int, Parameter
from search_spaces.parameters.ranges import Scale, value_to_unit
from search_spaces.parameters.scalars import identity, is_number

_Interval = tuple[float, float]


@dataclass(frozen=True)
class ParameterOverlap:
    """The regions of studies' top trials in one hyperparameter.

    Attributes:
        name: The hyperparameter.
        numeric: Whether the regions are intervals.
        regions: For each study `(lowest, highest)` of a number, or the values of a choice in the
            order in which they are declared; empty where no top trial has a value.
        overlap: From 0 to 1, over the studies whose top trials have values of it; None if there is
            nothing to compare: there are fewer than two such studies, all declare the same single
            value, or it is a number here and a choice there.
    """

    name: str
    numeric: bool
    regions: tuple[tuple[Any, ...], ...]
    overlap: float | None


def overlap_of(
    parameters: Sequence[Parameter], values: Sequence[Sequence[Any]]
) -> ParameterOverlap:
    """Compares studies' top trials in one hyperparameter."""
    name = parameters[0].name
    if any(isinstance(parameter, Float | Int) for parameter in parameters):
        numeric = [parameter for parameter in parameters if _is_numeric(parameter)]
        if len(numeric) < len(parameters):
            return ParameterOverlap(name, False, tuple(map(tuple, values)), None)
        extents = tuple((min(each), max(each)) if each else () for each in values)
        intervals = _intervals(numeric, extents)
        pairs = itertools.combinations(intervals, 2)
        return ParameterOverlap(name, True, extents, _mean([_of_intervals(*p) for p in pairs]))
    order = {identity(v): v for parameter in parameters for v in parameter.grid_values() or ()}
    sets = [{identity(value) for value in each} for each in values]
    regions = tuple(tuple(v for key, v in order.items() if key in found) for found in sets)
    if len(order) == 1:
        return ParameterOverlap(name, False, regions, None)
    shares = [len(a & b) / len(a | b) for a, b in itertools.combinations(filter(None, sets), 2)]
    return ParameterOverlap(name, False, regions, _mean(shares))


def _is_numeric(parameter: Parameter) -> TypeGuard[Float | Int | Fixed]:
    return isinstance(parameter, Float | Int) or (
        isinstance(parameter, Fixed) and is_number(parameter.value)
    )


def _intervals(
    parameters: Sequence[Float | Int | Fixed], extents: Sequence[tuple[Any, ...]]
) -> list[_Interval]:
    """The regions that there are, in units of the range that holds all studies' ranges."""
    ranged = [p for p in parameters if isinstance(p, Float | Int)]
    scales = {parameter.scale for parameter in ranged}
    widened = [_widened(p, *e) for p, e in zip(parameters, extents, strict=True) if e]
    whole = [*widened, *(_widened(each, each.low, each.high) for each in ranged)]
    low, high = min(first for first, _ in whole), max(last for _, last in whole)
    # A value fixed at zero, say, has no place on another study's log scale.
    scale: Scale = scales.pop() if len(scales) == 1 and low > 0 else "linear"
    return [
        (value_to_unit(first, low, high, scale), value_to_unit(last, low, high, scale))
        for first, last in widened
    ]


def _widened(parameter: Float | Int | Fixed, low: float, high: float) -> _Interval:
    """From half a step below to half a step above, for what has steps."""
    if isinstance(parameter, Fixed):
        step: float = 1 if isinstance(parameter.value, int) else 0
    else:
        step = parameter.step or 0
        if parameter.scale == "log" and step > 1:
            # Here a step is a ratio. (An Int without one goes by ones all the same.)
            half = math.sqrt(step)
            return low / half, high * half
    return low - step / 2, high + step / 2


def _of_intervals(one: _Interval, other: _Interval) -> float:
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    together = (one[1] - one[0]) + (other[1] - other[0]) - shared
    if together <= 0.0:
        # Two points, which have no length.
        return float(one == other)
    return min(shared / together, 1.0)


def _mean(shares: Sequence[float]) -> float | None:
    return statistics.fmean(shares) if shares else None
