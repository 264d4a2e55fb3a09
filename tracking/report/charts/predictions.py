"""What the champion predicts of the validation data."""

from __future__ import annotations

import altair as alt

from tracking.records.validation_predictions import ValidationPredictions
from tracking.report.charts import theme
from tracking.report.formats import significant

_MOST_LABELED = 25
# Numbers in the colour of ink can be read on it, by light and in the dark: a contrast of 4.5.
_DARKEST = 0.55
_TARGET, _FOUND, _RULE = "target", "found", "true"


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


def truth(found: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns the prediction of each sample against its target; see `confusion_matrix`."""
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
        f"truth{suffix}",
        "Prediction against target",
        360,
        f"The champion's prediction of {len(rows)} validation samples against their targets; on "
        "the dashed line both are equal.",
    )


def by_feature(found: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns the targets and predictions by the only feature, with the rule that made them."""
    order = sorted(range(len(found.feature)), key=found.feature.__getitem__)
    kinds = {_TARGET: found.truth, _FOUND: found.predicted, _RULE: found.rule}
    rows = [
        {"x": significant(found.feature[i]), "y": significant(values[i]), "kind": kind}
        for kind, values in kinds.items()
        if values
        for i in order
    ]
    told = [kind for kind, values in kinds.items() if values]
    table = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("x:Q", title=found.feature_name, scale=alt.Scale(zero=False, nice=True)),
        y=alt.Y("y:Q", title="target", scale=alt.Scale(zero=False, nice=True)),
        color=alt.Color(
            "kind:N",
            sort=None,
            title=None,
            scale=alt.Scale(domain=told, range=[theme.GREY, theme.BLUE, theme.ORANGE][: len(told)]),
            legend=alt.Legend(orient="top"),
        ),
    )

    def of(kind: str) -> alt.Chart:
        return table.transform_filter(f"datum.kind == '{kind}'")

    layers = [
        of(_TARGET).mark_point(filled=True, size=28, opacity=0.6),
        of(_FOUND).mark_line(strokeWidth=2.5),
    ]
    if found.rule:
        # In front and dashed: where both agree, both can be seen.
        layers.append(of(_RULE).mark_line(strokeWidth=2.5, strokeDash=[6, 5]))
    return theme.finished(
        theme.layers(*layers),
        f"by_feature{suffix}",
        "What was found, and what is true" if found.rule else "Prediction by feature",
        320,
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


def _distinct(names: tuple[str, ...]) -> list[str]:
    if len(set(names)) == len(names):
        return list(names)
    return [f"{place}: {name}" for place, name in enumerate(names)]
