"""The charts of trials, learning curves, values with intervals, hyperparameters, predictions."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from search_spaces.texts import counted, number
from tracking.history.verdicts_and_interval_texts import StudyVerdict
from tracking.records.evaluation_and_prediction_records import Interval, ValidationPredictions
from tracking.report import theme
from tracking.report.chart_data import HyperparameterAxis, StudyData, significant, value_text

_TOP = 10

# The labels of the rows of `belief`.
_REPORTED, _CORRECTED = "seen while searching", "estimated from that"
_CONFIRMED, _DEFAULT = "test part", "default, test part"
_DEFAULT_TRIAL = "default, while searching"
_COLORS = {
    _REPORTED: theme.ORANGE,
    _CONFIRMED: theme.GREEN,
    _DEFAULT: theme.GREY,
    _DEFAULT_TRIAL: theme.GREY,
}

# The width of a share as a text, such as "100 %", in pixels.
_SHARE = 44
_MOST_LABELED = 25
# On cells of this opacity, the numbers have a contrast of at least 4.5, also in dark mode.
_DARKEST = 0.55
_MOST_WORST = 10
_TARGET, _PREDICTION = "target", "prediction"


def optimization_history(data: StudyData) -> alt.LayerChart:
    """Returns a chart of each trial's value, and of the best value so far."""
    objective = data.history.description.objective
    scale = theme.objective_scale(data.trials["value"], objective, whole=data.whole)
    x = theme.whole_numbers("trial", "trial", data.trials["trial"])
    y, best_so_far = (
        theme.objective_axis(column, objective, scale) for column in ("value", "best_so_far")
    )
    # Values that are far off are left out of the line. At the edge, they would look the same.
    inside = theme.chart().transform_filter(
        f"inrange(datum.best_so_far, {scale.to_dict()['domain']})"
    )
    line = inside.mark_line(interpolate="step-after", color=theme.ORANGE, strokeWidth=2, clip=True)
    points = theme.scatter(
        data, theme.chart(), "history", size=55, x=x, y=y, tooltip=theme.tooltips(data)
    )
    best = data.ranked[0]
    assert best.value is not None, "ranked trials have a value"
    return theme.finished(
        [line.encode(x=x, y=best_so_far), *points],
        "history",
        f"{objective.metric} by trial",
        220,
        f"{objective.metric} of {counted(len(data.history.trials), 'trial')} in order, and the "
        f"best so far. The best is {number(best.value)} in trial {best.number}.",
    )


