"""The correction of the best value: against a slow script, and against known truths."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.stats
from scipy.stats import beta

from search_spaces import StatisticsError
from tracking.records import Direction
from tracking.statistics import SampleScores, corrected

KINDS = {
    "accuracies": lambda rng, n: hits(rng.random(n) < 0.9),
    "losses": lambda rng, n: SampleScores(
        "val_loss", "mean", rng.exponential(size=n).astype(np.float16), 2, None, rng.random() / 10
    ),
    "weighted": lambda rng, n: hits((rng.random(n) < 0.9).astype(np.uint8), weights=rng.random(n)),
    "roots": lambda rng, n: SampleScores("val_rmse", "root_mean", rng.exponential(size=n), 1),
}


def hits(right: np.ndarray, epoch: int = 1, **fields: Any) -> SampleScores:
    return SampleScores("val_accuracy", "mean", right, epoch, **fields)


def by_hand(scores: SampleScores, samples: np.ndarray) -> float:
    """Returns the objective on the samples with some indices."""
    values = np.asarray(scores.values, np.float64)[samples]
    weights = None if scores.weights is None else scores.weights[samples]
    mean = float(np.average(values, weights=weights)) + scores.constant
    return mean**0.5 if scores.kind == "root_mean" else mean


def bbc(scores: dict[int, list[SampleScores]], sign: int, resamples: int, seed: int) -> np.ndarray:
    """Corrects by loops, as the method's paper describes."""
    flat = [(s.epoch, number, s) for number, of_trial in scores.items() for s in of_trial]
    generator = np.random.default_rng(seed)
    n = len(flat[0][2])
    outside = []
    for _ in range(resamples):
        indices = generator.integers(0, n, n)
        ranks = [(-sign * round(by_hand(s, indices), 12), epoch, k) for epoch, k, s in flat]
        chosen = flat[ranks.index(min(ranks))][2]
        unused = np.array(sorted(set(range(n)) - set(indices.tolist())))
        outside.append(by_hand(chosen, unused))
    return np.array(outside)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_correction_is_that_of_a_slow_script(kind: str, direction: Direction) -> None:
    rng = np.random.default_rng(4)
    scores = {number: [KINDS[kind](rng, 40) for _ in range(2)] for number in (3, 0, 7, 5, 11)}
    outcome = corrected(scores, direction, resamples=200, seed=9)
    sign = 1 if direction == "max" else -1
    outside = bbc(scores, sign, 200, 9)
    if kind == "roots":
        assert outcome.estimate.value == pytest.approx(outside.mean(), rel=1e-5)
    else:
        # The bound on the side of the choice is that of BBC's mean.
        assert outcome.estimate.low < outside.mean() < outcome.estimate.high
    # Here each trial has its best epoch alone.
    best_epochs = {number: of_trial[:1] for number, of_trial in scores.items()}
    alone = corrected(best_epochs, direction, resamples=200, seed=9)
    outside = bbc(best_epochs, sign, 200, 9)
    assert alone.estimate.value == pytest.approx(outside.mean(), rel=1e-5)
    values = [by_hand(s, np.arange(40)) for of_trial in scores.values() for s in of_trial]
    best = max(values) if direction == "max" else min(values)
    assert outcome.reported == pytest.approx(best, rel=1e-6)
    assert (outcome.trials, outcome.samples, outcome.resamples, outcome.note) == (5, 40, 200, "")
    assert corrected(scores, direction, reported=0.99, resamples=9).reported == 0.99


def test_many_trials_are_corrected_in_blocks_that_fit_in_memory() -> None:
    right = np.random.default_rng(0).random((300, 20_000)) < 0.9
    scores = {number: [hits(row)] for number, row in enumerate(right)}
    tracemalloc.start()
    estimate = corrected(scores, "max", resamples=250, seed=9).estimate
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6
    generator, values, outside = np.random.default_rng(9), right.astype(np.float32), []
    for _ in range(250):
        counts = np.bincount(generator.integers(0, 20_000, 20_000), minlength=20_000)
        chosen = (values @ counts.astype(np.float32)).argmax()
        outside.append(right[chosen, counts == 0].mean())
    assert estimate.value == pytest.approx(np.mean(outside), rel=1e-6)


def test_the_order_of_trials_does_not_matter_and_nor_does_a_diverged_one() -> None:
    rng = np.random.default_rng(1)
    scores = {number: [KINDS["accuracies"](rng, 30)] for number in range(12)}
    correction = corrected(scores, "max")
    assert corrected(dict(reversed(scores.items())), "max") == correction
    more = corrected({**scores, 12: [hits(np.full(30, np.nan))], 13: []}, "max")
    assert more.estimate == correction.estimate and more.trials == 12
    assert more.note == "2 trials without usable scores left out."


