"""When trials ran, and how they ended."""

from __future__ import annotations

import altair as alt

from tracking.report.charts import theme
from tracking.report.formats import count
from tracking.report.trial_data import StudyData

_UNITS = (("h", 3600), ("min", 60), ("s", 1))


def timeline(data: StudyData) -> alt.LayerChart:
    """Returns a bar for each trial from its beginning to its end, in lanes of one at a time."""
    ends = [end for end in data.trials["end"] if end is not None]
    lanes = [lane for lane in data.trials["lane"] if lane is not None]
    longest = max(ends, default=1.0)
    unit, size = next((each for each in _UNITS if longest >= 2 * each[1]), _UNITS[-1])
    ran = theme.chart().transform_filter("isValid(datum.lane)")
    bars = (
        ran.transform_calculate(x=f"datum.begin / {size}", x2=f"datum.end / {size}")
        .mark_bar(cursor="pointer", stroke=theme.PAPER, strokeWidth=0.5, cornerRadius=1)
        .encode(
            x=alt.X("x:Q", title=f"{unit} since the first trial began; pauses left out"),
            x2="x2:Q",
            y=alt.Y("lane:O", title="at the same time", axis=alt.Axis(grid=False)),
            color=theme.state_color(data),
            opacity=theme.faint(0.9, 0.1),
            tooltip=[
                *theme.tooltips(data, 0),
                alt.Tooltip("seconds:Q", title="seconds", format=".3~g"),
            ],
        )
    )
    return theme.finished(
        theme.layers(bars),
        "timeline",
        "When trials ran",
        30 * max(lanes, default=1) + 20,
        f"When each of {count(len(ends), 'trial')} ran; at most {max(lanes, default=1)} at once.",
    )


def states(data: StudyData) -> alt.LayerChart:
    """Returns how many trials ended in each state."""
    known = [name for name, *_ in theme.STATES if name in data.trials["state"]]
    rows = [{"state": name, "trials": data.trials["state"].count(name)} for name in known]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("trials:Q", title="trials", axis=alt.Axis(tickMinStep=1, format="d")),
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
