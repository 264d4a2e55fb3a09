"""The axes of hyperparameters: each in its sampling scale, from 0 to 1."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from search_spaces import SearchSpace
from search_spaces.parameters.choices import Listed
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.ranges import Float, Int
from tracking.report.formats import number, significant, value_text

_MOST_TICKS = 8
_TITLE_LETTERS = 36
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class HyperparameterAxis:
    """The axis of a hyperparameter that varies.

    Attributes:
        parameter: The hyperparameter.
        field: The column of its values, free of marks that mean something to Vega.
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
    def drawn(self) -> str:
        """The column that charts draw: of a range its place in the sampling scale."""
        return f"{self.field}_unit" if self.numeric else self.field

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers of a range."""
        return not self.labels

    def columns(self, values: Mapping[str, Any]) -> dict[str, float | str | None]:
        """Returns what its columns hold for a trial; None where it is not active."""
        unit = self.unit(values)
        value = None if unit is None else values[self.name]
        if isinstance(self.parameter, Listed):
            return {self.field: None if unit is None else self.labels[self.parameter.index(value)]}
        return {self.field: significant(value), self.drawn: unit}

    def unit(self, values: Mapping[str, Any]) -> float | None:
        """Returns a trial's place in the sampling scale, from 0 to 1; None if not active."""
        value = values.get(self.name)
        held = self.name in values and self.parameter.contains(value)
        return round(self.parameter.to_unit(value), 4) if held else None

    def x(self) -> alt.X:
        """Returns the horizontal channel."""
        return alt.X(**self._channel(horizontal=True))

    def y(self) -> alt.Y:
        """Returns the vertical channel."""
        return alt.Y(**self._channel(horizontal=False))

    def tooltip(self) -> alt.Tooltip:
        """Returns its line in a tooltip."""
        kind: Any = "quantitative" if self.numeric else "nominal"
        return alt.Tooltip(field=self.field, type=kind, title=self.name)

    def _channel(self, *, horizontal: bool) -> dict[str, Any]:
        # A longer one would leave the chart no room; the heading has all of it.
        short = self.name
        if len(short) > _TITLE_LETTERS:
            short = f"{short[:_TITLE_LETTERS].rstrip()}…"
        shared = {"field": self.drawn, "title": short}
        if self.labels:
            angle = 0 if sum(map(len, self.labels)) < 40 or not horizontal else -35
            return {
                **shared,
                "type": "nominal",
                "sort": None,
                "scale": alt.Scale(domain=list(self.labels)),
                "axis": alt.Axis(labelAngle=angle, labelLimit=110, grid=False),
            }
        ticks = self.ticks()
        texts = json.dumps([text for _, text in ticks])
        places = json.dumps([place for place, _ in ticks])
        return {
            **shared,
            "type": "quantitative",
            "scale": alt.Scale(domain=[0, 1], nice=False),
            "axis": alt.Axis(
                values=[place for place, _ in ticks],
                labelExpr=f"{texts}[indexof({places}, datum.value)]",
                labelOverlap="greedy",
                labelSeparation=8,
                labelFlush=False,
            ),
        }

    def ticks(self) -> list[tuple[float, str]]:
        """Returns places in the sampling scale, and the values there."""
        if self.labels:
            found = [((i + 0.5) / len(self.labels), label) for i, label in enumerate(self.labels)]
            return found if len(found) <= _MOST_TICKS else [found[0], found[-1]]
        parameter = self.parameter
        assert isinstance(parameter, Float | Int), "all others are listed"
        if parameter.scale == "log" and parameter.high / parameter.low >= 100:
            first = math.ceil(math.log10(parameter.low) - 1e-9)
            last = math.floor(math.log10(parameter.high) + 1e-9)
            # At decades, which people look for.
            values = [parameter.nearest(10.0**power) for power in range(first, last + 1)]
        else:
            values = [parameter.from_unit(place) for place in _PLACES]
        shown = {number(value, 3): round(parameter.to_unit(value), 6) for value in values}
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
