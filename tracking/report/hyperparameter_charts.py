"""The charts of hyperparameters: parallel coordinates, importance, slices, a contour."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from search_spaces.texts import counted, number
from tracking.report import theme
from tracking.report.chart_data import (
    Columns,
    HyperparameterAxis,
    StudyData,
    columns_of,
    significant,
    value_text,
)

_MOST_AXES = 12
_MOST_LINES = 400
# The names of the axes are horizontal if the number of axes times the length of the longest name is
# below this number. Longer names would overlap.
_LEVEL_LETTERS = 115
# The least height of a category's label in the parallel coordinates, in pixels.
_LABEL = 14
# The height of "not active" on an axis. All other values are at heights from 0 to 1.
_OFF = -0.12
# The background of `contour` has 40 x 40 cells, if there are 12 trials or more.
_CELLS = 40
_LEAST_POINTS = 12
# A cell shows a weighted mean of trials. The weights are Gaussian in the distance from the cell,
# with this standard deviation, on axes from 0 to 1. A cell is drawn if the sum of the weights is
# above _NEAR.
_KERNEL = 0.07
_NEAR = 0.2


def parallel_axes(data: StudyData) -> list[HyperparameterAxis]:
    """Returns the axes of the parallel coordinates, the most important last."""
    return list(reversed(data.by_importance()[:_MOST_AXES]))


def parallel_rows(data: StudyData) -> Columns:
    """Returns a table with a row for each trial and axis of the parallel coordinates.

    ``at`` is the value as a text. ``unit`` is the height at which the trial's line crosses the
    axis. If there are more than 400 trials, the table has the best 100 and every n-th of the
    others.
    """
    objective = data.history.description.objective
    trials = data.ranked
    if len(trials) > _MOST_LINES:
        first = _MOST_LINES // 4
        step = -(-(len(trials) - first) // (_MOST_LINES - first))
        trials = [*trials[:first], *trials[first::step]]
    axes, (low, high, _) = parallel_axes(data), _ends(data)
    best = max(1, len(data.ranked) // 10)
    rows: list[dict[str, Any]] = []
    for place, trial in enumerate(trials):
        assert trial.value is not None, "ranked trials have a value"
        key = objective.sort_key(trial.value)
        tier = "best" if place == 0 else "top" if place < best else "other"
        units = {axis.name: axis.unit(trial.spec.values) for axis in axes}
        height = 1 - min(max((key - low) / (high - low), 0.0), 1.0)
        at = {**trial.params, objective.metric: trial.value}
        for name, unit in {**units, objective.metric: round(height, 4)}.items():
            rows.append(
                {
                    "trial": trial.number,
                    "axis": name,
                    "at": "" if unit is None else value_text(at.get(name)),
                    "unit": _OFF if unit is None else unit,
                    "tier": tier,
                }
            )
    # The lines of the best trials are drawn last, over the others.
    return columns_of(rows[::-1])


def _ends(data: StudyData) -> tuple[float, float, bool]:
    """Returns the sort keys at the ends of the objective's axis, and whether values lie outside."""
    key = data.history.description.objective.sort_key
    keys = [key(trial.value) for trial in data.ranked if trial.value is not None]
    best, end = (keys[0], keys[-1]) if keys else (0.0, 0.0)
    if keys and not data.whole:
        best, end = theme.visible_ends(keys)
    return best, end if end > best else best + 1.0, bool(keys) and end < keys[-1]


