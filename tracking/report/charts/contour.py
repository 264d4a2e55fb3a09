"""The objective over two hyperparameters."""

from __future__ import annotations

from typing import Any

import altair as alt

from search_spaces.parameters.kinds import Float, Int
from tracking.report.axes import HyperparameterAxis
from tracking.report.charts import theme
from tracking.report.formats import significant
from tracking.report.trial_data import StudyData

_CELLS = 40
_BANDS = 9
_LEAST_POINTS = 12
# Of the kernel, in the sampling scales; and how much of a trial must be near a cell.
_WIDTH = 0.07
_NEAR = 0.2


def contour(
    data: StudyData, first: HyperparameterAxis, second: HyperparameterAxis
) -> alt.LayerChart:
    """Returns the objective over two hyperparameters; between trials, where both are numbers.

    That is a mean of the trials nearby, with Gaussian weights (Nadaraya-Watson).
    """
    objective = data.history.description.objective
    colors = _colors(data)
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
        theme.layers(*layers),
        "contour",
        f"{objective.metric} over {first.name} and {second.name}",
        340,
        f"{objective.metric} of trials over {first.name} and {second.name}, and the mean of the "
        "trials nearby.",
    )


def _colors(data: StudyData) -> alt.Color:
    """Returns the colour of the objective, in bands; the best band is yellow."""
    objective = data.history.description.objective
    keys = [objective.sort_key(trial.value) for trial in data.ranked if trial.value is not None]
    best, usual = keys[0], keys[int(0.9 * (len(keys) - 1))]
    ends = sorted(
        (objective.sort_key(best), objective.sort_key(usual if usual > best else best + 1))
    )
    return alt.Color(
        "value:Q",
        title=objective.metric,
        scale=alt.Scale(
            type="quantize",
            domain=ends,
            scheme=alt.SchemeParams("viridis", count=_BANDS),
            reverse=objective.direction == "min",
        ),
        legend=alt.Legend(orient="top", gradientLength=220, format=".3~g", titleOrient="left"),
    )


def _cells(
    data: StudyData, first: HyperparameterAxis, second: HyperparameterAxis
) -> list[dict[str, Any]]:
    """Returns cells with the mean objective of the trials nearby; none where there are none."""
    if not (isinstance(first.parameter, Float | Int) and isinstance(second.parameter, Float | Int)):
        return []
    import numpy as np

    places, values = [], []
    for trial in data.ranked:
        x, y = first.unit(trial.params), second.unit(trial.params)
        if x is not None and y is not None and trial.value is not None:
            places.append((x, y))
            values.append(trial.value)
    if len(places) < _LEAST_POINTS:
        return []
    edges = np.linspace(0, 1, _CELLS + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    across, along = np.array(places).T
    distance = (middle[:, None, None] - along) ** 2 + (middle[None, :, None] - across) ** 2
    weights = np.exp(-distance / (2 * _WIDTH**2))
    near = weights.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        grid = np.where(near > _NEAR, (weights @ np.array(values)) / near, np.nan)
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
