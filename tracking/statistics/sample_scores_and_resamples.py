"""`SampleScores`: the score of each sample after an epoch, and the objective on any resample.

Some Keras metrics are not a mean over samples (AUC, F1, R2, …). The functions in `_OF_SUMS`, and
`_auc`, compute the same values of these metrics as Keras 3.15, with double precision.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np

from tracking.records import Direction

ScoreKind = Literal[
    "mean", "root_mean", "precision", "recall", "f_beta", "r2", "auc", "average", "pooled"
]
Settings = Mapping[str, Any]
# If there are more groups of samples than this, several groups share one pseudo-value, to save
# time.
_MOST_PSEUDO_VALUES = 1000
# `_auc` handles at most this many predictions at once, so that its arrays take about 64 MiB.
_MOST_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class SampleScores:
    """The score of each sample in a part of the data, after one epoch.

    Attributes:
        metric: The objective's metric, such as ``"val_accuracy"``.
        kind: How the objective is computed. ``"mean"`` is the mean of `values`, ``"root_mean"``
            the square root of the mean, as for `RootMeanSquaredError`. ``"average"`` is the mean
            objective of several trainings on the same samples. ``"pooled"`` is the mean objective
            of folds; the samples of the first fold are first. Each other kind has a function:
            `_auc`, or a function in `_OF_SUMS`.
        values: For means, an array of shape (n,) with the loss of each sample, or with hits: 1 if
            the prediction for the sample is right, else 0. For kinds that have a function, an
            array of shape (n, ...), whose entries the function explains. For ``"pooled"``, only
            the array's length counts.
        epoch: The epoch, counted from 1.
        weights: Sample weights of shape (n,), or None.
        constant: A number to add to the mean, such as penalties of regularizers in ``val_loss``.
        settings: Settings of the Keras metric, such as the ``beta`` of `FBetaScore`.
        members: The scores of the trainings or of the folds, for ``"average"`` and ``"pooled"``.
        groups: Whole numbers of shape (n,), or None if all samples are independent. Samples that
            depend on each other have the same number, such as samples of one patient, or copies.
    """

    metric: str
    kind: ScoreKind
    values: np.ndarray
    epoch: int
    weights: np.ndarray | None = None
    constant: float = 0.0
    settings: Settings = field(default_factory=dict)
    members: tuple[SampleScores, ...] = ()
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(self.values)

    @property
    def places(self) -> np.ndarray:
        """The group of each sample, counted from 0. Without groups, each sample is a group."""
        if self.groups is None:
            return np.arange(len(self))
        return np.unique(self.groups, return_inverse=True)[1]

    @property
    def weights_or_ones(self) -> np.ndarray:
        """The weights of the samples, of shape (n,). They are 1 if samples have no weights."""
        return np.ones(len(self)) if self.weights is None else np.asarray(self.weights, np.float64)

    @cached_property
    def value(self) -> float:
        """The objective on all samples."""
        return float(self.of_resamples(np.ones((1, len(self)), np.float32))[0])

    @property
    def is_hits(self) -> bool:
        """Whether each score of a sample is 1 (right) or 0 (wrong)."""
        if self.members:
            return all(member.is_hits for member in self.members)
        zeros_and_ones = bool(np.isin(self.values, (0, 1)).all())
        return self.kind == "mean" and self.constant == 0 and zeros_and_ones

    @property
    def fewest(self) -> float:
        """A lower bound of the effective sample size.

        The effective sample size is the number of independent samples, without weights, that tell
        as much about the objective as these samples. A group counts as one sample, as all samples
        in it may agree. Samples with weights count as the number of samples without weights whose
        mean would vary as much (L. Kish, Survey sampling, 1965, ch. 8). For an area under a ROC
        curve, only the smaller class counts (Z. W. Birnbaum and O. M. Klose, Bounds for the
        variance of the Mann-Whitney statistic, Annals of Mathematical Statistics 28, 1957).
        """
        if self.kind == "pooled":
            return sum(fold.fewest for fold in self.members)
        if self.kind == "average":
            return self.members[0].fewest
        weights = self.weights_or_ones
        if self.kind == "mean":
            return _as_many(_by_group(weights, self.groups))
        values = np.asarray(self.values).reshape(len(self), -1)
        if self.kind == "auc":
            positive = (values & 1).mean(axis=1)
            classes = [weights * positive, weights * (1 - positive)]
        else:
            # Samples whose values are all 0 don't count. For a recall, for example, only the
            # samples of the positive class count.
            classes = [weights * values.any(axis=1)]
        return min(_as_many(_by_group(weighted, self.groups)) for weighted in classes)

    @property
    def most(self) -> float:
        """An upper bound of the effective sample size."""
        if self.kind == "pooled":
            return sum(fold.most for fold in self.members)
        if self.kind == "average":
            return self.members[0].most
        if not self.is_hits and self.kind == "mean":
            return math.inf
        return _as_many(self.weights_or_ones)

    def is_share(self, direction: Direction) -> bool:
        """Whether the objective lies between 0 and 1, as an accuracy or an AUC does."""
        if self.kind in {"average", "pooled"}:
            return all(member.is_share(direction) for member in self.members)
        if self.kind == "mean" and direction == "max":
            low, high = np.min(self.values), np.max(self.values)
            return bool(low >= 0 and high <= 1 and self.constant == 0)
        return self.kind in {"auc", "precision", "recall", "f_beta"} or self.is_hits

    @property
    def is_nonnegative(self) -> bool:
        """Whether the objective can't be below 0, because no score of a sample is below 0."""
        if self.members:
            return all(member.is_nonnegative for member in self.members)
        return self.constant >= 0 and bool(np.min(self.values) >= 0)

    def of_resamples(self, counts: np.ndarray) -> np.ndarray:
        """Returns the objective on each resample. A mean is NaN if no sample was drawn.

        `counts` has the shape (resamples, n), and says how often each sample was drawn.
        """
        if self.kind == "average":
            return np.asarray(np.mean([member.of_resamples(counts) for member in self.members], 0))
        if self.kind == "pooled":
            return self._of_folds(counts)
        weights = self.weights_or_ones
        if self.kind == "auc":
            return _auc(self.values, counts * weights, self.settings)
        values = np.asarray(self.values, np.float64)
        if self.kind in _OF_SUMS:
            flat = weights[:, None] * values.reshape(len(self), -1)
            sums = (counts @ flat).reshape(len(counts), *values.shape[1:])
            with np.errstate(invalid="ignore", divide="ignore"):
                return _OF_SUMS[self.kind](sums, counts @ weights, self.settings)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = counts @ (weights * values) / (counts @ weights)
        means = means + self.constant
        return np.asarray(np.sqrt(means) if self.kind == "root_mean" else means)

    def _of_folds(self, counts: np.ndarray) -> np.ndarray:
        """Returns the mean objective of the folds, on each resample.

        Folds from which a resample draws no sample are left out.
        """
        ends = np.cumsum([len(fold) for fold in self.members])
        parts = np.split(counts, ends[:-1], axis=1)
        of_folds = [fold.of_resamples(part) for fold, part in zip(self.members, parts, strict=True)]
        with warnings.catch_warnings():
            # numpy warns if a resample has no value in any fold. The mean is NaN then.
            warnings.simplefilter("ignore", RuntimeWarning)
            return np.asarray(np.nanmean(of_folds, axis=0))