def learning_curves(data: StudyData) -> alt.LayerChart:
    """Returns a chart of all learning curves, with those of the best trials in front."""
    objective = data.history.description.objective
    top = [trial.number for trial in data.ranked[:_TOP] if trial.state != "pruned"]
    is_top = f"{json.dumps({str(number): 1 for number in top})}[datum.trial]"
    scale = theme.objective_scale(data.curves["value"], objective, whole=data.whole)
    x = theme.whole_numbers("epoch", "epoch", data.curves["epoch"], 1)
    y = theme.objective_axis("value", objective, scale)
    tooltip = ["trial:Q", "epoch:Q", theme.value_tooltip("value", objective.metric)]
    if data.training_metric:
        tooltip.append(theme.value_tooltip("training", data.training_metric))
    lines = theme.chart("curves").encode(x=x, y=y, detail="trial:N")
    ahead, picked = lines.transform_filter(is_top), lines.transform_filter(theme.PICKED)
    behind = lines.transform_filter(f"!{is_top}").mark_line(
        color=theme.GREY, strokeWidth=1, cursor="pointer"
    )
    best = ahead.transform_filter("datum.best").mark_point(
        filled=True, color=theme.BLUE, size=45, cursor="pointer"
    )
    layers = [
        behind.encode(opacity=theme.faint(0.35, 0.03)),
        ahead.mark_line(color=theme.BLUE, strokeWidth=1.8, cursor="pointer").encode(
            opacity=theme.faint(0.75)
        ),
        best.encode(opacity=theme.faint(1.0), tooltip=tooltip).add_params(theme.brush("curves")),
        picked.mark_line(color=theme.ORANGE, strokeWidth=2.8),
        picked.transform_filter("datum.best").mark_point(filled=True, color=theme.ORANGE, size=110),
    ]
    return theme.finished(
        layers,
        "curves",
        f"Learning curves: {objective.metric}",
        240,
        f"{objective.metric} by epoch: the best of {counted(len(data.ranked), 'trial')} in front, "
        "a point at the best epoch of each.",
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
    # Only the rule at the best epoch is visible. A repeated trial has no best epoch, so without
    # the transparent rules at all other epochs, this layer would have no points for the scale.
    best = picked.mark_rule(color=theme.MUTED, strokeDash=[3, 3]).encode(
        x=x, opacity=alt.condition("datum.best", alt.value(1), alt.value(0))
    )
    lines = [
        picked.transform_filter(f"isValid(datum.{field})")
        .mark_line(point=alt.OverlayMarkDef(size=22))
        .encode(
            x=x,
            # Vega's default format shows no decimals if all values are equal, so a format is set.
            y=alt.Y(
                f"{field}:Q",
                title=None,
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=".5~g"),
            ),
            color=alt.ColorDatum(name, scale=colors, legend=legend),
            tooltip=["epoch:Q", theme.value_tooltip(field, name)],
        )
        for field, name in names.items()
    ]
    return theme.finished(
        [best, *lines],
        "one_curve",
        "Curve of the chosen trial",
        170,
        "The chosen trial's metric by epoch, of validation and training data.",
    )


def belief(data: StudyData) -> alt.LayerChart:
    """Returns a chart of the best value: as the search saw it, corrected, and confirmed."""
    verdict, default = data.verdict, data.history.default
    rows = _rows(verdict)
    if default is not None and default.state == "complete" and default.value is not None:
        rows.append({"place": _DEFAULT_TRIAL, "value": default.value})
    rows = [row for row in rows if math.isfinite(row["value"])]
    places = list(dict.fromkeys(row["place"] for row in rows))
    ends = [
        row[end] for row in rows for end in ("value", "low", "high") if row.get(end) is not None
    ]
    scale = alt.Scale(domain=[min(ends), max(ends)], zero=False, nice=True)
    # By default, Vega moves the labels at both ends inwards.
    axis = alt.Axis(labelFlush=False, tickCount=6)
    x = alt.X("value:Q", title=verdict.metric, scale=scale, axis=axis)
    y = alt.Y("place:N", sort=places, title=None, axis=alt.Axis(labelLimit=180, labelFontSize=12))
    colors = [_COLORS.get(place, theme.BLUE) for place in places]
    color = alt.Color("place:N", legend=None, scale=alt.Scale(domain=places, range=colors))
    value = theme.value_tooltip("value", verdict.metric)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=y, color=color, tooltip=["place:N", value, "interval:N", "seed:N"]
    )
    lines = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=4, strokeCap="round")
    seeds = base.transform_filter("isValid(datum.seed)").mark_point(
        size=60, strokeWidth=1.6, fill=theme.PAPER
    )
    points = base.transform_filter("!isValid(datum.seed)").mark_point(
        filled=True, size=120, opacity=1
    )
    layers = [
        lines.encode(x=alt.X("low:Q", title=verdict.metric, scale=scale, axis=axis), x2="high:Q"),
        seeds.encode(x=x),
        points.encode(x=x),
    ]
    title = f"{verdict.metric}: seen, and to expect"
    return theme.finished(layers, "belief", title, 26 * len(places) + 14, verdict.text)


