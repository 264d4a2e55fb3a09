"""Intervals over seeds and samples: against SciPy, published examples, and known truths."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from search_spaces.errors import StatisticsError
from tracking.records.confirmations import Interval
from tracking.statistics.crossed import crossed, crossed_interval, wilson
from tracking.statistics.gain import gain
from tracking.statistics.losses import heavy_tails, loss_interval
from tracking.statistics.readings import level_of_reading


# R. G. Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3.
@pytest.mark.parametrize(
    ("hits", "samples", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_that_of_a_published_table(
    hits: int, samples: int, low: float, high: float
) -> None:
    assert wilson(hits / samples, samples, 1.959964) == pytest.approx((low, high), abs=5e-5)


def test_the_variance_is_welch_s_of_the_means_of_seeds_and_samples() -> None:
    # Welch's test adds the variances of two means, with Satterthwaite's degrees of freedom.
    values = np.random.default_rng(0).normal(size=(5, 40)) + np.arange(5)[:, None]
    found = crossed(values)
    welch = scipy.stats.ttest_ind(values.mean(axis=1), values.mean(axis=0) + 1, equal_var=False)
    assert found.variance == pytest.approx((-1 / welch.statistic) ** 2)
    assert found.freedom == pytest.approx(welch.df)
    assert found.mean == pytest.approx(values.mean())
    assert found.quantile(0.9) == pytest.approx(scipy.stats.t.ppf(0.95, welch.df))


def test_an_interval_of_accuracies_by_hand() -> None:
    values = (np.random.default_rng(1).random((5, 200)) < 0.9).astype(np.uint8)
    mean = values.mean()
    welch = scipy.stats.ttest_ind(values.mean(axis=1), values.mean(axis=0), equal_var=False)
    variance = scipy.stats.sem(values.mean(axis=1)) ** 2 + scipy.stats.sem(values.mean(axis=0)) ** 2
    q = scipy.stats.t.ppf(0.995, welch.df)
    # Wilson's bounds are the shares p with (mean - p)² = q² p (1 - p) / n.
    n = mean * (1 - mean) / variance
    low, high = sorted(np.roots([1 + q**2 / n, -2 * mean - q**2 / n, mean**2]))
    found = crossed_interval(values, level=0.99, accuracy=True)
    assert (found.value, found.low, found.high) == pytest.approx((mean, low, high))
    assert found.level == 0.99


def test_seeds_that_agree_count_once() -> None:
    once = (np.arange(100) < 95).astype(float)
    found = crossed_interval(np.tile(once, (5, 1)), accuracy=True)
    # n - 1 for n, as in the variance of a sample.
    low, high = wilson(0.95, 99, scipy.stats.t.ppf(0.975, 99))
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_is_no_certainty(value: float) -> None:
    found = crossed_interval(np.full((5, 50), value), accuracy=True)
    assert found.value == value
    assert 0.05 < found.high - found.low < 0.1
    assert 0 <= found.low <= value <= found.high <= 1


def test_samples_that_cancel_out_are_no_certainty() -> None:
    # Each sample is wrong under exactly one of two seeds: neither part varies.
    values = np.zeros((2, 40))
    values[0, :20] = values[1, 20:] = 1
    found = crossed_interval(values, accuracy=True)
    assert 0.2 < found.high - found.low < 0.4


def test_a_gain_over_one_set_of_differences_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.random(60), rng.random(60)
    found = gain(np.tile(ours, (3, 1)), np.tile(theirs, (3, 1)), "max", 0.9)
    expected = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    turned = gain(np.tile(ours, (3, 1)), np.tile(theirs, (3, 1)), "min", 0.9)
    assert (turned.low, turned.high) == pytest.approx((-expected.high, -expected.low))


def test_no_difference_is_no_gain() -> None:
    same = np.ones((5, 20))
    assert gain(same, same, "max") == Interval(0, 0, 0)


def test_levels_of_readings() -> None:
    levels = [level_of_reading(r) for r in (1, 2, 5)]
    assert levels == pytest.approx([0.95, 0.975, 0.99])
    with pytest.raises(StatisticsError, match="1 or more, not 0"):
        level_of_reading(0)


@pytest.mark.parametrize(("seeds_sd", "samples_sd"), [(0.0, 1.0), (0.3, 0.5), (0.02, 1.0)])
def test_intervals_of_losses_hold(seeds_sd: float, samples_sd: float) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(150):
        logs = rng.normal(0, samples_sd, 150) + rng.normal(0, 0.3, (5, 150))
        values = np.exp(logs) * np.exp(rng.normal(0, seeds_sd, (5, 1)))
        truth = np.exp((samples_sd**2 + 0.3**2 + seeds_sd**2) / 2)
        found = loss_interval(values, resamples=200)
        held += found.low <= truth <= found.high
    assert held >= 0.92 * 150


def test_an_interval_of_losses_without_skew_is_student_s() -> None:
    values = 5 + np.random.default_rng(0).normal(size=(5, 400))
    error = crossed(values)
    half = error.quantile(0.95) * error.variance**0.5
    found = loss_interval(values, resamples=5000)
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.1 * half
    )


def test_losses_may_be_negative_or_all_alike() -> None:
    similar = -np.random.default_rng(0).random((5, 100))
    found = loss_interval(similar)
    assert found.low < similar.mean() < found.high < 0
    assert loss_interval(np.zeros((5, 100))) == Interval(0, 0, 0)


def test_heavy_tails_are_seen() -> None:
    rng = np.random.default_rng(0)
    assert heavy_tails(np.tile(rng.exponential(size=2000), (5, 1))) == ""
    assert heavy_tails(np.ones((2, 20))) == ""
    assert "new data may have a larger" in heavy_tails(np.tile(rng.pareto(1.1, 2000), (5, 1)))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.ones((1, 50)), "at least 2 seeds"),
        (np.ones(50), "at least 2 seeds"),
        (np.array([[1, np.nan], [1, 1]]), "NaN"),
        (np.array([[2, 0], [1, 1]]), "between 0 and 1"),
    ],
)
def test_unfit_scores_say_why(values: np.ndarray, why: str) -> None:
    with pytest.raises(StatisticsError, match=why):
        crossed_interval(values, accuracy=True)


def test_a_gain_is_of_the_same_samples_and_a_level_is_a_share() -> None:
    with pytest.raises(StatisticsError, match="same seeds and samples"):
        gain(np.ones((5, 20)), np.ones((4, 20)), "max")
    with pytest.raises(StatisticsError, match="level must be above 0"):
        gain(np.ones((5, 20)), np.ones((5, 20)), "max", 95)
