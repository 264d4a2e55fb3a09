"""The figures of a study's page: each chart with its heading and explanation."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from tracking.diagnosis.findings import Finding
from tracking.diagnosis.value_fits import CHECK as FITS
from tracking.records.data_findings import DataFindings
from tracking.records.validation_predictions import ValidationPredictions
from tracking.report.axes import HyperparameterAxis
from tracking.report.charts import (
    belief,
    contour,
    diagnosis,
    history,
    hyperparameters,
    looked,
    predictions,
    theme,
    training,
    trainings,
)
from tracking.report.examples import worst_examples
from tracking.report.importance import FEWEST_TRIALS
from tracking.report.parts import Figure, Section
from tracking.report.trial_data import Columns, StudyData

OF_CHAMPION = "The champion on validation data"
TO_BELIEVE = "How much of it to believe"
_CURVES = "Blue: validation, a point at the best epoch; dashed: training."
# The marks of states in slices, which have no legend.
_MARKS = {
    "complete": "circles",
    "pruned": "triangles",
    "infeasible": "crosses at the lower edge",
    "interrupted": "squares",
    "running": "diamonds",
}
# How to read the picture of a finding.
_READ = {
    "sufficiency": "Blue: the best that so many of these trials find on average, and the middle "
    "nine tenths; orange: what was found.",
    "isolation": "Blue: the mean best of equally many trials, with its 95 % interval; orange: the "
    "best trial.",
    "too short": _CURVES,
    "too long": _CURVES,
    "overfitting": _CURVES,
    "underfitting": _CURVES,
    "noise at the end": _CURVES,
}


def sections(data: StudyData) -> list[Section]:
    """Returns the charts of a study that have something to show, by section."""
    found = [
        Section(TO_BELIEVE, tuple(_belief(data))),
        Section("What the record asks for", tuple(_findings(data)), _diagnosed(data)),
        *_fits(data),
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
        heading = f"{OF_CHAMPION}: {each.output}" if each.output else OF_CHAMPION
        shown = tuple(_champion(each, place))
        found.append(Section(heading, shown, text, worst_examples(each)))
    if data.looked is not None:
        found.append(_of_data(data.looked, data.data_command))
    return [each for each in found if each.figures or each.findings]


def _of_data(found: DataFindings, command: str) -> Section:
    """Returns what was found in the data; see `kerastudy data`."""
    text = "What was found in the data, without any model."
    if not found.thorough:
        text = (
            "At a glance, when the study was launched. This looks closer, and renews this page: "
            f"{command}"
        )
    rows = f" A row for each class: {', '.join(found.picture_rows)}." if found.picture_rows else ""
    figures = [
        Figure(looked.distribution(each, f"data_{place}"), small=True)
        for place, each in enumerate(looked.shown(found))
    ]
    return Section(
        "The data",
        tuple(figures),
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
        "parallel": hyperparameters.parallel_rows(data),
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
    yield Figure(belief.belief(data), text, plotted=True)


def _diagnosed(data: StudyData) -> str:
    """Returns what precedes the findings: what is well, and what was not checked."""
    found = data.diagnosis
    told = ["The checks of Google's Deep Learning Tuning Playbook, on this record."]
    well = [each.title for each in found.findings if each.check != FITS and not _is_pictured(each)]
    if well:
        told.append(f"Nothing to do: {'. '.join(well)}.")
    missing = dict.fromkeys(each.check for each in found.unchecked)
    if missing:
        told.append(f"The record is too thin to check: {', '.join(missing)}.")
    return " ".join(told)


def _is_pictured(finding: Finding) -> bool:
    """Returns whether a finding has a figure: any with something to do, and what is a result."""
    return finding.severity != "ok" or finding.check in ("isolation", "sufficiency")


def _findings(data: StudyData) -> Iterator[Figure]:
    """Yields the findings that have a figure."""
    axes = {axis.name: axis for axis in data.axes}
    objective = data.history.description.objective
    for place, finding in enumerate(data.diagnosis.findings):
        if not _is_pictured(finding):
            continue
        chart = diagnosis.picture(finding, place, objective, axes)
        if chart is not None:
            text = f"{finding.verdict} {finding.advice} {_READ.get(finding.check, '')}".rstrip()
            yield Figure(chart, text, mark=finding.severity, command=finding.command)


def _fits(data: StudyData) -> Iterator[Section]:
    """Yields how the values of each scientific hyperparameter fit."""
    objective = data.history.description.objective
    for place, finding in enumerate(data.diagnosis.findings):
        if finding.check != FITS:
            continue
        every = list(finding.rows)
        labels = list(dict.fromkeys(row["label"] for row in every))
        text = (
            f"{finding.verdict} Each picture is the best trial of a value. {_CURVES} The "
            "checkpoint of the best epoch is the one that counts, whatever comes after it."
        )
        figures = [
            Figure(
                diagnosis.value_fit(
                    [row for row in every if row["label"] == label],
                    every,
                    objective,
                    f"fit_{place}_{number}",
                ),
                small=True,
            )
            for number, label in enumerate(labels)
        ]
        yield Section(f"How the values of {finding.parameter} fit", tuple(figures), text)


def _search(data: StudyData) -> Iterator[Figure]:
    if not data.ranked:
        return
    without = None in data.trials["value"]
    yield Figure(
        history.optimization_history(data),
        "Each mark is a trial; the line is the best value so far. A flat line at the end says that "
        "more trials of this kind are unlikely to help much."
        + _far_off(data, data.trials["value"])
        + (" Trials without a value stand at the lower edge." if without else ""),
        plotted=True,
    )


def _hyperparameters(data: StudyData) -> Iterator[Figure]:
    if len(data.ranked) < 2 or not data.axes:
        return
    yield Figure(
        hyperparameters.parallel_coordinates(data),
        "Each line is a trial. Drag over a part of an axis to choose the trials that pass there.",
        plotted=True,
    )
    if data.importances:
        yield Figure(
            hyperparameters.importance(data),
            "How much of the difference between trials each hyperparameter makes by itself "
            "(Optuna's fANOVA; a conditional one makes none where it is not active). It is a "
            "property of these trials and ranges, not of the hyperparameter.",
            plotted=True,
        )
    pair = contour_axes(data)
    if pair is not None:
        yield Figure(
            contour.contour(data, *pair),
            "The two most important hyperparameters that are numbers. The ground is the mean of "
            "the trials nearby; where it is empty, nothing was tried.",
            plotted=True,
        )
    for axis in data.by_importance():
        yield Figure(hyperparameters.hyperparameter_slice(data, axis), small=True)


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
            predictions.confusion_matrix(found, suffix),
            "Rows are true classes, columns what the champion predicted. Mistakes are orange, "
            "the stronger the larger their share of the class.",
            plotted=True,
        )
    if found.feature:
        text = "Points: targets. Blue: what the champion predicts."
        if found.rule:
            text += " Orange, dashed: the rule by which the targets were made, without noise."
        yield Figure(
            predictions.by_feature(found, suffix),
            f"{predictions.equations(found)} {text}",
            plotted=True,
        )
    if found.truth:
        yield Figure(
            predictions.truth(found, suffix),
            "On the dashed line, the prediction is right.",
            plotted=True,
        )


def _training(data: StudyData) -> Iterator[Figure]:
    if not data.curves["trial"]:
        return
    of_function = data.history.description.objective_function
    fits = trainings.fits_of_best(data) if of_function else None
    if fits is not None:
        text = "Solid: validation, dashed: training. A colour for each model that it trains."
        yield Figure(fits, text, plotted=True)
    if of_function and not data.has_curves:
        # A value that is returned at the end has no curve.
        return
    yield Figure(
        training.learning_curves(data),
        "The ten best trials in blue, without pruned ones, each with its best epoch; all others "
        "behind. Pruned ones end where they were stopped." + _far_off(data, data.curves["value"]),
        plotted=True,
    )
    if data.training_metric and data.ranked:
        yield Figure(
            training.fit_by_trial(data),
            "On the dashed line, a trial does as well on validation as on training data. The "
            "further it lies towards better training, the more it overfits; bad on both is "
            "underfitting.",
            small=True,
            plotted=True,
        )
