"""The data of charts: tables of trials and curves, and the axes of hyperparameters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt
import numpy as np

from search_spaces import Float, Int, Listed, Parameter, SearchSpace
from search_spaces.texts import number, readable
from tracking.diagnosis.diagnosed_study import training_metric
from tracking.history.champion_confirmations_evaluations import read_validation_predictions
from tracking.history.learning_curves import metric_by_epoch
from tracking.history.study_history import StudyHistory
from tracking.history.verdicts_and_interval_texts import StudyVerdict, study_verdict
from tracking.records import EndedTrial
from tracking.records.evaluation_and_prediction_records import ValidationPredictions
from tracking.study_summary import Summary, summary_of

Columns = dict[str, list[Any]]
"""A table: for each column, a list with the values of all rows."""

# All curves together have at most this many points, because they are the largest part of a large
# page.
_MOST_POINTS = 24_000


@dataclass(frozen=True)
class StudyData:
    """The data of a study for charts and tables.

    If `whole`, the axes of charts have room for all values. Otherwise, charts draw the values that
    are far off at the edge.
    """

    history: StudyHistory
    whole: bool = False

    @cached_property
    def summary(self) -> Summary:
        """The summary of the study."""
        return summary_of(self.history, self.verdict)

    @cached_property
    def axes(self) -> tuple[HyperparameterAxis, ...]:
        """The axes of the hyperparameters that vary, in the order of the space."""
        return axes_of(self.history.description.space)

    @cached_property
    def importances(self) -> Mapping[str, float]:
        """The importance of each hyperparameter, the largest first."""
        return importances(self.axes, self.ranked)

    @cached_property
    def ranked(self) -> list[EndedTrial]:
        """The trials of `StudyHistory.holding`, the best first."""
        return self.history.holding

    @cached_property
    def verdict(self) -> StudyVerdict:
        """The verdict on the best value."""
        return study_verdict(self.history)

    @cached_property
    def predictions(self) -> ValidationPredictions | None:
        """The champion's predictions for the validation data, or None."""
        return read_validation_predictions(self.history)

    @cached_property
    def training_metric(self) -> str:
        """The objective's metric on training data, e.g. ``accuracy``; empty if not recorded."""
        return training_metric(self.history.description.objective, self.ranked)

    @cached_property
    def headings(self) -> dict[str, str]:
        """The names that a page shows for columns of the tables."""
        metric = self.history.description.objective.metric
        axes = {axis.field: axis.name for axis in self.axes}
        return {"value": metric, "training": self.training_metric, **axes}

    def by_importance(self) -> list[HyperparameterAxis]:
        """Returns the axes, the most important first."""
        shares = self.importances
        return sorted(self.axes, key=lambda axis: -shares.get(axis.name, 0.0))

    @cached_property
    def trials(self) -> Columns:
        """A table with a row for each trial, by number.

        ``rank`` counts from 1. ``training`` is the objective on training data at the best epoch.
        ``gap`` is the difference between ``training`` and ``value``: above 0 if ``training`` is
        better.
        """
        objective = self.history.description.objective
        ranks = {trial.number: place for place, trial in enumerate(self.ranked, start=1)}
        rows: list[dict[str, Any]] = []
        best: float | None = None
        for trial in self.history.trials:
            result = trial.result
            value = training = None
            if trial.number in ranks and trial.best is not None:
                value, training = trial.value, trial.best.metrics.get(self.training_metric)
            if value is not None and (best is None or objective.is_better(value, best)):
                best = value
            gap = None
            if value is not None and training is not None:
                gap = objective.sort_key(value) - objective.sort_key(training)
            rows.append(
                {
                    "trial": trial.number,
                    "state": trial.state if trial.holds else "contradicted",
                    "value": significant(value),
                    "best_epoch": None if value is None else trial.epoch,
                    "rank": ranks.get(trial.number),
                    "best_so_far": significant(best),
                    "training": significant(training),
                    "gap": significant(gap, 4),
                    "seconds": significant(0.0 if result is None else result.seconds, 4),
                    "reason": "" if result is None else result.reason[:200],
                    **{
                        name: column
                        for axis in self.axes
                        for name, column in axis.columns(trial.spec.values).items()
                    },
                }
            )
        return columns_of(rows)

    @property
    def has_curves(self) -> bool:
        """Whether a trial has values at several epochs."""
        trials = self.curves["trial"]
        return len(set(trials)) < len(trials)

    @cached_property
    def curves(self) -> Columns:
        """A table with a row for each trial and epoch.

        ``value`` is the objective on validation data, ``training`` the objective on training data.
        ``best`` is 1 at the best epoch, else 0. For long curves, the table has only every n-th
        epoch, the best epoch and the last epoch.
        """
        history = self.history
        trials = [t for t in history.trials if isinstance(t, EndedTrial) and t.best is not None]
        values, training = (
            metric_by_epoch(history.folder, trials, metric) if metric else {}
            for metric in (history.description.objective.metric, self.training_metric)
        )
        most = max(8, _MOST_POINTS // max(len(trials), 1))
        rows: list[dict[str, Any]] = []
        for trial in trials:
            curve = values.get(trial.number, {})
            repeated = trial.result.repeats and not trial.result.folds
            best = None if repeated else trial.epoch
            step = -(-len(curve) // most)
            epochs = sorted(curve)
            of_training = training.get(trial.number, {})
            rows += [
                {
                    "trial": trial.number,
                    "epoch": epoch,
                    "value": significant(curve[epoch], 5),
                    "training": significant(of_training.get(epoch), 5),
                    "best": int(epoch == best),
                }
                for place, epoch in enumerate(epochs)
                if place % step == 0 or epoch in (best, epochs[-1])
            ]
        names = ("trial", "epoch", "value", "training", "best")
        return columns_of(rows) or {name: [] for name in names}


def columns_of(rows: list[dict[str, Any]]) -> Columns:
    """Returns a table from its rows, which have the same keys."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    """Returns the rows of a table."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


_TITLE_LETTERS = 36
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)

FEWEST_TRIALS = 15
"""With fewer trials, the first hyperparameter of `importances` is often the wrong one."""
# Deeper trees are not more accurate. With these numbers, 2,000 trials take a second.
_TREES, _DEPTH = 32, 6

# SVG is XML, which can't contain these characters: https://www.w3.org/TR/xml/#charsets
_UNDRAWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class HyperparameterAxis:
    """The axis of a hyperparameter that varies.

    Attributes:
        field: The name of the column with the values. It has no characters that are special to
            Vega.
        labels: The texts of a choice's values, in declared order; empty for a range.
    """

    parameter: Parameter
    field: str
    labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The hyperparameter's name."""
        return self.parameter.name

    @property
    def drawn(self) -> str:
        """The name of the column that charts draw. For a range, its values come from `unit`."""
        return f"{self.field}_unit" if self.numeric else self.field

    @property
    def numeric(self) -> bool:
        """Whether the hyperparameter is a range of numbers."""
        return not self.labels

    def columns(self, values: Mapping[str, Any]) -> dict[str, float | str | None]:
        """Returns a trial's values in the columns of this axis.

        The values are None if the hyperparameter is not active in the trial.
        """
        unit = self.unit(values)
        value = None if unit is None else values[self.name]
        if isinstance(self.parameter, Listed):
            return {self.field: None if unit is None else self.labels[self.parameter.index(value)]}
        return {self.field: significant(value), self.drawn: unit}

    def unit(self, values: Mapping[str, Any]) -> float | None:
        """Returns a trial's value, scaled to 0 … 1. None if the hyperparameter is not active."""
        if self.name not in values or not self.parameter.contains(values[self.name]):
            return None
        return round(self.parameter.to_unit(values[self.name]), 4)

    def tooltip(self) -> alt.Tooltip:
        """Returns the hyperparameter's line in a tooltip."""
        kind: Any = "quantitative" if self.numeric else "nominal"
        return alt.Tooltip(field=self.field, type=kind, title=self.name)

    def x(self) -> alt.X:
        """Returns the horizontal axis."""
        # A longer title would leave no room for the chart. The heading of the chart has the whole
        # name.
        short = self.name
        if len(short) > _TITLE_LETTERS:
            short = f"{short[:_TITLE_LETTERS].rstrip()}…"
        shared: dict[str, Any] = {"field": self.drawn, "title": short}
        if self.labels:
            # All labels get the same room, so the longest label decides.
            letters = len(self.labels) * max(map(len, self.labels))
            angle = 0 if letters < 40 else -35
            return alt.X(
                **shared,
                type="nominal",
                sort=None,
                scale=alt.Scale(domain=list(self.labels)),
                axis=alt.Axis(labelAngle=angle, labelLimit=110, grid=False),
            )
        ticks = self._ticks()
        texts = json.dumps([text for _, text in ticks])
        places = json.dumps([place for place, _ in ticks])
        return alt.X(
            **shared,
            type="quantitative",
            scale=alt.Scale(domain=[0, 1], nice=False),
            axis=alt.Axis(
                values=[place for place, _ in ticks],
                labelExpr=f"{texts}[indexof({places}, datum.value)]",
                labelOverlap="greedy",
                labelSeparation=8,
                labelFlush=False,
            ),
        )

    def _ticks(self) -> list[tuple[float, str]]:
        """Returns the ticks of a range: places from 0 to 1, and texts of the values there."""
        parameter = self.parameter
        assert isinstance(parameter, Float | Int), "all others are listed"
        if parameter.scale == "log" and parameter.high / parameter.low >= 100:
            first = math.ceil(math.log10(parameter.low) - 1e-9)
            last = math.floor(math.log10(parameter.high) + 1e-9)
            # People look for powers of ten on a log axis.
            values = [parameter.nearest(10.0**power) for power in range(first, last + 1)]
        else:
            values = [parameter.from_unit(place) for place in _PLACES]
        places = {number(value, 3): round(parameter.to_unit(value), 6) for value in values}
        return [(place, text) for text, place in places.items()]


def axes_of(space: SearchSpace) -> tuple[HyperparameterAxis, ...]:
    """Returns the axes of the hyperparameters that vary, in the order of the space."""
    varying = [parameter for parameter in space if parameter.count != 1]
    return tuple(
        HyperparameterAxis(parameter, f"p{index}", _labels(parameter))
        for index, parameter in enumerate(varying)
    )


def _labels(parameter: Parameter) -> tuple[str, ...]:
    if not isinstance(parameter, Listed):
        return ()
    labels = tuple(value_text(value) for value in parameter.values)
    # If two values have the same text, such as 1 and "1", the labels are Python's `repr`.
    return labels if len(set(labels)) == len(labels) else tuple(map(repr, parameter.values))


def importances(
    axes: Sequence[HyperparameterAxis], trials: Sequence[EndedTrial]
) -> Mapping[str, float]:
    """Returns the share of each hyperparameter in the variance of the trials' values.

    The method is fANOVA (Hutter, Hoos and Leyton-Brown, An efficient approach for assessing
    hyperparameter importance, ICML 2014). fANOVA fits a random forest to the trials, and splits the
    variance of the forest's predictions into the effects of single hyperparameters. The forest gets
    hyperparameters that are scaled to 0 … 1. A hyperparameter that is not active in a trial gets a
    random value, because its value makes no difference there.

    The shares add up to 1. The largest share is first. The result is empty if fewer than
    `FEWEST_TRIALS` trials have a value, or if all values are the same.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial

    values = {trial.number: trial.best.value for trial in trials if trial.best is not None}
    if not axes or len(values) < FEWEST_TRIALS or len(set(values.values())) < 2:
        return {}
    rng = np.random.default_rng(0)
    ranges: dict[str, Any] = {
        axis.name: CategoricalDistribution(axis.labels) if axis.labels else FloatDistribution(0, 1)
        for axis in axes
    }
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        for trial in sorted(trials, key=lambda trial: trial.number):
            params = {axis.name: _place(axis, trial.spec.values, rng) for axis in axes}
            value = values[trial.number]
            study.add_trial(create_trial(params=params, distributions=ranges, value=value))
        evaluator = FanovaImportanceEvaluator(n_trees=_TREES, max_depth=_DEPTH, seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(share) for name, share in shares.items()}
    except RuntimeError:
        # Optuna raises this error if the forest's predictions have no variance.
        return {}
    finally:
        optuna.logging.set_verbosity(verbosity)


def _place(
    axis: HyperparameterAxis, values: Mapping[str, Any], rng: np.random.Generator
) -> float | str:
    """Returns a trial's value on an axis: a random value if the hyperparameter is not active."""
    place = axis.columns(values)[axis.drawn]
    if place is not None:
        return place
    return axis.labels[rng.integers(len(axis.labels))] if axis.labels else float(rng.random())


def significant(value: float | None, digits: int = 6) -> float | None:
    """Returns a number rounded to significant digits, or None for NaN and infinities."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{digits}g}")


def value_text(value: object) -> str:
    """Returns a hyperparameter's value as a text that a chart can draw."""
    return str(drawable(readable(value, 6)))


def drawable(value: Any, key: str = "") -> Any:
    r"""Escapes users' texts in a part of a chart's specification. `key` is the part's name.

    Characters that SVG can't contain, such as ``\x1b``, make vl-convert end the whole process.
    Vega-Lite copies titles of tooltips into expressions, where a backslash must be escaped.
    """
    if isinstance(value, str):
        return _UNDRAWABLE.sub(lambda match: ascii(match[0])[1:-1], value)
    if isinstance(value, dict):
        items = {drawable(name): drawable(item, name) for name, item in value.items()}
        if key == "tooltip" and isinstance(items.get("title"), str):
            items["title"] = items["title"].replace("\\", "\\\\")
        return items
    return [drawable(item, key) for item in value] if isinstance(value, list) else value