def parallel_coordinates(data: StudyData) -> alt.LayerChart:
    """Returns a chart with a line for each trial through its hyperparameters and its value."""
    objective = data.history.description.objective
    axes = parallel_axes(data)
    names = [*(axis.name for axis in axes), objective.metric]
    low, high, far = _ends(data)
    best = data.ranked[0].spec.values
    ticks = [
        {
            "axis": axis.name,
            "unit": place,
            "text": text,
            "count": len(axis.labels),
            "best": bool(axis.labels) and round(place, 4) == axis.unit(best),
        }
        for axis in axes
        for place, text in axis.ticks()
    ]
    ticks += [
        {
            "axis": objective.metric,
            "unit": 1 - part,
            # `sort_key` negates a maximized value. Called again, it returns the value.
            "text": theme.FAR_SIGNS[objective.direction] * (far and part == 1)
            + number(objective.sort_key(low + part * (high - low)), 3),
        }
        for part in (0.0, 0.5, 1.0)
    ]
    off = [
        {"axis": axis.name, "unit": _OFF, "text": "not active"}
        for axis in axes
        if axis.parameter.when
    ]
    x = alt.X(
        "axis:N",
        sort=None,
        title=None,
        scale=alt.Scale(type="point", domain=names, padding=0.3),
        axis=alt.Axis(
            orient="top",
            labelAngle=0 if len(names) * max(map(len, names)) < _LEVEL_LETTERS else -20,
            labelLimit=180,
            labelFontSize=12,
            labelColor=theme.INK,
            domain=False,
            ticks=False,
            grid=True,
        ),
    )
    y = alt.Y("unit:Q", axis=None, scale=alt.Scale(domain=[_OFF - 0.04 if off else -0.03, 1.03]))
    tiers = alt.Color(
        "tier:N",
        title=None,
        scale=alt.Scale(
            domain=["best", "top", "other"], range=[theme.ORANGE, theme.BLUE, theme.GREY]
        ),
        legend=alt.Legend(
            orient="bottom",
            labelExpr="{best: 'best trial', top: 'best tenth', other: 'others'}[datum.label]",
        ),
    )
    lines = (
        theme.chart("parallel")
        .mark_line(cursor="pointer", strokeJoin="round")
        .encode(
            x=x,
            y=y,
            detail="trial:N",
            color=tiers,
            strokeWidth=alt.condition("datum.tier === 'other'", alt.value(1), alt.value(2)),
            opacity=theme.faint(0.6, 0.04),
            tooltip=["trial:Q"],
        )
        .add_params(theme.brush("parallel"))
    )
    labels = alt.Chart(alt.InlineData(values=ticks + off)).encode(x=x, y=y, text="text:N")
    # If an axis has no room for all categories, only the category of the best trial has a label.
    labels = labels.transform_filter(f"datum.best || height > {_LABEL} * (datum.count || 0)")
    look: dict[str, Any] = {
        "align": "left",
        "dx": 5,
        "fontSize": 10,
        "limit": alt.ExprRef(f"datum.best ? 110 : width / {len(names)} - 8"),
    }
    behind = labels.mark_text(stroke=theme.PAPER, strokeWidth=3, strokeJoin="round", **look)
    picked = (
        theme.chart("parallel")
        .transform_filter(theme.PICKED)
        .mark_line(color=theme.ORANGE, strokeWidth=3.5)
        .encode(x=x, y=y)
    )
    return theme.finished(
        [lines, picked, behind, labels.mark_text(color=theme.INK, **look)],
        "parallel",
        "Parallel coordinates",
        280,
        f"A line for each of {counted(len(data.ranked), 'trial')} with a value. An axis for each "
        f"hyperparameter, in its sampling scale; at the right {objective.metric}, with the best "
        "value at the top.",
    )


def importance(data: StudyData) -> alt.LayerChart:
    """Returns a chart of the hyperparameters' importances."""
    shares = data.importances
    rows = [
        {"name": name, "share": significant(share, 4), "text": f"{100 * share:.0f} %"}
        for name, share in list(shares.items())[:20]
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "share:Q",
            title="share of importance",
            axis=alt.Axis(format=".0%", grid=True, tickCount=6),
            # This leaves room for the text beside the longest bar.
            scale=alt.Scale(domain=[0, 1.15 * max(shares.values(), default=1.0)], nice=False),
        ),
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=150)),
    )
    bars = base.mark_bar(color=theme.BLUE, cornerRadiusEnd=2, height={"band": 0.65}).encode(
        tooltip=["name:N", alt.Tooltip("share:Q", format=".1%")]
    )
    first = ", ".join(f"{row['name']} {row['text']}" for row in rows[:5])
    return theme.finished(
        [bars, base.mark_text(align="left", dx=5, color=theme.MUTED).encode(text="text:N")],
        "importance",
        "Importance of hyperparameters",
        max(80, 26 * len(rows)),
        f"Importance of hyperparameters by fANOVA: {first}.",
    )


def hyperparameter_slice(data: StudyData, axis: HyperparameterAxis) -> alt.LayerChart:
    """Returns a chart of the trials' values by one hyperparameter."""
    objective = data.history.description.objective
    scale = theme.objective_scale(data.trials["value"], objective, whole=data.whole)
    y = theme.objective_axis("value", objective, scale)
    further: dict[str, Any] = {}
    if not axis.numeric:
        # Points with the same choice are side by side, so that they don't hide each other.
        further = {"xOffset": alt.XOffset("spread:Q", scale=alt.Scale(domain=[-0.2, 1.2]))}
    active = theme.chart().transform_filter(f"isValid(datum.{axis.drawn})")
    active = active.transform_calculate(spread="(datum.trial * 0.618034) % 1")
    tooltip = [*theme.tooltips(data, 0), axis.tooltip()]
    further |= {"x": axis.x(), "y": y, "tooltip": tooltip}
    points = theme.scatter(data, active, axis.field, size=40, legend=False, **further)
    return theme.finished(
        points,
        f"slice_{axis.field}",
        f"{objective.metric} by {axis.name}",
        150,
        f"{objective.metric} of each trial by {axis.name}, in its sampling scale.",
    )


