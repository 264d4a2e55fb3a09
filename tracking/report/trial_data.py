"""A study's trials and curves as columns, which charts and tables are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tracking.diagnosis.diagnosed import training_metric
from tracking.diagnosis.diagnosing import Diagnosis, diagnose
from tracking.history.commands import data_command
from tracking.history.curves import RecordedCurves, metric_by_epoch
from tracking.history.study_history import StudyHistory
from tracking.history.validation_samples import read_validation_predictions
from tracking.history.verdicts import StudyVerdict, looked_at, study_verdict
from tracking.records import EndedTrial
from tracking.records.studies import DataFindings
from tracking.records.validation_predictions import ValidationPredictions
from tracking.report.axes import HyperparameterAxis, axes_of, importances, significant

Columns = dict[str, list[Any]]
"""Values by column, all of one length."""

# Of all curves together: they are more than half of a large page.
_MOST_POINTS = 24_000


@dataclass(frozen=True)
class StudyData:
    """What charts and tables show of a study; commands need not name the folder `without`."""

    history: StudyHistory
    without: Path | None = None

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What the record says about the search."""
        return diagnose(self.history, self.without)

    @cached_property
    def axes(self) -> tuple[HyperparameterAxis, ...]:
        """The axes of the hyperparameters that vary, in declared order."""
        return axes_of(self.history.description.space)

    @cached_property
    def importances(self) -> Mapping[str, float]:
        """The importance of hyperparameters by name, the largest first."""
        return importances(self.axes, self.ranked)

    @cached_property
    def ranked(self) -> list[EndedTrial]:
        """The trials with a value that `model.fit` does not contradict, best first."""
        return self.history.holding

    @cached_property
    def verdict(self) -> StudyVerdict:
        """How much of the best value to believe."""
        return study_verdict(self.history)

    @cached_property
    def predictions(self) -> ValidationPredictions | None:
        """What the champion predicts of the validation data, if it is a trial of this engine."""
        of_champion = read_validation_predictions(self.history)
        return None if self.history.champion is None else of_champion

    @cached_property
    def looked(self) -> DataFindings | None:
        """What was found in the data that the study has, if that is recorded."""
        return looked_at(self.history)

    @property
    def root(self) -> Path | None:
        """The store's folder that commands must name."""
        root = self.history.store.root
        return None if root == self.without else root

    @property
    def several(self) -> bool:
        """Whether the study was launched with several engines, which commands must name."""
        return len(self.history.engines) > 1

    @property
    def data_command(self) -> str:
        """The command that looks at the data, to copy into a shell."""
        return data_command(self.history.description, self.root)

    @cached_property
    def training_metric(self) -> str:
        """The objective's counterpart on training data, or empty if none was recorded."""
        return training_metric(self.history.description.objective, self.ranked)

    @cached_property
    def headings(self) -> dict[str, str]:
        """What the columns of tables are called whose names say less."""
        metric = self.history.description.objective.metric
        axes = {axis.field: axis.name for axis in self.axes}
        return {"value": metric, "training": self.training_metric, **axes}

    def by_importance(self) -> list[HyperparameterAxis]:
        """Returns the axes, the most important first."""
        shares = self.importances
        return sorted(self.axes, key=lambda axis: -shares.get(axis.name, 0.0))

    @cached_property
    def trials(self) -> Columns:
        """A row for each trial, by number.

        Columns: ``trial``, ``state``, ``value``, ``best_epoch``, ``rank`` (from 1),
        ``best_so_far``, ``training`` and ``gap`` (at the best epoch; a positive gap says that
        training is better), ``seconds``, ``reason``, and those of each axis.
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
                gap = training - value if objective.direction == "max" else value - training
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
        """Whether any trial has the objective at several epochs."""
        trials = self.curves["trial"]
        return len(set(trials)) < len(trials)

    @cached_property
    def curves(self) -> Columns:
        """The objective by epoch, of validation and training data, a row for each trial and epoch.

        Columns: ``trial``, ``epoch``, ``value``, ``training``, ``best`` (1 at the best epoch). Of
        long curves some epochs are left out, never the best and the last one.
        """
        history = self.history
        ended = [t for t in history.trials if isinstance(t, EndedTrial) and t.best is not None]
        read = RecordedCurves(history.folder, history.trials)
        training = {}
        if self.training_metric:
            training = metric_by_epoch(history.folder, ended, self.training_metric)
        most = max(8, _MOST_POINTS // max(len(ended), 1))
        rows: list[dict[str, Any]] = []
        for trial in ended:
            curve = read(trial)
            repeated = trial.result.repeats and not trial.result.folds
            best = None if repeated else trial.epoch
            step = -(-len(curve) // most)
            epochs = sorted(curve)
            kept = {*epochs[::step], *epochs[-1:], *([best] if best in curve else [])}
            of_training = training.get(trial.number, {})
            rows += [
                {
                    "trial": trial.number,
                    "epoch": epoch,
                    "value": significant(curve[epoch], 5),
                    "training": significant(of_training.get(epoch), 5),
                    "best": int(epoch == best),
                }
                for epoch in sorted(kept)
            ]
        names = ("trial", "epoch", "value", "training", "best")
        return columns_of(rows) or {name: [] for name in names}


def columns_of(rows: list[dict[str, Any]]) -> Columns:
    """Returns rows, which all have the same keys, as columns."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    """Returns columns as rows."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
