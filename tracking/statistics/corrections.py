"""The objective to expect on new data from the trial that a study chooses.

`corrected` estimates this value from the recorded scores of validation samples, without further
training. `confirmed_value` estimates it from trainings under new seeds, scored on the test part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from search_spaces.errors import StatisticsError
from search_spaces.texts import counted
from tracking.records import Corrected, Direction, Interval
from tracking.statistics.intervals import (
    crossed_share,
    heavy_tails,
    independent_samples,
    loss_interval,
    share_bounds,
)
from tracking.statistics.sample_scores_and_resamples import (
    BLOCK,
    SampleScores,
    resample_counts,
    score_matrix,
)

_FEWEST_SAMPLES = 10
# With fewer groups, too few intervals contain the true value: docs/honesty.md.
_FEWEST_GROUPS = 60
# A few copies of samples make no groups: there are nearly as many groups as samples.
_FEW_COPIES = 1.2
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

    The best of many trials' values is too good by chance. So BBC repeats the choice of the best
    trial on many resamples of the validation samples. From n samples, a resample draws n samples
    with replacement. If samples are in groups, it draws whole groups. The trial and epoch with the
    best objective on the drawn samples are chosen, and are then scored on the samples that were not
    drawn. If several are equally good, the earliest epoch is chosen, then the lowest trial number.
    I. Tsamardinos, E. Greasidou and G. Borboudakis, Bootstrapping the out-of-sample predictions for
    efficient and accurate cross-validation, Machine Learning 107, 2018.

    The estimate is the mean score of the choices. There is one exception: if trials have the scores
    of several epochs, and the objective is a mean over samples, then the choices for the estimate
    are not made on resamples. Instead, the samples are shuffled and split into tenths, many times.
    Each choice is made on nine tenths, and scored on the remaining tenth. The reason is in
    docs/decisions/0041-the-corrected-value.md.

    The interval covers three values: the estimate, BBC's mean, and the best value of a trial. It
    begins at the lower confidence bound of a single model with the lowest of these values. It ends
    at the upper confidence bound of a single model with the highest of these values.
    `share_bounds` computes the bounds of values between 0 and 1, `loss_interval` all others.

    `scores` has, by trial number, the scores after one or several epochs, all on the same samples.
    `reported` is the study's best value. By default, it is the best value that `scores` give.
    """
    candidates, left_out = _candidates(scores)
    groups = candidates[0].places
    count = _enough(candidates[0])
    if count < _FEWEST_SAMPLES:
        raise StatisticsError(
            f"{counted(count, 'sample')} are too few for a correction, which needs at least "
            f"{_FEWEST_SAMPLES}"
        )
    values = np.array([candidate.value for candidate in candidates])
    first = int(values.argmax() if direction == "max" else values.argmin())
    best = float(values[first])
    outside, variances = _resampled(candidates, resample_counts(groups, resamples, seed), direction)
    if not len(outside):
        raise StatisticsError("no resample has a finite value on the samples that it did not draw")
    value = mean = float(outside.mean())
    several_epochs = len(candidates) > len(scores) - left_out
    if several_epochs and all(candidate.kind == "mean" for candidate in candidates):
        tenths = _counts_without_tenths(groups, resamples, seed)
        value = float(_resampled(candidates, tenths, direction)[0].mean())
    low, high = min(mean, value, best), max(mean, value, best)
    if all(candidate.is_share(direction) for candidate in candidates):
        # The variance over bootstrap resamples is (n - 1) / n of the true variance, so it is
        # scaled.
        variances *= count / (count - 1)
        limits = candidates[first].fewest, candidates[first].most
        half = values >= np.median(values) if direction == "max" else values <= np.median(values)
        # The effective sample size is estimated from the better half of the trials, and from all
        # trials. Each estimate may be too large: the values of trials that learned nothing may vary
        # little between groups of samples, and so may the values of the best trials. The smaller
        # estimate is safe.
        independent = min(
            independent_samples(values[some], variances[some], *limits)
            for some in (half, np.full(len(values), True))
        )
        freedom = math.inf if candidates[0].groups is None else count - 1
        low, high = share_bounds(low, high, independent, freedom=freedom)
    else:
        best_scores = candidates[first]
        matrix = score_matrix([best_scores])
        fixed = loss_interval(matrix, nonnegative=best_scores.is_nonnegative)
        low, high = low - (fixed.value - fixed.low), high + (fixed.high - fixed.value)
    return Corrected(
        reported=best if reported is None else reported,
        estimate=Interval(value, low, high, _LEVEL),
        trials=len(scores) - left_out,
        samples=len(candidates[0]),
        resamples=resamples,
        groups=0 if candidates[0].groups is None else count,
        note=f"{counted(left_out, 'trial')} without usable scores left out." if left_out else "",
    )


