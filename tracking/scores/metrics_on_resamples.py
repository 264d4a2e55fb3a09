"""Keras metrics that are not a mean over samples (AUC, F1, R2, …), computed on resamples.

The functions compute the same values as Keras 3.15, with double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

Settings = Mapping[str, Any]
# `auc` handles at most this many predictions at once, so that its arrays take about 64 MiB.
_MOST_CELLS = 1 << 22


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


def auc(codes: np.ndarray, drawn: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `AUC`, the area under a ROC curve. It is NaN if one class is missing.

    `codes` has the shape (n, predictions). A code is twice the number of thresholds below the
    prediction, plus one if the prediction should be positive. `drawn` has the shape (resamples, n).
    An entry says how often a resample drew a sample, times the sample's weight.

    Settings: thresholds (the number of thresholds).
    """
    rows = max(1, _MOST_CELLS // codes.size)
    if len(drawn) > rows:
        parts = [drawn[start : start + rows] for start in range(0, len(drawn), rows)]
        return np.concatenate([auc(codes, part, settings) for part in parts])
    bins = 2 * (settings["thresholds"] + 1)
    # Each resample has its own bins, so that one call of `bincount` counts all resamples.
    places = bins * np.arange(len(drawn))[:, None] + codes.reshape(1, -1)
    weights = np.repeat(drawn, codes.shape[1], axis=1)
    weighted = np.bincount(places.ravel(), weights.ravel(), minlength=bins * len(drawn))
    negative, positive = weighted.reshape(len(drawn), -1, 2).transpose(2, 0, 1)
    # If a class is missing, Keras returns 0, which would count as the worst value. NaN is ignored.
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
OF_SUMS: Final[Mapping[str, Callable[[np.ndarray, np.ndarray, Settings], np.ndarray]]] = {
    "precision": _share,
    "recall": _share,
    "f_beta": _f_beta,
    "r2": _r2,
}
