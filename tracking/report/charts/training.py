"""How trials trained: the curves of the best, and that of the trial in focus."""

from __future__ import annotations

import json
from collections.abc import Collection

import altair as alt

from tracking.report.charts import theme
from tracking.report.formats import count
from tracking.report.trial_data import StudyData

_TOP = 10


def learning_curves(data: StudyData, of: Collection[int] = ()) -> alt.LayerChart:
    """Returns the curves of the top trials, the others behind, and the picked one in front.

    Args:
        data: The study.
        of: Trials that are in front instead, with their curves on training data dashed.
    """
    objective = data.history.description.objective
    top = [each.number for each in data.ranked[:_TOP] if each.state != "pruned"]
    is_top = f"{json.dumps({str(number): 1 for number in of or top})}[datum.trial]"
    heights = [*data.curves["value"], *(data.curves["training"] if of else ())]
    scale = theme.objective_scale(heights, objective)
    x = theme.whole_numbers("epoch", "epoch", data.curves["epoch"], 1)
    y = alt.Y("value:Q", title=objective.metric, scale=scale)
    tooltip = [
        alt.Tooltip("trial:Q", title="trial"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("value:Q", title=objective.metric, format=".5~g"),
    ]
    if data.training_metric:
        training = alt.Tooltip("training:Q", title=data.training_metric, format=".5~g")
        tooltip.append(training)
    lines = theme.chart("curves").encode(x=x, y=y, detail="trial:N")
    ahead, picked = lines.transform_filter(is_top), lines.transform_filter(theme.PICKED)
    behind = lines.transform_filter(f"!{is_top}").mark_line(
        color=theme.GREY, strokeWidth=1, cursor="pointer"
    )
    dashed = ahead.mark_line(color=theme.ORANGE, strokeWidth=1, strokeDash=[4, 3], opacity=0.6)
    best = ahead.transform_filter("datum.best").mark_point(
        filled=True, color=theme.BLUE, size=45, cursor="pointer"
    )
    drawn = [
        behind.encode(opacity=theme.faint(0.35, 0.03)),
        *([dashed.encode(y=alt.Y("training:Q", scale=scale))] if of else []),
        ahead.mark_line(color=theme.BLUE, strokeWidth=1.8, cursor="pointer").encode(
            opacity=theme.faint(0.75)
        ),
        best.encode(opacity=theme.faint(1.0), tooltip=tooltip).add_params(theme.brush("curves")),
        picked.mark_line(color=theme.ORANGE, strokeWidth=2.8),
        picked.transform_filter("datum.best").mark_point(filled=True, color=theme.ORANGE, size=110),
    ]
    return theme.finished(
        theme.layers(*drawn),
        "curves",
        f"Learning curves: {objective.metric}",
        320,
        f"{objective.metric} by epoch: the best of {count(len(data.ranked), 'trial')} in front, a "
        "point at each one's best epoch.",
    )


def one_curve(data: StudyData) -> alt.LayerChart:
    """Returns the picked trial's curve, of training and validation data."""
    names = {"value": data.history.description.objective.metric}
    if data.training_metric:
        names["training"] = data.training_metric
    colors = alt.Scale(domain=[*names.values()], range=[theme.ORANGE, theme.BLUE][: len(names)])
    legend = alt.Legend(orient="top", title=None, columns=1)
    picked = theme.chart("curves").transform_filter(theme.PICKED)
    scale = alt.Scale(zero=False, nice=False)
    x = alt.X("epoch:Q", title="epoch", axis=theme.whole_axis(), scale=scale)
    best = (
        # Not filtered: of repeated trainings no epoch is the best, and a scale needs ends.
        picked.mark_rule(color=theme.MUTED, strokeDash=[3, 3]).encode(
            x=x, opacity=alt.condition("datum.best", alt.value(1), alt.value(0))
        )
    )
    lines = [
        picked.transform_filter(f"isValid(datum.{field})")
        .mark_line(point=alt.OverlayMarkDef(size=22))
        .encode(
            x=x,
            # A format of its own: where all values are the same, Vega's is for no digits.
            y=alt.Y(
                f"{field}:Q",
                title=None,
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=".5~g"),
            ),
            color=alt.ColorDatum(name, scale=colors, legend=legend),
            tooltip=[
                alt.Tooltip("epoch:Q", title="epoch"),
                alt.Tooltip(f"{field}:Q", title=name, format=".5~g"),
            ],
        )
        for field, name in names.items()
    ]
    return theme.finished(
        theme.layers(best, *lines),
        "one_curve",
        "Its curve",
        170,
        "The chosen trial's metric by epoch, of validation and training data.",
    )