def average(scores: Sequence[SampleScores]) -> SampleScores:
    """Returns the scores of a repeated trial: the mean of the scores of its trainings."""
    first, members = scores[0], tuple(scores)
    if len(scores) == 1:
        return first
    if any(training.kind != "mean" for training in scores):
        return dataclasses.replace(first, kind="average", members=members)
    values = np.mean([np.asarray(training.values, np.float64) for training in scores], axis=0)
    constant = float(np.mean([training.constant for training in scores]))
    return dataclasses.replace(first, values=values, constant=constant, members=members)


def pooled(folds: Sequence[SampleScores]) -> SampleScores:
    """Returns the scores of a cross-validated trial after an epoch, from the scores of its folds.

    I. Tsamardinos, E. Greasidou and G. Borboudakis pool out-of-fold scores in this way (Machine
    Learning 107, 2018). If the scores of folds are means without weights, and the sizes of folds
    differ by at most one sample, the pooled scores are also a mean, of the kind ``"mean"``.
    """
    first, sizes = folds[0], [len(fold) for fold in folds]
    weighted = any(fold.weights is not None for fold in folds)
    members = tuple(folds)
    groups_of_folds = [fold.groups for fold in folds if fold.groups is not None]
    groups = np.concatenate(groups_of_folds) if len(groups_of_folds) == len(folds) else None
    if {fold.kind for fold in folds} == {"mean"} and max(sizes) - min(sizes) <= 1 and not weighted:
        values = np.concatenate([np.asarray(fold.values, np.float64) for fold in folds])
        constant = float(np.mean([fold.constant for fold in folds]))
        return dataclasses.replace(
            first, values=values, constant=constant, members=members, groups=groups
        )
    return SampleScores(
        first.metric, "pooled", np.zeros(sum(sizes)), first.epoch, members=members, groups=groups
    )


