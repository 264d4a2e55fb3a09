"""The look that all charts share: colours, fonts, scales of the objective, linked selections.

The colours of marks are from the Okabe-Ito palette, which colour-blind people can tell apart. Each
state of a trial also has a shape. `html_page` replaces some colours by CSS variables, for dark
mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from tracking.records import Objective
from tracking.report.chart_data import Columns, StudyData, rows_of

INK, MUTED, LINE, PAPER = "#1c2733", "#5b6876", "#dfe4ea", "#fefefe"
BLUE, ORANGE, GREEN, GREY = "#1f78b4", "#d55e00", "#009e73", "#98a3b0"
PURPLE, YELLOW = "#cc79a7", "#e69f00"

STATES = (
    ("complete", BLUE, "circle", "circles"),
    ("pruned", GREY, "triangle-down", "triangles"),
    ("infeasible", PURPLE, "cross", "crosses at the lower edge"),
    ("interrupted", YELLOW, "square", "squares"),
    ("running", GREEN, "diamond", "diamonds"),
    ("contradicted", INK, "stroke", "short lines"),
)
"""The states of trials in the order of legends: name, colour, shape, and the shape in words."""
# Vega expressions on the parameters `chosen` and `picked`, which `finished` explains.
CHOSEN = "!chosen || chosen[datum.trial]"
PICKED = "datum.trial === picked"
# `visible_ends` explains this number.
_FAR = 4
# An axis has ticks at both ends if this number is both its `tickCount` and the scale's `nice`.
_TICKS = 4
# The signs before the label of the edge at which all values that are far off are drawn.
_FAR_SIGNS = {"max": "≤ ", "min": "≥ "}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK KR', sans-serif"


def chart(name: str = "trials") -> alt.Chart:
    """Returns a chart without marks. `name` is the name of the table with the chart's data."""
    return alt.Chart(alt.NamedData(name=name))


def finished(
    layers: Sequence[alt.Chart], name: str, title: str, height: int, description: str
) -> alt.LayerChart:
    """Returns a chart of layers (the last is on top) with title, size, description and parameters.

    Screen readers read the description. The parameters link all charts of a page: ``chosen`` maps
    the numbers of chosen trials to 1, and is null if all are chosen; ``picked`` is the number of
    the trial in focus.
    """
    parameters = (alt.param(name="chosen", value=None), alt.param(name="picked", value=None))
    layered = alt.LayerChart(layer=list(layers)).add_params(*parameters)
    result: alt.LayerChart = layered.properties(
        name=name, title=title, width=640, height=height, description=description
    )
    return result


def brush(name: str) -> alt.Parameter:
    """Returns a selection: dragging over an area of the chart chooses the trials in this area."""
    mark = alt.BrushConfig(fill=BLUE, fillOpacity=0.1, stroke=BLUE, strokeOpacity=0.6)
    return alt.selection_interval(name=f"brush_{name}", encodings=["x", "y"], mark=mark)


def picked_ring(base: alt.Chart) -> alt.Chart:
    """Returns a chart with a ring around the trial in focus."""
    picked = base.transform_filter(PICKED)
    ring: alt.Chart = picked.mark_point(size=180, color=ORANGE, strokeWidth=2.5, filled=False)
    return ring


def faint(shown: float = 0.85, hidden: float = 0.07) -> Any:
    """Returns the opacity of marks: `shown` for chosen trials, `hidden` for all others."""
    return alt.condition(CHOSEN, alt.value(shown), alt.value(hidden))


def scatter(
    data: StudyData, base: alt.Chart, name: str, *, size: int, legend: bool = True, **encoding: Any
) -> list[alt.Chart]:
    """Returns layers with a mark for each trial, by state, and a ring around the trial in focus.

    Trials without a value are at the lower edge, and their tooltips say why they have none.
    """
    present = set(data.trials.get("state", ()))
    rows = (state[:3] for state in STATES if state[0] in present)
    names, colors, shapes = zip(*rows, strict=True)
    state_legend = alt.Legend(orient="top", title=None, symbolStrokeWidth=1.5) if legend else None
    color = alt.Scale(domain=list(names), range=list(colors))
    shape = alt.Scale(domain=list(names), range=list(shapes))
    look = {
        "color": alt.Color("state:N", scale=color, legend=state_legend, title="state"),
        "shape": alt.Shape("state:N", scale=shape, title="state"),
        "opacity": faint(),
    }
    valued = base.transform_filter("isValid(datum.value)")
    points = valued.mark_point(filled=False, size=size, cursor="pointer")
    places = {channel: value for channel, value in encoding.items() if channel != "tooltip"}
    layers = [
        points.encode(**encoding, **look).add_params(brush(name)),
        picked_ring(base).encode(**places),
    ]
    if len(data.ranked) < len(data.history.trials):
        without = base.transform_filter("!isValid(datum.value)").mark_point(filled=False, size=size)
        tooltip = ["trial:Q", "state:N", "reason:N"]
        places = {**places, "y": alt.value("height"), "tooltip": tooltip}
        layers.append(without.encode(**places, **look))
    return layers


