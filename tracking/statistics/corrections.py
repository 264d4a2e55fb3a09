"""The value to expect of a study's choice.

`corrected` computes it without training, from scores of validation samples. `confirmed_value`
computes it from trainings under new seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.evaluation_records import Corrected, Interval
from tracking.records.study_description import Direction
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

    The best of many values is too good by chance. So BBC repeats the choice on resamples. Each
    resample draws as many validation samples as there are, with replacement. It chooses the trial
    and epoch that are best on the drawn samples, and scores the choice on the samples that were not
    drawn. If samples are in groups, groups are drawn. Of trials that tie, the one with the earlier
    epoch is chosen, then the lower number. I. Tsamardinos, E. Greasidou and G. Borboudakis,
    Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation, Machine
    Learning 107, 2018.

    The estimate is the mean of the choices' scores. There is one exception: trials have the scores
    of several epochs, and the objective is a mean. Then the samples are shuffled and split into
    tenths many times. The choice is made on nine tenths and scored on the last tenth. The reason is
    in docs/decisions/0041-the-corrected-value.md.

    The interval's lower bound is that of a single model whose value is BBC's mean, or the estimate
    if that is lower. Its upper bound is that of a single model with the best value among the trials
    with scores. If low values are better, it is the other way round. `share_bounds` computes the
    bounds of values between 0 and 1, `loss_interval` those of others.

    `scores` has, by trial number, the scores after one or several epochs, all on the same samples.
    `reported` is the study's best value, which a trial without scores may have.
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
        # A bootstrap's variance is (n - 1) / n of the true one.
        variances *= count / (count - 1)
        limits = candidates[first].fewest, candidates[first].most
        half = values >= np.median(values) if direction == "max" else values <= np.median(values)
        # The smaller number is the safe one. Trials that learned nothing may vary less over groups
        # than others, and the best trials may hardly vary.
        independent = min(
            independent_samples(values[some], variances[some], *limits)
            for some in (half, np.full(len(values), True))
        )
        low, high = share_bounds(low, high, independent)
    else:
        # `loss_interval` needs two seeds. The same scores twice add no variance of seeds, as the
        # model is fixed.
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
    """Returns the expected objective on new data under new seeds, and a warning or an empty text.

    `scores` come from trainings under at least 2 seeds, on samples that no choice was based on.
    """
    matrix, first = score_matrix(scores), scores[0]
    if all(each.is_share(direction) for each in scores):
        value = float(np.mean([each.value for each in scores]))
        # Several seeds are worth more samples. With weights they may not be, as the few errors may
        # all be on samples of small weight.
        most = first.most * (len(scores) if first.weights is None else 1)
        return crossed_share(matrix, value, fewest=first.fewest, most=most, level=level), ""
    if first.kind == "r2":
        # R2 is at most 1, so 1 - R2 is a loss.
        lost = loss_interval(1 - matrix, nonnegative=True, level=level)
        return Interval(1 - lost.value, 1 - lost.high, 1 - lost.low, level), ""
    nonnegative = all(each.is_nonnegative for each in scores)
    return loss_interval(matrix, nonnegative=nonnegative, level=level), heavy_tails(matrix)


def _resampled(
    candidates: Sequence[SampleScores], resamples: Iterable[np.ndarray], direction: Direction
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the best candidate on each resample.

    Returns two arrays. The first has the finite objectives of the choices on the samples that were
    not drawn. The second has the variance of each candidate's objective over the resamples.
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
    """Yields arrays of counts that leave out a tenth: its samples have 0, all others 1.

    Each array has ten rows, one for each tenth of the shuffled groups. There are `resamples` rows
    in all, rounded up to tens. There must be at least 10 groups.
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
    """Returns the scores with a finite value, and how many trials have none.

    They are sorted by epoch, then by trial number: of scores that tie, the first one wins.
    """
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
    """Yields blocks: the index of the first candidate, and the objectives on the resamples."""
    width = max(1, min(BLOCK // counts.shape[1], len(candidates)))
    for start in range(0, len(candidates), width):
        block = candidates[start : start + width]
        if all(each.kind in {"mean", "root_mean"} for each in block):
            yield start, _means(block, counts)
        else:
            yield start, np.stack([each.of_resamples(counts) for each in block], axis=1)


def _means(block: Sequence[SampleScores], counts: np.ndarray) -> np.ndarray:
    """Returns the objectives of scores that are means, by one product of matrices.

    In float32, sums of hits are exact up to 16 million samples, so ties stay ties.
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
