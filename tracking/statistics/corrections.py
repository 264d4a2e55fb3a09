"""The value to expect: corrected for the choice without training, or confirmed under new seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.checks import Corrected, Interval
from tracking.records.studies import Direction
from tracking.scores.sample_scores import SampleScores, score_matrix
from tracking.statistics.intervals import (
    BLOCK,
    crossed_share,
    heavy_tails,
    independent_samples,
    loss_interval,
    resample_counts,
    share_bounds,
)

_FEWEST_SAMPLES = 10
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
    that were not drawn. I. Tsamardinos, E. Greasidou and G. Borboudakis, Bootstrapping the
    out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107,
    2018; among nine methods under automated selection it did best (arXiv 2406.08099). Where samples
    are in groups, groups are drawn. Trials that tie on a resample are chosen by the earlier epoch,
    then the lower number: their losses would be of the samples left out too.

    The estimate is the mean of these scores where each trial has those of its best epoch alone.
    Where trials have the scores of several epochs, and the objective is a mean, the choice is made
    on nine tenths of the samples and scored on the last tenth, each in turn, of many random orders.
    A resample of the bootstrap chooses as badly as half the samples would, which makes its mean too
    low by up to 0.7 points; see docs/decisions/0041-the-corrected-value.md.

    The interval reaches from the lower bound of a fixed model with BBC's mean to the upper bound of
    one with the reported value (where low is better, the other way round). The bounds are those of
    `share_bounds` for values between 0 and 1, which have a width also where a trial has no error;
    of `loss_interval` for others.

    Two thousand trials of 10,000 samples take seconds: objectives of all trials on all resamples
    are one product of matrices, in blocks.

    `scores` has by trial number those after one epoch or several, all of the same samples;
    `reported` is the study's best value, if a trial without scores may have it.
    """
    candidates, left_out = _candidates(scores)
    groups = candidates[0].places
    count = int(groups.max()) + 1
    if count < _FEWEST_SAMPLES:
        which = "" if count == len(groups) else f" in {count} groups"
        raise StatisticsError(
            f"{len(groups)} validation samples{which} are too few for a correction, which needs at "
            f"least {_FEWEST_SAMPLES}"
        )
    values = np.array([candidate.value for candidate in candidates])
    first = int(values.argmax() if direction == "max" else values.argmin())
    best = float(values[first])
    outside, variances = _resampled(candidates, resample_counts(groups, resamples, seed), direction)
    if not len(outside):
        raise StatisticsError("no resample has a value on the samples left out: nothing to correct")
    value = mean = float(outside.mean())
    if len(candidates) > len(scores) - left_out and all(each.kind == "mean" for each in candidates):
        tenths = _counts_without_tenths(groups, resamples, seed)
        value = float(_resampled(candidates, tenths, direction)[0].mean())
    low, high = min(mean, value, best), max(mean, value, best)
    if all(each.is_share(direction) for each in candidates):
        # Drawing n of n samples makes the variance smaller by (n - 1) / n.
        variances *= count / (count - 1)
        limits = candidates[first].fewest, candidates[first].most
        half = values >= np.median(values) if direction == "max" else values <= np.median(values)
        # Trials that learned nothing may vary less by groups, and the best ones hardly at all.
        independent = min(
            independent_samples(values[some], variances[some], *limits)
            for some in (half, np.full(len(values), True))
        )
        low, high = share_bounds(low, high, independent)
    else:
        # Two seeds that agree: the model is what it is, and only the samples may be others.
        best_scores = candidates[first]
        same = np.tile(score_matrix([best_scores]), (2, 1))
        fixed = loss_interval(same, nonnegative=best_scores.is_nonnegative)
        low, high = low - (fixed.value - fixed.low), high + (fixed.high - fixed.value)
    return Corrected(
        reported=best if reported is None else reported,
        estimate=Interval(value, low, high, _LEVEL),
        trials=len(scores) - left_out,
        samples=len(candidates[0]),
        resamples=resamples,
        groups=0 if candidates[0].groups is None else count,
        note=_note(left_out),
    )


