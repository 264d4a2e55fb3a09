"""Values with their intervals: how much of the best to believe, and what a diagnosis compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from tracking.history.verdicts import StudyVerdict
from tracking.records.checks import Interval
from tracking.report.charts import theme
from tracking.report.formats import significant
from tracking.report.trial_data import StudyData

REPORTED, CORRECTED = "reported", "corrected"
CONFIRMED, DEFAULT = "confirmed, test part", "default, test part"
_COLORS = {REPORTED: theme.ORANGE, CONFIRMED: theme.GREEN, DEFAULT: theme.GREY}


def belief(data: StudyData) -> alt.LayerChart:
    """Returns the best value as reported, its intervals, and the values under new seeds."""
    verdict = data.verdict
    title = f"{verdict.metric}: reported and to expect"
    return intervals(_rows(verdict), verdict.metric, "belief", title, verdict.text)


def intervals(
    rows: Sequence[Mapping[str, Any]], metric: str, name: str, title: str, description: str
) -> alt.LayerChart:
    """Returns values by place, each with its interval if it has one; those of a seed as rings.

    Args:
        rows: Each has a ``place`` and a ``value``; it may have ``low`` and ``high``, the
            ``interval`` in words, and a ``seed``.
        metric: What the values are.
        name: The chart's name.
        title: Its title.
        description: What it shows.
    """
    shown = [dict(row) for row in rows if math.isfinite(row["value"])]
    places = list(dict.fromkeys(row["place"] for row in shown))
    found = [row.get(name) for row in shown for name in ("value", "low", "high")]
    ends = [each for each in found if each is not None]
    scale = alt.Scale(domain=[min(ends), max(ends)], zero=False, nice=True)
    # Else the labels at both ends are moved inwards.
    axis = alt.Axis(labelFlush=False)
    x = alt.X("value:Q", title=metric, scale=scale, axis=axis)
    low = alt.X("low:Q", title=metric, scale=scale, axis=axis)
    y = alt.Y("place:N", sort=places, title=None, axis=alt.Axis(labelLimit=180, labelFontSize=12))
    colors = [_COLORS.get(place, theme.BLUE) for place in places]
    color = alt.Color("place:N", legend=None, scale=alt.Scale(domain=places, range=colors))
    tooltip = [
        alt.Tooltip("place:N", title="what"),
        alt.Tooltip("value:Q", title=metric, format=".5~g"),
        alt.Tooltip("interval:N", title="interval"),
        alt.Tooltip("seed:N", title="seed"),
    ]
    base = alt.Chart(alt.InlineData(values=shown)).encode(y=y, color=color, tooltip=tooltip)
    lines = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=4, strokeCap="round")
    seeds = base.transform_filter("isValid(datum.seed)").mark_point(
        size=60, strokeWidth=1.6, fill=theme.PAPER
    )
    points = base.transform_filter("!isValid(datum.seed)").mark_point(
        filled=True, size=120, opacity=1
    )
    drawn = theme.layers(lines.encode(x=low, x2="high:Q"), seeds.encode(x=x), points.encode(x=x))
    return theme.finished(drawn, name, title, 36 * len(places) + 20, description)


def _rows(verdict: StudyVerdict) -> list[dict[str, Any]]:
    """Returns what the chart shows, from top to bottom."""
    found: list[dict[str, Any]] = []
    if verdict.reported is not None:
        found.append({"place": REPORTED, "value": verdict.reported})
    if verdict.corrected is not None:
        found.append(_row(CORRECTED, verdict.corrected.estimate))
    confirmation = verdict.confirmation
    if confirmation is None:
        return found
    winner = confirmation.racer(confirmation.winner)
    found += _seeded(f"trial {winner.trial}, new seeds", winner.values, confirmation.seeds)
    if confirmation.confirmed is not None:
        found.append(_row(CONFIRMED, confirmation.confirmed))
        found += _seeded(CONFIRMED, confirmation.winner_on_test, confirmation.test_seeds)
        found += _seeded(DEFAULT, confirmation.default_on_test, confirmation.test_seeds)
    return found


def _row(place: str, interval: Interval) -> dict[str, Any]:
    low, high = significant(interval.low), significant(interval.high)
    told = f"{interval.low:.4g} to {interval.high:.4g} ({100 * interval.level:.3g} %)"
    return {"place": place, "value": interval.value, "low": low, "high": high, "interval": told}


def _seeded(
    place: str, values: Sequence[float | None], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    # Infeasible trainings have no value, and are left out of those on the test part.
    names = seeds if len(seeds) == len(values) else [0] * len(values)
    return [
        {"place": place, "value": value, "seed": str(seed or "new")}
        for value, seed in zip(values, names, strict=True)
        if value is not None
    ]
