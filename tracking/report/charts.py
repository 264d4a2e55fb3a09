"""The charts of trials, learning curves, values with intervals, hyperparameters, predictions.

All charts share a look: colours, fonts, marks, linked selections. The colours of marks are from the
Okabe-Ito palette, which colour-blind people can tell apart. Each state of a trial also has a shape.
`html_report` replaces some colours by CSS variables, for dark mode.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from search_spaces.texts import counted, number, share
from tracking.history import StudyVerdict
from tracking.records import (
    Interval,
    Reliability,
    ValidationPredictions,
)
from tracking.report.axes_scales_and_labels import (
    HyperparameterAxis,
    objective_axis,
    objective_scale,
    significant,
    value_text,
    whole_axis,
    whole_numbers,
)
from tracking.report.chart_data import Columns, StudyData, rows_of

INK, MUTED, LINE, PAPER = "#1c2733", "#5b6876", "#dfe4ea", "#fefefe"
BLUE, ORANGE, GREEN, GREY = "#1f78b4", "#d55e00", "#009e73", "#98a3b0"
_PURPLE, _YELLOW = "#cc79a7", "#e69f00"

STATES = (
    ("complete", BLUE, "circle", "circles"),
    ("pruned", GREY, "triangle-down", "triangles"),
    ("infeasible", _PURPLE, "cross", "crosses at the lower edge"),
    ("interrupted", _YELLOW, "square", "squares"),
    ("running", GREEN, "diamond", "diamonds"),
    ("contradicted", INK, "stroke", "short lines"),
)
"""The states of trials in the order of legends: name, colour, shape, and the shape in words."""
# Vega expressions on the parameters `chosen` and `picked`, which `_finished` explains.
_CHOSEN = "!chosen || chosen[datum.trial]"
_PICKED = "datum.trial === picked"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK KR', sans-serif"

_TOP = 10

# The labels of the rows of `belief`.
_REPORTED, _CORRECTED = "seen while searching", "estimated from that"
_CONFIRMED, _DEFAULT = "test part", "default, test part"
_DEFAULT_TRIAL = "default, while searching"
_COLORS = {
    _REPORTED: ORANGE,
    _CONFIRMED: GREEN,
    _DEFAULT: GREY,
    _DEFAULT_TRIAL: GREY,
}

# The width of a share as a text, such as "12.3 %", in pixels.
_SHARE = 50
_MOST_LABELED = 25
# On cells of this opacity, the numbers have a contrast of at least 4.5, also in dark mode.
_DARKEST = 0.55
_MOST_WORST = 10
_TARGET, _PREDICTION = "target", "prediction"


def optimization_history(data: StudyData) -> alt.LayerChart:
    """Returns a chart of each trial's value, and of the best value so far."""
    objective = data.history.description.objective
    scale = objective_scale(data.trials["value"], objective, whole=data.whole)
    x = whole_numbers("trial", "trial", data.trials["trial"])
    y, best_so_far = (
        objective_axis(column, objective, scale) for column in ("value", "best_so_far")
    )
    # The line leaves out values that are far off. Drawn at the edge, they would look equal.
    inside = _chart().transform_filter(f"inrange(datum.best_so_far, {scale.to_dict()['domain']})")
    line = inside.mark_line(interpolate="step-after", color=ORANGE, strokeWidth=2, clip=True)
    points = _scatter(data, _chart(), "history", size=55, x=x, y=y, tooltip=_tooltips(data))
    best = data.ranked[0]
    assert best.value is not None, "ranked trials have a value"
    return _finished(
        [line.encode(x=x, y=best_so_far), *points],
        "history",
        f"{objective.metric} by trial",
        220,
        f"{objective.metric} of {counted(len(data.history.trials), 'trial')} in order, and the "
        f"best so far. The best is {number(best.value)} in trial {best.number}.",
    )


