"""The scores of samples after one epoch, and the objective of any resample of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tracking.records.studies import Direction
from tracking.scores.formulas import OF_SUMS, auc

ScoreKind = Literal["mean", "root_mean", "precision", "recall", "f_beta", "r2", "auc", "average"]

# Pseudo-values of more groups are of several together.
_MOST_PSEUDO_VALUES = 1000


@dataclass(frozen=True, eq=False)
class SampleScores:
    """The objective of each sample of a part of the data, after one epoch.

    Attributes:
        metric: The objective's metric, such as ``"val_accuracy"``.
        kind: How the objective follows from the samples: ``"mean"`` of `values`; ``"root_mean"``,
            its square root, as for `RootMeanSquaredError`; ``"average"`` of the objectives of
            several trainings, see `average`; others by a formula of `tracking.scores.formulas`.
        values: Shape (n,): of each sample, 0 or 1 for an accuracy, or its loss. Of other kinds
            (n, ...), as their formulas say.
        epoch: The epoch, counted from 1.
        weights: Sample weights of shape (n,), or None.
        constant: Added to the mean, such as penalties of regularizers in ``val_loss``.
        settings: Settings of the formula.
        members: The trainings, or the folds, whose scores these are made of.
        groups: Shape (n,): whole numbers, equal for samples that aren't independent: those of a
            group, such as a patient, or copies of a sample. None: all are independent.
    """

    metric: str
    kind: ScoreKind
    values: np.ndarray
    epoch: int
    weights: np.ndarray | None = None
    constant: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[SampleScores, ...] = ()
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(self.values)

    @property
    def places(self) -> np.ndarray:
        """The group of each sample, counted from 0; without groups, the place of the sample."""
        if self.groups is None:
            return np.arange(len(self))
        return np.unique(self.groups, return_inverse=True)[1]

    @property
    def weights_or_ones(self) -> np.ndarray:
        """The weight of each sample, 1 where none is given; of shape (n,)."""
        return np.ones(len(self)) if self.weights is None else np.asarray(self.weights, np.float64)

    @property
    def value(self) -> float:
        """The objective on all samples."""
        return float(self.of_resamples(np.ones((1, len(self)), np.float32))[0])

    @property
    def is_hits(self) -> bool:
        """Whether each sample is right or wrong, in each training: zeros and ones."""
        if self.members:
            return all(member.is_hits for member in self.members)
        zeros_and_ones = bool(np.isin(self.values, (0, 1)).all())
        return self.kind == "mean" and self.constant == 0 and zeros_and_ones

    @property
    def fewest(self) -> float:
        """How many independent samples these are worth at least, whatever their scores.

        Of groups that agree within, as many as there are groups; of samples with weights, as many
        as vary like them (L. Kish, Survey sampling, 1965, ch. 8). Of an area under a ROC curve, as
        many as there are in the smaller class (Z. W. Birnbaum and O. M. Klose, Bounds for the
        variance of the Mann-Whitney statistic, Annals of Mathematical Statistics 28, 1957).
        """
        if self.kind == "average":
            return self.members[0].fewest
        weights = self.weights_or_ones
        if self.kind == "mean":
            return _as_many(by_group(weights, self.groups))
        values = np.asarray(self.values).reshape(len(self), -1)
        if self.kind == "auc":
            positive = (values & 1).mean(axis=1)
            classes = [weights * positive, weights * (1 - positive)]
        else:
            # The samples that the formula counts, such as the true positives of a recall.
            classes = [weights * values.any(axis=1)]
        return min(_as_many(by_group(each, self.groups)) for each in classes)

    @property
    def most(self) -> float:
        """How many independent samples these are worth at most."""
        if self.kind == "average":
            return self.members[0].most
        if not self.is_hits and self.kind == "mean":
            return math.inf
        return _as_many(self.weights_or_ones)

    def is_share(self, direction: Direction) -> bool:
        """Whether the objective lies between 0 and 1: an accuracy, an area under a curve."""
        if self.kind == "average":
            return all(member.is_share(direction) for member in self.members)
        if self.kind == "mean" and direction == "max":
            low, high = np.min(self.values), np.max(self.values)
            return bool(low >= 0 and high <= 1 and self.constant == 0)
        return self.kind in {"auc", "precision", "recall", "f_beta"} or self.is_hits

    @property
    def is_nonnegative(self) -> bool:
        """Whether the objective can't be below 0, as its samples are not."""
        if self.members:
            return all(member.is_nonnegative for member in self.members)
        return self.constant >= 0 and bool(np.min(self.values) >= 0)

    def of_resamples(self, counts: np.ndarray) -> np.ndarray:
        """Returns the objective on resamples.

        Args:
            counts: Shape (resamples, n): how often each sample was drawn.

        Returns:
            Shape (resamples,); NaN where no sample was drawn, at least of a mean.
        """
        if self.kind == "average":
            return np.asarray(np.mean([each.of_resamples(counts) for each in self.members], 0))
        weights = self.weights_or_ones
        if self.kind == "auc":
            return auc(self.values, counts * weights, self.settings)
        values = np.asarray(self.values, np.float64)
        if self.kind in OF_SUMS:
            flat = weights[:, None] * values.reshape(len(self), -1)
            sums = (counts @ flat).reshape(len(counts), *values.shape[1:])
            with np.errstate(invalid="ignore", divide="ignore"):
                return OF_SUMS[self.kind](sums, counts @ weights, self.settings)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = counts @ (weights * values) / (counts @ weights)
        means = means + self.constant
        return np.asarray(np.sqrt(means) if self.kind == "root_mean" else means)


