"""The charts of a champion's predictions: the confusion matrix, and a regression's predictions."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from statistics import correlation, linear_regression
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
# Predictions are float32, so the correlation of points on a line may differ from 1 by this number.
_NOT_A_LINE = 1e-9
_TARGET, _PREDICTION, _RULE = "target", "prediction", "true"


def confusion_matrix(output: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns a chart of the numbers of samples by true and predicted class.

    `suffix` is appended to the chart's name. If a model has several outputs, the chart of each
    output needs another suffix.
    """
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
        f"confusion{suffix}",
        "Confusion matrix",
        max(180, min(520, 28 * len(names))),
        f"{output.correct} of {output.samples} validation samples are classified rightly.",
    )


def targets(output: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns a chart of a regression's predictions and targets.

    The horizontal axis has the feature if the data has one feature, otherwise the targets. The
    chart also shows the targets without noise if these are known, as for a synthetic data set.
    """
    of_feature = bool(output.feature)
    places = output.feature or output.truth
    order = sorted(range(len(places)), key=places.__getitem__)
    kinds = {_TARGET: output.truth, _PREDICTION: output.predicted, _RULE: output.rule}
    shown = [kind for kind, values in kinds.items() if values]
    rows = [
        {"x": significant(places[i]), "y": significant(kinds[kind][i]), "kind": kind}
        for kind in shown
        for i in order
    ]
    colors = dict(zip(kinds, (theme.GREY, theme.BLUE, theme.ORANGE), strict=True))
    color = alt.Color(
        "kind:N",
        sort=None,
        title=None,
        scale=alt.Scale(domain=shown, range=[colors[kind] for kind in shown]),
        legend=alt.Legend(orient="top"),
    )
    scale = alt.Scale(zero=False, nice=True)
    x = alt.X("x:Q", title=output.feature_name if of_feature else _TARGET, scale=scale)
    y = alt.Y("y:Q", title=_TARGET if of_feature else _PREDICTION, scale=scale)
    table = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=color)

    target, prediction, rule = (
        table.transform_filter(f"datum.kind == '{kind}'") for kind in (_TARGET, _PREDICTION, _RULE)
    )
    points: dict[str, Any] = {"filled": True, "size": 28, "opacity": 0.6}
    # On the dashed line, a prediction equals its target.
    layers = [
        target.mark_line(strokeWidth=1.2, strokeDash=[4, 3]),
        prediction.mark_point(**points),
    ]
    if of_feature:
        layers = [target.mark_point(**points), prediction.mark_line(strokeWidth=2.5)]
    if output.rule:
        # The line without noise is dashed and in front, so the prediction is visible behind it.
        layers.append(rule.mark_line(strokeWidth=2.5, strokeDash=[6, 5]))
    return theme.finished(
        layers,
        f"targets{suffix}",
        "Predictions, and the truth without noise"
        if output.rule
        else f"Prediction by {output.feature_name if of_feature else _TARGET}",
        340,
        equations(output) or f"Targets and predictions of {len(order)} samples.",
    )


def equations(output: ValidationPredictions) -> str:
    """Returns the equations of two lines: of the predictions, and of the targets without noise.

    For example: "Found: y = 2.01 x + 0.98. True: y = 2 x + 1." The text is empty if the predictions
    do not lie on a line.
    """
    lines = {"Found": output.predicted, "True": output.rule}
    texts = [
        f"{name}: {equation}."
        for name, y in lines.items()
        if (equation := _equation(output.feature, y, output.feature_name))
    ]
    return " ".join(texts) if texts and texts[0].startswith("Found") else ""


def _equation(x: Sequence[float], y: Sequence[float], name: str) -> str:
    """Returns the equation of the line through all points, or an empty text if there is none."""
    if len(y) < 3 or min(len(set(x)), len(set(y))) < 3 or 1 - abs(correlation(x, y)) > _NOT_A_LINE:
        return ""
    slope, intercept = linear_regression(x, y)
    sign = "-" if intercept < 0 else "+"
    return f"y = {slope:.3g} {name} {sign} {abs(intercept):.3g}"


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
