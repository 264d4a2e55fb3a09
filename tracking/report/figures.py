"""The figures of a study's page: each chart with its heading and explanation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import altair as alt

from tracking.records.validation_predictions import ValidationPredictions
from tracking.report.axes import HyperparameterAxis
from tracking.report.charts import (
    belief,
    contour,
    history,
    hyperparameters,
    predictions,
    timeline,
    training,
)
from tracking.report.examples import Example, worst_examples
from tracking.report.trial_data import Columns, StudyData

OF_CHAMPION = "The champion on validation data"
TO_BELIEVE = "How much of it to believe"


@dataclass(frozen=True)
class Figure:
    """A chart on a page.

    Attributes:
        chart: The chart.
        text: What it shows and how to read it; may be empty.
        small: Whether it stands in a row with others.
        plotted: Whether it is one of the plots that MLflow shows.
    """

    chart: alt.LayerChart
    text: str = ""
    small: bool = False
    plotted: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        heading: Its heading.
        figures: Its figures.
        text: What precedes them.
        examples: Samples that the champion classifies worst, shown after them.
    """

    heading: str
    figures: tuple[Figure, ...]
    text: str = ""
    examples: tuple[Example, ...] = ()


def sections(data: StudyData) -> list[Section]:
    """Returns the charts of a study that have something to show, by section."""
    found = [
        Section(TO_BELIEVE, tuple(_belief(data))),
        Section("How the search went", tuple(_search(data))),
        Section("What the hyperparameters do", tuple(_hyperparameters(data))),
        Section("How the trials trained", tuple(_training(data))),
        Section("When they ran, and how they ended", tuple(_running(data))),
    ]
    found_predictions = data.predictions
    if found_predictions is not None:
        text = (
            f"What trial {found_predictions.trial}, at epoch {found_predictions.epoch}, predicts "
            f"of {found_predictions.samples:,} validation samples."
        )
        shown = tuple(_champion(found_predictions))
        examples = worst_examples(found_predictions)
        found.insert(4, Section(OF_CHAMPION, shown, text, examples))
    return [each for each in found if each.figures]


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


def _search(data: StudyData) -> Iterator[Figure]:
    if not data.ranked:
        return
    yield Figure(
        history.optimization_history(data),
        "Each mark is a trial; the line is the best value so far. A flat line at the end says that "
        "more trials of this kind are unlikely to help much.",
        plotted=True,
    )
    if len({each for each in data.trials["epochs"] if each}) > 1:
        yield Figure(
            history.value_by_budget(data),
            "What more epochs bought. The dashed line is the median at each number of epochs.",
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
            "How much each hyperparameter sets the best tenth of trials apart from all others "
            "(Optuna's PED-ANOVA; a conditional one counts where it is active). It is a property "
            "of these trials and ranges, not of the hyperparameter, and shows no interactions.",
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


def contour_axes(data: StudyData) -> tuple[HyperparameterAxis, HyperparameterAxis] | None:
    """Returns the two most important hyperparameters that are numbers and always active."""
    found = [axis for axis in data.by_importance() if axis.numeric and not axis.parameter.when]
    return (found[0], found[1]) if len(found) > 1 else None


def _champion(found: ValidationPredictions) -> Iterator[Figure]:
    if found.confusion:
        yield Figure(
            predictions.confusion_matrix(found),
            "Rows are true classes, columns what the champion predicted. Mistakes are orange, "
            "the stronger the larger their share of the class.",
            plotted=True,
        )
    if found.truth:
        yield Figure(
            predictions.truth(found),
            "On the dashed line, the prediction is right.",
            plotted=True,
        )


def _running(data: StudyData) -> Iterator[Figure]:
    if any(lane is not None for lane in data.trials.get("lane", ())):
        yield Figure(
            timeline.timeline(data),
            "A bar for each trial, in as many rows as trials ran at once.",
        )
    if data.trials:
        yield Figure(timeline.states(data))


def _training(data: StudyData) -> Iterator[Figure]:
    if not data.curves["trial"]:
        return
    yield Figure(
        training.learning_curves(data),
        "The ten best trials in blue, without pruned ones, each with its best epoch; all others "
        "behind. Pruned ones end where they were stopped.",
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
    if data.ranked:
        yield Figure(
            training.turning_points(data),
            "On the dashed line, the last epoch was the best: training longer may help. Below "
            "it, validation got worse after the best epoch.",
            small=True,
        )
