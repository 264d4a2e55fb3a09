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

    Settings: beta, average, epsilon. If average is None, `index` is the class whose score is
    returned.
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

    A sample has three values for each output: the target, the square of the target, and the squared
    error. The targets of all samples may be shifted by the same number, since that does not change
    R2.

    Settings: aggregation. If it is None, `index` is the output whose score is returned.
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


def auc(codes: np.ndarray, drawn: np.ndarray, settings: Settings) -> np.ndarray:
    """Computes `AUC`. The area under a ROC curve is NaN if one class is missing.

    `codes` has the shape (n, predictions). A code is twice the number of thresholds below the
    prediction, plus one if the prediction should be positive. `drawn` has the shape (resamples, n).
    An entry says how often a resample drew a sample, times the sample's weight.

    Settings: thresholds (the number of thresholds), curve ("ROC" or "PR"), labels (whether each
    column of predictions has its own curve).
    """
    rows = max(1, _MOST_CELLS // codes.size)
    if len(drawn) > rows:
        parts = [drawn[start : start + rows] for start in range(0, len(drawn), rows)]
        return np.concatenate([auc(codes, part, settings) for part in parts])
    bins = 2 * (settings["thresholds"] + 1)
    curves = codes.T if settings["labels"] else codes.reshape(1, -1)
    weights = drawn if settings["labels"] else np.repeat(drawn, codes.shape[1], axis=1)
    # Each resample has its own bins, so that one call of `bincount` counts all resamples.
    first = bins * np.arange(len(drawn))[:, None]
    areas = np.empty((len(drawn), len(curves)))
    for column, curve in enumerate(curves):
        places = (first + curve).ravel()
        weighted = np.bincount(places, weights.ravel(), minlength=bins * len(drawn))
        negative, positive = weighted.reshape(len(drawn), -1, 2).transpose(2, 0, 1)
        areas[:, column] = _areas(positive, negative, settings)
        if settings["curve"] == "ROC":
            # If a class is missing, Keras returns 0, which would count as the worst value. NaN is
            # ignored.
            both = positive.any(axis=1) & negative.any(axis=1)
            areas[~both, column] = np.nan
    return np.asarray(areas.mean(axis=1))


def _areas(positive: np.ndarray, negative: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns the areas under curves.

    `positive` and `negative` have the shape (curves, bins). They count the predictions between two
    neighbouring thresholds, by the class of the target.
    """
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
    """Returns the areas under precision-recall curves, interpolated as by Davis & Goadrich 2006."""
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


# Each of these functions takes two sums over the samples of a resample: the sum of the values, of
# shape (resamples, ...), and the sum of the weights, of shape (resamples,).
OF_SUMS: Final[Mapping[str, Callable[[np.ndarray, np.ndarray, Settings], np.ndarray]]] = {
    "precision": _share,
    "recall": _share,
    "f_beta": _f_beta,
    "r2": _r2,
}
