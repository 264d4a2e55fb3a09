"""The best value of a study, corrected for being the best of many, without training anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.confirmations import Corrected, Interval
from tracking.records.objective import Direction
from tracking.scores.sample_scores import SampleScores
from tracking.statistics.resamples import BLOCK, counts_without_tenths, resample_counts

FEWEST_SAMPLES = 10
_LEVEL = 0.95


def corrected(
    scores: Mapping[int, Sequence[SampleScores]],
    direction: Direction,
    *,
    reported: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Corrected:
    """Corrects a study's best value by the bootstrap bias correction (BBC).

    Each resample draws as many validation samples as there are, with replacement, chooses the
    trial and epoch that are best on them, as a study does, and scores the choice on the samples
    that were not drawn. The interval is from the 2.5 % to the 97.5 % quantile of these scores.
    I. Tsamardinos, E. Greasidou and G. Borboudakis, Bootstrapping the out-of-sample predictions for
    efficient and accurate cross-validation, Machine Learning 107, 2018; among nine methods under
    automated selection it did best (arXiv 2406.08099). Resamples score on 37 % of the samples, so
    the interval is wide rather than narrow.

    The estimate is the mean of these scores where each trial has those of its best epoch alone.
    Where trials have the scores of several epochs, and the objective is a mean, the choice is made
    on nine tenths of the samples and scored on the last tenth, each in turn, of many random orders.
    A resample of the bootstrap chooses as badly as half the samples would, which makes its mean too
    low by up to 0.7 points; see docs/decisions/0041-the-corrected-value.md.

    Two thousand trials of 10,000 samples take seconds: objectives of all trials on all resamples
    are one product of matrices, in blocks.

    Args:
        scores: By trial number, the scores after one epoch or several; all of the same samples.
        direction: Whether high or low values are better.
        reported: The study's best value, if a trial without scores may have it. By default, the
            best value among `scores`.
        resamples: Resamples of the bootstrap, at least 100.
        seed: Their seed. The same seed and scores give the same result.

    Raises:
        StatisticsError: If there are no scores, fewer than 10 samples, trials with different
            numbers of samples, or too few resamples.
    """
    if resamples < 100:
        raise StatisticsError(f"resamples must be at least 100, not {resamples}")
    candidates, left_out = _candidates(scores)
    samples = len(candidates[0])
    outside = _outside(candidates, resample_counts(samples, resamples, seed), direction)
    if not len(outside):
        raise StatisticsError("no resample has a value on the samples left out: nothing to correct")
    value = float(outside.mean())
    if len(candidates) > len(scores) - left_out and all(each.kind == "mean" for each in candidates):
        tenths = counts_without_tenths(samples, resamples, seed)
        value = float(_outside(candidates, tenths, direction).mean())
    low, high = np.quantile(outside, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    values = [candidate.value for candidate in candidates]
    best = max(values) if direction == "max" else min(values)
    return Corrected(
        reported=best if reported is None else reported,
        estimate=Interval(value, min(float(low), value), max(float(high), value), _LEVEL),
        trials=len(scores) - left_out,
        samples=samples,
        resamples=resamples,
        note=_note(left_out),
    )


def _outside(
    candidates: Sequence[SampleScores], resamples: Iterable[np.ndarray], direction: Direction
) -> np.ndarray:
    """Returns the objectives of the best candidates on resamples, on the samples not in them."""
    found = []
    for counts in resamples:
        chosen = _choices(candidates, counts, direction)
        values = np.empty(len(counts))
        for index in np.unique(chosen):
            rows = chosen == index
            values[rows] = candidates[index].of_resamples((counts[rows] == 0).astype(np.float32))
        found.append(values)
    outside = np.concatenate(found)
    return outside[np.isfinite(outside)]


def _candidates(scores: Mapping[int, Sequence[SampleScores]]) -> tuple[list[SampleScores], int]:
    """Returns scores with a finite value, ties won by the first; and how many trials have none."""
    found = {
        number: [each for each in of_trial if np.isfinite(each.value)]
        for number, of_trial in scores.items()
    }
    pairs = sorted(
        ((each.epoch, number, each) for number, kept in found.items() for each in kept),
        key=lambda pair: pair[:2],
    )
    if not pairs:
        raise StatisticsError("no trial has scores of its validation samples")
    sizes = sorted({len(each) for _, _, each in pairs})
    if len(sizes) > 1:
        raise StatisticsError(
            f"trials have scores of {sizes[0]} to {sizes[-1]} validation samples: a correction "
            "needs the same samples for all"
        )
    if sizes[0] < FEWEST_SAMPLES:
        raise StatisticsError(
            f"{sizes[0]} validation samples are too few for a correction, which needs at least "
            f"{FEWEST_SAMPLES}"
        )
    return [each for _, _, each in pairs], sum(not kept for kept in found.values())


def _note(left_out: int) -> str:
    trials = "1 trial" if left_out == 1 else f"{left_out} trials"
    return f"{trials} without usable scores left out." if left_out else ""


def _choices(
    candidates: Sequence[SampleScores], counts: np.ndarray, direction: Direction
) -> np.ndarray:
    """Returns the index of the best candidate on each resample, the first of equal ones."""
    best = np.full(len(counts), -np.inf)
    chosen = np.zeros(len(counts), np.int64)
    start = 0
    for values in _objectives(candidates, counts):
        keys = values if direction == "max" else -values
        keys = np.where(np.isnan(keys), -np.inf, keys)
        index = keys.argmax(axis=1)
        value = keys[np.arange(len(keys)), index]
        better = value > best
        best[better], chosen[better] = value[better], start + index[better]
        start += keys.shape[1]
    return chosen


def _objectives(candidates: Sequence[SampleScores], counts: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the objectives of candidates, some at a time, in their order.

    Yields:
        Arrays of shape (resamples, some candidates).
    """
    width = max(1, min(BLOCK // counts.shape[1], len(candidates)))
    for start in range(0, len(candidates), width):
        block = candidates[start : start + width]
        if all(each.kind in {"mean", "root_mean"} for each in block):
            yield _means(block, counts)
        else:
            yield np.stack([each.of_resamples(counts) for each in block], axis=1)


def _means(block: Sequence[SampleScores], counts: np.ndarray) -> np.ndarray:
    """Returns the objectives of scores that are means: one product of matrices for all.

    Sums of float32 are exact for accuracies up to 16 million samples, so equal ones stay equal.
    """
    values = np.stack([np.asarray(each.values, np.float32) for each in block], axis=1)
    totals = counts.sum(axis=1, keepdims=True)
    if any(each.weights is not None for each in block):
        weights = np.stack([_weights(each) for each in block], axis=1)
        values *= weights
        totals = counts @ weights
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        means = (counts @ values) / totals
        means += np.array([each.constant for each in block], np.float32)
        roots = np.array([each.kind == "root_mean" for each in block])
        means[:, roots] = np.sqrt(means[:, roots])
    return np.asarray(means)


def _weights(scores: SampleScores) -> np.ndarray:
    if scores.weights is None:
        return np.ones(len(scores), np.float32)
    return np.asarray(scores.weights, np.float32)
