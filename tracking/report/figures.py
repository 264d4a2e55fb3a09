"""The figures of a study's page: each chart with its heading and explanation."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from tracking.diagnosis.diagnosed import Finding
from tracking.records.data_findings import DataFinding, DataFindings
from tracking.records.validation_predictions import ValidationPredictions
from tracking.report import charts, hyperparameter_charts, theme
from tracking.report.axes import FEWEST_TRIALS, HyperparameterAxis
from tracking.report.trial_data import Columns, StudyData

# The marks of states in slices, which have no legend.
_MARKS = {
    "complete": "circles",
    "pruned": "triangles",
    "infeasible": "crosses at the lower edge",
    "interrupted": "squares",
    "running": "diamonds",
}
# How to read the chart of a finding, where it does not say so itself.
_READ = {
    "curves": "Blue: validation; dashed: training.",
    "intervals": "A line is an interval around each value.",
}


@dataclass(frozen=True)
class Figure:
    """A chart on a page.

    Attributes:
        chart: The chart.
        text: What it shows and how to read it; may be empty.
        small: Whether it stands in a row with others.
        mark: A word before its heading, such as "problem", or empty.
        command: What to copy into a shell, or empty.
    """

    chart: alt.LayerChart
    text: str = ""
    small: bool = False
    mark: str = ""
    command: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        heading: Its heading.
        figures: Its figures.
        text: What precedes them.
        examples: Samples that the champion classifies worst, shown after them.
        findings: What was found in the data or the record, shown before them.
        picture: Samples, as a PNG in base64; or empty.
        caption: What the picture shows.
    """

    heading: str
    figures: tuple[Figure, ...]
    text: str = ""
    examples: Sequence[Mapping[str, Any]] = ()
    findings: tuple[DataFinding | Finding, ...] = ()
    picture: str = ""
    caption: str = ""


def sections(data: StudyData) -> list[Section]:
    """Returns the charts of a study that have something to show, by section."""
    asked = _diagnosed(data)
    found = [
        Section("How much of it to believe", tuple(_belief(data))),
        asked,
        Section("How the search went", tuple(_search(data))),
        Section("What the hyperparameters do", tuple(_hyperparameters(data)), _marks(data)),
        Section("How the trials trained", tuple(_training(data))),
    ]
    first = data.predictions
    for place, each in enumerate(() if first is None else (first, *first.others)):
        text = (
            f"What trial {each.trial}, at epoch {each.epoch}, predicts of {each.samples:,} "
            "validation samples."
        )
        heading = "The champion on validation data" + (f": {each.output}" if each.output else "")
        shown = tuple(_champion(each, place))
        found.append(Section(heading, shown, text, charts.worst_samples(each)))
    if data.looked is not None:
        found.append(_of_data(data.looked, data.data_command))
    told = asked if data.diagnosis.findings else None
    return [each for each in found if each.figures or each.findings or each is told]


def _of_data(found: DataFindings, command: str) -> Section:
    """Returns what was found in the data; see `kerastudy data`."""
    text = "What was found in the data, without any model."
    if not found.thorough:
        text = (
            "At a glance, when the study was launched. This looks closer, and renews this page: "
            f"{command}"
        )
    rows = f" A row for each class: {found.picture_rows}." if found.picture_rows else ""
    return Section(
        "The data",
        (),
        text,
        findings=found.findings,
        picture=base64.b64encode(found.picture).decode("ascii"),
        caption=f"Samples of the training part.{rows}",
    )


def tables(data: StudyData) -> dict[str, Columns]:
    """Returns the tables that charts name."""
    return {
        "trials": data.trials,
        "curves": data.curves,
        "parallel": hyperparameter_charts.parallel_rows(data),
    }


def _belief(data: StudyData) -> Iterator[Figure]:
    verdict = data.verdict
    if verdict.corrected is None and verdict.confirmation is None:
        return
    text = "The best value as it stands, and what is left of it."
    if verdict.corrected is not None:
        text += (
            " Corrected: what the best of resamples of the validation samples is worth on the "
            "samples left out; the line is its interval."
        )
    if verdict.confirmation is not None:
        text += (
            " Rings are trainings under new seeds. Those on the validation samples still promise "
            "too much: the trial was chosen on these. The line on the test part counts both seeds "
            "and samples."
        )
    yield Figure(charts.belief(data), text)


def _diagnosed(data: StudyData) -> Section:
    """Returns what a diagnosis found: with a chart if it asks for something, or is a result."""
    found = data.diagnosis
    told = ["The checks of Google's Deep Learning Tuning Playbook, on this record."]
    figures, others, well = [], [], []
    for place, finding in enumerate(found.findings):
        if finding.severity == "ok" and finding.check != "isolation":
            well.append(finding.title)
            continue
        chart = _chart(data, finding)
        if chart is None:
            others.append(finding)
            continue
        chart = chart.properties(
            name=f"finding_{place}", title=finding.title, description=finding.verdict
        )
        told_so = (finding.verdict, finding.advice, _READ.get(finding.chart, ""))
        text = " ".join(filter(None, told_so))
        figures.append(Figure(chart, text, mark=finding.severity, command=finding.command))
    missing = dict.fromkeys(each.check for each in found.unchecked)
    told += [f"Nothing to do: {'. '.join(well)}."] if well else []
    told += [f"The record is too thin to check: {', '.join(missing)}."] if missing else []
    return Section(
        "What the record asks for", tuple(figures), " ".join(told), findings=tuple(others)
    )