def confirmed_value(
    scores: Sequence[SampleScores], direction: Direction, *, level: float = _LEVEL
) -> tuple[Interval, str]:
    """Returns the objective on new data and under new seeds, and a warning or an empty text.

    `scores` are those of a part that no choice was made on, under at least 2 fresh seeds.
    """
    matrix, first = score_matrix(scores), scores[0]
    if all(each.is_share(direction) for each in scores):
        value = float(np.mean([each.value for each in scores]))
        # Several seeds are worth more, unless the few errors may be of light samples.
        most = first.most * (len(scores) if first.weights is None else 1)
        return crossed_share(matrix, value, fewest=first.fewest, most=most, level=level), ""
    if first.kind == "r2":
        # It is 1 at most: 1 - R2 is a loss.
        lost = loss_interval(1 - matrix, nonnegative=True, level=level)
        return Interval(1 - lost.value, 1 - lost.high, 1 - lost.low, level), ""
    nonnegative = all(each.is_nonnegative for each in scores)
    return loss_interval(matrix, nonnegative=nonnegative, level=level), heavy_tails(matrix)


def _resampled(
    candidates: Sequence[SampleScores], resamples: Iterable[np.ndarray], direction: Direction
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the best candidate on each resample.

    Returns the objectives of the choices on the samples that were not drawn, where there is one;
    and the variances of all candidates' objectives over the resamples.
    """
    values = np.array([each.value for each in candidates])
    sums, squares = np.zeros((2, len(candidates)))
    of_choices, drawn = [], 0
    for counts in resamples:
        best, chosen = np.full(len(counts), -np.inf), np.zeros(len(counts), np.int64)
        for start, objectives in _objectives(candidates, counts):
            block = slice(start, start + objectives.shape[1])
            deviations = np.nan_to_num(objectives - values[block])
            sums[block] += deviations.sum(axis=0)
            squares[block] += (deviations**2).sum(axis=0)
            keys = np.nan_to_num(objectives if direction == "max" else -objectives, nan=-np.inf)
            index = keys.argmax(axis=1)
            value = keys[np.arange(len(keys)), index]
            better = value > best
            best[better], chosen[better] = value[better], start + index[better]
        of_chosen = np.empty(len(counts))
        for index in np.unique(chosen):
            rows = chosen == index
            unused = (counts[rows] == 0).astype(np.float32)
            of_chosen[rows] = candidates[index].of_resamples(unused)
        of_choices.append(of_chosen)
        drawn += len(counts)
    outside = np.concatenate(of_choices)
    return outside[np.isfinite(outside)], squares / drawn - (sums / drawn) ** 2


def _counts_without_tenths(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Leaves out a tenth of the groups, each tenth in turn, of one random order after another.

    Yields as `resample_counts` does, ten rows at a time, `resamples` rounded up to tens: 0 for a
    sample that is left out, 1 for any other. There must be 10 groups.
    """
    generator, count = np.random.default_rng([seed, 10]), int(groups.max()) + 1
    for _ in range(0, resamples, 10):
        counts = np.ones((10, count), np.float32)
        for row, tenth in zip(
            counts, np.array_split(generator.permutation(count), 10), strict=True
        ):
            row[tenth] = 0
        yield counts[:, groups]


def _candidates(scores: Mapping[int, Sequence[SampleScores]]) -> tuple[list[SampleScores], int]:
    """Returns scores with a finite value, ties won by the first; and how many trials have none."""
    usable = {
        number: [each for each in of_trial if np.isfinite(each.value)]
        for number, of_trial in scores.items()
    }
    pairs = sorted(
        ((each.epoch, number, each) for number, kept in usable.items() for each in kept),
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
    unfit = next((each for _, _, each in pairs if not _can_be_corrected(each)), None)
    if unfit is not None:
        raise StatisticsError(
            f"{unfit.metric} is neither a mean over samples nor the area under one ROC curve, so "
            "resamples can't correct it; `kerastudy confirm` measures it on the test part"
        )
    return [each for _, _, each in pairs], sum(not kept for kept in usable.values())


def _can_be_corrected(scores: SampleScores) -> bool:
    if scores.kind in {"average", "pooled"}:
        return all(map(_can_be_corrected, scores.members))
    if scores.kind == "auc":
        return scores.settings["curve"] == "ROC" and not scores.settings["labels"]
    return scores.kind in {"mean", "root_mean"}


def _note(left_out: int) -> str:
    trials = "1 trial" if left_out == 1 else f"{left_out} trials"
    return f"{trials} without usable scores left out." if left_out else ""


def _objectives(
    candidates: Sequence[SampleScores], counts: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the place of a block's first candidate, and the block's objectives on resamples."""
    width = max(1, min(BLOCK // counts.shape[1], len(candidates)))
    for start in range(0, len(candidates), width):
        block = candidates[start : start + width]
        if all(each.kind in {"mean", "root_mean"} for each in block):
            yield start, _means(block, counts)
        else:
            yield start, np.stack([each.of_resamples(counts) for each in block], axis=1)


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