def learning_curves(data: StudyData) -> alt.LayerChart:
    """Returns a chart of all learning curves, with the curves of the best trials in front."""
    objective = data.history.description.objective
    top = [trial.number for trial in data.ranked[:_TOP] if trial.state != "pruned"]
    is_top = f"{json.dumps({str(number): 1 for number in top})}[datum.trial]"
    scale = objective_scale(data.curves["value"], objective, whole=data.whole)
    x = whole_numbers("epoch", "epoch", data.curves["epoch"], 1)
    y = objective_axis("value", objective, scale)
    tooltip = ["trial:Q", "epoch:Q", _value_tooltip("value", objective.metric)]
    if data.training_metric:
        tooltip.append(_value_tooltip("training", data.training_metric))
    lines = _chart("curves").encode(x=x, y=y, detail="trial:N")
    ahead, picked = lines.transform_filter(is_top), lines.transform_filter(_PICKED)
    behind = lines.transform_filter(f"!{is_top}").mark_line(
        color=GREY, strokeWidth=1, cursor="pointer"
    )
    best = ahead.transform_filter("datum.best").mark_point(
        filled=True, color=BLUE, size=45, cursor="pointer"
    )
    layers = [
        behind.encode(opacity=_faint(0.35, 0.03)),
        ahead.mark_line(color=BLUE, strokeWidth=1.8, cursor="pointer").encode(opacity=_faint(0.75)),
        best.encode(opacity=_faint(1.0), tooltip=tooltip).add_params(_brush("curves")),
        picked.mark_line(color=ORANGE, strokeWidth=2.8),
        picked.transform_filter("datum.best").mark_point(filled=True, color=ORANGE, size=110),
    ]
    return _finished(
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
    colors = alt.Scale(domain=[*names.values()], range=[ORANGE, BLUE][: len(names)])
    legend = alt.Legend(orient="top", title=None, columns=1)
    picked = _chart("curves").transform_filter(_PICKED)
    scale = alt.Scale(zero=False, nice=False)
    x = alt.X("epoch:Q", title="epoch", axis=whole_axis(), scale=scale)
    # Each epoch has a rule, but only the rule at the best epoch is visible. The transparent rules
    # are needed for repeated trials. They have no best epoch, and a layer without any rule would
    # have no points for the scale.
    best = picked.mark_rule(color=MUTED, strokeDash=[3, 3]).encode(
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
            tooltip=["epoch:Q", _value_tooltip(field, name)],
        )
        for field, name in names.items()
    ]
    return _finished(
        [best, *lines],
        "one_curve",
        "Curve of the chosen trial",
        170,
        "The chosen trial's metric by epoch, of validation and training data.",
    )