def test_the_interval_reaches_from_a_bound_of_the_corrected_to_one_of_the_reported_value() -> None:
    right = np.random.default_rng(5).random((12, 200)) < 0.9
    estimate = corrected({k: [hits(row)] for k, row in enumerate(right)}, "max").estimate
    best = right.mean(axis=1).max()
    assert best - estimate.value > 0.01
    # Clopper and Pearson's bounds. Independent samples vary like a binomial: the resamples show
    # nearly all 200.
    worse, better = 200 * estimate.value, 200 * best
    assert estimate.low == pytest.approx(beta.ppf(0.025, worse, 201 - worse), abs=0.004)
    assert estimate.high == pytest.approx(beta.ppf(0.975, better + 1, 200 - better), abs=0.004)
    wrong = corrected({k: [hits(~row)] for k, row in enumerate(right)}, "min").estimate
    mirrored = 1 - wrong.high, 1 - wrong.value, 1 - wrong.low
    assert mirrored == pytest.approx((estimate.low, estimate.value, estimate.high), abs=1e-6)


OF_CURVE = np.where(np.arange(60) < 12, 181, 20)[:, None]
WEIGHTS = np.where(np.arange(69) < 10, 5.0, 1.0)


# Korn and Graubard: how much 70 groups vary is estimated with 69 degrees of freedom.
STUDENT = (scipy.stats.norm.ppf(0.975) / scipy.stats.t.ppf(0.975, 69)) ** 2


@pytest.mark.parametrize(
    ("scores", "worth"),
    [
        (hits(np.ones(69)), 69),
        (hits(np.ones(69), weights=WEIGHTS), WEIGHTS.sum() ** 2 / (WEIGHTS**2).sum()),
        (hits(np.ones(140), groups=np.arange(140) % 70), 70 * STUDENT),
        # Birnbaum and Klose: the smaller class decides the number of samples of a ROC curve.
        (SampleScores("val_auc", "auc", OF_CURVE, 1, settings={"thresholds": 100}), 12),
    ],
    ids=["samples", "weights", "groups", "area"],
)
def test_trials_without_an_error_have_a_width(scores: SampleScores, worth: float) -> None:
    result = corrected({k: [scores] for k in range(3)}, "max").estimate
    # The rule of an experiment without failures: 1 - 0.025^(1/n).
    assert (result.value, result.low, result.high) == pytest.approx((1, 0.025 ** (1 / worth), 1))


def test_groups_are_resampled_and_copies_count_once() -> None:
    once = np.random.default_rng(6).random((8, 70)) < 0.8
    alone = corrected({k: [hits(row)] for k, row in enumerate(once)}, "max")
    groups = np.tile(np.arange(70), 20)
    copies = np.tile(once, 20)
    correction = corrected({k: [hits(row, groups=groups)] for k, row in enumerate(copies)}, "max")
    assert (correction.samples, correction.groups) == (1400, 70)
    assert correction.estimate.value == pytest.approx(alone.estimate.value, abs=1e-5)
    # How much groups vary is estimated, so the interval is slightly wider.
    for name, wider in (("low", -0.006), ("high", 0.006)):
        bound, expected = getattr(correction.estimate, name), getattr(alone.estimate, name)
        assert min(expected, expected + wider) < bound < max(expected, expected + wider)


def no_mean(kind: Any, *shape: int, **settings: Any) -> SampleScores:
    return SampleScores("val_score", kind, np.ones((30, *shape), int), 1, settings=settings)


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ([], "no trial has scores"),
        ([hits(np.ones(9))], "9 samples are too few"),
        ([hits(np.ones(30)), hits(np.ones(40))], "30 to 40 validation samples"),
        (
            [hits(np.ones(590), groups=np.arange(590) // 10)],
            "590 samples in 59 groups are too few for an interval, which needs at least 60 groups",
        ),
        ([no_mean("precision", 2)], "val_score is neither a mean over samples nor"),
        ([no_mean("r2", 3, 2, aggregation="uniform_average")], "neither a mean"),
        ([no_mean("f_beta", 3, 2, beta=1.0, average="macro", epsilon=1e-7)], "neither a mean"),
    ],
)  # fmt: skip
def test_scores_that_cannot_be_corrected_say_why(scores: list[SampleScores], why: str) -> None:
    with pytest.raises(StatisticsError, match=why):
        corrected({number: [score] for number, score in enumerate(scores)}, "max")
