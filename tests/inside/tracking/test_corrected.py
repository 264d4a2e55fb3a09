"""The best of many, corrected: against a slow script, and against the truth of made studies."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import beta

from search_spaces import StatisticsError
from tracking.records import Direction
from tracking.scores import SampleScores
from tracking.statistics import corrected, intervals
from tracking.statistics import corrections as module

KINDS = {
    "accuracies": lambda rng, n: SampleScores("val_accuracy", "mean", rng.random(n) < 0.9, 1),
    "losses": lambda rng, n: SampleScores(
        "val_loss", "mean", rng.exponential(size=n).astype(np.float16), 2, None, rng.random() / 10
    ),
    "weighted": lambda rng, n: SampleScores(
        "val_accuracy", "mean", (rng.random(n) < 0.9).astype(np.uint8), 1, rng.random(n)
    ),
    "roots": lambda rng, n: SampleScores("val_rmse", "root_mean", rng.exponential(size=n), 1),
}


SETTINGS: dict[str, dict[str, Any]] = {
    "precision": {},
    "recall": {},
    "f_beta": {"beta": 1.0, "average": "macro", "epsilon": 1e-7},
    "r2": {"aggregation": "uniform_average"},
}

SHAPES = {"precision": 2, "recall": 2, "f_beta": 3, "r2": 3}


def by_hand(scores: SampleScores, samples: np.ndarray) -> float:
    """The objective on some samples, given by their indices."""
    values = np.asarray(scores.values, np.float64)[samples]
    weights = None if scores.weights is None else scores.weights[samples]
    mean = float(np.average(values, weights=weights)) + scores.constant
    return mean**0.5 if scores.kind == "root_mean" else mean


def bbc(scores: dict[int, list[SampleScores]], sign: int, resamples: int, seed: int) -> np.ndarray:
    """What the paper describes, as loops."""
    flat = [(s.epoch, number, s) for number, of_trial in scores.items() for s in of_trial]
    generator = np.random.default_rng(seed)
    n = len(flat[0][2])
    found = []
    for _ in range(resamples):
        drawn = generator.integers(0, n, n)
        ranks = [(-sign * round(by_hand(s, drawn), 12), epoch, k) for epoch, k, s in flat]
        chosen = flat[ranks.index(min(ranks))][2]
        unused = np.array(sorted(set(range(n)) - set(drawn.tolist())))
        found.append(by_hand(chosen, unused))
    return np.array(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["max", "min"])
def test_it_is_that_of_a_slow_script(kind: str, direction: Direction) -> None:
    rng = np.random.default_rng(4)
    scores = {number: [KINDS[kind](rng, 40) for _ in range(2)] for number in (3, 0, 7, 5, 11)}
    found = corrected(scores, direction, resamples=200, seed=9)
    sign = 1 if direction == "max" else -1
    outside = bbc(scores, sign, 200, 9)
    if kind == "roots":
        assert found.estimate.value == pytest.approx(outside.mean(), rel=1e-5)
    else:
        # The bound on the side of the choice is that of BBC's mean.
        assert found.estimate.low < outside.mean() < found.estimate.high
    # Of best epochs alone.
    alone = corrected({k: each[:1] for k, each in scores.items()}, direction, resamples=200, seed=9)
    outside = bbc({k: each[:1] for k, each in scores.items()}, sign, 200, 9)
    assert alone.estimate.value == pytest.approx(outside.mean(), rel=1e-5)
    values = [by_hand(s, np.arange(40)) for each in scores.values() for s in each]
    best = max(values) if direction == "max" else min(values)
    assert found.reported == pytest.approx(best, rel=1e-6)
    assert (found.trials, found.samples, found.resamples, found.note) == (5, 40, 200, "")


@pytest.mark.parametrize("kind", ["accuracies", "roots"])
def test_blocks_do_not_change_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    scores = {number: [KINDS[kind](rng, 30)] for number in range(12)}
    whole = corrected(scores, "max", resamples=100)
    for each in (module, intervals):
        monkeypatch.setattr(each, "BLOCK", 30 * 7)
    assert corrected(scores, "max", resamples=100) == whole


def test_the_order_of_trials_does_not_matter_and_nor_does_a_diverged_one() -> None:
    rng = np.random.default_rng(1)
    scores = {number: [KINDS["accuracies"](rng, 30)] for number in range(12)}
    found = corrected(scores, "max")
    assert corrected(dict(reversed(scores.items())), "max") == found
    diverged = SampleScores("val_accuracy", "mean", np.full(30, np.nan), 1)
    more = corrected({**scores, 12: [diverged], 13: []}, "max")
    assert more.estimate == found.estimate
    assert more.trials == 12
    assert more.note == "2 trials without usable scores left out."


def test_with_all_epochs_the_estimate_is_that_of_choices_on_nine_tenths() -> None:
    rng = np.random.default_rng(3)
    right = rng.random((6, 3, 100)) < rng.uniform(0.6, 0.9, (6, 1, 1))
    scores = {
        k: [SampleScores("val_accuracy", "mean", row, e) for e, row in enumerate(of_trial, 1)]
        for k, of_trial in enumerate(right)
    }
    # Epochs first: the earlier epoch wins a tie, then the earlier trial.
    flat = right.transpose(1, 0, 2).reshape(18, 100)
    outside = []
    for _ in range(400):
        order = rng.permutation(100)
        for tenth in np.split(order, 10):
            chosen = np.delete(flat, tenth, axis=1).mean(axis=1).argmax()
            outside.append(flat[chosen, tenth].mean())
    found = corrected(scores, "max", resamples=4000).estimate
    assert found.value == pytest.approx(np.mean(outside), abs=0.002)


def clopper_pearson(hits: float, samples: float) -> tuple[float, float]:
    """The shares under which no fewer, and no more, hits have a probability of 2.5 %."""
    low = brentq(lambda p: beta.sf(p, hits, samples - hits + 1) - 0.975, 1e-9, 1 - 1e-9)
    if hits == samples:
        return low, 1.0
    return low, brentq(lambda p: beta.cdf(p, hits + 1, samples - hits) - 0.975, 1e-9, 1 - 1e-9)


def test_the_interval_reaches_from_a_bound_of_the_corrected_to_one_of_the_reported_value() -> None:
    rng = np.random.default_rng(5)
    right = rng.random((12, 200)) < 0.9
    found = corrected(
        {k: [SampleScores("val_accuracy", "mean", row, 1)] for k, row in enumerate(right)}, "max"
    )
    best = right.mean(axis=1).max()
    assert best - found.estimate.value > 0.01
    # Independent samples vary like a binomial: the resamples show nearly all 200.
    assert found.estimate.low == pytest.approx(
        clopper_pearson(200 * found.estimate.value, 200)[0], abs=0.004
    )
    assert found.estimate.high == pytest.approx(clopper_pearson(200 * best, 200)[1], abs=0.004)
    wrong = corrected(
        {k: [SampleScores("val_error", "mean", ~row, 1)] for k, row in enumerate(right)}, "min"
    )
    mirrored = 1 - wrong.estimate.high, 1 - wrong.estimate.value, 1 - wrong.estimate.low
    shown = found.estimate.low, found.estimate.value, found.estimate.high
    assert mirrored == pytest.approx(shown, abs=1e-6)


def test_trials_without_an_error_have_a_width() -> None:
    perfect = {k: [SampleScores("val_accuracy", "mean", np.ones(69), 1)] for k in range(3)}
    found = corrected(perfect, "max").estimate
    assert (found.value, found.high) == (1, 1)
    # The rule of an experiment without failures: 1 - 0.025^(1/n).
    assert found.low == pytest.approx(0.025 ** (1 / 69))
    weights = np.where(np.arange(69) < 10, 5.0, 1.0)
    heavy = {0: [SampleScores("val_accuracy", "mean", np.ones(69), 1, weights)]}
    worth = weights.sum() ** 2 / (weights**2).sum()
    assert corrected(heavy, "max").estimate.low == pytest.approx(0.025 ** (1 / worth))
    places = np.arange(69) % 23
    grouped = {0: [SampleScores("val_accuracy", "mean", np.ones(69), 1, groups=places)]}
    assert corrected(grouped, "max").estimate.low == pytest.approx(0.025 ** (1 / 23))


def test_groups_are_resampled_and_copies_count_once() -> None:
    rng = np.random.default_rng(6)
    once = rng.random((8, 30)) < 0.8
    copies = np.tile(once, 20)
    alone = corrected(
        {k: [SampleScores("val_accuracy", "mean", row, 1)] for k, row in enumerate(once)}, "max"
    )
    marked = {
        k: [SampleScores("val_accuracy", "mean", row, 1, groups=np.tile(np.arange(30), 20))]
        for k, row in enumerate(copies)
    }
    found = corrected(marked, "max")
    assert (found.samples, found.groups) == (600, 30)
    for name in ("value", "low", "high"):
        assert getattr(found.estimate, name) == pytest.approx(
            getattr(alone.estimate, name), abs=1e-5
        )
    few = {0: [SampleScores("val_accuracy", "mean", np.ones(90), 1, groups=np.arange(90) // 10)]}
    with pytest.raises(StatisticsError, match="90 validation samples in 9 groups are too few"):
        corrected(few, "max")


@pytest.mark.parametrize("kind", ["f_beta", "r2", "precision", "recall"])
def test_an_objective_that_is_no_mean_is_not_corrected(kind: Any) -> None:
    scores = SampleScores(
        "val_score", kind, np.ones((30, 3, 2)[: SHAPES[kind]]), 1, settings=SETTINGS[kind]
    )
    with pytest.raises(StatisticsError, match="val_score is neither a mean over samples nor"):
        corrected({0: [scores]}, "max")


def test_an_area_under_a_curve_stays_below_1_and_has_a_width() -> None:
    codes = np.where(np.arange(60) < 12, 2 * 90 + 1, 2 * 10)[:, None]
    curve = {"curve": "ROC", "labels": False}
    scores = SampleScores("val_auc", "auc", codes, 1, settings={**curve, "thresholds": 100})
    found = corrected({0: [scores]}, "max").estimate
    # As many samples as the smaller class has: Birnbaum and Klose.
    assert (found.value, found.low, found.high) == pytest.approx((1, 0.025 ** (1 / 12), 1))
    pr = dataclasses.replace(scores, settings={**scores.settings, "curve": "PR"})
    with pytest.raises(StatisticsError, match="neither a mean"):
        corrected({0: [pr]}, "max")


def test_a_reported_value_stands_as_it_is() -> None:
    scores = {0: [KINDS["accuracies"](np.random.default_rng(0), 30)]}
    assert corrected(scores, "max", reported=0.99).reported == 0.99


def test_what_cannot_be_corrected_says_why() -> None:
    rng = np.random.default_rng(0)
    few, some, more = ([KINDS["accuracies"](rng, n)] for n in (9, 30, 40))
    with pytest.raises(StatisticsError, match="no trial has scores"):
        corrected({}, "max")
    with pytest.raises(StatisticsError, match="9 validation samples are too few"):
        corrected({0: few}, "max")
    with pytest.raises(StatisticsError, match="30 to 40 validation samples"):
        corrected({0: some, 1: more}, "max")


def test_many_trials_fit_in_memory() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    bits = rng.random((400, 5000)) < 0.9
    scores = {i: [SampleScores("val_accuracy", "mean", row, 1)] for i, row in enumerate(bits)}
    tracemalloc.start()
    corrected(scores, "max")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6
