"""Compares evaluators of importance on functions whose truth is known, by number of trials.

Each function has five hyperparameters of very different effects: one on a log scale, two numbers,
a choice, and one that only one value of the choice activates. Half of the functions fall off
steeply at one end, as accuracies do where training diverges. Values have noise of a fifth of their
spread. The truth is each hyperparameter's share of the variance (its main effect), from 100,000
points.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

_NAMES = ("rate", "dropout", "units", "kind", "momentum")
_KINDS = 3


class KnownFunction:
    """A function of five hyperparameters between 0 and 1, whose importances are known."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.weights = rng.permutation(0.45 ** np.arange(5.0)) * rng.uniform(0.7, 1.3, 5)
        self.best = rng.uniform(0.1, 0.9, 5)
        self.levels = rng.permutation([-1.0, 0.0, 1.0])
        self.is_steep = bool(seed % 2)
        points = rng.random((100_000, 5))
        values = self(points)
        self.spread = float(values.std())
        self.truth = np.array([self._main_effect(points, values, place) for place in range(5)])
        self.truth /= self.truth.sum()

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Returns the value of each point, of shape (n, 5): low is good."""
        effects = 4 * (points - self.best) ** 2 - 0.7
        effects[:, 3] = self.levels[(points[:, 3] * _KINDS).astype(int)]
        effects[:, 4] *= is_active(points)
        total = effects @ self.weights + 0.3 * self.weights.max() * effects[:, 0] * effects[:, 1]
        return np.asarray(np.exp(1.5 * total) if self.is_steep else total)

    def _main_effect(self, points: np.ndarray, values: np.ndarray, place: int) -> float:
        active = is_active(points) if place == 4 else np.ones(len(points), bool)
        bins = (points[active, place] * (_KINDS if place == 3 else 32)).astype(int)
        means = np.bincount(bins, values[active]) / np.bincount(bins)
        return float(active.mean() * means.var())


def is_active(points: np.ndarray) -> np.ndarray:
    """Returns the points at which the last hyperparameter is active."""
    return np.asarray(points[:, 3] < 1 / _KINDS)


def sampled(function: KnownFunction, trials: int, seed: int, sampler: str) -> Any:
    """Returns the points and values that a sampler of Optuna's tries."""
    import optuna

    rng = np.random.default_rng(seed)
    chosen = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}[sampler]
    study = optuna.create_study(sampler=chosen(seed=seed))
    points, values = [], []
    for _ in range(trials):
        trial = study.ask()
        point = [trial.suggest_float(name, 0, 1) for name in _NAMES[:3]]
        kind = trial.suggest_categorical("kind", list(range(_KINDS)))
        momentum = trial.suggest_float("momentum", 0, 1) if kind == 0 else 0.5
        points.append([*point, (kind + 0.5) / _KINDS, momentum])
        noise = 0.2 * function.spread * rng.standard_normal()
        values.append(float(function(np.array([points[-1]]))[0] + noise))
        study.tell(trial, values[-1])
    return np.array(points), np.array(values)


def shares(
    points: np.ndarray, values: np.ndarray, evaluator: Any, *, log: bool = False, fill: str = ""
) -> np.ndarray:
    """Returns the shares of importance that an evaluator of Optuna's finds.

    ``log`` passes the learning rate on its log scale. ``fill`` is the value that the inactive
    hyperparameter gets: none (""), ``"middle"`` or ``"random"``.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    unit: Any = FloatDistribution(0, 1)
    ranges = {name: unit for name in _NAMES}
    ranges["kind"] = CategoricalDistribution(list(range(_KINDS)))
    if log:
        ranges["rate"] = FloatDistribution(1e-5, 1e-1, log=True)
    rng = np.random.default_rng(0)
    study = optuna.create_study()
    for point, value in zip(points, values, strict=True):
        params = dict(zip(_NAMES, map(float, point), strict=True))
        params["kind"] = int(point[3] * _KINDS)
        if log:
            params["rate"] = float(10 ** (4 * point[0] - 5))
        if params["kind"] and fill == "random":
            params["momentum"] = float(rng.random())
        elif params["kind"] and not fill:
            del params["momentum"]
        distributions = {name: ranges[name] for name in params}
        trial = optuna.trial.create_trial(
            params=params, distributions=distributions, value=float(value)
        )
        study.add_trial(trial)
    importances = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return np.array([float(importances.get(name, 0.0)) for name in _NAMES])


def evaluators() -> dict[str, tuple[int, Callable[[np.ndarray, np.ndarray], np.ndarray]]]:
    """Returns, by name, the most trials that an evaluator gets, and its function."""
    from optuna.importance import (
        FanovaImportanceEvaluator,
        MeanDecreaseImpurityImportanceEvaluator,
        PedAnovaImportanceEvaluator,
    )

    def with_forest(trees: int, depth: int, fill: str, log: bool = False) -> Any:
        return lambda x, y: shares(
            x,
            y,
            FanovaImportanceEvaluator(n_trees=trees, max_depth=depth, seed=0),
            log=log,
            fill=fill,
        )

    return {
        "PED-ANOVA": (10**9, lambda x, y: shares(x, y, PedAnovaImportanceEvaluator(), log=True)),
        "fANOVA as it stands": (100, with_forest(64, 64, "", log=True)),
        "fANOVA, in units, filled": (100, with_forest(64, 64, "random")),
        "  depth 8": (2000, with_forest(32, 8, "random")),
        "  depth 6": (2000, with_forest(32, 6, "random")),
        "  depth 6, middle": (2000, with_forest(32, 6, "middle")),
        "impurity": (
            2000,
            lambda x, y: shares(
                x, y, MeanDecreaseImpurityImportanceEvaluator(n_trees=64, seed=0), fill="random"
            ),
        ),
    }


def main() -> None:
    """Prints how often each evaluator finds the most important hyperparameter, and its errors."""
    import optuna
    from scipy.stats import spearmanr

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="The first function's seed.")
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 20, 30, 50, 100, 500])
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    for sampler, trials in itertools.product(options.samplers, options.trials):
        rows_by_evaluator: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
        for seed in range(options.first, options.first + options.functions):
            function = KnownFunction(seed)
            points, values = sampled(function, trials, seed, sampler)
            for name, (most, evaluate) in evaluators().items():
                if trials > most:
                    continue
                before = time.process_time()
                importances = evaluate(points, values)
                rows_by_evaluator[name].append(
                    (
                        float(importances.argmax() == function.truth.argmax()),
                        float(spearmanr(importances, function.truth).statistic),
                        float(np.abs(importances - function.truth).sum() / 2),
                        time.process_time() - before,
                    )
                )
        print(f"\n{trials} trials, {sampler}: finds the first, rank correlation, error, CPU s")
        for name, rows in rows_by_evaluator.items():
            first, rank, off, cpu = np.mean(rows, axis=0)
            print(f"  {name:<26} {first:5.2f} {rank:6.2f} {off:6.2f} {cpu:7.2f}", flush=True)


if __name__ == "__main__":
    main()
