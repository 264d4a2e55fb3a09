"""The pictures of what a diagnosis found: each finding's evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import altair as alt

from tracking.diagnosis.findings import Finding
from tracking.diagnosis.value_fits import CHECK as FITS
from tracking.records import Objective
from tracking.report.axes import HyperparameterAxis
from tracking.report.charts import theme
from tracking.report.formats import value_text

_HEIGHT = 240
_KINDS = {
    "best": (theme.ORANGE, "circle"),
    "other": (theme.GREY, "circle"),
    "infeasible": (theme.PURPLE, "cross"),
}


def picture(
    finding: Finding, place: int, objective: Objective, axes: Mapping[str, HyperparameterAxis]
) -> alt.LayerChart | None:
    """Returns the picture of a finding; None if it has none.

    Args:
        finding: The finding.
        place: Its place among the findings, which makes the chart's name.
        objective: The study's objective.
        axes: The axes of hyperparameters by name.
    """
    rows = list(finding.rows)
    if not rows:
        return None
    first = rows[-1]
    height = _HEIGHT
    if "unit" in first:
        drawn = _by_hyperparameter(rows, objective, axes[finding.parameter])
    elif "reason" in first:
        drawn, height = _reasons(rows), max(60, 34 * len(rows))
    elif "found" in first or ("expected" in first and "trials" in first and "best" not in first):
        drawn = _budget(rows, objective)
    elif "expected" in first:
        drawn, height = _isolated(rows, objective, finding.parameter), max(90, 44 * len(rows))
    elif "epoch" in first:
        drawn = _curves(rows, rows, objective, finding.check)
    elif "rank" in first:
        drawn = _ranked(rows, objective)
    elif "early" in first:
        drawn = _early(rows, objective, finding)
    else:
        drawn, height = _batch_sizes(rows), max(80, 34 * len(rows))
    return theme.finished(drawn, f"finding_{place}", finding.title, height, finding.verdict)


def value_fit(
    rows: list[Mapping[str, Any]], every: list[Mapping[str, Any]], objective: Objective, name: str
) -> alt.LayerChart:
    """Returns the curves of the best trial with a value.

    Args:
        rows: Its points; see `value_fits`.
        every: Those of all values, which share a scale.
        objective: The study's objective.
        name: The chart's name.
    """
    best = next(row["epoch"] for row in rows if row["best"])
    return theme.finished(
        _curves(rows, every, objective, FITS),
        name,
        f"{rows[0]['label']} {rows[0]['fit']}",
        170,
        f"{objective.metric} by epoch on validation and training data, best at epoch {best}.",
    )


def _table(rows: list[Mapping[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def _scale(rows: list[Mapping[str, Any]], objective: Objective, *fields: str) -> alt.Scale:
    return theme.objective_scale([row.get(name) for row in rows for name in fields], objective)


def _by_hyperparameter(
    rows: list[Mapping[str, Any]], objective: Objective, axis: HyperparameterAxis
) -> alt.LayerChart:
    """Trials by one hyperparameter in its sampling scale, with the end at which they crowd."""
    edges = [row for row in rows if row["kind"] == "edge"]
    points: list[Mapping[str, Any]] = [
        {**row, "at": value_text(axis.parameter.from_unit(row["unit"]))}
        for row in rows
        if row["kind"] != "edge"
    ]
    ticks = dict(axis.ticks())
    words = json.dumps({f"{place:g}": text for place, text in ticks.items()})
    x = alt.X(
        "unit:Q",
        title=axis.name,
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(
            values=[*ticks],
            labelExpr=f"{words}[format(datum.value, 'g')] || {words}[datum.value]",
            grid=False,
        ),
    )
    y = alt.Y("value:Q", title=objective.metric, scale=_scale(points, objective, "value"))
    kinds = [kind for kind in _KINDS if any(row["kind"] == kind for row in points)]
    colors, shapes = zip(*(_KINDS[kind] for kind in kinds), strict=True)
    color = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=kinds, range=colors),
        legend=alt.Legend(orient="top"),
    )
    shape = alt.Shape("kind:N", title=None, scale=alt.Scale(domain=kinds, range=shapes))
    table = _table(points).encode(
        tooltip=[
            alt.Tooltip("kind:N", title="trial"),
            alt.Tooltip("at:N", title=axis.name),
            alt.Tooltip("value:Q", title=objective.metric, format=".5~g"),
        ]
    )
    layers = [
        _table(edges).mark_rect(color=theme.ORANGE, opacity=0.12).encode(x=x, x2="until:Q"),
        table.transform_filter("isValid(datum.value)")
        .mark_point(size=42, filled=False)
        .encode(x=x, y=y, color=color, shape=shape),
        # Those without a value stand at the lower edge.
        table.transform_filter("!isValid(datum.value)")
        .mark_point(size=42, filled=False)
        .encode(x=x, y=alt.value("height"), color=color, shape=shape),
    ]
    return theme.layers(*(layers if edges else layers[1:]))


def _reasons(rows: list[Mapping[str, Any]]) -> alt.LayerChart:
    shown = _table(rows).encode(
        x=alt.X("trials:Q", title="infeasible trials", axis=theme.whole_axis(grid=True)),
        y=alt.Y("reason:N", sort=None, title=None, axis=alt.Axis(labelLimit=320)),
    )
    return theme.layers(shown.mark_bar(color=theme.PURPLE, height={"band": 0.6}))


def _budget(rows: list[Mapping[str, Any]], objective: Objective) -> alt.LayerChart:
    """The best to expect of so many trials, and the best that was found."""
    expected = _table([row for row in rows if "expected" in row])
    found = _table([row for row in rows if "found" in row])
    scale = _scale(rows, objective, "expected", "found")
    most = max(row["trials"] for row in rows)
    x = alt.X(
        "trials:Q",
        title="trials with a value",
        scale=alt.Scale(domain=[1, max(most, 2)], nice=False),
        axis=theme.whole_axis(),
    )
    title = objective.metric
    return theme.layers(
        expected.mark_area(color=theme.BLUE, opacity=0.15, clip=True).encode(
            x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"
        ),
        expected.mark_line(color=theme.BLUE).encode(
            x=x, y=alt.Y("expected:Q", title=title, scale=scale)
        ),
        found.mark_line(color=theme.ORANGE, interpolate="step-after").encode(
            x=x, y=alt.Y("found:Q", title=title, scale=scale)
        ),
    )


def _isolated(
    rows: list[Mapping[str, Any]], objective: Objective, parameter: str
) -> alt.LayerChart:
    """Each value at its best nuisance values, with its interval, and its best trial."""
    scale = _scale(rows, objective, "low", "high", "best")
    y = alt.Y("value:N", sort=None, title=parameter, axis=alt.Axis(labelLimit=200))
    table = _table(rows)

    def x(name: str) -> alt.X:
        return alt.X(f"{name}:Q", title=objective.metric, scale=scale)

    tooltip = [
        alt.Tooltip("value:N", title=parameter.replace("\\", "\\\\")),
        alt.Tooltip("trials:Q"),
        alt.Tooltip("expected:Q", format=".4g"),
        alt.Tooltip("best:Q", format=".4g", title="best trial"),
    ]
    return theme.layers(
        table.mark_rule(color=theme.BLUE, strokeWidth=2).encode(x=x("low"), x2="high:Q", y=y),
        table.mark_point(color=theme.BLUE, filled=True, size=80, opacity=1).encode(
            x=x("expected"), y=y, tooltip=tooltip
        ),
        table.mark_tick(color=theme.ORANGE, thickness=3, size=16).encode(x=x("best"), y=y),
    )


def _curves(
    rows: list[Mapping[str, Any]], every: list[Mapping[str, Any]], objective: Objective, check: str
) -> alt.LayerChart:
    """Trials by epoch: validation, with each one's best epoch, and training dashed.

    They are drawn on the scale of ``every``.
    """
    of_objective = "training" in rows[0]
    title = objective.metric
    if not of_objective:
        title = "loss" if check == "rising loss" else "val_loss"
    scale = _scale(every, objective, "value", "training")
    if not of_objective:
        scale = alt.Scale(zero=False, nice=True)
    x = theme.whole_numbers("epoch", "epoch", [row["epoch"] for row in rows], 1)
    table = _table(rows).encode(x=x, detail="trial:N")
    y = alt.Y("value:Q", title=title, scale=scale)
    layers = [
        table.mark_line(color=theme.BLUE, strokeWidth=1.5, opacity=0.7).encode(y=y),
        table.transform_filter("datum.best")
        .mark_point(color=theme.BLUE, filled=True, size=50, opacity=1)
        .encode(y=y, tooltip=[alt.Tooltip("trial:Q"), alt.Tooltip("epoch:Q", title="best epoch")]),
    ]
    if of_objective:
        training = table.transform_filter("isValid(datum.training)").mark_line(
            color=theme.ORANGE, strokeWidth=1, strokeDash=[4, 3], opacity=0.6
        )
        layers.insert(0, training.encode(y=alt.Y("training:Q", title=title, scale=scale)))
    return theme.layers(*layers)


def _ranked(rows: list[Mapping[str, Any]], objective: Objective) -> alt.LayerChart:
    """The best trials by rank, each with the noise of a value."""
    scale = _scale(rows, objective, "low", "high")
    x = theme.whole_numbers("rank", "rank of the trial", [row["rank"] for row in rows], 1)
    table = _table(rows).encode(x=x)
    return theme.layers(
        table.mark_rule(color=theme.BLUE, opacity=0.6).encode(
            y=alt.Y("low:Q", title=objective.metric, scale=scale), y2="high:Q"
        ),
        table.mark_point(color=theme.BLUE, filled=True, size=50, opacity=1).encode(
            y=alt.Y("value:Q", title=objective.metric, scale=scale),
            tooltip=[alt.Tooltip("trial:Q"), alt.Tooltip("value:Q", format=".5~g")],
        ),
    )


def _early(rows: list[Mapping[str, Any]], objective: Objective, finding: Finding) -> alt.LayerChart:
    """Trials at the epoch of the cuts and at their end."""
    epoch = finding.evidence["median epoch of the cuts"]
    shown = _table(rows).mark_point(color=theme.BLUE, size=45, filled=False)
    return theme.layers(
        shown.encode(
            x=alt.X(
                "early:Q",
                title=f"best {objective.metric} until epoch {epoch}",
                scale=_scale(rows, objective, "early"),
            ),
            y=alt.Y(
                "end:Q",
                title=f"best {objective.metric} of all",
                scale=_scale(rows, objective, "end"),
            ),
            tooltip=[alt.Tooltip("trial:Q")],
        )
    )


def _batch_sizes(rows: list[Mapping[str, Any]]) -> alt.LayerChart:
    shown = _table(rows).encode(
        x=alt.X("seconds:Q", title="seconds per epoch", axis=alt.Axis(grid=True)),
        y=alt.Y("batch_size:N", sort=None, title="batch size"),
    )
    return theme.layers(shown.mark_bar(color=theme.BLUE, height={"band": 0.6}))
