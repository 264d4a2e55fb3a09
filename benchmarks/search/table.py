"""A task's table: configurations that were trained once, and a surrogate for all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold

import kerastudy as ks
from tracking.history.learning_curves import FoldCurves, RecordedCurves

_NEAREST = 3


@dataclass(frozen=True)
class Quality:
    """How well the surrogate predicts configurations that it has not seen (5 folds)."""

    # The share of the variance of the best values that the predictions explain.
    explained: float
    # The rank correlation of predicted and true best values.
    rank: float


class _Surrogate:
    """Answers for any configuration by one of the three nearest ones that were trained.

    So each curve is a real one, and random configurations are as good as those of the table. One
    of the three is drawn at random: otherwise an engine would return to a configuration whose
    curve was lucky. A distance weighs a hyperparameter by its importance in a forest.
    """

    def __init__(self, points: NDArray[np.float64], curves: NDArray[np.float64]) -> None:
        forest = ExtraTreesRegressor(min_samples_leaf=2, random_state=0).fit(points, curves)
        self._weights, self._points = forest.feature_importances_, points

    def __call__(self, point: NDArray[np.float64], random: np.random.Generator) -> int:
        """Returns the place in the table of a configuration that answers for a point."""
        distances = np.abs(self._points - point) @ self._weights
        return int(random.choice(np.argpartition(distances, _NEAREST)[:_NEAREST]))


class Table:
    """The trained configurations of a task. Values are losses: the lower, the better.

    Attributes:
        curves: Losses by configuration and epoch; with cross-validation, the means over the folds.
        steps: The losses that a pruner sees, by configuration and step. With cross-validation it
            sees one fold after the other: a step's loss is the mean over the folds so far.
    """

    def __init__(self, store: Path, task: str) -> None:
        history = ks.read_study(task, store=store)
        description = history.description
        self.space, self.objective = description.space, description.objective
        sign = self.objective.sort_key(1.0)
        points, curves, steps = [], [], []
        recorded = RecordedCurves(history.folder, history.trials)
        self.folds = description.folds
        fold_curves = FoldCurves(history.folder, description, history.trials, description.epochs)
        for trial in history.trials:
            curve = recorded(trial)
            if trial.state == "complete" and len(curve) == description.epochs:
                points.append(self._point(trial.spec.values))
                curves.append([sign * curve[epoch] for epoch in sorted(curve)])
                pruner_curve = fold_curves(trial) if self.folds else curve
                steps.append([sign * pruner_curve[step] for step in sorted(pruner_curve)])
        self.points, self.curves, self.steps = np.array(points), np.array(curves), np.array(steps)
        random = np.random.default_rng(0)
        predictions = np.empty_like(self.curves)
        for training_part, held_out in KFold(5, shuffle=True, random_state=0).split(self.points):
            surrogate = _Surrogate(self.points[training_part], self.curves[training_part])
            places = [surrogate(point, random) for point in self.points[held_out]]
            predictions[held_out] = self.curves[training_part][places]
        self._surrogate = _Surrogate(self.points, self.curves)
        true, predicted = self.curves.min(axis=1), predictions.min(axis=1)
        self.quality = Quality(
            1 - float(np.var(true - predicted) / np.var(true)),
            float(spearmanr(true, predicted).statistic),
        )

    def _point(self, values: Mapping[str, Any]) -> list[float]:
        units = self.space.to_unit(values)
        return [units[name] for name in self.space.names]

    def place(self, values: Mapping[str, Any], random: np.random.Generator) -> int:
        """Returns the place in the table of a configuration that answers for the values."""
        return self._surrogate(np.array(self._point(values)), random)

    def target(self, trials: int, draws: int = 2_000) -> float:
        """Returns the median of the best loss of some random full trials."""
        best = self.curves.min(axis=1)
        chosen = np.random.default_rng(0).choice(best, (draws, trials))
        return float(np.median(chosen.min(axis=1)))

    @property
    def span(self) -> float:
        """The distance between the table's best loss and its median."""
        best = self.curves.min(axis=1)
        return float(np.median(best) - best.min())
