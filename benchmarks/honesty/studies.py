"""Simulates studies in a world: search, best value, race and confirmation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.honesty.settings import Chooser
from benchmarks.honesty.world import DIMENSIONS, Training, World
from studies.champion.confirmation_plan_and_trainings import rounds, survivors
from tracking.records.confirmation_evaluation_and_prediction_records import Interval
from tracking.statistics import SampleScores
from tracking.statistics.corrections import confirmed_value
from tracking.statistics.intervals import gain

TOP, SEEDS, BUDGET = 8, 5, 16
# With at most this many validation samples, a trial's second best epoch has scores, too.
_FEW_SAMPLES = 256


@dataclass(frozen=True)
class Played:
    """A study after its search.

    Attributes:
        points: The configuration of each trial; the first is the default.
        trainings: The training of each trial, under its seed.
        values: The validation accuracy of each trial, at its best epoch.
        best: The trial with the best value; of equal values, the one with the earlier best epoch,
            then the lower number.
    """

    points: list[np.ndarray]
    trainings: list[Training]
    values: np.ndarray
    best: int

    @property
    def reported(self) -> float:
        """The best value."""
        return float(self.values[self.best])

    @property
    def best_epoch(self) -> int:
        """The best trial's best epoch, from 0."""
        return int(self.trainings[self.best].best_epochs()[0])

    def scores(self, *, all_epochs: bool) -> dict[int, list[SampleScores]]:
        """Returns the scores of the validation samples, as a study records them."""
        scores = {}
        for number, training in enumerate(self.trainings):
            right = training.right[0]
            order = np.argsort(-right.sum(axis=1), kind="stable")
            epochs = order if all_epochs else order[: 2 if right.shape[1] <= _FEW_SAMPLES else 1]
            scores[number] = [
                SampleScores("val_accuracy", "mean", right[epoch], int(epoch) + 1)
                for epoch in sorted(epochs)
            ]
        return scores


@dataclass(frozen=True)
class Confirmed:
    """The result of a confirmation.

    Attributes:
        winner: The trial that won the race.
        estimate: Its accuracy on the test part, with the interval.
        gain: Its gain over the default.
    """

    winner: int
    estimate: Interval
    gain: Interval


def play(world: World, chooser: Chooser, trials: int, seed: int) -> Played:
    """Searches, as a study does: the defaults first, then the chooser's proposals."""
    points: list[np.ndarray] = []
    trainings: list[Training] = []
    values: list[float] = []

    def value_of(point: np.ndarray) -> float:
        training = world.train(point, 1)
        points.append(point)
        trainings.append(training)
        values.append(float(training.right[0].mean(axis=1).max()))
        return values[-1]

    _CHOOSERS[chooser](value_of, world.default, trials, seed)
    epochs = [int(training.best_epochs()[0]) for training in trainings]
    best = min(range(trials), key=lambda number: (-values[number], epochs[number], number))
    return Played(points, trainings, np.array(values), best)


def race(world: World, played: Played) -> int:
    """Returns the winner among the best trials under new seeds."""
    order = sorted(range(len(played.values)), key=lambda number: (-played.values[number], number))
    plan = rounds(TOP, SEEDS, BUDGET)
    racers = tuple(order[: plan[0].racers])
    values: dict[int, list[float]] = {racer: [] for racer in racers}
    for stage in plan:
        if stage.racers < len(racers):
            racers = survivors({racer: values[racer] for racer in racers}, stage.racers, "max")
        for racer in racers:
            training = world.train(played.points[racer], stage.seeds)
            values[racer] += training.right.mean(axis=2).max(axis=1).tolist()
    return survivors({racer: values[racer] for racer in racers}, 1, "max")[0]


def confirm(world: World, played: Played) -> Confirmed:
    """Runs the race; measures the winner and the default on the test part, under fresh seeds."""
    winner = race(world, played)
    point = played.points[winner]
    ours = world.on_test(point, world.train(point, SEEDS))
    theirs = world.on_test(world.default, world.train(world.default, SEEDS))
    scores = [SampleScores("val_accuracy", "mean", right, 1) for right in ours]
    estimate, _ = confirmed_value(scores, "max")
    return Confirmed(winner, estimate, gain(ours, theirs, "max", hits=ours.shape[1]))


def _by_random(
    value_of: Callable[[np.ndarray], float], default: np.ndarray, trials: int, seed: int
) -> None:
    generator = np.random.default_rng([seed, 7])
    value_of(default)
    for _ in range(trials - 1):
        value_of(generator.random(DIMENSIONS))


def _by_tpe(
    value_of: Callable[[np.ndarray], float], default: np.ndarray, trials: int, seed: int
) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.enqueue_trial({f"x{i}": float(x) for i, x in enumerate(default)})

    def objective(trial: optuna.Trial) -> float:
        return value_of(np.array([trial.suggest_float(f"x{i}", 0, 1) for i in range(DIMENSIONS)]))

    study.optimize(objective, n_trials=trials)


_CHOOSERS = {"random": _by_random, "tpe": _by_tpe}
