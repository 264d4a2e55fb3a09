"""Studies, or engines of one, on shared scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from tracking.history.comparison import Comparison
from tracking.report.axes import HyperparameterAxis
from tracking.report.charts import theme
from tracking.report.trial_data import Columns, StudyData, columns_of


def progress_rows(comparison: Comparison, studies: Sequence[StudyData]) -> Columns:
    """Returns a row for each ended trial: its study, value, and what had been spent by then.

    Columns: ``study``, ``trial``, ``count`` (of trials), ``seconds`` (of training), ``value``,
    ``best_so_far``, ``state``.
    """
    rows: list[dict[str, Any]] = []
    for standing, data in zip(comparison.standings, studies, strict=True):
        trials = data.trials
        for place, trial in enumerate(trials.get("trial", ())):
            spent = math.fsum(trials["seconds"][: place + 1])
            rows.append(
                {
                    "study": standing.label,
                    "trial": trial,
                    "count": place + 1,
                    "seconds": round(spent, 3),
                    "value": trials["value"][place],
                    "best_so_far": trials["best_so_far"][place],
                    "state": trials["state"][place],
                }
            )
    return columns_of(rows)


def best_so_far(comparison: Comparison, rows: Columns, by: str, title: str) -> alt.LayerChart:
    """Returns the best value so far of each study, by trials or by seconds of training."""
    objective = comparison.objective
    scale = theme.objective_scale(rows["best_so_far"], objective)
    y = alt.Y("best_so_far:Q", title=f"best {objective.metric} so far", scale=scale)
    whole = theme.whole_axis() if by == "count" else alt.Axis()
    x = alt.X(f"{by}:Q", title=title, axis=whole)
    shown = theme.chart("progress").transform_filter("isValid(datum.best_so_far)")
    lines = shown.mark_line(interpolate="step-after", strokeWidth=2.2, clip=True).encode(
        x=x, y=y, color=_color(comparison), strokeDash=_dash(comparison)
    )
    labels = "; ".join(standing.label for standing in comparison.standings)
    return theme.finished(
        theme.layers(lines),
        f"best_by_{by}",
        f"Best {objective.metric} so far, by {title}",
        300,
        f"The best {objective.metric} so far of {labels}, by {title}.",
    )


def values(comparison: Comparison, rows: Columns) -> alt.LayerChart:
    """Returns the values of all trials of each study, and their quartiles."""
    objective = comparison.objective
    scale = theme.objective_scale(rows["value"], objective)
    x = alt.X("value:Q", title=objective.metric, scale=scale)
    y = alt.Y("study:N", sort=None, title=None, axis=alt.Axis(labelLimit=160))
    shown = theme.chart("progress").transform_filter("isValid(datum.value)")
    points = (
        shown.transform_calculate(spread="(datum.trial * 0.618034) % 1")
        .mark_point(size=28, opacity=0.5)
        .encode(
            x=x,
            y=y,
            yOffset=alt.YOffset("spread:Q", scale=alt.Scale(domain=[-0.2, 1.2])),
            color=_color(comparison, legend=False),
            tooltip=[
                alt.Tooltip("study:N"),
                alt.Tooltip("trial:Q"),
                alt.Tooltip("value:Q", title=objective.metric, format=".5~g"),
            ],
        )
    )
    middle = shown.mark_tick(color=theme.INK, thickness=3, size=46).encode(
        x=alt.X("median(value):Q", title=objective.metric, scale=scale), y=y
    )
    return theme.finished(
        theme.layers(points, middle),
        "values",
        f"{objective.metric} of all trials",
        70 * len(comparison.standings) + 20,
        f"{objective.metric} of each trial, by study; the bar is the median.",
    )


def region(
    comparison: Comparison, studies: Sequence[StudyData], axis: HyperparameterAxis
) -> alt.LayerChart:
    """Returns the values of a hyperparameter in each study's trials, the best ones large."""
    rows = []
    for standing, data in zip(comparison.standings, studies, strict=True):
        best = {trial.number for trial in data.ranked[: comparison.top]}
        for trial in data.ranked:
            columns = axis.columns(trial.params)
            if columns[axis.field] is not None:
                rows.append(
                    {
                        "study": standing.label,
                        "trial": trial.number,
                        **columns,
                        "tier": int(trial.number in best),
                    }
                )
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=axis.x(),
        y=alt.Y("study:N", sort=None, title=None, axis=alt.Axis(labelLimit=130)),
        color=_color(comparison, legend=False),
        tooltip=[alt.Tooltip("study:N"), alt.Tooltip("trial:Q"), axis.tooltip()],
    )
    behind = base.transform_filter("!datum.tier").mark_tick(thickness=1, size=14, opacity=0.35)
    ahead = base.transform_filter("datum.tier").mark_point(filled=True, size=70, opacity=0.8)
    return theme.finished(
        theme.layers(behind, ahead),
        f"region_{axis.field}",
        axis.name,
        40 * len(comparison.standings) + 20,
        f"The values of {axis.name} that trials had, by study; those of the best {comparison.top} "
        "are large.",
    )


def _labels(comparison: Comparison) -> list[str]:
    return [standing.label for standing in comparison.standings]


def _color(comparison: Comparison, *, legend: bool = True) -> alt.Color:
    labels = _labels(comparison)
    colors = [theme.SERIES[i % len(theme.SERIES)] for i in range(len(labels))]
    shown = alt.Legend(orient="top", title=None, labelLimit=240) if legend else None
    return alt.Color("study:N", scale=alt.Scale(domain=labels, range=colors), legend=shown)


def _dash(comparison: Comparison) -> alt.StrokeDash:
    labels = _labels(comparison)
    dashes = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]
    scale = alt.Scale(domain=labels, range=[dashes[i % len(dashes)] for i in range(len(labels))])
    return alt.StrokeDash(
        "study:N", scale=scale, legend=alt.Legend(orient="top", title=None, labelLimit=240)
    )