def score_matrix(scores: Sequence[SampleScores]) -> np.ndarray:
    """Returns scores of the same samples under several seeds, as an array of shape (seeds, groups).

    The mean of a row estimates the seed's objective. A column is an independent group of samples,
    or one sample if there are no groups.

    If the objective is a mean, an entry is the group's contribution to the mean. The variance of
    the entries is the variance of a ratio: samples of large weight do not increase the variance if
    they have the same scores as others (W. G. Cochran, Sampling techniques, 1977, ch. 6).

    Otherwise an entry is a pseudo-value of the jackknife: n·v - (n - 1)·v₋ᵢ for n groups, where v
    is the objective on all groups, and v₋ᵢ the objective without group i. The mean of pseudo-values
    has the objective's variance (J. Tukey, Bias and confidence in not-quite large samples, Annals
    of Mathematical Statistics 29, 1958). If there are more than 1,000 groups, they are joined into
    1,000 larger groups.
    """
    return np.stack([_as_means(seed) for seed in scores])


def _as_means(scores: SampleScores) -> np.ndarray:
    if scores.kind == "mean":
        values, weights = np.asarray(scores.values, np.float64), scores.weights_or_ones
        mean = np.average(values, weights=weights)
        added = _by_group((values - mean) * (weights / weights.mean()), scores.groups)
        return np.asarray(mean + scores.constant + added * (len(added) / len(values)))
    places = scores.places
    groups = min(int(places.max()) + 1, _MOST_PSEUDO_VALUES)
    left_out = places * groups // (int(places.max()) + 1)
    whole, pseudo_values = scores.value, np.empty(groups)
    for start in range(0, groups, 100):
        block = np.arange(start, min(start + 100, groups))
        counts = (left_out[None, :] != block[:, None]).astype(np.float32)
        pseudo_values[block] = groups * whole - (groups - 1) * scores.of_resamples(counts)
    return pseudo_values


