"""The scores of samples after one epoch, and the objective of any resample of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

ScoreKind = Literal["mean", "root_mean"]


@dataclass(frozen=True, eq=False)
class SampleScores:
    """The objective of each sample of a part of the data, after one epoch.

    Attributes:
        metric: The objective's metric, such as ``"val_accuracy"``.
        kind: How the objective follows from the samples: ``"mean"`` of `values`; ``"root_mean"``,
            its square root, as for `RootMeanSquaredError`.
        values: Shape (n,): of each sample, 0 or 1 for an accuracy, or its loss.
        epoch: The epoch, counted from 1.
        weights: Sample weights of shape (n,), or None.
        constant: Added to the mean, such as penalties of regularizers in ``val_loss``.
    """

    metric: str
    kind: ScoreKind
    values: np.ndarray
    epoch: int
    weights: np.ndarray | None = None
    constant: float = 0.0

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
            Shape (resamples,); NaN where no sample was drawn.
        """
        values = np.asarray(self.values, np.float64)
        weights = np.ones(len(self)) if self.weights is None else np.asarray(self.weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = counts @ (weights * values) / (counts @ weights)
        means = means + self.constant
        return np.asarray(np.sqrt(means) if self.kind == "root_mean" else means)
