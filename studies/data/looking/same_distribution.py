"""Do two parts come from the same distribution? A classifier two-sample test.

A classifier learns to say which part a sample is from. On samples that it was not trained on it can
be right more often than by chance only if the parts differ. Lopez-Paz and Oquab, "Revisiting
Classifier Two-Sample Tests", ICLR 2017: https://arxiv.org/abs/1610.06545

The classifier is kernel ridge regression on the labels 1 and -1, cross-fitted: the better of a weak
and a strong ridge. Its predictions are a fixed matrix times the labels. So the labels can be
shuffled hundreds of times without another training, and the p-value is exact: the share of
shuffled labels that do as well.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_SAMPLES = 500
"""Of each part: more take time, and differences too small for these hardly matter."""
_FOLDS = 5
_SHUFFLED = 499
# A weak one finds differences of many features together, a strong one those of a few.
_RIDGES = (1.0, 30.0)


class Told(NamedTuple):
    """How often a classifier is right, 0.5 is chance; and how often chance does as well."""

    accuracy: float
    p: float


def told_apart(first: np.ndarray, second: np.ndarray, seed: int = 0) -> Told:
    """Returns how well a classifier tells two samples apart.

    Args:
        first: Finite numbers of shape (n, features), n at least 10.
        second: As many samples.
        seed: What the labels are shuffled with.
    """
    random = np.random.default_rng(seed)
    pooled = _scores_of_ranks(np.concatenate([first, second]))
    labels = np.repeat([1.0, -1.0], [len(first), len(second)])
    # The folds must not depend on the labels, or the p-value were not exact.
    folds = random.permutation(len(labels)) % _FOLDS
    shuffled = np.stack([labels, *(random.permutation(labels) for _ in range(_SHUFFLED))], axis=1)
    kernel = _kernel(pooled)
    right = np.zeros((len(_RIDGES), shuffled.shape[1]))
    for fold in range(_FOLDS):
        out, rest = folds == fold, folds != fold
        known = shuffled[rest] - shuffled[rest].mean(axis=0)
        for place, ridge in enumerate(_RIDGES):
            inner = kernel[np.ix_(rest, rest)] + ridge * np.eye(int(rest.sum()))
            weights = np.linalg.solve(inner, kernel[np.ix_(rest, out)]).T
            right[place] += (weights @ known * shuffled[out] > 0).sum(axis=0)
    # Of each way to label the samples the better one, so that the true labels are no exception.
    accuracies = right.max(axis=0) / len(labels)
    return Told(float(accuracies[0]), float((accuracies >= accuracies[0]).mean()))


def _scores_of_ranks(pooled: np.ndarray) -> np.ndarray:
    """Returns each feature as normal scores of its ranks, so that no value stands out."""
    from scipy.stats import norm, rankdata

    varying = pooled[:, (pooled != pooled[:1]).any(axis=0)]
    ranks = rankdata(varying, axis=0)
    scores: np.ndarray = norm.ppf(ranks / (len(pooled) + 1))
    return scores


def _kernel(scores: np.ndarray) -> np.ndarray:
    """Returns how alike samples are: by their features, these squared, and as a whole."""
    if not scores.shape[1]:
        return np.zeros((len(scores), len(scores)))
    wide = np.concatenate([scores, scores**2], axis=1)
    wide -= wide.mean(axis=0)
    linear = wide @ wide.T
    lengths = (scores**2).sum(axis=1)
    distances = np.maximum(lengths[:, None] + lengths - 2 * scores @ scores.T, 0)
    usual = float(np.median(distances)) or 1.0
    alike: np.ndarray = linear / max(np.trace(linear) / len(linear), 1e-12)
    alike += np.exp(-distances / usual)
    return alike
