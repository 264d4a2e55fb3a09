"""Intervals over seeds and samples: against SciPy, published examples, and known truths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from search_spaces import StatisticsError
from tracking.records import Interval
from tracking.scores import SampleScores
from tracking.statistics import (
    confirmed_value,
    corrected,
    crossed,
    gain,
    heavy_tails,
    level_of_reading,
    loss_interval,
    share_bounds,
)


# C. J. Clopper and E. S. Pearson's limits, as SciPy's test has them.
@pytest.mark.parametrize(("hits", "samples"), [(81, 263), (15, 148), (0, 20), (29, 29)])
def test_bounds_of_a_share_are_exact(hits: int, samples: int) -> None:
    exact = scipy.stats.binomtest(hits, samples).proportion_ci(0.9)
    share = hits / samples
    assert share_bounds(share, share, samples, level=0.9) == pytest.approx((exact.low, exact.high))
    better = share_bounds(share * 0.9, share, samples, level=0.9)
    assert better[0] < exact.low * 0.95 + 1e-12
    assert better[1] == pytest.approx(exact.high)


def on_test(values: np.ndarray, level: float = 0.95, **fields: Any) -> Interval:
    scores = [SampleScores("accuracy", "mean", row, 1, **fields) for row in values]
    return confirmed_value(scores, "max", level=level)[0]


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
    of_samples = scipy.stats.sem(values.mean(axis=0)) ** 2
    # Half a sample more, whose seeds agree.
    of_samples += 0.5 * (mean * (1 - mean) / 200 - of_samples) / 200
    variance = scipy.stats.sem(values.mean(axis=1)) ** 2 + of_samples
    # Korn and Graubard: of as many samples as have that variance, by Student's distribution.
    shrunk = (scipy.stats.norm.ppf(0.995) / scipy.stats.t.ppf(0.995, welch.df)) ** 2
    n = min(mean * (1 - mean) / variance, 1000) * shrunk
    low = scipy.stats.beta.ppf(0.005, n * mean, n - n * mean + 1)
    high = scipy.stats.beta.ppf(0.995, n * mean + 1, n - n * mean)
    found = on_test(values, level=0.99)
    assert (found.value, found.low, found.high) == pytest.approx((mean, low, high))
    assert found.level == 0.99


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_is_no_certainty(value: float) -> None:
    found = on_test(np.full((5, 50), value))
    assert found.value == value
    assert 0.06 < found.high - found.low < 0.1
    assert 0 <= found.low <= value <= found.high <= 1
    wider = on_test(np.full((5, 50), value), groups=np.arange(50) // 5)
    assert wider.high - wider.low > 0.25


def test_samples_that_cancel_out_are_no_certainty() -> None:
    # Each sample is wrong under exactly one of two seeds: neither part varies.
    values = np.zeros((2, 40))
    values[0, :20] = values[1, 20:] = 1
    found = on_test(values)
    assert 0.2 < found.high - found.low < 0.4


def test_groups_that_agree_within_count_once() -> None:
    once = np.random.default_rng(2).random((5, 40)) < 0.8
    marked = on_test(np.repeat(once, 6, axis=1), groups=np.repeat(np.arange(40), 6))
    alone = on_test(once)
    assert (marked.low, marked.high) == pytest.approx((alone.low, alone.high))


@pytest.mark.parametrize("kind", ["f_beta", "r2", "auc"])
def test_no_interval_reaches_beyond_the_range_of_its_metric(kind: Any) -> None:
    rng = np.random.default_rng(3)
    positive = np.arange(60) < 30
    if kind == "auc":
        curve = {"curve": "ROC", "labels": False}
        settings: dict[str, Any] = {**curve, "thresholds": 50}
        made = rng.integers(0, 26, (5, 60)) + 25 * positive
        scores = [
            SampleScores(kind, kind, (2 * m + positive)[:, None], 1, settings=settings)
            for m in made
        ]
    elif kind == "f_beta":
        settings = {"beta": 1.0, "average": None, "index": 0, "epsilon": 1e-7}
        scores = []
        for _ in range(5):
            right = rng.random(60) < 0.97
            counted = np.stack([positive & right, ~positive & ~right, positive & ~right], axis=1)
            scores.append(SampleScores(kind, kind, counted[:, :, None], 1, settings=settings))
    else:
        target = rng.normal(size=60)
        settings = {"aggregation": "uniform_average"}
        scores = []
        for _ in range(5):
            errors = (rng.normal(0, 0.02, 60)) ** 2
            stacked = np.stack([target, target**2, errors], axis=1)[:, :, None]
            scores.append(SampleScores(kind, kind, stacked, 1, settings=settings))
    found, _ = confirmed_value(scores, "max")
    assert found.low < np.mean([each.value for each in scores]) < 1
    assert found.low < found.value <= found.high <= 1


def test_shares_under_seeds_that_differ_are_held() -> None:
    rng = np.random.default_rng(5)
    held, truth, studies = 0, 0.9, 200
    for _ in range(studies):
        of_seeds = np.clip(truth + rng.normal(0, 0.02, 5), 0, 1)
        hits = [(rng.random(4000) < share).astype(float) for share in of_seeds]
        found, _ = confirmed_value([SampleScores("a", "mean", each, 1) for each in hits], "max")
        held += found.low <= truth <= found.high
    assert held >= 0.92 * studies


@pytest.mark.parametrize("grouped", [True, False])
def test_no_interval_of_a_loss_reaches_below_0(grouped: bool) -> None:
    rng = np.random.default_rng(0)
    sizes = [60, *[5] * 11]
    groups = np.repeat(np.arange(12), sizes) if grouped else None
    weights = None if grouped else np.array([20.0, *[1.0] * 11])
    values = rng.exponential(size=(5, sum(sizes) if grouped else 12)) * 0.3
    scores = [SampleScores("loss", "mean", each, 1, weights, groups=groups) for each in values]
    found, _ = confirmed_value(scores, "min")
    assert 0 < found.low < found.value < found.high
    assert corrected({0: scores[:1]}, "min").estimate.low > 0


def test_a_loss_of_a_few_samples_has_no_interval() -> None:
    rng = np.random.default_rng(0)
    errors = np.where(rng.random(100) < 0.02, 10, 0.01) * (1 + 0.1 * rng.random((5, 100)))
    scores = [SampleScores("rmse", "root_mean", each**2, 1) for each in errors]
    with pytest.raises(StatisticsError, match="a few samples hold nearly all of the loss"):
        confirmed_value(scores, "min")


def test_a_gain_over_one_set_of_differences_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.random(60), rng.random(60)
    found = gain(np.tile(ours, (3, 1)), np.tile(theirs, (3, 1)), "max", 0.9)
    expected = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    turned = gain(np.tile(ours, (3, 1)), np.tile(theirs, (3, 1)), "min", 0.9)
    assert (turned.low, turned.high) == pytest.approx((-expected.high, -expected.low))


def test_no_difference_is_a_gain_of_0_with_a_width_or_none() -> None:
    same = np.ones((5, 20))
    found = gain(same, same, "max", hits=20)
    # Bonett and Price: one sample more for each side.
    half = scipy.stats.t.ppf(0.975, 21) * np.sqrt(2 / 21 / 22)
    assert (found.value, found.low, found.high) == pytest.approx((0, -half, half))
    with pytest.raises(StatisticsError, match="the same on all samples"):
        gain(same, same, "max")


def test_levels_of_readings() -> None:
    levels = [level_of_reading(r) for r in (1, 2, 5)]
    assert levels == pytest.approx([0.95, 0.975, 0.99])


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
    with pytest.raises(StatisticsError, match="the same loss, so its interval has no width"):
        loss_interval(np.zeros((5, 100)))


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
    ],
)
def test_unfit_scores_say_why(values: np.ndarray, why: str) -> None:
    with pytest.raises(StatisticsError, match=why):
        loss_interval(values)


def test_a_gain_is_of_the_same_samples_and_a_level_is_a_share() -> None:
    with pytest.raises(StatisticsError, match="same seeds and samples"):
        gain(np.ones((5, 20)), np.ones((4, 20)), "max")
    with pytest.raises(StatisticsError, match="level must be above 0"):
        gain(np.ones((5, 20)), np.ones((5, 20)), "max", 95)
