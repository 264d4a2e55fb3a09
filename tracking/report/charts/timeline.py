"""When trials ran, and how they ended."""

from __future__ import annotations

import altair as alt

from tracking.report.charts import theme
from tracking.report.formats import count
from tracking.report.trial_data import StudyData

# Of all lanes of trials at once, of one, and of one whose label can be read.
_MOST_HEIGHT, _LEAST_HEIGHT, _LABEL_HEIGHT = 480, 4, 14


def timeline(data: StudyData) -> alt.LayerChart:
    """Returns a bar for each trial from its beginning to its end, in lanes of one at a time."""
    lanes = [lane for lane in data.trials["lane"] if lane is not None]
    most = max(lanes, default=1)
    unit, _ = data.time_unit
    height = max(_LEAST_HEIGHT, min(30, _MOST_HEIGHT // most))
    labels = height >= _LABEL_HEIGHT
    bars = (
        theme.chart()
        .transform_filter("isValid(datum.lane)")
        .mark_bar(cursor="pointer", stroke=theme.PAPER, strokeWidth=0.5, cornerRadius=1)
        .encode(
            x=alt.X("begin:Q", title=f"{unit} since the first trial began; pauses left out"),
            x2="end:Q",
            # A title would be longer than the axis.
            y=alt.Y(
                "lane:O",
                title="at once" if most > 1 else None,
                axis=alt.Axis(grid=False, labels=labels),
            ),
            color=theme.state_color(data),
            opacity=theme.faint(0.9, 0.1),
            tooltip=[
                *theme.tooltips(data, 0),
                alt.Tooltip("seconds:Q", title="seconds", format=".3~g"),
            ],
        )
        .add_params(theme.brush("timeline", ("x",)))
    )
    return theme.finished(
        theme.layers(bars),
        "timeline",
        "When trials ran",
        height * most + 20,
        f"When each of {count(len(lanes), 'trial')} ran; at most {most} at once.",
    )


def states(data: StudyData) -> alt.LayerChart:
    """Returns how many trials ended in each state."""
    known = [name for name, *_ in theme.STATES if name in data.trials["state"]]
    rows = [{"state": name, "trials": data.trials["state"].count(name)} for name in known]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("trials:Q", title="trials", axis=theme.whole_axis()),
        y=alt.Y("state:N", sort=None, title=None),
    )
    bars = base.mark_bar(cornerRadiusEnd=2, height={"band": 0.65}).encode(
        color=theme.state_color(data, legend=False)
    )
    told = ", ".join(f"{row['trials']} {row['state']}" for row in rows)
    return theme.finished(
        theme.layers(
            bars, base.mark_text(align="left", dx=5, color=theme.MUTED).encode(text="trials:Q")
        ),
        "states",
        "How trials ended",
        28 * max(len(rows), 1) + 10,
        f"Trials by state: {told}.",
    )