def value_tooltip(column: str, name: str) -> alt.Tooltip:
    """Returns the line of a tooltip that shows a metric's value."""
    return alt.Tooltip(f"{column}:Q", title=name, format=".5~g")


def tooltips(data: StudyData, axes: int = 4) -> list[str | alt.Tooltip]:
    """Returns the lines of a trial's tooltip, with the `axes` most important hyperparameters."""
    return [
        *("trial:Q", "state:N"),
        value_tooltip("value", data.history.description.objective.metric),
        alt.Tooltip("best_epoch:Q", title="best epoch"),
        *(axis.tooltip() for axis in data.by_importance()[:axes]),
    ]


def visible_ends(keys: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of the objective's axis, as sort keys.

    `keys` are the trials' sort keys in ascending order, so the best is first. The axis has room for
    the better half of the trials, and for trials that are at most _FAR times as far from the best
    trial as the median trial is. Charts draw all other trials at the edge.
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

    If `whole`, the scale has room for all values. Otherwise its ends are those of `visible_ends`.
    """
    keys = sorted(objective.sort_key(value) for value in values if value is not None)
    if not keys:
        return alt.Scale(domain=[0, 1])
    # `sort_key` negates a maximized value. Called again, it returns the value.
    low, high = sorted(map(objective.sort_key, (keys[0], keys[-1])))
    if low == high:
        pad = abs(low) * 0.05 or 0.5
        return alt.Scale(domain=[low - pad, low + pad], zero=False)
    if low > 0 and high / low > 200:
        return alt.Scale(type="log", domain=[low, high], nice=False)
    best, end = (keys[0], keys[-1]) if whole else visible_ends(keys)
    ends = sorted(map(objective.sort_key, (best, end)))
    edge: dict[str, Any] = {} if end == keys[-1] else {"clamp": True, "nice": _TICKS}
    return alt.Scale(**{"domain": ends, "zero": False, "nice": True, **edge})


def objective_axis(column: str, objective: Objective, scale: alt.Scale) -> alt.Y:
    """Returns the vertical axis of objective values, for a scale of `objective_scale`.

    If values are far off, the label at the end where they are drawn has a sign.
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


def with_rows(drawn: alt.LayerChart, tables: Mapping[str, Columns]) -> alt.LayerChart:
    """Returns a chart that contains the rows of its tables, so it can be drawn outside a page."""
    copy: alt.LayerChart = drawn.copy(deep=False)
    copy.layer = [layer.copy(deep=False) for layer in drawn.layer]
    for part in (copy, *copy.layer):
        if isinstance(part.data, alt.NamedData):
            part.data = alt.InlineData(values=rows_of(tables[str(part.data.name)]))
    return copy


def config(font: str = FONT) -> dict[str, Any]:
    """Returns Vega-Lite's config for all charts. `font` is the font of all texts."""
    return {
        "background": "transparent",
        "font": font,
        "view": {"stroke": None},
        "axis": {
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titleFontWeight": 500,
            "labelColor": MUTED,
            "titleColor": MUTED,
            "gridColor": LINE,
            "domainColor": LINE,
            "tickColor": LINE,
            "titlePadding": 8,
            "labelPadding": 5,
        },
        "axisX": {"grid": False, "domain": True},
        "axisY": {"domain": False, "ticks": False},
        "axisQuantitative": {"labelOverlap": True, "labelSeparation": 6},
        "legend": {
            "labelColor": INK,
            "titleColor": MUTED,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 500,
        },
        "title": {
            "color": INK,
            "subtitleColor": MUTED,
            "anchor": "start",
            "fontSize": 15,
            "fontWeight": 600,
            "offset": 12,
        },
        "text": {"fontSize": 12, "color": MUTED},
        "point": {"size": 55, "strokeWidth": 1.5},
    }
