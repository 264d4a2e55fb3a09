"""The scores of single samples after an epoch, and the objective on any resample of them."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from tracking.records.study_description import Direction

ScoreKind = Literal[
    "mean", "root_mean", "precision", "recall", "f_beta", "r2", "auc", "average", "pooled"
]
Settings = Mapping[str, Any]
# `_auc` counts at most this many predictions at once, which take 64 MiB.
_MOST_CELLS = 1 << 22
# If there are more groups than this, several of them share a pseudo-value.
_MOST_PSEUDO_VALUES = 1000


@dataclass(frozen=True, eq=False)
class SampleScores:
    """The scores of single samples in a part of the data, after one epoch.

    Attributes:
        metric: The objective's metric, such as ``"val_accuracy"``.
        kind: How the objective is computed. ``"mean"`` is the mean of `values`. ``"root_mean"``
            is its square root, as for `RootMeanSquaredError`. ``"average"`` is the mean objective
            of several trainings on the same samples. ``"pooled"`` is the mean objective of folds,
            whose samples follow each other. Other kinds are Keras metrics, with a function below.
        values: For means, an array of shape (n,): each sample's loss, or its hit: 1 if it is right,
            else 0. For Keras metrics, an array of shape (n, ...), which the function explains. For
            ``"pooled"``, only the length counts.
        epoch: The epoch, counted from 1.
        weights: Sample weights of shape (n,), or None.
        constant: A number to add to the mean, such as penalties of regularizers in ``val_loss``.
        settings: Settings of the Keras metric, such as the ``beta`` of `FBetaScore`.
        members: The scores of the trainings, or of the folds, that these scores combine.
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
        """The weight of each sample, of shape (n,). It is 1 if samples have no weights."""
        return np.ones(len(self)) if self.weights is None else np.asarray(self.weights, np.float64)

    @property
    def value(self) -> float:
        """The objective on all samples."""
        return float(self.of_resamples(np.ones((1, len(self)), np.float32))[0])

    @property
    def is_hits(self) -> bool:
        """Whether each sample's score is 1 (right) or 0 (wrong), in each training."""
        if self.members:
            return all(member.is_hits for member in self.members)
        zeros_and_ones = bool(np.isin(self.values, (0, 1)).all())
        return self.kind == "mean" and self.constant == 0 and zeros_and_ones

    @property
    def fewest(self) -> float:
        """The least number of independent samples that these samples may be worth.

        A group counts as one sample, as all of its samples may agree. Weighted samples count as the
        number of unweighted ones whose mean varies as much (L. Kish, Survey sampling, 1965, ch. 8).
        For an area under a ROC curve, only the smaller class counts (Z. W. Birnbaum and O. M.
        Klose, Bounds for the variance of the Mann-Whitney statistic, Annals of Mathematical
        Statistics 28, 1957).
        """
        if self.kind == "pooled":
            return sum(each.fewest for each in self.members)
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
            # Not all samples count: for a recall, for example, only those of the positive class.
            classes = [weights * values.any(axis=1)]
        return min(_as_many(_by_group(each, self.groups)) for each in classes)

    @property
    def most(self) -> float:
        """The greatest number of independent samples that these may be worth; see `fewest`."""
        if self.kind == "pooled":
            return sum(each.most for each in self.members)
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
        """Whether the objective can't be below 0, because no sample's score is."""
        if self.members:
            return all(member.is_nonnegative for member in self.members)
        return self.constant >= 0 and bool(np.min(self.values) >= 0)

    def of_resamples(self, counts: np.ndarray) -> np.ndarray:
        """Returns the objective on each resample; a mean is NaN if no sample was drawn.

        `counts` has the shape (resamples, n), and says how often each sample was drawn.
        """
        if self.kind == "average":
            return np.asarray(np.mean([each.of_resamples(counts) for each in self.members], 0))
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
        """Returns the mean objective of the folds that have a drawn sample."""
        ends = np.cumsum([len(each) for each in self.members])
        parts = np.split(counts, ends[:-1], axis=1)
        of_folds = [fold.of_resamples(part) for fold, part in zip(self.members, parts, strict=True)]
        with warnings.catch_warnings():
            # numpy warns if a resample has no value in any fold: its mean is NaN.
            warnings.simplefilter("ignore", RuntimeWarning)
            return np.asarray(np.nanmean(of_folds, axis=0))


