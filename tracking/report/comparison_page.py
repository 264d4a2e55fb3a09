"""Makes the page that compares studies, or engines of one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import altair as alt

from tracking.history.comparison import Comparison, Reached, compare
from tracking.history.study_history import StudyHistory
from tracking.report.charts import theme
from tracking.report.figures import Figure
from tracking.report.formats import count, duration, number, value_text
from tracking.report.page import render
from tracking.report.trial_data import Columns, StudyData, columns_of

_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]


def comparison_page(histories: Sequence[StudyHistory]) -> str:
    """Returns a page with studies side by side, as HTML.

    Raises:
        ComparisonError: If they can't be compared; see `compare`.
    """
    comparison = compare(histories)
    studies = [StudyData(history) for history in histories]
    names = {history.description.name for history in histories}
    rows = _progress(comparison, studies)
    figures: list[Figure] = []
    if any(value is not None for value in rows.get("value", ())):
        spent = {"count": "trials", "seconds": "seconds of training"}
        figures = [Figure(_best_so_far(comparison, rows, *each)) for each in spent.items()]
    return render(
        "comparison.html",
        [figure.chart for figure in figures],
        {"progress": rows},
        {"picked": None, "command": ["", ""], "headings": studies[0].headings},
        title=f"{', '.join(standing.label for standing in comparison.standings)}: comparison",
        labels=[standing.label for standing in comparison.standings],
        kind=f"Engines of {names.pop()}" if len(names) == 1 else "Studies",
        objective=comparison.objective,
        found=_found(comparison),
        figures=figures,
        standings=[_standing(comparison, place) for place in range(len(histories))],
        targets=[number(target) for target in comparison.targets],
        notes=comparison.notes,
        overlaps=[
            (each.name, [_region(r, each.numeric) for r in each.regions], f"{each.overlap:.2f}")
            for each in comparison.parameters
            if each.overlap is not None
        ],
        top=comparison.top,
    )


def _progress(comparison: Comparison, studies: Sequence[StudyData]) -> Columns:
    """Returns a row for each ended trial: its study, value, and what had been spent by then.

    Columns: ``study``, ``trial``, ``count`` (of trials), ``seconds`` (of training), ``value``,
    ``best_so_far``, ``state``.
    """
    rows: list[dict[str, Any]] = []
    for standing, data in zip(comparison.standings, studies, strict=True):
        trials = data.trials
        spent = itertools.accumulate(trials.get("seconds", ()))
        for place, (trial, seconds) in enumerate(zip(trials.get("trial", ()), spent, strict=True)):
            rows.append(
                {
                    "study": standing.label,
                    "trial": trial,
                    "count": place + 1,
                    "seconds": round(seconds, 3),
                    "value": trials["value"][place],
                    "best_so_far": trials["best_so_far"][place],
                    "state": trials["state"][place],
                }
            )
    return columns_of(rows)


def _best_so_far(comparison: Comparison, rows: Columns, by: str, title: str) -> alt.LayerChart:
    """Returns the best value so far of each study, by trials or by seconds of training."""
    objective = comparison.objective
    scale = theme.objective_scale(rows["best_so_far"], objective)
    y = alt.Y("best_so_far:Q", title=f"best {objective.metric} so far", scale=scale)
    whole = theme.whole_axis() if by == "count" else alt.Axis()
    x = alt.X(f"{by}:Q", title=title, axis=whole)
    labels = [standing.label for standing in comparison.standings]
    turns = range(len(labels))
    colors = alt.Scale(domain=labels, range=[theme.SERIES[i % len(theme.SERIES)] for i in turns])
    dashes = alt.Scale(domain=labels, range=[_DASHES[i % len(_DASHES)] for i in turns])
    legend = alt.Legend(orient="top", title=None, labelLimit=240)
    shown = theme.chart("progress").transform_filter("isValid(datum.best_so_far)")
    lines = shown.mark_line(interpolate="step-after", strokeWidth=2.2, clip=True).encode(
        x=x,
        y=y,
        color=alt.Color("study:N", scale=colors, legend=legend),
        strokeDash=alt.StrokeDash("study:N", scale=dashes, legend=legend),
    )
    return theme.finished(
        theme.layers(lines),
        f"best_by_{by}",
        f"Best {objective.metric} so far, by {title}",
        300,
        f"The best {objective.metric} so far of {'; '.join(labels)}, by {title}.",
    )


def _found(comparison: Comparison) -> str:
    valued = [each for each in comparison.standings if each.best and each.best.value is not None]
    if not valued:
        return "No trial has a value yet."
    best = min(valued, key=lambda each: comparison.objective.sort_key(_value(each.best)))
    return (
        f"{best.label} found the best {comparison.objective.metric}: {number(_value(best.best))}."
    )


def _value(trial: object) -> float:
    value = getattr(trial, "value", None)
    assert isinstance(value, float | int), "it has a value"
    return value


def _standing(comparison: Comparison, place: int) -> list[str]:
    standing = comparison.standings[place]
    description, best = standing.history.description, standing.best
    counts = standing.history.counts()
    at = "" if best is None or best.epoch is None else f", epoch {best.epoch}"
    return [
        standing.label,
        description.engine,
        "none" if best is None or best.value is None else number(best.value, 5),
        "" if best is None else f"{best.number}{at}",
        f"{counts['total']:,}: "
        + ", ".join(f"{n:,} {name}" for name, n in counts.items() if n and name != "total"),
        f"{standing.epochs:,}",
        duration(standing.seconds),
        *(_cost(reached) for reached in standing.reached),
    ]


def _cost(reached: Reached) -> str:
    if reached.trials is None or reached.seconds is None:
        return "not reached"
    return f"{count(reached.trials, 'trial')}, {duration(reached.seconds)}"


def _region(region: tuple[object, ...], numeric: bool) -> str:
    shown = [number(v) if isinstance(v, float) else value_text(v) for v in region]
    return " to ".join(dict.fromkeys(shown)) if numeric else ", ".join(shown)
