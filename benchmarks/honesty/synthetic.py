"""Parts a, c and d: coverage of the intervals, null studies, and the regret of the race."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.stats
from scipy.special import ndtr

from benchmarks.honesty.settings import SETTINGS, Setting
from benchmarks.honesty.studies import SEEDS, Played, confirm, play, race
from benchmarks.honesty.world import World
from tracking.records.confirmation_evaluation_and_prediction_records import Interval
from tracking.statistics.corrections import corrected

Figures = dict[str, Any]

# Only every fourth study has the correction over all epochs, the most expensive figure.
_SOME = 4


def coverage(setting: Setting, studies: int, first: int = 0) -> Figures:
    """Simulates studies; returns how many intervals contain the truth, and the biases.

    The truth of a corrected value is the accuracy of the best trial's model on infinitely many
    samples. One row takes the mean accuracy of the trial's configuration over seeds instead. The
    truth of a confirmed value is the winner's mean accuracy over seeds, on infinitely many samples.
    Two rows are usual without kerastudy: Wilson's interval of the best value, and Student's over
    new seeds on the same validation samples.

    Args:
        setting: The setting.
        studies: How many studies.
        first: The number of the first study; each study has its own world.

    Returns:
        Figures by the kind of interval. "intervals": how many there are. "held": how many of them
        contain the truth. "bias": the mean error of the estimates, in points. "error": the standard
        error of the bias. "width": the mean width of the intervals, in points.
    """
    hits: dict[str, int] = {}
    errors: dict[str, list[float]] = {}
    widths: dict[str, list[float]] = {}

    def note(name: str, interval: Interval, truth: float) -> None:
        hits[name] = hits.get(name, 0) + (interval.low <= truth <= interval.high)
        errors.setdefault(name, []).append(interval.value - truth)
        widths.setdefault(name, []).append(interval.high - interval.low)

    for seed in range(first, first + studies):
        world, played = _study(setting, seed)
        best = played.points[played.best]
        model = float(played.trainings[played.best].accuracies[0, played.best_epoch])
        any_seed = world.expected_accuracy(best)
        note("reported, Wilson", _naive(played, setting.validation), model)
        note("new seeds, same data", _new_seeds(world, best), any_seed)
        estimate = corrected(played.scores(all_epochs=False), "max", seed=seed).estimate
        note("corrected", estimate, model)
        note("corrected, as of any seed", estimate, any_seed)
        if seed % _SOME == 0:
            every = corrected(played.scores(all_epochs=True), "max", resamples=400, seed=seed)
            note("corrected, all epochs", every.estimate, model)
        confirmation = confirm(world, played)
        same = confirmation.winner == played.best
        truth = any_seed if same else world.expected_accuracy(played.points[confirmation.winner])
        note("confirmed", confirmation.estimate, truth)
        note("gain", confirmation.gain, truth - world.expected_accuracy(world.default))
    return {
        "setting": setting.name,
        "studies": studies,
        "intervals": {name: len(values) for name, values in errors.items()},
        "held": hits,
        "error": {name: 100 * float(scipy.stats.sem(values)) for name, values in errors.items()},
        "bias": {name: 100 * float(np.mean(values)) for name, values in errors.items()},
        "width": {name: 100 * float(np.mean(values)) for name, values in widths.items()},
    }


def null_studies(studies: int, settings: Sequence[Setting] = SETTINGS) -> Figures:
    """Simulates studies in which no hyperparameter matters; returns how many claim no gain."""
    unclaimed = sum(
        confirm(*_study(setting, seed, null=True)).gain.low <= 0
        for setting, seed in _in_turn(settings, studies)
    )
    return {"studies": studies, "no gain claimed": unclaimed}


def regrets(studies: int, settings: Sequence[Setting] = SETTINGS) -> list[Figures]:
    """Simulates studies; returns mean regrets, in points, of the best value and of the race.

    The regret is by how much the best trial of a study is better than the chosen one, on infinitely
    many samples and over seeds.
    """
    regrets_by_setting: dict[str, dict[str, list[float]]] = {}
    for setting, seed in _in_turn(settings, studies):
        world, played = _study(setting, seed)
        scale = np.sqrt(1 + setting.luck**2)
        truths = np.array([ndtr(world.skill(point) / scale) for point in played.points])
        regret = regrets_by_setting.setdefault(setting.name, {"maximum": [], "race": []})
        regret["maximum"].append(truths.max() - truths[played.best])
        regret["race"].append(truths.max() - truths[race(world, played)])
    return [
        {
            "setting": name,
            "studies": len(regret["race"]),
            **{choice: 100 * float(np.mean(values)) for choice, values in regret.items()},
            "standard error of the difference": 100
            * float(scipy.stats.sem(np.subtract(regret["maximum"], regret["race"]))),
        }
        for name, regret in regrets_by_setting.items()
    ]


def _study(setting: Setting, seed: int, *, null: bool = False) -> tuple[World, Played]:
    world = World(setting, np.random.default_rng([seed, SETTINGS.index(setting)]), null=null)
    return world, play(world, setting.chooser, setting.trials, seed)


def _in_turn(settings: Sequence[Setting], studies: int) -> Iterable[tuple[Setting, int]]:
    return ((settings[number % len(settings)], number) for number in range(studies))


def _naive(played: Played, samples: int) -> Interval:
    """Returns Wilson's interval of the best value, as if it were not the best of many."""
    test = scipy.stats.binomtest(round(played.reported * samples), samples)
    bounds = test.proportion_ci(0.95, method="wilson")
    return Interval(played.reported, float(bounds.low), float(bounds.high))


def _new_seeds(world: World, point: np.ndarray) -> Interval:
    """Returns Student's interval over new seeds on the same validation samples."""
    values = world.train(point, SEEDS).right.mean(axis=2).max(axis=1)
    mean, half = values.mean(), scipy.stats.t.ppf(0.975, SEEDS - 1) * scipy.stats.sem(values)
    return Interval(float(mean), float(mean - half), float(mean + half))
