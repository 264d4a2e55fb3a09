"""The values of columns and targets, by part."""

from __future__ import annotations

import altair as alt

from tracking.records.data_findings import DataFindings, Distribution
from tracking.report.charts import theme
from tracking.report.formats import significant

_MOST_COLUMNS = 12
_MOST_LABELS = 30
_HEIGHT = 150


def shown(found: DataFindings) -> list[Distribution]:
    """Returns the targets, and the columns that are drawn: at first those with far values."""
    drawn = [each for each in (*found.targets, *found.columns) if each.bars]
    far = sorted(drawn[len(found.targets) :], key=lambda each: -each.far)
    return [*drawn[: len(found.targets)], *far[:_MOST_COLUMNS]]


def distribution(each: Distribution, name: str) -> alt.LayerChart:
    """Returns the share of each part's samples by value."""
    parts = list(each.bars)
    places = each.labels[:_MOST_LABELS] or each.edges[:-1]
    rows = [
        {
            "part": part,
            "from": significant(place) if isinstance(place, float) else place,
            "to": significant(each.edges[bin_ + 1]) if each.edges else None,
            "samples": each.bars[part][bin_],
            "share": significant(each.bars[part][bin_] / max(sum(each.bars[part]), 1), 4),
        }
        for part in parts
        for bin_, place in enumerate(places)
    ]
    colors = [theme.GREY, theme.BLUE, theme.ORANGE][: len(parts)]
    color = alt.Color(
        "part:N",
        sort=parts,
        scale=alt.Scale(domain=parts, range=colors),
        legend=alt.Legend(orient="top", title=None),
    )
    tooltip = ["part:N", "from:N", "to:Q", "samples:Q", alt.Tooltip("share:Q", format=".1%")]
    base = alt.Chart(alt.InlineData(values=rows))
    axis = alt.Axis(format="%", tickCount=4)
    share = alt.Y("share:Q", title="share", axis=axis, stack=None)
    title = f"classes of {each.name}" if each.kind == "classes" else each.name
    if each.labels:
        x = alt.X("from:N", sort=None, title=None, axis=alt.Axis(labelAngle=0, labelLimit=80))
        drawn = base.mark_bar().encode(
            x=x, xOffset=alt.XOffset("part:N", sort=parts), y=share, color=color, tooltip=tooltip
        )
    else:
        scale = alt.Scale(domain=[each.edges[0], each.edges[-1]], nice=False, zero=False)
        drawn = base.mark_bar(
            orient="vertical", fillOpacity=0.25, strokeWidth=1.5, binSpacing=0
        ).encode(
            x=alt.X("from:Q", title=None, scale=scale),
            x2="to:Q",
            y=share,
            stroke=color,
            color=color,
            tooltip=tooltip,
        )
    return theme.finished(
        theme.layers(drawn), name, title, _HEIGHT, f"{title}: the share of samples of each part."
    )
