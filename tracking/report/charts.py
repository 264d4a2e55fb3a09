"""The charts of trials, learning curves, intervals and the champion's predictions."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Mapping, Sequence
from statistics import correlation, linear_regression
from typing import Any

import altair as alt

from search_spaces.texts import counted, number
from tracking.history.verdicts import StudyVerdict
from tracking.records.evaluations import Interval
from tracking.records.validation_predictions import ValidationPredictions
from tracking.report import theme
from tracking.report.trial_data import StudyData, significant, value_text

_TOP = 10

REPORTED, CORRECTED = "seen while searching", "estimated from that"
CONFIRMED, DEFAULT = "test part", "default, test part"
_DEFAULT_TRIAL = "default, while searching"
_COLORS = {
    REPORTED: theme.ORANGE,
    CONFIRMED: theme.GREEN,
    DEFAULT: theme.GREY,
    _DEFAULT_TRIAL: theme.GREY,
}

_MOST_LABELED = 25
# On cells of this opacity, the numbers' contrast is at least 4.5, in dark mode, too.
_DARKEST = 0.55
_MOST_WORST = 10
# As predictions are float32, points on a line may have a correlation of 1 minus this number.
_NOT_A_LINE = 1e-9
_TARGET, _FOUND, _RULE = "target", "prediction", "true"


def optimization_history(data: StudyData) -> alt.LayerChart:
    """Returns a chart of each trial's value, and of the best value so far."""
    objective = data.history.description.objective
    scale = theme.objective_scale(data.trials["value"], objective)
    y = alt.Y("value:Q", title=objective.metric, scale=scale)
    x = theme.whole_numbers("trial", "trial", data.trials["trial"])
    line = theme.chart().mark_line(
        interpolate="step-after", color=theme.ORANGE, strokeWidth=2, clip=True
    )
    best_so_far = alt.Y("best_so_far:Q", title=objective.metric, scale=scale)
    points = theme.scatter(
        data, theme.chart(), "history", size=55, x=x, y=y, tooltip=theme.tooltips(data)
    )
    best = data.ranked[0]
    assert best.value is not None, "ranked trials have a value"
    return theme.finished(
        theme.layers(line.encode(x=x, y=best_so_far), *points),
        "history",
        f"{objective.metric} by trial",
        220,
        f"{objective.metric} of {counted(len(data.history.trials), 'trial')} in order, and the "
        f"best so far. The best is {number(best.value)} in trial {best.number}.",
    )