def _by_group(values: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    if groups is None:
        return values
    return np.bincount(np.unique(groups, return_inverse=True)[1], values)


def _as_many(weights: np.ndarray) -> float:
    """Returns the effective sample size of weighted samples, by the formula of Kish.

    This is the number of samples with equal weights whose mean varies as much as the weighted mean.
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _share(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `Precision` or `Recall`.

    A sample has two values. The first is the number of true positives. For `Precision`, the second
    is the number of false positives; for `Recall`, the number of false negatives.
    """
    return _ratio(sums[:, 0], sums[:, 0] + sums[:, 1])


def _f_beta(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `FBetaScore`, or `F1Score`.

    A sample has three values for each class: true positives, false positives, false negatives.

    Settings: beta, average, epsilon.
    """
    average, epsilon = settings["average"], settings["epsilon"]
    if average == "micro":
        sums = sums.sum(axis=2, keepdims=True)
    true, false_positives, false_negatives = sums[:, 0], sums[:, 1], sums[:, 2]
    precisions = true / (true + false_positives + epsilon)
    recalls = true / (true + false_negatives + epsilon)
    squared = settings["beta"] ** 2
    scores = precisions * recalls / (squared * precisions + recalls + epsilon) * (1 + squared)
    if average == "weighted":
        positives = true + false_negatives
        shares = positives / (positives.sum(axis=1, keepdims=True) + epsilon)
        return np.asarray((scores * shares).sum(axis=1))
    return np.asarray(scores.mean(axis=1))


def _r2(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `R2Score`.

    A sample has three values for each output: the target, the square of the target, and the squared
    error. The targets of all samples may be shifted by the same number, since that does not change
    R2.

    Settings: aggregation.
    """
    targets, squares, errors = sums[:, 0], sums[:, 1], sums[:, 2]
    total = squares - targets**2 / totals[:, None]
    scores = 1 - errors / total
    scores = np.where(np.isinf(scores), 0.0, scores)
    if settings["aggregation"] == "variance_weighted_average":
        return np.asarray((total * scores).sum(axis=1) / total.sum(axis=1))
    return np.asarray(scores.mean(axis=1))


def _auc(codes: np.ndarray, draws: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `AUC`, the area under a ROC curve. It is NaN if one class is missing.

    `codes` has the shape (n, predictions). A code is twice the number of thresholds below the
    prediction, plus one if the prediction should be positive. `draws` has the shape (resamples, n).
    An entry says how often a resample drew a sample, times the sample's weight.

    Settings: thresholds (the number of thresholds).
    """
    rows = max(1, _MOST_CELLS // codes.size)
    if len(draws) > rows:
        parts = [draws[start : start + rows] for start in range(0, len(draws), rows)]
        return np.concatenate([_auc(codes, part, settings) for part in parts])
    bins = 2 * (settings["thresholds"] + 1)
    # Each resample has its own bins, so that one call of `bincount` counts all resamples.
    places = bins * np.arange(len(draws))[:, None] + codes.reshape(1, -1)
    weights = np.repeat(draws, codes.shape[1], axis=1)
    weighted = np.bincount(places.ravel(), weights.ravel(), minlength=bins * len(draws))
    negative, positive = weighted.reshape(len(draws), -1, 2).transpose(2, 0, 1)
    # If a class is missing, Keras returns 0, which would count as the worst value. This function
    # returns NaN instead, which does not count.
    both = positive.any(axis=1) & negative.any(axis=1)
    return np.where(both, _areas(positive, negative), np.nan)


def _areas(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Returns the areas under ROC curves.

    `positive` and `negative` have the shape (curves, bins). They count the predictions between two
    neighbouring thresholds, by the class of the target.
    """
    # Column i counts the predictions above threshold i.
    tp = positive[:, ::-1].cumsum(axis=1)[:, -2::-1]
    fp = negative[:, ::-1].cumsum(axis=1)[:, -2::-1]
    x = _ratio(fp, negative.sum(axis=1, keepdims=True))
    y = _ratio(tp, positive.sum(axis=1, keepdims=True))
    heights = (y[:, :-1] + y[:, 1:]) / 2
    return np.asarray(((x[:, :-1] - x[:, 1:]) * heights).sum(axis=1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Returns a quotient, or 0 where the divisor is 0."""
    return np.asarray(
        np.divide(above, below, out=np.zeros_like(above, np.float64), where=below != 0)
    )


# Each of these functions takes two sums over the samples of a resample: the sum of the values, of
# shape (resamples, ...), and the sum of the weights, of shape (resamples,).
_OF_SUMS: Final[Mapping[str, Callable[[np.ndarray, np.ndarray, Settings], np.ndarray]]] = {
    "precision": _share,
    "recall": _share,
    "f_beta": _f_beta,
    "r2": _r2,
}


# Resamples are computed in blocks, to save memory. A block has this many numbers, which take 16 MiB
# as float32, and twice as much while samples are drawn.
BLOCK = 1 << 22


def resample_counts(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yields arrays that say how often each bootstrap resample draws each sample.

    If there are n groups of samples, each resample draws n groups with replacement: B. Efron,
    Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979. Whole groups are
    drawn, since samples in a group depend on each other: A. C. Davison and D. V. Hinkley, Bootstrap
    methods and their application, 1997, ch. 3.8.

    `groups` has the group of each sample, counted from 0. The arrays have the shape (rows, samples)
    and the type float32. All arrays together have `resamples` rows.
    """
    generator, count = np.random.default_rng(seed), int(groups.max()) + 1
    rows = max(1, BLOCK // len(groups))
    for start in range(0, resamples, rows):
        draws = generator.integers(0, count, (min(rows, resamples - start), count))
        draws += count * np.arange(len(draws))[:, None]
        counts = np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape)
        yield counts.astype(np.float32)[:, groups]