def confirmed_value(
    scores: Sequence[SampleScores], direction: Direction, *, level: float = _LEVEL
) -> tuple[Interval, str]:
    """Returns the objective to expect on new data under new seeds, and a warning or an empty text.

    `scores` has the scores of one configuration's trainings, under several seeds, or of one model.
    The samples must not have been used to choose the configuration.
    """
    first = scores[0]
    _enough(first)
    matrix = score_matrix(scores)
    if all(seed.is_share(direction) for seed in scores):
        value = float(np.mean([seed.value for seed in scores]))
        # Each seed scores all samples again, so the upper bound of the effective sample size grows
        # with the number of seeds. With weights, the bound stays: if all of the few errors are on
        # samples of small weight, the effective sample size looks larger than it is.
        most = first.most * (len(scores) if first.weights is None else 1)
        return crossed_share(matrix, value, fewest=first.fewest, most=most, level=level), ""
    if first.kind == "r2":
        # R2 is at most 1, so 1 - R2 is a loss.
        loss = loss_interval(1 - matrix, nonnegative=True, level=level)
        return Interval(1 - loss.value, 1 - loss.high, 1 - loss.low, level), ""
    nonnegative = all(seed.is_nonnegative for seed in scores)
    return loss_interval(matrix, nonnegative=nonnegative, level=level), heavy_tails(matrix)


def _enough(scores: SampleScores) -> int:
    """Returns the number of groups, or raises `StatisticsError` if they are too few."""
    count = int(scores.places.max()) + 1
    if count < _FEWEST_GROUPS and len(scores) > _FEW_COPIES * count:
        raise StatisticsError(
            f"{len(scores)} samples in {counted(count, 'group')} are too few for an interval, "
            f"which needs at least {_FEWEST_GROUPS} groups"
        )
    return count


def _resampled(
    candidates: Sequence[SampleScores], resamples: Iterable[np.ndarray], direction: Direction
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the best candidate on each resample. A candidate is a trial after one epoch.

    Returns two arrays. The first array has, for each resample, the chosen candidate's objective on
    the samples that were not drawn; NaN and infinities are left out. The second array has, for each
    candidate, the variance of its objective over the resamples.
    """
    values = np.array([candidate.value for candidate in candidates])
    sums, squares = np.zeros((2, len(candidates)))
    of_choices, count = [], 0
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
        count += len(counts)
    outside = np.concatenate(of_choices)
    return outside[np.isfinite(outside)], squares / count - (sums / count) ** 2


def _counts_without_tenths(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yields arrays in the form of `resample_counts`. Each row leaves out a tenth of the groups.

    A sample that is left out has the count 0, all other samples have 1. Each array has ten rows,
    one for each tenth of the shuffled groups. There must be at least 10 groups.
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
    """Returns the scores with a finite value, and the number of trials without such scores.

    The scores are sorted by epoch, then by trial number, because the first of several equally good
    scores is chosen.
    """
    usable = {
        number: [epoch for epoch in epochs if np.isfinite(epoch.value)]
        for number, epochs in sorted(scores.items())
    }
    candidates = [epoch for epochs in usable.values() for epoch in epochs]
    # Sorting is stable, so the trials of an epoch stay in the order of their numbers.
    candidates.sort(key=lambda candidate: candidate.epoch)
    if not candidates:
        raise StatisticsError("no trial has scores of its validation samples")
    sizes = sorted({len(candidate) for candidate in candidates})
    if len(sizes) > 1:
        raise StatisticsError(
            f"trials have scores of {sizes[0]} to {sizes[-1]} validation samples: a correction "
            "needs the same samples for all trials"
        )
    unfit = next((candidate for candidate in candidates if not _can_be_corrected(candidate)), None)
    if unfit is not None:
        raise StatisticsError(
            f"{unfit.metric} is neither a mean over samples nor the area under a ROC curve, so "
            "resamples can't correct it; `kerastudy confirm` measures it on the test part"
        )
    return candidates, sum(not epochs for epochs in usable.values())


def _can_be_corrected(scores: SampleScores) -> bool:
    if scores.kind in {"average", "pooled"}:
        return all(map(_can_be_corrected, scores.members))
    return scores.kind in {"mean", "root_mean", "auc"}


def _objectives(
    candidates: Sequence[SampleScores], counts: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the objectives of candidates on resamples, in blocks of candidates.

    A block has the index of its first candidate, and an array of shape (resamples, candidates).
    """
    width = max(1, min(BLOCK // counts.shape[1], len(candidates)))
    for start in range(0, len(candidates), width):
        block = candidates[start : start + width]
        if all(candidate.kind in {"mean", "root_mean"} for candidate in block):
            yield start, _means(block, counts)
        else:
            yield start, np.stack([candidate.of_resamples(counts) for candidate in block], axis=1)


def _means(block: Sequence[SampleScores], counts: np.ndarray) -> np.ndarray:
    """Returns the objectives of candidates whose objective is a mean, by one matrix product.

    The sums are in float32. Sums of hits (0 or 1) are exact up to 16 million samples, so equal
    accuracies stay equal.
    """
    values = np.stack([np.asarray(candidate.values, np.float32) for candidate in block])
    totals = counts.sum(axis=1, keepdims=True)
    if any(candidate.weights is not None for candidate in block):
        weights = np.stack([c.weights_or_ones for c in block], dtype=np.float32)
        values *= weights
        totals = counts @ weights.T
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        means = (counts @ values.T) / totals
        means += np.array([candidate.constant for candidate in block], np.float32)
        roots = np.array([candidate.kind == "root_mean" for candidate in block])
        means[:, roots] = np.sqrt(means[:, roots])
    return np.asarray(means)
