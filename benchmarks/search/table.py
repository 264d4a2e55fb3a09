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

    # The share of the variance of the best value that is predicted.
    explained: float
    # The rank correlation of predicted and true best values.
    rank: float


class _Surrogate:
    """Answers any configuration with the curve of one of the nearest three that were trained.

    So each curve is a real one, and random configurations are as good as those of the table.
    Chance chooses among the three: an engine would otherwise return to the place of a curve that
    was lucky. A distance counts a hyperparameter by its importance in a forest.
    """

    def __init__(self, points: NDArray[np.float64], curves: NDArray[np.float64]) -> None:
        forest = ExtraTreesRegressor(min_samples_leaf=2, random_state=0).fit(points, curves)
        self._weights, self._points = forest.feature_importances_, points

    def __call__(self, point: NDArray[np.float64], random: np.random.Generator) -> int:
        """Returns the place of a configuration that stands for a point."""
        distances = np.abs(self._points - point) @ self._weights
        return int(random.choice(np.argpartition(distances, _NEAREST)[:_NEAREST]))


class Table:
    """The trained configurations of a task. Values are losses: the lower, the better.

    Attributes:
        curves: Losses by configuration and epoch; of a cross-validated trial, the folds' mean.
        steps: What a pruner sees of a configuration, by step. It sees the epochs of a
            cross-validated trial one fold after the other, each as the mean of the folds so far.
    """

    def __init__(self, store: Path, task: str) -> None:
        history = ks.read_study(task, store=store)
        description = history.description
        self.space, self.objective = description.space, description.objective
        sign = self.objective.sort_key(1.0)
        points, curves, steps = [], [], []
        recorded = RecordedCurves(history.folder, history.trials)
        self.folds = description.folds
        seen = FoldCurves(history.folder, description, history.trials, description.epochs)
        for trial in history.trials:
            curve = recorded(trial)
            if trial.state == "complete" and len(curve) == description.epochs:
                points.append(self._point(trial.spec.values))
                curves.append([sign * curve[epoch] for epoch in sorted(curve)])
                shown = seen(trial) if self.folds else curve
                steps.append([sign * shown[step] for step in sorted(shown)])
        self.points, self.curves, self.steps = np.array(points), np.array(curves), np.array(steps)
        random = np.random.default_rng(0)
        unseen = np.empty_like(self.curves)
        for known, held_out in KFold(5, shuffle=True, random_state=0).split(self.points):
            surrogate = _Surrogate(self.points[known], self.curves[known])
            places = [surrogate(point, random) for point in self.points[held_out]]
            unseen[held_out] = self.curves[known][places]
        self._surrogate = _Surrogate(self.points, self.curves)
        true, predicted = self.curves.min(axis=1), unseen.min(axis=1)
        self.quality = Quality(
            1 - float(np.var(true - predicted) / np.var(true)),
            float(spearmanr(true, predicted).statistic),
        )

    def _point(self, values: Mapping[str, Any]) -> list[float]:
        units = self.space.to_unit(values)
        return [units[name] for name in self.space.names]

    def place(self, values: Mapping[str, Any], random: np.random.Generator) -> int:
        """Returns the place of the configuration that answers for the values."""
        return self._surrogate(np.array(self._point(values)), random)

    def target(self, trials: int, draws: int = 2_000) -> float:
        """Returns the median best loss of so many random full trials."""
        best = self.curves.min(axis=1)
        chosen = np.random.default_rng(0).choice(best, (draws, trials))
        return float(np.median(chosen.min(axis=1)))

    @property
    def span(self) -> float:
        """The distance between the table's best loss and its median."""
        best = self.curves.min(axis=1)
        return float(np.median(best) - best.min())
