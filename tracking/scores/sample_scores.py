"""The scores of samples after one epoch, and the objective of any resample of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tracking.scores.formulas import OF_SUMS, auc

ScoreKind = Literal["mean", "root_mean", "precision", "recall", "f_beta", "r2", "auc", "average"]


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
        members: What an average is of.
    """

    metric: str
    kind: ScoreKind
    values: np.ndarray
    epoch: int
    weights: np.ndarray | None = None
    constant: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[SampleScores, ...] = ()

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(self.values)

    @property
    def value(self) -> float:
        """The objective on all samples."""
        return float(self.of_resamples(np.ones((1, len(self)), np.float32))[0])

    def of_resamples(self, counts: np.ndarray) -> np.ndarray:
        """Returns the objective on resamples.

        Args:
            counts: Shape (resamples, n): how often each sample was drawn.

        Returns:
            Shape (resamples,); NaN where no sample was drawn, at least of a mean.
        """
        if self.kind == "average":
            return np.asarray(np.mean([each.of_resamples(counts) for each in self.members], 0))
        weights = np.ones(len(self)) if self.weights is None else np.asarray(self.weights)
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
    first = scores[0]
    if len(scores) == 1:
        return first
    if any(each.kind != "mean" for each in scores):
        return dataclasses.replace(first, kind="average", members=tuple(scores))
    values = np.mean([np.asarray(each.values, np.float64) for each in scores], axis=0)
    constant = float(np.mean([each.constant for each in scores]))
    return dataclasses.replace(first, values=values, constant=constant)
