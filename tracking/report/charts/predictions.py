"""What the champion predicts of the validation data."""

from __future__ import annotations

import altair as alt

from tracking.records.validation_predictions import ValidationPredictions
from tracking.report.charts import theme
from tracking.report.formats import significant

_MOST_LABELED = 25


def confusion_matrix(found: ValidationPredictions) -> alt.LayerChart:
    """Returns the samples by true and predicted class, coloured by their share of the class."""
    names = _distinct(found.class_names)
    rows = [
        {
            "true": names[i],
            "predicted": names[j],
            "samples": amount,
            "share": significant(amount / max(sum(line), 1), 3),
            "right": int(i == j),
        }
        for i, line in enumerate(found.confusion)
        for j, amount in enumerate(line)
    ]
    few = len(names) <= _MOST_LABELED
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "predicted:N",
            sort=None,
            title="predicted class",
            axis=alt.Axis(labelAngle=0 if max(map(len, names)) < 5 else -45, labelLimit=90),
            scale=alt.Scale(paddingInner=0.04),
        ),
        y=alt.Y("true:N", sort=None, title="true class", axis=alt.Axis(labelLimit=90)),
        tooltip=["true:N", "predicted:N", "samples:Q", alt.Tooltip("share:Q", format=".1%")],
    )
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.condition("datum.right", alt.value(theme.BLUE), alt.value(theme.ORANGE)),
        opacity=alt.Opacity(
            "share:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 1]), legend=None
        ),
    )
    layers = [cells]
    if few:
        shown = base.transform_filter("datum.samples > 0").mark_text(fontSize=11)
        light = alt.condition("datum.share > 0.55", alt.value(theme.PAPER), alt.value(theme.INK))
        layers.append(shown.encode(text="samples:Q", color=light))
    return theme.finished(
        theme.layers(*layers),
        "confusion",
        "Confusion matrix",
        max(180, min(520, 28 * len(names))),
        f"Of {found.samples} validation samples {found.correct} are classified rightly.",
    )


def truth(found: ValidationPredictions) -> alt.LayerChart:
    """Returns the prediction of each sample against its target."""
    rows = [
        {"truth": significant(t), "prediction": significant(p)}
        for t, p in zip(found.truth, found.predicted, strict=True)
    ]
    every = [*found.truth, *found.predicted]
    scale = alt.Scale(domain=[min(every), max(every)], zero=False, nice=True)
    x = alt.X("truth:Q", title="target", scale=scale)
    y = alt.Y("prediction:Q", title="prediction", scale=scale)
    ends = alt.InlineData(values=[{"end": min(every)}, {"end": max(every)}])
    same = (
        alt.Chart(ends)
        .mark_line(color=theme.MUTED, strokeDash=[4, 3], strokeWidth=1.2)
        .encode(x=alt.X("end:Q", scale=scale), y=alt.Y("end:Q", scale=scale))
    )
    points = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(color=theme.BLUE, filled=True, size=28, opacity=0.5)
        .encode(x=x, y=y, tooltip=["truth:Q", "prediction:Q"])
    )
    return theme.finished(
        theme.layers(same, points),
        "truth",
        "Prediction against target",
        360,
        f"The champion's prediction of {len(rows)} validation samples against their targets; on "
        "the dashed line both are equal.",
    )


def _distinct(names: tuple[str, ...]) -> list[str]:
    if len(set(names)) == len(names):
        return list(names)
    return [f"{place}: {name}" for place, name in enumerate(names)]