def belief(data: StudyData) -> alt.LayerChart:
    """Returns a chart of the best value: as the search saw it, corrected, and confirmed."""
    verdict, default = data.summary.verdict, data.history.default
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
    colors = [_COLORS.get(place, BLUE) for place in places]
    color = alt.Color("place:N", legend=None, scale=alt.Scale(domain=places, range=colors))
    value = _value_tooltip("value", verdict.metric)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=y, color=color, tooltip=["place:N", value, "interval:N", "seed:N"]
    )
    lines = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=4, strokeCap="round")
    seeds = base.transform_filter("isValid(datum.seed)").mark_point(
        size=60, strokeWidth=1.6, fill=PAPER
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
    return _finished(layers, "belief", title, 26 * len(places) + 14, verdict.text)


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
    words = interval.text(level=True)
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


def importance(shares: Mapping[str, float], unsure: Sequence[str] = ()) -> alt.LayerChart:
    """Returns a chart of the hyperparameters' importances.

    `unsure` are lines on how unsure they are. They belong to the axis, as `save` drops the title.
    """
    rows = [
        {"name": name, "share": significant(part, 4), "text": share(part)}
        for name, part in list(shares.items())[:20]
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "share:Q",
            title=["share of importance", *unsure],
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
    bars = base.mark_bar(color=BLUE, cornerRadiusEnd=2, height={"band": 0.65}).encode(
        tooltip=["name:N", alt.Tooltip("share:Q", format=".1%")]
    )
    first = ", ".join(f"{row['name']} {row['text']}" for row in rows[:5])
    return _finished(
        [bars, base.mark_text(align="left", dx=5, color=MUTED).encode(text="text:N")],
        "importance",
        "Importance of hyperparameters",
        max(80, 26 * len(rows)),
        " ".join([f"Importance of hyperparameters by fANOVA: {first}.", *unsure]),
    )


def hyperparameter_slice(data: StudyData, axis: HyperparameterAxis) -> alt.LayerChart:
    """Returns a chart of the trials' values by one hyperparameter."""
    objective = data.history.description.objective
    scale = objective_scale(data.trials["value"], objective, whole=data.whole)
    y = objective_axis("value", objective, scale)
    further: dict[str, Any] = {}
    if not axis.numeric:
        # Points with the same choice are side by side, so that they don't hide each other.
        further = {"xOffset": alt.XOffset("spread:Q", scale=alt.Scale(domain=[-0.2, 1.2]))}
    active = _chart().transform_filter(f"isValid(datum.{axis.drawn})")
    active = active.transform_calculate(spread="(datum.trial * 0.618034) % 1")
    tooltip = [*_tooltips(data, 0), axis.tooltip()]
    further |= {"x": axis.x(), "y": y, "tooltip": tooltip}
    points = _scatter(data, active, axis.field, size=40, legend=False, **further)
    return _finished(
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
        color=alt.condition("datum.right", alt.value(BLUE), alt.value(ORANGE)),
        opacity=alt.Opacity(
            # A square root scale makes rare mistakes visible.
            "share:Q",
            scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.02, _DARKEST]),
            legend=None,
        ),
    )
    layers = [cells]
    if len(names) <= _MOST_LABELED:
        numbers = base.transform_filter("datum.samples > 0").mark_text(fontSize=11, color=INK)
        layers.append(numbers.encode(text="samples:Q"))
    return _finished(
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
        scale=alt.Scale(domain=list(kinds), range=[GREY, BLUE]),
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
    return _finished(
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


def reliability(diagram: Reliability) -> alt.LayerChart:
    """Returns a chart of how often predicted probabilities came true."""
    end = max(max(row.predicted, row.observed) for row in diagram.bins)
    scale, axis = alt.Scale(domain=[0, end]), alt.Axis(format="~%")
    x = alt.X("predicted:Q", title="predicted probability", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="share that came true", scale=scale, axis=axis)
    right = alt.InlineData(values=[{"predicted": p, "observed": p} for p in (0, end)])
    marks = alt.InlineData(values=[vars(row) for row in diagram.bins])
    tooltip = [alt.Tooltip(f"{name}:Q", format=".3~") for name in vars(diagram.bins[0])]
    # On the dashed line, the probabilities are right.
    line = alt.Chart(right).encode(x=x, y=y).mark_line(color=GREY, strokeDash=[4, 3])
    points = alt.Chart(marks).encode(x=x, y=y, tooltip=tooltip).mark_point(filled=True, color=BLUE)
    return _finished([line, points], "reliability", "Reliability", 240, diagram.text)


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


def _chart(name: str = "trials") -> alt.Chart:
    """Returns a chart without marks. `name` is the name of the table with the chart's data."""
    return alt.Chart(alt.NamedData(name=name))


def _finished(
    layers: Sequence[alt.Chart], name: str, title: str, height: int, description: str
) -> alt.LayerChart:
    """Returns a chart of layers (the last is on top) with title, size, description and parameters.

    Screen readers read the description. The parameters link all charts of a page: ``chosen`` maps
    the numbers of chosen trials to 1, and is null if all are chosen; ``picked`` is the number of
    the trial in focus.
    """
    parameters = (alt.param(name="chosen", value=None), alt.param(name="picked", value=None))
    layered = alt.LayerChart(layer=list(layers)).add_params(*parameters)
    result: alt.LayerChart = layered.properties(
        name=name, title=title, width=640, height=height, description=description
    )
    return result


def _brush(name: str) -> alt.Parameter:
    """Returns a selection: dragging over an area of the chart chooses the trials in this area."""
    mark = alt.BrushConfig(fill=BLUE, fillOpacity=0.1, stroke=BLUE, strokeOpacity=0.6)
    return alt.selection_interval(name=f"brush_{name}", encodings=["x", "y"], mark=mark)


def _picked_ring(base: alt.Chart) -> alt.Chart:
    """Returns a chart with a ring around the trial in focus."""
    picked = base.transform_filter(_PICKED)
    ring: alt.Chart = picked.mark_point(size=180, color=ORANGE, strokeWidth=2.5, filled=False)
    return ring


def _faint(opacity: float = 0.85, hidden: float = 0.07) -> Any:
    """Returns the opacity of marks: `opacity` for chosen trials, `hidden` for all others."""
    return alt.condition(_CHOSEN, alt.value(opacity), alt.value(hidden))


def _scatter(
    data: StudyData, base: alt.Chart, name: str, *, size: int, legend: bool = True, **encoding: Any
) -> list[alt.Chart]:
    """Returns layers with a mark for each trial, by state, and a ring around the trial in focus.

    Trials without a value are at the lower edge, and their tooltips say why they have none.
    """
    present = set(data.trials.get("state", ()))
    rows = (state[:3] for state in STATES if state[0] in present)
    names, colors, shapes = zip(*rows, strict=True)
    state_legend = alt.Legend(orient="top", title=None, symbolStrokeWidth=1.5) if legend else None
    color = alt.Scale(domain=list(names), range=list(colors))
    shape = alt.Scale(domain=list(names), range=list(shapes))
    look = {
        "color": alt.Color("state:N", scale=color, legend=state_legend, title="state"),
        "shape": alt.Shape("state:N", scale=shape, title="state"),
        "opacity": _faint(),
    }
    valued = base.transform_filter("isValid(datum.value)")
    points = valued.mark_point(filled=False, size=size, cursor="pointer")
    places = {channel: value for channel, value in encoding.items() if channel != "tooltip"}
    layers = [
        points.encode(**encoding, **look).add_params(_brush(name)),
        _picked_ring(base).encode(**places),
    ]
    if len(data.ranked) < len(data.history.trials):
        without = base.transform_filter("!isValid(datum.value)").mark_point(filled=False, size=size)
        tooltip = ["trial:Q", "state:N", "reason:N"]
        places = {**places, "y": alt.value("height"), "tooltip": tooltip}
        layers.append(without.encode(**places, **look))
    return layers


def _value_tooltip(column: str, name: str) -> alt.Tooltip:
    """Returns the line of a tooltip that shows a metric's value."""
    return alt.Tooltip(f"{column}:Q", title=name, format=".5~g")


def _tooltips(data: StudyData, axes: int = 4) -> list[str | alt.Tooltip]:
    """Returns the lines of a trial's tooltip, with the `axes` most important hyperparameters."""
    return [
        *("trial:Q", "state:N"),
        _value_tooltip("value", data.history.description.objective.metric),
        alt.Tooltip("best_epoch:Q", title="best epoch"),
        *(axis.tooltip() for axis in data.by_importance()[:axes]),
    ]


def with_rows(chart: alt.LayerChart, tables: Mapping[str, Columns]) -> alt.LayerChart:
    """Returns a chart that contains the rows of its tables, so it can be drawn outside a page."""
    copy: alt.LayerChart = chart.copy(deep=False)
    copy.layer = [layer.copy(deep=False) for layer in chart.layer]
    for part in (copy, *copy.layer):
        if isinstance(part.data, alt.NamedData):
            part.data = alt.InlineData(values=rows_of(tables[str(part.data.name)]))
    return copy


def config(font: str = FONT) -> dict[str, Any]:
    """Returns Vega-Lite's config for all charts. `font` is the font of all texts."""
    return {
        "background": "transparent",
        "font": font,
        "view": {"stroke": None},
        "axis": {
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titleFontWeight": 500,
            "labelColor": MUTED,
            "titleColor": MUTED,
            "gridColor": LINE,
            "domainColor": LINE,
            "tickColor": LINE,
            "titlePadding": 8,
            "labelPadding": 5,
        },
        "axisX": {"grid": False, "domain": True},
        "axisY": {"domain": False, "ticks": False},
        "axisQuantitative": {"labelOverlap": True, "labelSeparation": 6},
        "legend": {
            "labelColor": INK,
            "titleColor": MUTED,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 500,
        },
        "title": {
            "color": INK,
            "subtitleColor": MUTED,
            "anchor": "start",
            "fontSize": 15,
            "fontWeight": 600,
            "offset": 12,
        },
        "text": {"fontSize": 12, "color": MUTED},
        "point": {"size": 55, "strokeWidth": 1.5},
    }
