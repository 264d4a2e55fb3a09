"""Objectives that are no mean over samples, from what their samples add up to.

Each formula is that of Keras's metric of the same name (`keras.metrics`, Keras 3.15), with sums in
double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

Settings = Mapping[str, Any]
# Predictions that are counted at once: 32 MiB of places, as much of weights.
_MOST_CELLS = 1 << 22
_Formula = Callable[[np.ndarray, np.ndarray, Settings], np.ndarray]


def precision(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns `Precision`; of samples: true positives, false positives."""
    return _ratio(sums[:, 0], sums[:, 0] + sums[:, 1])


def recall(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns `Recall`; of samples: true positives, false negatives."""
    return _ratio(sums[:, 0], sums[:, 0] + sums[:, 1])


def f_beta(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns `FBetaScore`, or `F1Score`.

    Of samples: true positives, false positives and false negatives of each class.

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


def r2(sums: np.ndarray, totals: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns `R2Score`.

    Of samples, for each output: the target (less a number that is the same for all samples), its
    square, and the squared error.

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


def auc(codes: np.ndarray, drawn: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns `AUC`, from predictions in the bins between its thresholds.

    NaN for a ROC curve of one class alone.

    Args:
        codes: Shape (n, predictions): of each prediction, twice the number of thresholds below it,
            and one more if it should be positive.
        drawn: Shape (resamples, n): how much each sample counts.
        settings: Thresholds (their number), curve, labels (whether each column has a curve of its
            own).
    """
    rows = max(1, _MOST_CELLS // codes.size)
    if len(drawn) > rows:
        parts = [drawn[start : start + rows] for start in range(0, len(drawn), rows)]
        return np.concatenate([auc(codes, part, settings) for part in parts])
    bins = 2 * (settings["thresholds"] + 1)
    curves = codes.T if settings["labels"] else codes.reshape(1, -1)
    weights = drawn if settings["labels"] else np.repeat(drawn, codes.shape[1], axis=1)
    # Bins of its own for each resample.
    first = bins * np.arange(len(drawn))[:, None]
    found = np.empty((len(drawn), len(curves)))
    for column, curve in enumerate(curves):
        places = (first + curve).ravel()
        counted = np.bincount(places, weights.ravel(), minlength=bins * len(drawn))
        negative, positive = counted.reshape(len(drawn), -1, 2).transpose(2, 0, 1)
        found[:, column] = _areas(positive, negative, settings)
        if settings["curve"] == "ROC":
            # Keras says 0 where a class is missing.
            both = positive.any(axis=1) & negative.any(axis=1)
            found[~both, column] = np.nan
    return np.asarray(found.mean(axis=1))


def _areas(positive: np.ndarray, negative: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns the areas under curves, by the counts between thresholds: shape (curves, bins)."""
    # Above the first threshold, above the second, and so on.
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
    """Returns areas under precision-recall curves, interpolated as Davis & Goadrich 2006."""
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
    """Returns a quotient, 0 where it would divide by 0."""
    return np.asarray(
        np.divide(above, below, out=np.zeros_like(above, np.float64), where=below != 0)
    )


OF_SUMS: Final[Mapping[str, _Formula]] = {
    "precision": precision,
    "recall": recall,
    "f_beta": f_beta,
    "r2": r2,
}
"""By kind: from sums of shape (resamples, ...) and the weights' sums, of shape (resamples,)."""
