"""The scores of all samples of a cross-validated trial, each from the fold that it validated."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracking.scores.sample_scores import SampleScores


@dataclass(frozen=True, eq=False)
class PooledScores(SampleScores):
    """The scores of folds one after another. The objective is the mean of theirs.

    It is made of `members`, the folds, each of its own samples. `values` only has their length.
    """

    @property
    def fewest(self) -> float:
        """See `SampleScores.fewest`: folds hold other samples each."""
        return sum(each.fewest for each in self.members)

    @property
    def most(self) -> float:
        """See `SampleScores.most`."""
        return sum(each.most for each in self.members)

    def of_resamples(self, counts: np.ndarray) -> np.ndarray:
        """See `SampleScores.of_resamples`. A fold of which no sample was drawn does not count."""
        ends = np.cumsum([len(each) for each in self.members])
        parts = np.split(counts, ends[:-1], axis=1)
        found = [each.of_resamples(part) for each, part in zip(self.members, parts, strict=True)]
        with warnings.catch_warnings():
            # Where none has a value, the mean has none.
            warnings.simplefilter("ignore", RuntimeWarning)
            return np.asarray(np.nanmean(found, axis=0))


def pooled(folds: Sequence[SampleScores]) -> SampleScores:
    """Returns the scores of a cross-validated trial after one epoch.

    The out-of-fold scores of all samples are pooled, as I. Tsamardinos, E. Greasidou and
    G. Borboudakis do for the bootstrap bias correction (Machine Learning 107, 2018).

    Args:
        folds: The scores of each fold after that epoch, each of other samples, in the order of the
            folds, which is the same for all trials.

    Returns:
        Scores of the kind ``"mean"`` if the folds' are, and the folds are of the same size (but for
        one sample); else the mean of what the folds' formulas give.
    """
    first, sizes = folds[0], [len(each) for each in folds]
    weighted = any(each.weights is not None for each in folds)
    members = tuple(folds)
    known = [each.groups for each in folds if each.groups is not None]
    groups = np.concatenate(known) if len(known) == len(folds) else None
    if {each.kind for each in folds} == {"mean"} and max(sizes) - min(sizes) <= 1 and not weighted:
        values = np.concatenate([np.asarray(each.values, np.float64) for each in folds])
        constant = float(np.mean([each.constant for each in folds]))
        return dataclasses.replace(
            first, values=values, constant=constant, members=members, groups=groups
        )
    return PooledScores(
        first.metric, "average", np.zeros(sum(sizes)), first.epoch, members=members, groups=groups
    )