def _rows(verdict: StudyVerdict) -> list[dict[str, Any]]:
    """Returns the rows of the chart `belief`, from top to bottom.

    A row has a ``value`` and a ``place``, the label of the line on which the value is drawn. A row
    may have an interval, as numbers (``low``, ``high``) and as a text (``interval``). The value of
    a row with a ``seed`` is drawn as a ring.
    """
    rows: list[dict[str, Any]] = []
    if verdict.reported is not None:
        rows.append({"place": _REPORTED, "value": verdict.reported})
    if verdict.corrected is not None:
        rows.append(_row(_CORRECTED, verdict.corrected.estimate))
    confirmation = verdict.confirmation
    if confirmation is None:
        return rows
    winner = confirmation.racer(confirmation.winner)
    rows += _seeded(f"trial {winner.trial}, new seeds", winner.values, confirmation.seeds)
    if confirmation.confirmed is not None:
        rows.append(_row(_CONFIRMED, confirmation.confirmed))
        rows += _seeded(_CONFIRMED, confirmation.winner_on_test, confirmation.test_seeds)
        rows += _seeded(_DEFAULT, confirmation.default_on_test, confirmation.test_seeds)
    return rows


def _row(place: str, interval: Interval) -> dict[str, Any]:
    low, high = significant(interval.low), significant(interval.high)
    words = f"{interval.low:.4g} to {interval.high:.4g} ({100 * interval.level:.3g} %)"
    return {"place": place, "value": interval.value, "low": low, "high": high, "interval": words}


def _seeded(
    place: str, values: Sequence[float | None], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    # An infeasible training has no value on the test part, so there may be fewer values than seeds.
    # Then it is unknown which value belongs to which seed.
    names = [str(seed) for seed in seeds] if len(seeds) == len(values) else ["new"] * len(values)
    return [
        {"place": place, "value": value, "seed": name}
        for value, name in zip(values, names, strict=True)
        if value is not None
    ]


def importance(data: StudyData) -> alt.LayerChart:
    """Returns a chart of the hyperparameters' importances."""
    shares = data.importances
    rows = [
        {"name": name, "share": significant(share, 4), "text": f"{100 * share:.0f} %"}
        for name, share in list(shares.items())[:20]
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "share:Q",
            title="share of importance",
            axis=alt.Axis(format=".0%", grid=True, tickCount=4),
            # This leaves room for the text beside the longest bar, also on a narrow screen.
            scale=alt.Scale(
                domain=[0, max(shares.values(), default=1.0)],
                nice=False,
                rangeMax=alt.ExprRef(f"width - {_SHARE}"),
            ),
        ),
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=150)),
    )
    bars = base.mark_bar(color=theme.BLUE, cornerRadiusEnd=2, height={"band": 0.65}).encode(
        tooltip=["name:N", alt.Tooltip("share:Q", format=".1%")]
    )
    first = ", ".join(f"{row['name']} {row['text']}" for row in rows[:5])
    return theme.finished(
        [bars, base.mark_text(align="left", dx=5, color=theme.MUTED).encode(text="text:N")],
        "importance",
        "Importance of hyperparameters",
        max(80, 26 * len(rows)),
        f"Importance of hyperparameters by fANOVA: {first}.",
    )


def hyperparameter_slice(data: StudyData, axis: HyperparameterAxis) -> alt.LayerChart:
    """Returns a chart of the trials' values by one hyperparameter."""
    objective = data.history.description.objective
    scale = theme.objective_scale(data.trials["value"], objective, whole=data.whole)
    y = theme.objective_axis("value", objective, scale)
    further: dict[str, Any] = {}
    if not axis.numeric:
        # Points with the same choice are side by side, so that they don't hide each other.
        further = {"xOffset": alt.XOffset("spread:Q", scale=alt.Scale(domain=[-0.2, 1.2]))}
    active = theme.chart().transform_filter(f"isValid(datum.{axis.drawn})")
    active = active.transform_calculate(spread="(datum.trial * 0.618034) % 1")
    tooltip = [*theme.tooltips(data, 0), axis.tooltip()]
    further |= {"x": axis.x(), "y": y, "tooltip": tooltip}
    points = theme.scatter(data, active, axis.field, size=40, legend=False, **further)
    return theme.finished(
        points,
        f"slice_{axis.field}",
        f"{objective.metric} by {axis.name}",
        150,
        f"{objective.metric} of each trial by {axis.name}, in its sampling scale.",
    )


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