def average(scores: Sequence[SampleScores]) -> SampleScores:
    """Returns the scores of a trial that was trained several times: its value is their mean.

    Args:
        scores: Of its trainings, at least one; of the same samples.

    Returns:
        Scores of the kind ``"mean"`` if the trainings' are, with the means of their values; else of
        the kind ``"average"``, with the first one's values. The epoch is the first training's.
    """
    first, members = scores[0], tuple(scores)
    if len(scores) == 1:
        return first
    if any(each.kind != "mean" for each in scores):
        return dataclasses.replace(first, kind="average", members=members)
    values = np.mean([np.asarray(each.values, np.float64) for each in scores], axis=0)
    constant = float(np.mean([each.constant for each in scores]))
    return dataclasses.replace(first, values=values, constant=constant, members=members)


def score_matrix(scores: Sequence[SampleScores]) -> np.ndarray:
    """Returns scores under several seeds as one array, whose means are the objectives.

    Each column is of an independent group of samples, mostly of one sample; of many samples that
    are no plain mean, of up to 1,000 groups. An objective that is a mean has what each group adds
    to it (W. G. Cochran, Sampling techniques, 1977, ch. 6: the variance is that of a ratio, and
    heavy samples that score as all others do add nothing to it). Any other has the jackknife's
    pseudo-values, n·v - (n - 1)·v₋ᵢ, whose mean has the objective's variance: J. Tukey, Bias and
    confidence in not-quite large samples, Annals of Mathematical Statistics 29, 1958.

    Args:
        scores: Those of each seed, of the same samples.

    Returns:
        Shape (seeds, groups).
    """
    return np.stack([_as_means(each) for each in scores])


def _as_means(scores: SampleScores) -> np.ndarray:
    if scores.kind == "mean":
        values, weights = np.asarray(scores.values, np.float64), scores.weights_or_ones
        mean = np.average(values, weights=weights)
        added = by_group((values - mean) * (weights / weights.mean()), scores.groups)
        return np.asarray(mean + scores.constant + added * (len(added) / len(values)))
    places = scores.places
    groups = min(int(places.max()) + 1, _MOST_PSEUDO_VALUES)
    left_out = places * groups // (int(places.max()) + 1)
    whole, found = scores.value, np.empty(groups)
    for start in range(0, groups, 100):
        block = np.arange(start, min(start + 100, groups))
        counts = (left_out[None, :] != block[:, None]).astype(np.float32)
        found[block] = groups * whole - (groups - 1) * scores.of_resamples(counts)
    return found


def by_group(values: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Returns the sum of the samples' values of each group."""
    if groups is None:
        return values
    return np.bincount(np.unique(groups, return_inverse=True)[1], values)


def _as_many(weights: np.ndarray) -> float:
    """Returns how many samples of equal weights have a mean that varies as much."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0
