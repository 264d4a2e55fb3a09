"""How the objective came about, by trial."""

from __future__ import annotations

import altair as alt

from tracking.report.charts import theme
from tracking.report.formats import count, number
from tracking.report.trial_data import StudyData


def optimization_history(data: StudyData) -> alt.LayerChart:
    """Returns each trial's value, and the best so far."""
    objective = data.history.description.objective
    scale = theme.objective_scale(data.trials["value"], objective)
    y = alt.Y("value:Q", title=objective.metric, scale=scale)
    x = theme.whole_numbers("trial", "trial", data.trials["trial"])
    line = theme.chart().mark_line(
        interpolate="step-after", color=theme.ORANGE, strokeWidth=2, clip=True
    )
    points = (
        theme.chart()
        .transform_filter("isValid(datum.value)")
        .mark_point(filled=False, cursor="pointer")
        .encode(
            x=x,
            y=y,
            color=theme.state_color(data),
            shape=theme.state_shape(data),
            opacity=theme.faint(),
            tooltip=theme.tooltips(data),
        )
        .add_params(theme.brush("history"))
    )
    layers = [
        line.encode(x=x, y=alt.Y("best_so_far:Q", title=objective.metric, scale=scale)),
        points,
        theme.picked_ring(theme.chart()).encode(x=x, y=y),
    ]
    if len(data.ranked) < len(data.history.trials):
        # Those without a value stand at the lower edge.
        layers.append(
            theme.chart()
            .transform_filter("!isValid(datum.value)")
            .mark_point(filled=False)
            .encode(
                x=x,
                y=alt.value("height"),
                color=theme.state_color(data),
                shape=theme.state_shape(data),
                opacity=theme.faint(),
                tooltip=[
                    alt.Tooltip("trial:Q", title="trial"),
                    alt.Tooltip("state:N", title="state"),
                    alt.Tooltip("reason:N", title="reason"),
                ],
            )
        )
    best = data.ranked[0] if data.ranked else None
    told = (
        "No trial has a value."
        if best is None or best.value is None
        else (f"The best is {number(best.value)} in trial {best.number}.")
    )
    return theme.finished(
        theme.layers(*layers),
        "history",
        f"{objective.metric} by trial",
        300,
        f"{objective.metric} of {count(len(data.history.trials), 'trial')} in order, and the best "
        f"so far. {told}",
    )
