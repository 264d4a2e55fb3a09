"""The axes and scales of charts, and texts that charts can draw."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from search_spaces import Float, Int, Listed, Parameter, SearchSpace
from search_spaces.texts import number, readable
from tracking.records import Objective

_TITLE_LETTERS = 36
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
# `_visible_ends` explains this number.
_FAR = 4
# An axis has ticks at both ends if this number is both its `tickCount` and the scale's `nice`.
_TICKS = 4
# Charts draw all values that are far off at one edge. The label of this edge begins with the sign.
_FAR_SIGNS = {"max": "≤ ", "min": "≥ "}
# SVG is XML, which can't contain these characters: https://www.w3.org/TR/xml/#charsets
_UNDRAWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class HyperparameterAxis:
    """The axis of a hyperparameter that varies.

    Attributes:
        field: The name of the column with the values. It has no characters that are special to
            Vega.
        labels: The texts of a choice's values, in declared order; empty for a range.
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
        """The name of the column that charts draw.

        For a range of numbers, this column has the values scaled to 0 … 1.
        """
        return f"{self.field}_unit" if self.numeric else self.field

    @property
    def numeric(self) -> bool:
        """Whether the hyperparameter is a range of numbers."""
        return not self.labels

    def columns(self, values: Mapping[str, Any]) -> dict[str, float | str | None]:
        """Returns a trial's values in the columns of this axis.

        The values are None if the hyperparameter is not active in the trial.
        """
        unit = self.unit(values)
        value = None if unit is None else values[self.name]
        if isinstance(self.parameter, Listed):
            return {self.field: None if unit is None else self.labels[self.parameter.index(value)]}
        return {self.field: significant(value), self.drawn: unit}

    def unit(self, values: Mapping[str, Any]) -> float | None:
        """Returns a trial's value, scaled to 0 … 1. None if the hyperparameter is not active."""
        if self.name not in values or not self.parameter.contains(values[self.name]):
            return None
        return round(self.parameter.to_unit(values[self.name]), 4)

    def tooltip(self) -> alt.Tooltip:
        """Returns the hyperparameter's line in a tooltip."""
        kind: Any = "quantitative" if self.numeric else "nominal"
        return alt.Tooltip(field=self.field, type=kind, title=self.name)

    def x(self) -> alt.X:
        """Returns the horizontal axis."""
        # A longer title would leave no room for the chart. The heading of the chart has the whole
        # name.
        short = self.name
        if len(short) > _TITLE_LETTERS:
            short = f"{short[:_TITLE_LETTERS].rstrip()}…"
        shared: dict[str, Any] = {"field": self.drawn, "title": short}
        if self.labels:
            # All labels get the same room, so the longest label decides.
            letters = len(self.labels) * max(map(len, self.labels))
            angle = 0 if letters < 40 else -35
            return alt.X(
                **shared,
                type="nominal",
                sort=None,
                scale=alt.Scale(domain=list(self.labels)),
                axis=alt.Axis(labelAngle=angle, labelLimit=110, grid=False),
            )
        ticks = self._ticks()
        texts = json.dumps([text for _, text in ticks])
        places = json.dumps([place for place, _ in ticks])
        return alt.X(
            **shared,
            type="quantitative",
            scale=alt.Scale(domain=[0, 1], nice=False),
            axis=alt.Axis(
                values=[place for place, _ in ticks],
                labelExpr=f"{texts}[indexof({places}, datum.value)]",
                labelOverlap="greedy",
                labelSeparation=8,
                labelFlush=False,
            ),
        )

    def _ticks(self) -> list[tuple[float, str]]:
        """Returns the ticks of a range: places from 0 to 1, and texts of the values there."""
        parameter = self.parameter
        assert isinstance(parameter, Float | Int), "all others are listed"
        if parameter.scale == "log" and parameter.high / parameter.low >= 100:
            first = math.ceil(math.log10(parameter.low) - 1e-9)
            last = math.floor(math.log10(parameter.high) + 1e-9)
            # People look for powers of ten on a log axis.
            values = [parameter.nearest(10.0**power) for power in range(first, last + 1)]
        else:
            values = [parameter.from_unit(place) for place in _PLACES]
        places = {number(value, 3): round(parameter.to_unit(value), 6) for value in values}
        return [(place, text) for text, place in places.items()]


def axes_of(space: SearchSpace) -> tuple[HyperparameterAxis, ...]:
    """Returns the axes of the hyperparameters that vary, in the order of the space."""
    varying = [parameter for parameter in space if parameter.count != 1]
    return tuple(
        HyperparameterAxis(parameter, f"p{index}", _labels(parameter))
        for index, parameter in enumerate(varying)
    )


