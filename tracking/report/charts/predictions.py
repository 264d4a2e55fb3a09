"""What the champion predicts of the validation data."""

from __future__ import annotations

import base64
from typing import Any

import altair as alt

from tracking.records.validation_predictions import ValidationPredictions
from tracking.report.charts import theme
from tracking.report.formats import number, significant, value_text

_MOST_LABELED = 25
# Numbers in the colour of ink can be read on it, by light and in the dark: a contrast of 4.5.
_DARKEST = 0.55
_MOST_WORST = 18
_TARGET, _FOUND, _RULE = "target", "prediction", "true"


def confusion_matrix(found: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns the samples by true and predicted class, coloured by their share of the class.

    Args:
        found: The predictions.
        suffix: What its name ends with, of the second output and others.
    """
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
            # Mistakes are few; by a root they can be seen.
            "share:Q",
            scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.02, _DARKEST]),
            legend=None,
        ),
    )
    layers = [cells]
    if few:
        shown = base.transform_filter("datum.samples > 0").mark_text(fontSize=11, color=theme.INK)
        layers.append(shown.encode(text="samples:Q"))
    return theme.finished(
        theme.layers(*layers),
        f"confusion{suffix}",
        "Confusion matrix",
        max(180, min(520, 28 * len(names))),
        f"Of {found.samples} validation samples {found.correct} are classified rightly.",
    )


def targets(found: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns predictions and targets; see `confusion_matrix`.

    By the only feature, with the rule that made the targets; else the predictions by their targets.
    """
    of_feature = bool(found.feature)
    places = found.feature or found.truth
    order = sorted(range(len(places)), key=places.__getitem__)
    kinds = {_TARGET: found.truth, _FOUND: found.predicted, _RULE: found.rule}
    told = [kind for kind, values in kinds.items() if values]
    rows = [
        {"x": significant(places[i]), "y": significant(kinds[kind][i]), "kind": kind}
        for kind in told
        for i in order
    ]
    colors = dict(zip(kinds, (theme.GREY, theme.BLUE, theme.ORANGE), strict=True))
    color = alt.Color(
        "kind:N",
        sort=None,
        title=None,
        scale=alt.Scale(domain=told, range=[colors[kind] for kind in told]),
        legend=alt.Legend(orient="top"),
    )
    scale = alt.Scale(zero=False, nice=True)
    x = alt.X("x:Q", title=found.feature_name if of_feature else _TARGET, scale=scale)
    y = alt.Y("y:Q", title=_TARGET if of_feature else _FOUND, scale=scale)
    table = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=color)

    def of(kind: str) -> alt.Chart:
        return table.transform_filter(f"datum.kind == '{kind}'")

    def points(kind: str) -> alt.Chart:
        drawn: alt.Chart = of(kind).mark_point(filled=True, size=28, opacity=0.6)
        return drawn

    # On the line of targets by themselves, the prediction is right.
    layers = [of(_TARGET).mark_line(strokeWidth=1.2, strokeDash=[4, 3]), points(_FOUND)]
    if of_feature:
        layers = [points(_TARGET), of(_FOUND).mark_line(strokeWidth=2.5)]
    if found.rule:
        # In front and dashed: where both agree, both can be seen.
        layers.append(of(_RULE).mark_line(strokeWidth=2.5, strokeDash=[6, 5]))
    return theme.finished(
        theme.layers(*layers),
        f"targets{suffix}",
        "What was found, and what is true"
        if found.rule
        else f"Prediction by {found.feature_name if of_feature else _TARGET}",
        340,
        equations(found) or f"Targets and predictions of {len(order)} samples.",
    )


def equations(found: ValidationPredictions) -> str:
    """Returns the line that was found, and the true one, as equations; empty if it is no line."""
    line = _line(found.feature, found.predicted)
    if line is None:
        return ""
    told = f"Found: {_equation(line, found.feature_name)}."
    true = _line(found.feature, found.rule)
    return told if true is None else f"{told} True: {_equation(true, found.feature_name)}."


def _line(x: tuple[float, ...], y: tuple[float, ...]) -> tuple[float, float] | None:
    """Returns the slope and the intercept of points on a line; None if they are on none."""
    if len(y) < 3 or len(set(x)) < 3:
        return None
    first, last = min(range(len(x)), key=x.__getitem__), max(range(len(x)), key=x.__getitem__)
    slope = (y[last] - y[first]) / (x[last] - x[first])
    intercept = y[first] - slope * x[first]
    # Predictions are float32.
    near = 1e-4 * max(map(abs, y), default=0.0)
    on_it = all(abs(b - slope * a - intercept) <= near for a, b in zip(x, y, strict=True))
    return (slope, intercept) if on_it else None


def _equation(line: tuple[float, float], name: str) -> str:
    slope, intercept = line
    sign = "-" if intercept < 0 else "+"
    return f"y = {slope:.3g} {name} {sign} {abs(intercept):.3g}"


def worst_samples(found: ValidationPredictions) -> list[dict[str, Any]]:
    """Returns the misclassified samples as texts, the worst first: an image each, or a row."""
    names = found.class_names
    wrong = [each for each in found.worst if each.true != each.predicted][:_MOST_WORST]
    return [
        {
            "index": f"{each.index:,}",
            "true": names[each.true],
            "predicted": names[each.predicted],
            "probability": number(each.probability, 2),
            "confidence": number(each.confidence, 2),
            "image": base64.b64encode(each.png).decode("ascii"),
            "row": {name: value_text(value) for name, value in each.row.items()},
        }
        for each in wrong
    ]


def _distinct(names: tuple[str, ...]) -> list[str]:
    if len(set(names)) == len(names):
        return list(names)
    return [f"{place}: {name}" for place, name in enumerate(names)]