def learning_curves(data: StudyData, of: Collection[int] = ()) -> alt.LayerChart:
    """Returns a chart of all learning curves, with those of the best trials in front.

    If `of` names trials, these are in front instead, and dashed lines show their curves on training
    data.
    """
    objective = data.history.description.objective
    top = [each.number for each in data.ranked[:_TOP] if each.state != "pruned"]
    is_top = f"{json.dumps({str(number): 1 for number in of or top})}[datum.trial]"
    heights = [*data.curves["value"], *(data.curves["training"] if of else ())]
    scale = theme.objective_scale(heights, objective)
    x = theme.whole_numbers("epoch", "epoch", data.curves["epoch"], 1)
    y = alt.Y("value:Q", title=objective.metric, scale=scale)
    tooltip = [
        alt.Tooltip("trial:Q", title="trial"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("value:Q", title=objective.metric, format=".5~g"),
    ]
    if data.training_metric:
        training = alt.Tooltip("training:Q", title=data.training_metric, format=".5~g")
        tooltip.append(training)
    lines = theme.chart("curves").encode(x=x, y=y, detail="trial:N")
    ahead, picked = lines.transform_filter(is_top), lines.transform_filter(theme.PICKED)
    behind = lines.transform_filter(f"!{is_top}").mark_line(
        color=theme.GREY, strokeWidth=1, cursor="pointer"
    )
    dashed = ahead.mark_line(color=theme.ORANGE, strokeWidth=1, strokeDash=[4, 3], opacity=0.6)
    best = ahead.transform_filter("datum.best").mark_point(
        filled=True, color=theme.BLUE, size=45, cursor="pointer"
    )
    drawn = [
        behind.encode(opacity=theme.faint(0.35, 0.03)),
        *([dashed.encode(y=alt.Y("training:Q", scale=scale))] if of else []),
        ahead.mark_line(color=theme.BLUE, strokeWidth=1.8, cursor="pointer").encode(
            opacity=theme.faint(0.75)
        ),
        best.encode(opacity=theme.faint(1.0), tooltip=tooltip).add_params(theme.brush("curves")),
        picked.mark_line(color=theme.ORANGE, strokeWidth=2.8),
        picked.transform_filter("datum.best").mark_point(filled=True, color=theme.ORANGE, size=110),
    ]
    return theme.finished(
        theme.layers(*drawn),
        "curves",
        f"Learning curves: {objective.metric}",
        240,
        f"{objective.metric} by epoch: the best of {counted(len(data.ranked), 'trial')} in front, "
        "a point at each one's best epoch.",
    )


def one_curve(data: StudyData) -> alt.LayerChart:
    """Returns a chart of the picked trial's curves on training and validation data."""
    names = {"value": data.history.description.objective.metric}
    if data.training_metric:
        names["training"] = data.training_metric
    colors = alt.Scale(domain=[*names.values()], range=[theme.ORANGE, theme.BLUE][: len(names)])
    legend = alt.Legend(orient="top", title=None, columns=1)
    picked = theme.chart("curves").transform_filter(theme.PICKED)
    scale = alt.Scale(zero=False, nice=False)
    x = alt.X("epoch:Q", title="epoch", axis=theme.whole_axis(), scale=scale)
    best = (
        # Other epochs are transparent. If they were left out, the scale of a repeated trial, which
        # has no best epoch, would have no points.
        picked.mark_rule(color=theme.MUTED, strokeDash=[3, 3]).encode(
            x=x, opacity=alt.condition("datum.best", alt.value(1), alt.value(0))
        )
    )
    lines = [
        picked.transform_filter(f"isValid(datum.{field})")
        .mark_line(point=alt.OverlayMarkDef(size=22))
        .encode(
            x=x,
            # Vega's default format shows no digits if all values are equal.
            y=alt.Y(
                f"{field}:Q",
                title=None,
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=".5~g"),
            ),
            color=alt.ColorDatum(name, scale=colors, legend=legend),
            tooltip=[
                alt.Tooltip("epoch:Q", title="epoch"),
                alt.Tooltip(f"{field}:Q", title=name, format=".5~g"),
            ],
        )
        for field, name in names.items()
    ]
    return theme.finished(
        theme.layers(best, *lines),
        "one_curve",
        "Its curve",
        170,
        "The chosen trial's metric by epoch, of validation and training data.",
    )


def belief(data: StudyData) -> alt.LayerChart:
    """Returns a chart of the best value: reported, corrected and confirmed."""
    verdict, default = data.verdict, data.history.default
    rows = _rows(verdict)
    if default is not None and default.state == "complete" and default.value is not None:
        rows.append({"place": _DEFAULT_TRIAL, "value": default.value})
    title = f"{verdict.metric}: seen, and to expect"
    return intervals(rows, verdict.metric, "belief", title, verdict.text)


def intervals(
    rows: Sequence[Mapping[str, Any]], metric: str, name: str, title: str, description: str
) -> alt.LayerChart:
    """Returns a chart of values and their intervals, with a line for each ``place``.

    A row has a ``place`` and a ``value``. It may have an interval (``low``, ``high``, and as a text
    ``interval``), or a ``seed``, which makes the value a ring.
    """
    shown = [dict(row) for row in rows if math.isfinite(row["value"])]
    places = list(dict.fromkeys(row["place"] for row in shown))
    ends = [
        row[end] for row in shown for end in ("value", "low", "high") if row.get(end) is not None
    ]
    scale = alt.Scale(domain=[min(ends), max(ends)], zero=False, nice=True)
    # By default, Vega moves the labels at both ends inwards.
    axis = alt.Axis(labelFlush=False, tickCount=6)
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
    return theme.finished(drawn, name, title, 26 * len(places) + 14, description)