def _chart(data: StudyData, finding: Finding) -> alt.LayerChart | None:
    """Returns the chart that shows a finding; None if the study has nothing to draw in it."""
    metric = data.history.description.objective.metric
    axis = next((each for each in data.axes if each.name == finding.parameter), None)
    if finding.chart == "intervals" and finding.rows:
        return charts.intervals(finding.rows, metric, "", "", "")
    if finding.chart == "curves" and data.has_curves:
        return charts.learning_curves(data, finding.trials)
    if finding.chart == "slice" and axis is not None:
        return hyperparameter_charts.hyperparameter_slice(data, axis)
    if finding.chart == "history" and data.ranked:
        return charts.optimization_history(data)
    return None


def _search(data: StudyData) -> Iterator[Figure]:
    if not data.ranked:
        return
    without = None in data.trials["value"]
    yield Figure(
        charts.optimization_history(data),
        "Each mark is a trial; the line is the best value so far. A flat line at the end says that "
        "more trials of this kind are unlikely to help much."
        + _far_off(data, data.trials["value"])
        + (" Trials without a value stand at the lower edge." if without else ""),
    )


def _hyperparameters(data: StudyData) -> Iterator[Figure]:
    if len(data.ranked) < 2 or not data.axes:
        return
    yield Figure(
        hyperparameter_charts.parallel_coordinates(data),
        "Each line is a trial. Drag over a part of an axis to choose the trials that pass there.",
    )
    if data.importances:
        yield Figure(
            hyperparameter_charts.importance(data),
            "How much of the difference between trials each hyperparameter makes by itself "
            "(Optuna's fANOVA; a conditional one makes none where it is not active). It is a "
            "property of these trials and ranges, not of the hyperparameter.",
        )
    pair = contour_axes(data)
    if pair is not None:
        yield Figure(
            hyperparameter_charts.contour(data, *pair),
            "The two most important hyperparameters that are numbers. The ground is the mean of "
            "the trials nearby; where it is empty, nothing was tried.",
        )
    for axis in data.by_importance():
        yield Figure(hyperparameter_charts.hyperparameter_slice(data, axis), small=True)


def _marks(data: StudyData) -> str:
    """Returns what the marks of slices say, which have no legend; and if trials are too few."""
    there = set(data.trials.get("state", ()))
    told = [f"{mark} are {state}" for state, mark in _MARKS.items() if state in there]
    if not told or not data.axes:
        return ""
    few = len(data.ranked) < FEWEST_TRIALS
    needed = f" Which ones matter most is shown from {FEWEST_TRIALS} trials with a value on."
    return f"In the small charts {', '.join(told)} trials.{needed if few else ''}"


def _far_off(data: StudyData, values: Sequence[float | None]) -> str:
    """Returns that a scale does not reach to all values, if so."""
    scale = theme.objective_scale(values, data.history.description.objective).to_dict()
    return " Values that are far off stand at the edge." if scale.get("clamp") else ""


def contour_axes(data: StudyData) -> tuple[HyperparameterAxis, HyperparameterAxis] | None:
    """Returns the two most important hyperparameters that are numbers and always active.

    None without importances, or without two such.
    """
    found = [axis for axis in data.by_importance() if axis.numeric and not axis.parameter.when]
    return (found[0], found[1]) if data.importances and len(found) > 1 else None


def _champion(found: ValidationPredictions, place: int) -> Iterator[Figure]:
    """Yields what the output at a place, from 0, predicts."""
    # The first has the names that it had when models had one output.
    suffix = f"_{place + 1}" if place else ""
    if found.confusion:
        yield Figure(
            charts.confusion_matrix(found, suffix),
            "Rows are true classes, columns what the champion predicted. Mistakes are orange, "
            "the stronger the larger their share of the class.",
        )
    if not found.truth:
        return
    text = "Dashed: where the prediction is right."
    if found.feature:
        text = "Points: targets. Blue: what the champion predicts."
        text += " Dashed: the rule that made the targets, without noise." if found.rule else ""
    figure = charts.targets(found, suffix)
    yield Figure(figure, f"{charts.equations(found)} {text}".lstrip())


def _training(data: StudyData) -> Iterator[Figure]:
    # A value that an objective function returns at the end has no curve.
    of_function = data.history.description.objective_function
    if data.has_curves or (data.curves["trial"] and not of_function):
        yield Figure(
            charts.learning_curves(data),
            "The ten best trials in blue, without pruned ones, each with its best epoch; all "
            "others behind. Pruned ones end where they were stopped."
            + _far_off(data, data.curves["value"]),
        )
