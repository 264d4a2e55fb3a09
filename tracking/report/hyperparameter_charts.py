"""The charts of hyperparameters: importance and slices."""

from __future__ import annotations

from typing import Any

import altair as alt

from tracking.report import theme
from tracking.report.chart_data import HyperparameterAxis, StudyData, significant


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