def average(scores: Sequence[SampleScores]) -> SampleScores:
    """Returns the scores of a trial that was trained several times: the mean of its trainings."""
    first, members = scores[0], tuple(scores)
    if len(scores) == 1:
        return first
    if any(each.kind != "mean" for each in scores):
        return dataclasses.replace(first, kind="average", members=members)
    values = np.mean([np.asarray(each.values, np.float64) for each in scores], axis=0)
    constant = float(np.mean([each.constant for each in scores]))
    return dataclasses.replace(first, values=values, constant=constant, members=members)


def pooled(folds: Sequence[SampleScores]) -> SampleScores:
    """Returns the scores of a cross-validated trial after one epoch: its folds one after another.

    I. Tsamardinos, E. Greasidou and G. Borboudakis pool out-of-fold scores in this way (Machine
    Learning 107, 2018). If all folds have unweighted means, and their sizes differ by at most one
    sample, the pooled scores are a mean too.
    """
    first, sizes = folds[0], [len(each) for each in folds]
    weighted = any(each.weights is not None for each in folds)
    members = tuple(folds)
    groups_of_folds = [each.groups for each in folds if each.groups is not None]
    groups = np.concatenate(groups_of_folds) if len(groups_of_folds) == len(folds) else None
    if {each.kind for each in folds} == {"mean"} and max(sizes) - min(sizes) <= 1 and not weighted:
        values = np.concatenate([np.asarray(each.values, np.float64) for each in folds])
        constant = float(np.mean([each.constant for each in folds]))
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

    If the objective is a mean, an entry is the group's contribution to it. The variance is that of
    a ratio, so samples of large weight add nothing to it if they score as others do (W. G. Cochran,
    Sampling techniques, 1977, ch. 6).

    Otherwise an entry is the jackknife's pseudo-value, n·v - (n - 1)·v₋ᵢ. The mean of pseudo-values
    has the objective's variance (J. Tukey, Bias and confidence in not-quite large samples, Annals
    of Mathematical Statistics 29, 1958). For pseudo-values, more than 1,000 groups are joined to
    1,000.
    """
    return np.stack([_as_means(each) for each in scores])


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
    """Returns how many samples of equal weight have a mean that varies as much."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


# The following functions compute Keras metrics that are no mean over samples, mostly from the sums
# of the samples' values. They do the same as Keras 3.15, with double precision.


