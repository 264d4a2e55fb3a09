"""How trials trained: their curves, and whether they over- or underfit."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from tracking.report.charts import theme
from tracking.report.formats import count
from tracking.report.trial_data import StudyData

_TOP = 10


def learning_curves(data: StudyData) -> alt.LayerChart:
    """Returns the curves of the top trials, the others behind, and the picked one in front."""
    objective = data.history.description.objective
    top = {str(each.number): 1 for each in data.ranked[:_TOP] if each.state != "pruned"}
    is_top = f"{theme.expression(top)}[datum.trial]"
    scale = theme.objective_scale(data.curves["value"], objective)
    x = theme.whole_numbers("epoch", "epoch", data.curves["epoch"], 1)
    y = alt.Y("value:Q", title=objective.metric, scale=scale)
    lines = theme.chart("curves").encode(x=x, y=y, detail="trial:N")
    tooltip = [
        alt.Tooltip("trial:Q", title="trial"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("value:Q", title=objective.metric, format=".5~g"),
    ]
    behind = (
        lines.transform_filter(f"!{is_top}")
        .mark_line(color=theme.GREY, strokeWidth=1, cursor="pointer")
        .encode(opacity=theme.faint(0.35, 0.03))
    )
    ahead = (
        lines.transform_filter(is_top)
        .mark_line(color=theme.BLUE, strokeWidth=1.8, cursor="pointer")
        .encode(opacity=theme.faint(0.75))
    )
    best = (
        lines.transform_filter(f"{is_top} && datum.best")
        .mark_point(filled=True, color=theme.BLUE, size=45, cursor="pointer")
        .encode(opacity=theme.faint(1.0), tooltip=tooltip)
        .add_params(theme.brush("curves"))
    )
    picked = lines.transform_filter(theme.PICKED)
    return theme.finished(
        theme.layers(
            behind,
            ahead,
            best,
            picked.mark_line(color=theme.ORANGE, strokeWidth=2.8),
            picked.transform_filter("datum.best").mark_point(
                filled=True, color=theme.ORANGE, size=110
            ),
        ),
        "curves",
        f"Learning curves: {objective.metric}",
        320,
        f"{objective.metric} by epoch: the best of {count(len(data.ranked), 'trial')} in front, a "
        "point at each one's best epoch.",
    )


def one_curve(data: StudyData) -> alt.LayerChart:
    """Returns the picked trial's curve, of training and validation data."""
    objective = data.history.description.objective
    names = {"value": objective.metric}
    if data.training_metric:
        names["training"] = data.training_metric
    colors = alt.Scale(domain=[*names.values()], range=[theme.ORANGE, theme.BLUE][: len(names)])
    picked = theme.chart("curves").transform_filter(theme.PICKED)
    x = alt.X(
        "epoch:Q",
        title="epoch",
        axis=theme.whole_axis(),
        scale=alt.Scale(zero=False, nice=False),
    )
    lines = (
        picked.transform_fold([*names], as_=["series", "height"])
        .transform_filter("isValid(datum.height)")
        .transform_calculate(metric=f"{theme.expression(names)}[datum.series]")
        .mark_line(point=alt.OverlayMarkDef(size=22))
        .encode(
            x=x,
            # A format of its own: where all values are the same, Vega's is for no digits.
            y=alt.Y(
                "height:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=".5~g")
            ),
            color=alt.Color(
                "metric:N", scale=colors, legend=alt.Legend(orient="top", title=None, columns=1)
            ),
            tooltip=[
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("metric:N"),
                alt.Tooltip("height:Q", title="value", format=".5~g"),
            ],
        )
    )
    best = (
        # Not filtered: of repeated trainings no epoch is the best, and a scale needs ends.
        picked.mark_rule(color=theme.MUTED, strokeDash=[3, 3]).encode(
            x=x, opacity=alt.condition("datum.best", alt.value(1), alt.value(0))
        )
    )
    drawn = theme.finished(
        theme.layers(best, lines),
        "one_curve",
        "Its curve",
        170,
        "The chosen trial's metric by epoch, of validation and training data.",
    )
    return theme.with_table(drawn, "curves", {"epoch": "epoch", **names}, of_picked=True)


def fit_by_trial(data: StudyData) -> alt.LayerChart:
    """Returns each trial's value on validation data against that on training data."""
    objective = data.history.description.objective
    valued = theme.chart().transform_filter("isValid(datum.value) && isValid(datum.training)")
    both = [*data.trials["value"], *data.trials["training"]]
    scale = theme.objective_scale(both, objective)
    found = [v for v in both if v is not None]
    x = alt.X("training:Q", title=f"{data.training_metric} (training)", scale=scale)
    y = alt.Y("value:Q", title=f"{objective.metric} (validation)", scale=scale)
    same = _diagonal([min(found), max(found)] if found else [], scale)
    points = (
        valued.mark_point(cursor="pointer", filled=False)
        .encode(
            x=x,
            y=y,
            color=theme.state_color(data, valued=True),
            shape=theme.state_shape(data, valued=True),
            opacity=theme.faint(),
            tooltip=[
                *theme.tooltips(data, 0),
                alt.Tooltip("training:Q", title=data.training_metric, format=".5~g"),
                alt.Tooltip("gap:Q", title="gap", format=".3~g"),
            ],
        )
        .add_params(theme.brush("fit"))
    )
    return theme.finished(
        theme.layers(same, points, theme.picked_ring(valued).encode(x=x, y=y)),
        "fit",
        "Validation against training, at each trial's best epoch",
        300,
        "Each trial's value on validation data against that on training data, at its best epoch. "
        "On the dashed line both are equal; the further from it on the side of better training, "
        "the more the trial overfits.",
    )


def _diagonal(ends: Sequence[float], scale: alt.Scale) -> alt.Chart:
    """Returns the dashed line on which both axes are equal."""
    rows = alt.InlineData(values=[{"end": end} for end in ends])
    line = alt.Chart(rows).mark_line(
        color=theme.MUTED, strokeDash=[4, 3], strokeWidth=1.2, clip=True
    )
    drawn: alt.Chart = line.encode(x=alt.X("end:Q", scale=scale), y=alt.Y("end:Q", scale=scale))
    return drawn
