"""Differences between searches: judged by simulated searches whose true difference is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ttest_ind

from tracking.statistics import difference_of_means

SEARCHES, TRIALS = 600, 20
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(mean: float, deviation: float) -> Draw:
    return lambda generator, shape: generator.normal(mean, deviation, shape)


def losses(median: float) -> Draw:
    """Returns the least losses of searches. Losses are skewed."""
    return lambda generator, shape: np.exp(
        generator.normal(math.log(median), 0.5, (*shape, TRIALS))
    ).min(axis=-1)


def accuracies(samples: int, worst: float, best: float) -> Draw:
    """Returns the highest accuracies of searches, as counted on some samples."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        true = generator.uniform(worst, best, (*shape, TRIALS))
        return (generator.binomial(samples, true) / samples).max(axis=-1)

    return draw


@pytest.mark.parametrize("seeds", [(3, 3), (10, 10), (5, 8)])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (normal(0.5, 0.1), normal(0.4, 0.02)),
        (losses(0.4), losses(0.5)),
        (accuracies(360, 0.9, 0.97), accuracies(360, 0.9, 0.97)),
        (accuracies(10_000, 0.9, 0.98), accuracies(10_000, 0.8, 0.97)),
    ],
    ids=["normal", "losses", "equal accuracies", "accuracies"],
)
def test_an_interval_over_seeds_holds(one: Draw, other: Draw, seeds: tuple[int, int]) -> None:
    generator = np.random.default_rng(list(seeds))
    truth = one(generator, (30_000,)).mean() - other(generator, (30_000,)).mean()
    first, second = (
        draw(generator, (SEARCHES, count)) for draw, count in zip((one, other), seeds, strict=True)
    )
    intervals = [
        difference_of_means(a, b) for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    held = [gain.low <= truth <= gain.high for gain in intervals if gain is not None]
    assert len(held) > 0.95 * SEARCHES
    assert np.mean(held) > 0.92
    # It is Welch's interval.
    a, b = first[0], second[0]
    expected = ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (intervals[0].low, intervals[0].high) == pytest.approx(tuple(expected))


def test_of_equal_searches_few_pass_for_better_however_many_there_are() -> None:
    generator = np.random.default_rng(1)
    groups = losses(0.5)(generator, (SEARCHES, 4, 5)).tolist()
    wrong = 0
    for four in groups:
        pairs = [difference_of_means(a, b, pairs=6) for i, a in enumerate(four) for b in four[:i]]
        wrong += any(pair is not None and not pair.low <= 0 <= pair.high for pair in pairs)
    assert wrong < 0.06 * SEARCHES


def test_without_any_spread_over_seeds_there_is_no_interval() -> None:
    assert difference_of_means([0.9, 0.9], [0.8, 0.8, 0.8]) is None
    interval = difference_of_means([0.9, 0.9], [0.8, 0.81, 0.8])
    assert interval is not None and interval.low < interval.value < interval.high