def _rows(verdict: StudyVerdict) -> list[dict[str, Any]]:
    """Returns the rows of the chart `belief`, from top to bottom."""
    rows: list[dict[str, Any]] = []
    if verdict.reported is not None:
        rows.append({"place": REPORTED, "value": verdict.reported})
    if verdict.corrected is not None:
        rows.append(_row(CORRECTED, verdict.corrected.estimate))
    confirmation = verdict.confirmation
    if confirmation is None:
        return rows
    winner = confirmation.racer(confirmation.winner)
    rows += _seeded(f"trial {winner.trial}, new seeds", winner.values, confirmation.seeds)
    if confirmation.confirmed is not None:
        rows.append(_row(CONFIRMED, confirmation.confirmed))
        rows += _seeded(CONFIRMED, confirmation.winner_on_test, confirmation.test_seeds)
        rows += _seeded(DEFAULT, confirmation.default_on_test, confirmation.test_seeds)
    return rows


def _row(place: str, interval: Interval) -> dict[str, Any]:
    low, high = significant(interval.low), significant(interval.high)
    words = f"{interval.low:.4g} to {interval.high:.4g} ({100 * interval.level:.3g} %)"
    return {"place": place, "value": interval.value, "low": low, "high": high, "interval": words}


def _seeded(
    place: str, values: Sequence[float | None], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    # The values on the test part lack infeasible trainings, so they may be fewer than the seeds.
    names = seeds if len(seeds) == len(values) else [0] * len(values)
    return [
        {"place": place, "value": value, "seed": str(seed or "new")}
        for value, seed in zip(values, names, strict=True)
        if value is not None
    ]


def confusion_matrix(output: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns a chart of the numbers of samples by true and predicted class.

    The suffix gives the chart of each further output another name.
    """
    names = _distinct(output.class_names)
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
            # A square root scale makes rare mistakes visible.
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
        f"Of {output.samples} validation samples {output.correct} are classified rightly.",
    )


def targets(output: ValidationPredictions, suffix: str = "") -> alt.LayerChart:
    """Returns a chart of a regression's predictions and targets.

    If the data has one feature, the feature is the horizontal axis, and the chart also shows the
    targets without noise, if they are known. Otherwise the targets are the horizontal axis.
    """
    of_feature = bool(output.feature)
    places = output.feature or output.truth
    order = sorted(range(len(places)), key=places.__getitem__)
    kinds = {_TARGET: output.truth, _FOUND: output.predicted, _RULE: output.rule}
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
    y = alt.Y("y:Q", title=_TARGET if of_feature else _FOUND, scale=scale)
    table = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=color)

    def of(kind: str) -> alt.Chart:
        return table.transform_filter(f"datum.kind == '{kind}'")

    def points(kind: str) -> alt.Chart:
        drawn: alt.Chart = of(kind).mark_point(filled=True, size=28, opacity=0.6)
        return drawn

    # On the dashed line, a prediction equals its target.
    layers = [of(_TARGET).mark_line(strokeWidth=1.2, strokeDash=[4, 3]), points(_FOUND)]
    if of_feature:
        layers = [points(_TARGET), of(_FOUND).mark_line(strokeWidth=2.5)]
    if output.rule:
        # The line without noise is dashed and in front, so the prediction is visible behind it.
        layers.append(of(_RULE).mark_line(strokeWidth=2.5, strokeDash=[6, 5]))
    return theme.finished(
        theme.layers(*layers),
        f"targets{suffix}",
        "What was found, and what is true"
        if output.rule
        else f"Prediction by {output.feature_name if of_feature else _TARGET}",
        340,
        equations(output) or f"Targets and predictions of {len(order)} samples.",
    )


def equations(output: ValidationPredictions) -> str:
    """Returns the equations of predictions and rule. Empty if the predictions are not on a line."""
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
    """Returns texts on misclassified samples, the worst first."""
    names = output.class_names
    wrong = [each for each in output.worst if each.true != each.predicted][:_MOST_WORST]
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