def _share(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `Precision` or `Recall`.

    The values of a sample are its true positives, then its false positives or false negatives.
    """
    return _ratio(sums[:, 0], sums[:, 0] + sums[:, 1])


def _f_beta(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `FBetaScore`, or `F1Score`.

    The values of a sample are the true positives, false positives and false negatives of each
    class.

    Settings: beta, average (None: `index` is the class), epsilon.
    """
    average, epsilon = settings["average"], settings["epsilon"]
    if average == "micro":
        sums = sums.sum(axis=2, keepdims=True)
    true, false_positives, false_negatives = sums[:, 0], sums[:, 1], sums[:, 2]
    precisions = true / (true + false_positives + epsilon)
    recalls = true / (true + false_negatives + epsilon)
    squared = settings["beta"] ** 2
    scores = precisions * recalls / (squared * precisions + recalls + epsilon) * (1 + squared)
    if average is None:
        return np.asarray(scores[:, settings["index"]])
    if average == "weighted":
        positives = true + false_negatives
        shares = positives / (positives.sum(axis=1, keepdims=True) + epsilon)
        return np.asarray((scores * shares).sum(axis=1))
    return np.asarray(scores.mean(axis=1))


def _r2(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `R2Score`.

    The values of a sample are, for each output, the target, its square, and the squared error. A
    target may be shifted by the same number in all samples.

    Settings: aggregation (None: `index` is the output).
    """
    targets, squares, errors = sums[:, 0], sums[:, 1], sums[:, 2]
    total = squares - targets**2 / totals[:, None]
    scores = 1 - errors / total
    scores = np.where(np.isinf(scores), 0.0, scores)
    if settings["aggregation"] is None:
        return np.asarray(scores[:, settings["index"]])
    if settings["aggregation"] == "variance_weighted_average":
        return np.asarray((total * scores).sum(axis=1) / total.sum(axis=1))
    return np.asarray(scores.mean(axis=1))


def _auc(codes: np.ndarray, drawn: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `AUC`. The area under a ROC curve is NaN if one class is missing.

    `codes` has the shape (n, predictions). A code is twice the number of thresholds below the
    prediction, plus one if the prediction should be positive. `drawn` has the shape (resamples, n),
    and says how much each sample counts.

    Settings: thresholds (their number), curve, labels (whether each column has its own curve).
    """
    rows = max(1, _MOST_CELLS // codes.size)
    if len(drawn) > rows:
        parts = [drawn[start : start + rows] for start in range(0, len(drawn), rows)]
        return np.concatenate([_auc(codes, part, settings) for part in parts])
    bins = 2 * (settings["thresholds"] + 1)
    curves = codes.T if settings["labels"] else codes.reshape(1, -1)
    weights = drawn if settings["labels"] else np.repeat(drawn, codes.shape[1], axis=1)
    # Each resample has its own bins.
    first = bins * np.arange(len(drawn))[:, None]
    areas = np.empty((len(drawn), len(curves)))
    for column, curve in enumerate(curves):
        places = (first + curve).ravel()
        weighted = np.bincount(places, weights.ravel(), minlength=bins * len(drawn))
        negative, positive = weighted.reshape(len(drawn), -1, 2).transpose(2, 0, 1)
        areas[:, column] = _areas(positive, negative, settings)
        if settings["curve"] == "ROC":
            # If a class is missing, Keras returns 0, which would count as the worst value.
            both = positive.any(axis=1) & negative.any(axis=1)
            areas[~both, column] = np.nan
    return np.asarray(areas.mean(axis=1))


def _areas(positive: np.ndarray, negative: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns the areas under curves, from counts between thresholds of shape (curves, bins)."""
    # Column i counts the predictions above threshold i.
    tp = positive[:, ::-1].cumsum(axis=1)[:, -2::-1]
    fp = negative[:, ::-1].cumsum(axis=1)[:, -2::-1]
    fn = positive.sum(axis=1, keepdims=True) - tp
    tn = negative.sum(axis=1, keepdims=True) - fp
    if settings["curve"] == "PR":
        return _interpolated(tp, fp, fn)
    x, y = _ratio(fp, fp + tn), _ratio(tp, tp + fn)
    heights = (y[:, :-1] + y[:, 1:]) / 2
    return np.asarray(((x[:, :-1] - x[:, 1:]) * heights).sum(axis=1))


def _interpolated(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Returns the areas under precision-recall curves, interpolated as in Davis & Goadrich 2006."""
    predicted = tp + fp
    gained = tp[:, :-1] - tp[:, 1:]
    more = np.maximum(predicted[:, :-1] - predicted[:, 1:], 0)
    slope = _ratio(gained, more)
    intercept = tp[:, 1:] - slope * predicted[:, 1:]
    both = (predicted[:, :-1] > 0) & (predicted[:, 1:] > 0)
    ratios = np.where(both, _ratio(predicted[:, :-1], predicted[:, 1:]), 1.0)
    logarithms = np.log(np.where(ratios > 0, ratios, 1.0))
    areas = _ratio(slope * (gained + intercept * logarithms), tp[:, 1:] + fn[:, 1:])
    return np.asarray(areas.sum(axis=1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Returns a quotient, or 0 where the divisor is 0."""
    return np.asarray(
        np.divide(above, below, out=np.zeros_like(above, np.float64), where=below != 0)
    )


# Each function takes the sums of values, of shape (resamples, ...), the sums of weights, of shape
# (resamples,), and the settings.
_OF_SUMS: Final[Mapping[str, Callable[[np.ndarray, np.ndarray, Settings], np.ndarray]]] = {
    "precision": _share,
    "recall": _share,
    "f_beta": _f_beta,
    "r2": _r2,
}
