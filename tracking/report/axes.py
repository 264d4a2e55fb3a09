"""The axes of hyperparameters: each in the scale that its values are drawn in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from search_spaces import SearchSpace
from search_spaces.parameters.choice_parameter import Listed
from search_spaces.parameters.kinds import Float, Int, Parameter
from search_spaces.parameters.scales import Scale, unit_to_value
from tracking.report.behind import READ
from tracking.report.formats import number, significant, value_text

_MOST_TICKS = 8
_TITLE_LETTERS = 36
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class HyperparameterAxis:
    """The axis of a hyperparameter that varies.

    Attributes:
        parameter: The hyperparameter.
        field: The column of its values in charts, free of marks that mean something to Vega.
        labels: Of a listed one: how its values are shown, in declared order; else empty.
    """

    parameter: Parameter
    field: str
    labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The hyperparameter's name."""
        return self.parameter.name

    @property
    def read_field(self) -> str:
        """The column with its values as people read them."""
        return self.field if self._mirror is None else f"{self.field}{READ}"

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers of a range."""
        return not self.labels

    @property
    def _mirror(self) -> float | None:
        """What a reverse_log value is taken from, so that the rest is on a log scale."""
        parameter = self.parameter
        if isinstance(parameter, Float | Int) and parameter.scale == "reverse_log":
            return parameter.low + parameter.high
        return None

    def held(self, values: Mapping[str, Any]) -> bool:
        """Returns whether a trial's values have one for this axis: it is active."""
        return self.name in values and self.parameter.contains(values[self.name])

    def plotted(self, values: Mapping[str, Any]) -> float | str | None:
        """Returns what the column holds for a trial; None where it is not active."""
        if not self.held(values):
            return None
        value = values[self.name]
        if isinstance(self.parameter, Listed):
            return self.labels[self.parameter.index(value)]
        return significant(value if self._mirror is None else self._mirror - value)

    def columns(self, values: Mapping[str, Any]) -> dict[str, float | str | None]:
        """Returns what all of its columns hold for a trial: what is drawn, and what is read."""
        plotted = self.plotted(values)
        if self._mirror is None:
            return {self.field: plotted}
        return {
            self.field: plotted,
            self.read_field: None if plotted is None else significant(values[self.name]),
        }

    def x(self, **further: Any) -> alt.X:
        """Returns the horizontal channel."""
        return alt.X(**self._channel(horizontal=True), **further)

    def y(self, **further: Any) -> alt.Y:
        """Returns the vertical channel."""
        return alt.Y(**self._channel(horizontal=False), **further)

    def tooltip(self) -> alt.Tooltip:
        """Returns its line in a tooltip."""
        kind: Any = "quantitative" if self.numeric else "nominal"
        return alt.Tooltip(field=self.read_field, type=kind, title=self.name)

    def _channel(self, *, horizontal: bool) -> dict[str, Any]:
        # A longer one would leave the chart no room; the heading has all of it.
        short = self.name
        if len(short) > _TITLE_LETTERS:
            short = f"{short[:_TITLE_LETTERS].rstrip()}…"
        shared = {"field": self.field, "title": short}
        parameter = self.parameter
        if not isinstance(parameter, Float | Int) or self.labels:
            angle = 0 if sum(map(len, self.labels)) < 40 or not horizontal else -35
            return {
                **shared,
                "type": "nominal",
                "sort": None,
                "scale": alt.Scale(domain=list(self.labels)),
                "axis": alt.Axis(labelAngle=angle, labelLimit=110, grid=False),
            }
        ends = [parameter.low, parameter.high]
        scale = alt.Scale(domain=ends, zero=False, nice=False)
        axis = alt.Axis(tickCount=5, format="~s" if max(map(abs, ends)) >= 1e4 else "~r")
        if parameter.scale != "linear":
            scale = alt.Scale(type="log", domain=ends, nice=False)
            small = "~e" if ends[0] < 1e-3 or ends[1] >= 1e5 else "~g"
            axis = alt.Axis(tickCount=5, format=small, labelOverlap="greedy", labelSeparation=8)
        if self._mirror is not None:
            scale = alt.Scale(type="log", domain=ends, nice=False, reverse=True)
            # The column holds the mirrored value.
            label = f"format({json.dumps(self._mirror)} - datum.value, '.3~g')"
            ticks = [self._mirror - parameter.from_unit(place) for place in _PLACES]
            axis = alt.Axis(values=ticks, labelExpr=label, labelOverlap=True)
        return {**shared, "type": "quantitative", "scale": scale, "axis": axis}

    def unit(self, values: Mapping[str, Any]) -> float | None:
        """Returns a trial's place in the sampling scale, from 0 to 1; None if not active."""
        return round(self.parameter.to_unit(values[self.name]), 4) if self.held(values) else None

    def edges(self, units: Iterable[float]) -> list[float]:
        """Returns what the column would hold at places in the sampling scale of a range."""
        parameter = self.parameter
        assert isinstance(parameter, Float | Int), "a choice has no range"
        low, high = float(parameter.low), float(parameter.high)
        scale: Scale = "linear" if parameter.scale == "linear" else "log"
        places = units if self._mirror is None else (1 - unit for unit in units)
        return [float(f"{unit_to_value(unit, low, high, scale):.6g}") for unit in places]

    def ticks(self) -> list[tuple[float, str]]:
        """Returns places in the sampling scale, and the values there."""
        if self.labels:
            found = [((i + 0.5) / len(self.labels), label) for i, label in enumerate(self.labels)]
            return found if len(found) <= _MOST_TICKS else [found[0], found[-1]]
        # Near its upper end such as 0.999.
        digits = 2 if self._mirror is None else 3
        shown = {number(self.parameter.from_unit(place), digits): place for place in _PLACES}
        return [(place, text) for text, place in shown.items()]


def axes_of(space: SearchSpace) -> tuple[HyperparameterAxis, ...]:
    """Returns the axes of the hyperparameters that vary, in declared order."""
    varying = [parameter for parameter in space if parameter.count != 1]
    return tuple(
        HyperparameterAxis(parameter, f"p{index}", _labels(parameter))
        for index, parameter in enumerate(varying)
    )


def _labels(parameter: Parameter) -> tuple[str, ...]:
    if not isinstance(parameter, Listed):
        return ()
    labels = tuple(value_text(value) for value in parameter.values)
    # Such as of 1 and "1".
    return labels if len(set(labels)) == len(labels) else tuple(map(repr, parameter.values))
