"""The charts of a champion's predictions: the confusion matrix, and a regression's predictions."""

from __future__ import annotations

import base64
from typing import Any

import altair as alt

from search_spaces.texts import number
from tracking.records.prediction_records import ValidationPredictions
from tracking.report import theme
from tracking.report.chart_data import significant, value_text

_MOST_LABELED = 25
# On cells of this opacity, the numbers have a contrast of at least 4.5, also in dark mode.
_DARKEST = 0.55
_MOST_WORST = 10
_TARGET, _PREDICTION = "target", "prediction"


def confusion_matrix(output: ValidationPredictions) -> alt.LayerChart:
    """Returns a chart of the numbers of samples by true and predicted class."""
    names = list(output.class_names)
    if len(set(names)) < len(names):
        names = [f"{place}: {name}" for place, name in enumerate(names)]
    rows = [
        {
            "true": names[i],
            "predicted": names[j],
            "samples": amount,
            "share": significant(amount / max(sum(line), 1), 3),
            "right": int(i == j),
        }
        for i, line in enumerate(output.confusion)
        for j, amount in enumerate(line)
    ]
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
            # A square root scale makes rare mistakes visible.
            "share:Q",
            scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.02, _DARKEST]),
            legend=None,
        ),
    )
    layers = [cells]
    if len(names) <= _MOST_LABELED:
        numbers = base.transform_filter("datum.samples > 0").mark_text(fontSize=11, color=theme.INK)
        layers.append(numbers.encode(text="samples:Q"))
    return theme.finished(
        layers,
        "confusion",
        "Confusion matrix",
        max(180, min(520, 28 * len(names))),
        f"{output.correct} of {output.samples} validation samples are classified rightly.",
    )


def targets(output: ValidationPredictions) -> alt.LayerChart:
    """Returns a chart of a regression's predictions by their targets."""
    points = sorted(zip(output.truth, output.predicted, strict=True))
    kinds = {_TARGET: [x for x, _ in points], _PREDICTION: [y for _, y in points]}
    rows = [
        {"x": significant(x), "y": significant(y), "kind": kind}
        for kind, values in kinds.items()
        for (x, _), y in zip(points, values, strict=True)
    ]
    color = alt.Color(
        "kind:N",
        sort=None,
        title=None,
        scale=alt.Scale(domain=list(kinds), range=[theme.GREY, theme.BLUE]),
        legend=alt.Legend(orient="top"),
    )
    scale = alt.Scale(zero=False, nice=True)
    table = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("x:Q", title=_TARGET, scale=scale),
        y=alt.Y("y:Q", title=_PREDICTION, scale=scale),
        color=color,
    )
    target, prediction = (
        table.transform_filter(f"datum.kind == '{kind}'") for kind in (_TARGET, _PREDICTION)
    )
    return theme.finished(
        [
            # On the dashed line, a prediction equals its target.
            target.mark_line(strokeWidth=1.2, strokeDash=[4, 3]),
            prediction.mark_point(filled=True, size=28, opacity=0.6),
        ],
        "targets",
        "Prediction by target",
        340,
        f"Targets and predictions of {len(points)} samples.",
    )


def worst_samples(output: ValidationPredictions) -> list[dict[str, Any]]:
    """Returns the misclassified samples as texts, the worst first."""
    names = output.class_names
    wrong = [sample for sample in output.worst if sample.true != sample.predicted]
    return [
        {
            "index": f"{sample.index:,}",
            "true": names[sample.true],
            "predicted": names[sample.predicted],
            "probability": number(sample.probability, 2),
            "confidence": number(sample.confidence, 2),
            "image": base64.b64encode(sample.png).decode("ascii"),
            "row": {name: value_text(value) for name, value in sample.row.items()},
        }
        for sample in wrong[:_MOST_WORST]
    ]