def _labels(parameter: Parameter) -> tuple[str, ...]:
    if not isinstance(parameter, Listed):
        return ()
    labels = tuple(value_text(value) for value in parameter.values)
    # If two values have the same text, such as 1 and "1", the labels are Python's `repr`.
    return labels if len(set(labels)) == len(labels) else tuple(map(repr, parameter.values))


def _visible_ends(keys: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of the objective's axis, as sort keys.

    `keys` are the trials' sort keys in ascending order, so the best is first. The axis has room for
    the better half of the trials. It also has room for a worse trial, if its distance from the best
    trial is at most _FAR times the median trial's distance. Charts draw all other trials at the
    edge.
    """
    best, worst, usual = keys[0], keys[-1], keys[len(keys) // 2]
    edge = best + _FAR * (usual - best)
    if not best < edge < worst:
        return best, worst
    end = max(key for key in keys if key <= edge)
    # A margin separates the trials at the edge from the last trial inside.
    return best, end + 0.08 * (end - best)


def objective_scale(
    values: Sequence[float | None], objective: Objective, *, whole: bool = False
) -> alt.Scale:
    """Returns the scale of objective values. It is logarithmic if the values have a wide range.

    If `whole`, the scale has room for all values. Otherwise its ends are those of `_visible_ends`.
    """
    keys = sorted(objective.sort_key(value) for value in values if value is not None)
    if not keys:
        return alt.Scale(domain=[0, 1])
    # `sort_key` negates a maximized value, so a second call returns the original value.
    low, high = sorted(map(objective.sort_key, (keys[0], keys[-1])))
    if low == high:
        pad = abs(low) * 0.05 or 0.5
        return alt.Scale(domain=[low - pad, low + pad], zero=False)
    if low > 0 and high / low > 200:
        return alt.Scale(type="log", domain=[low, high], nice=False)
    best, end = (keys[0], keys[-1]) if whole else _visible_ends(keys)
    ends = sorted(map(objective.sort_key, (best, end)))
    edge: dict[str, Any] = {} if end == keys[-1] else {"clamp": True, "nice": _TICKS}
    return alt.Scale(**{"domain": ends, "zero": False, "nice": True, **edge})


def objective_axis(column: str, objective: Objective, scale: alt.Scale) -> alt.Y:
    """Returns the vertical axis of objective values, for a scale of `objective_scale`.

    If values are far off, the label of the edge at which they are drawn has a sign: ``≥ 0.5``.
    """
    mark: dict[str, Any] = {}
    if "clamp" in scale.to_dict():
        sign, end = _FAR_SIGNS[objective.direction], int(objective.direction == "min")
        # The last tick and the end of the axis may differ by a rounding error.
        far = f"abs(datum.value - domain('y')[{end}]) < 1e-9 * span(domain('y'))"
        mark = {"tickCount": _TICKS, "labelExpr": f"({far} ? '{sign}' : '') + datum.label"}
    return alt.Y(f"{column}:Q", title=objective.metric, scale=scale, axis=alt.Axis(**mark))


def whole_numbers(name: str, title: str, values: Sequence[int | None], first: int = 0) -> alt.X:
    """Returns a horizontal axis for whole numbers, e.g. of trials or epochs."""
    numbers = [value for value in values if value is not None]
    scale = alt.Scale(domain=[first, max([first + 1, *numbers])], nice=False)
    return alt.X(f"{name}:Q", title=title, axis=whole_axis(labelFlush=False), scale=scale)


def whole_axis(**further: Any) -> alt.Axis:
    """Returns an axis that labels only whole numbers."""
    # If there is room, Vega adds ticks at halves, which get no label.
    label = "datum.value % 1 ? '' : datum.label"
    return alt.Axis(tickMinStep=1, format="d", labelExpr=label, **further)


def significant(value: float | None, digits: int = 6) -> float | None:
    """Returns a number rounded to significant digits, or None for NaN and infinities."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{digits}g}")


def value_text(value: object) -> str:
    """Returns a hyperparameter's value as a text that a chart can draw."""
    return str(drawable(readable(value, 6)))


def drawable(value: Any, key: str = "") -> Any:
    r"""Escapes users' texts in a part of a chart's specification. `key` is the part's name.

    Characters that SVG can't contain, such as ``\x1b``, make vl-convert end the whole process.
    Vega-Lite copies titles of tooltips into expressions, where a backslash must be escaped.
    """
    if isinstance(value, str):
        return _UNDRAWABLE.sub(lambda match: ascii(match[0])[1:-1], value)
    if isinstance(value, dict):
        items = {drawable(name): drawable(item, name) for name, item in value.items()}
        if key == "tooltip" and isinstance(items.get("title"), str):
            items["title"] = items["title"].replace("\\", "\\\\")
        return items
    return [drawable(item, key) for item in value] if isinstance(value, list) else value
