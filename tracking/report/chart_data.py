"""The data of charts: tables of trials and curves, and the importances of hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tracking.diagnosis import training_metric
from tracking.history import StudyHistory, metric_by_epoch, read_validation_predictions
from tracking.records import EndedTrial, ValidationPredictions
from tracking.report.axes_scales_and_labels import HyperparameterAxis, axes_of, significant
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
        return summary_of(self.history)

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


def tables(data: StudyData) -> dict[str, Columns]:
    """Returns the tables with the data of charts. A chart refers to its table by name."""
    return {"trials": data.trials, "curves": data.curves}


FEWEST_TRIALS = 15
"""A report has no importances of fewer trials, as the first hyperparameter is often wrong."""
# Deeper trees are not more accurate. With these numbers, 2,000 trials take a second.
_TREES, _DEPTH = 32, 6


def importances(
    axes: Sequence[HyperparameterAxis],
    trials: Sequence[EndedTrial],
    fewest: int = FEWEST_TRIALS,
) -> Mapping[str, float]:
    """Returns the share of each hyperparameter in the variance of the trials' values.

    The method is fANOVA (Hutter, Hoos and Leyton-Brown, An efficient approach for assessing
    hyperparameter importance, ICML 2014). fANOVA fits a random forest to the trials, and splits the
    variance of the forest's predictions into the effects of single hyperparameters. The forest gets
    hyperparameters that are scaled to 0 … 1. A hyperparameter that is not active in a trial gets a
    random value, because its value makes no difference there.

    The shares add up to 1. The largest share is first. The result is empty if fewer than `fewest`
    trials have a value, or if all values are the same.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial

    values = {trial.number: trial.best.value for trial in trials if trial.best is not None}
    if not axes or len(values) < fewest or len(set(values.values())) < 2:
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
