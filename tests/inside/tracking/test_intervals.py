"""Intervals over seeds and samples: against SciPy, published examples, and known truths."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from search_spaces import StatisticsError
from tracking.records import Interval
from tracking.statistics import (
    SampleScores,
    confirmed_value,
    corrected,
    crossed,
    gain,
    heavy_tails,
    loss_interval,
    share_bounds,
)


# C. J. Clopper and E. S. Pearson's limits, as SciPy's test has them.
@pytest.mark.parametrize(("hits", "samples"), [(81, 263), (15, 148), (0, 20), (29, 29)])
def test_bounds_of_a_share_are_exact(hits: int, samples: int) -> None:
    exact = scipy.stats.binomtest(hits, samples).proportion_ci(0.9)
    share = hits / samples
    assert share_bounds(share, share, samples, level=0.9) == pytest.approx((exact.low, exact.high))
    low, high = share_bounds(share * 0.9, share, samples, level=0.9)
    assert low < exact.low * 0.95 + 1e-12
    assert high == pytest.approx(exact.high)


def on_test(values: np.ndarray, level: float = 0.95, **fields: Any) -> Interval:
    scores = [SampleScores("accuracy", "mean", row, 1, **fields) for row in values]
    return confirmed_value(scores, "max", level=level)[0]


def test_the_variance_is_welch_s_of_the_means_of_seeds_and_samples() -> None:
    # Welch's test adds the variances of two means, with Satterthwaite's degrees of freedom.
    values = np.random.default_rng(0).normal(size=(5, 40)) + np.arange(5)[:, None]
    interval = crossed(values)
    welch = scipy.stats.ttest_ind(values.mean(axis=1), values.mean(axis=0) + 1, equal_var=False)
    assert interval.variance == pytest.approx((-1 / welch.statistic) ** 2)
    assert interval.freedom == pytest.approx(welch.df)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.quantile(0.9) == pytest.approx(scipy.stats.t.ppf(0.95, welch.df))


def test_an_interval_of_accuracies_by_hand() -> None:
    values = (np.random.default_rng(1).random((5, 200)) < 0.9).astype(np.uint8)
    mean = values.mean()
    welch = scipy.stats.ttest_ind(values.mean(axis=1), values.mean(axis=0), equal_var=False)
    of_samples = scipy.stats.sem(values.mean(axis=0)) ** 2
    # Half a sample is added, whose seeds agree.
    of_samples += 0.5 * (mean * (1 - mean) / 200 - of_samples) / 200
    variance = scipy.stats.sem(values.mean(axis=1)) ** 2 + of_samples
    # Korn and Graubard: the effective number of samples, by Student's distribution.
    shrunk = (scipy.stats.norm.ppf(0.995) / scipy.stats.t.ppf(0.995, welch.df)) ** 2
    n = min(mean * (1 - mean) / variance, 1000) * shrunk
    low = scipy.stats.beta.ppf(0.005, n * mean, n - n * mean + 1)
    high = scipy.stats.beta.ppf(0.995, n * mean + 1, n - n * mean)
    interval = on_test(values, level=0.99)
    assert (interval.value, interval.low, interval.high) == pytest.approx((mean, low, high))
    assert interval.level == 0.99


# Each sample is wrong under exactly one of two seeds: neither part varies.
CANCELLING = np.repeat([[1.0, 0.0], [0.0, 1.0]], 20, axis=1)


@pytest.mark.parametrize(
    ("values", "groups", "least", "most"),
    [
        (np.zeros((5, 50)), None, 0.06, 0.1),
        (np.ones((5, 50)), None, 0.06, 0.1),
        (np.ones((5, 120)), np.arange(120) // 2, 0.05, 0.1),
        (CANCELLING, None, 0.2, 0.4),
    ],
    ids=["all wrong", "all right", "groups all right", "errors that cancel out"],
)
def test_samples_that_agree_are_no_certainty(
    values: np.ndarray, groups: np.ndarray | None, least: float, most: float
) -> None:
    interval = on_test(values, groups=groups)
    assert least < interval.high - interval.low < most
    assert 0 <= interval.low <= interval.value == values.mean() <= interval.high <= 1


@pytest.mark.parametrize("kind", ["r2", "auc"])
def test_no_interval_reaches_beyond_the_range_of_its_metric(kind: Any) -> None:
    rng, scores = np.random.default_rng(3), []
    positive, target = np.arange(60) < 30, rng.normal(size=60)
    for _ in range(5):
        if kind == "auc":
            settings = {"thresholds": 50}
            bins = rng.integers(0, 26, 60) + 25 * positive
            values = (2 * bins + positive)[:, None]
        else:
            settings = {"aggregation": "uniform_average"}
            errors = rng.normal(0, 0.02, 60) ** 2
            values = np.stack([target, target**2, errors], axis=1)[:, :, None]
        scores.append(SampleScores(kind, kind, values, 1, settings=settings))
    interval, _ = confirmed_value(scores, "max")
    assert interval.low < np.mean([score.value for score in scores]) < 1
    assert interval.low < interval.value <= interval.high <= 1


@pytest.mark.parametrize("grouped", [True, False])
def test_no_interval_of_a_loss_reaches_below_0(grouped: bool) -> None:
    sizes = [60, *[5] * 60]
    groups = np.repeat(np.arange(61), sizes) if grouped else None
    weights = None if grouped else np.array([20.0, *[1.0] * 11])
    samples = sum(sizes) if grouped else 12
    values = np.random.default_rng(0).exponential(size=(5, samples)) * 0.3
    scores = [SampleScores("loss", "mean", row, 1, weights, groups=groups) for row in values]
    interval, _ = confirmed_value(scores, "min")
    assert 0 < interval.low < interval.value < interval.high
    assert corrected({0: scores[:1]}, "min").estimate.low > 0


def test_a_gain_over_one_set_of_differences_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.random(60), rng.random(60)
    interval = gain(np.tile(ours, (3, 1)), np.tile(theirs, (3, 1)), "max", 0.9)
    expected = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    turned = gain(np.tile(ours, (3, 1)), np.tile(theirs, (3, 1)), "min", 0.9)
    assert (turned.low, turned.high) == pytest.approx((-expected.high, -expected.low))
    same = np.ones((5, 20))
    interval = gain(same, same, "max", hits=20)
    # Bonett and Price: one sample more for each side.
    half = scipy.stats.t.ppf(0.975, 21) * np.sqrt(2 / 21 / 22)
    assert (interval.value, interval.low, interval.high) == pytest.approx((0, -half, half))


@pytest.mark.parametrize(("seeds_sd", "samples_sd"), [(0.0, 1.0), (0.3, 0.5), (0.02, 1.0)])
def test_intervals_of_losses_hold(seeds_sd: float, samples_sd: float) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(150):
        logs = rng.normal(0, samples_sd, 150) + rng.normal(0, 0.3, (5, 150))
        values = np.exp(logs) * np.exp(rng.normal(0, seeds_sd, (5, 1)))
        truth = np.exp((samples_sd**2 + 0.3**2 + seeds_sd**2) / 2)
        interval = loss_interval(values, nonnegative=True, resamples=200)
        held += interval.low <= truth <= interval.high
    assert held >= 0.92 * 150


def test_an_interval_of_losses_without_skew_is_student_s() -> None:
    values = 5 + np.random.default_rng(0).normal(size=(5, 400))
    error = crossed(values)
    half = error.quantile(0.95) * error.variance**0.5
    limits = loss_interval(values, nonnegative=True, resamples=5000)
    mean = values.mean()
    assert (limits.low, limits.high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)
    # Losses may be negative.
    limits = loss_interval(-np.random.default_rng(0).random((5, 100)))
    assert limits.low < limits.value < limits.high < 0


def test_heavy_tails_are_seen() -> None:
    rng = np.random.default_rng(0)
    assert heavy_tails(np.tile(rng.exponential(size=2000), (5, 1))) == ""
    assert heavy_tails(np.ones((2, 20))) == ""
    assert "new data may have a larger" in heavy_tails(np.tile(rng.pareto(1.1, 2000), (5, 1)))


def of_few_samples() -> Interval:
    rng = np.random.default_rng(0)
    errors = np.where(rng.random(100) < 0.02, 10, 0.01) * (1 + 0.1 * rng.random((5, 100)))
    scores = [SampleScores("rmse", "root_mean", row**2, 1) for row in errors]
    return confirmed_value(scores, "min")[0]


@pytest.mark.parametrize(
    ("interval", "why"),
    [
        (lambda: loss_interval(np.ones((5, 1))), "at least 2 samples"),
        (lambda: loss_interval(np.ones(50)), "at least 2 samples"),
        (lambda: loss_interval(np.array([[1, np.nan], [1, 1]])), "NaN"),
        (lambda: loss_interval(np.zeros((5, 100))), "the same loss, so the interval has no width"),
        (of_few_samples, "a few samples have nearly all of the loss"),
        (lambda: gain(np.ones((5, 20)), np.ones((5, 20)), "max"), "the same on all samples"),
    ],
)
def test_scores_without_an_interval_say_why(interval: Callable[[], Interval], why: str) -> None:
    with pytest.raises(StatisticsError, match=why):
        interval()