def contour(
    data: StudyData, first: HyperparameterAxis, second: HyperparameterAxis
) -> alt.LayerChart:
    """Returns a chart of the objective over two hyperparameters.

    If both are ranges of numbers, the background shows the mean value of the trials nearby, with
    Gaussian weights (the Nadaraya-Watson estimator).
    """
    objective = data.history.description.objective
    colors = _contour_colors(data)
    points = theme.chart().transform_filter(
        f"isValid(datum.value) && isValid(datum.{first.drawn}) && isValid(datum.{second.drawn})"
    )
    marks = (
        points.mark_point(filled=True, size=45, stroke="white", strokeWidth=1, cursor="pointer")
        .encode(
            x=first.x(),
            y=second.y(),
            color=colors,
            opacity=theme.faint(1.0, 0.1),
            tooltip=[*theme.tooltips(data, 0), first.tooltip(), second.tooltip()],
        )
        .add_params(theme.brush("contour"))
    )
    layers = [marks, theme.picked_ring(points).encode(x=first.x(), y=second.y())]
    cells = _cells(data, first, second)
    if cells:
        surface = alt.Chart(alt.InlineData(values=cells)).mark_rect(opacity=0.55, clip=True)
        x, y = first.x(), second.y()
        x["field"], y["field"] = "left", "low"
        layers.insert(
            0,
            surface.encode(
                x=x, x2="right:Q", y=y, y2="high:Q", color=colors, tooltip=alt.value(None)
            ),
        )
    return theme.finished(
        layers,
        "contour",
        f"{objective.metric} over {first.name} and {second.name}",
        max(250 if first.numeric else 330, 130 + 22 * len(second.labels)),
        f"{objective.metric} of trials over {first.name} and {second.name}, and the mean of the "
        "trials nearby.",
    )


def _contour_colors(data: StudyData) -> alt.Color:
    """Returns the colour scale of the objective. The best values are yellow."""
    objective = data.history.description.objective
    *ends, far = _ends(data)
    mark = theme.far_mark("color", objective) if far else {"tickCount": theme.TICKS}
    return alt.Color(
        "value:Q",
        title=objective.metric,
        scale=alt.Scale(
            domain=sorted(map(objective.sort_key, ends)),
            nice=theme.TICKS,
            clamp=True,
            scheme="viridis",
            reverse=objective.direction == "min",
        ),
        legend=alt.Legend(
            orient="top",
            gradientLength=alt.ExprRef("min(220, width)"),
            gradientOpacity=1,
            titleLimit=alt.ExprRef("width"),
            **mark,
        ),
    )


def _cells(
    data: StudyData, first: HyperparameterAxis, second: HyperparameterAxis
) -> list[dict[str, Any]]:
    """Returns the cells in the background of `contour`, with the mean value of the trials nearby.

    Cells without trials nearby are left out.
    """
    if not (first.numeric and second.numeric):
        return []
    points = [(first.unit(t.params), second.unit(t.params), t.value) for t in data.ranked]
    active = [point for point in points if None not in point]
    if len(active) < _LEAST_POINTS:
        return []
    across, along, values = np.array(active, dtype=float).T
    # Values beyond the ends of the axis are replaced by the ends. A value that is far off would
    # hide differences between other trials nearby.
    values = values.clip(*sorted(map(data.history.description.objective.sort_key, _ends(data)[:2])))
    edges = np.linspace(0, 1, _CELLS + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    distance = (middle[:, None, None] - along) ** 2 + (middle[None, :, None] - across) ** 2
    weights = np.exp(-distance / (2 * _KERNEL**2))
    near = weights.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        grid = np.where(near > _NEAR, (weights @ values) / near, np.nan)
    ends = [round(float(edge), 4) for edge in edges]
    return [
        {
            "left": ends[i],
            "right": ends[i + 1],
            "low": ends[j],
            "high": ends[j + 1],
            "value": significant(float(grid[j, i]), 4),
        }
        for j in range(_CELLS)
        for i in range(_CELLS)
        if np.isfinite(grid[j, i])
    ]
