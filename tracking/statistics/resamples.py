"""Resamples of a part of the data, in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Numbers in a block of float32: 64 MiB.
BLOCK = 1 << 24


def resample_counts(samples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draws samples with replacement, as many as there are, again and again.

    B. Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979.

    Args:
        samples: How many samples the part has, at least 1.
        resamples: How many resamples, at least 1.
        seed: Seed of the draws; the same seed gives the same draws.

    Yields:
        Arrays of shape (rows, samples) and type float32, `resamples` rows in all: how often each
        sample was drawn.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, BLOCK // samples)
    for start in range(0, resamples, rows):
        counts = np.empty((min(rows, resamples - start), samples), np.float32)
        for row in counts:
            row[:] = np.bincount(generator.integers(0, samples, samples), minlength=samples)
        yield counts


def counts_without_tenths(samples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Leaves out a tenth of the samples, each tenth in turn, of one random order after another.

    Args:
        samples: How many samples the part has, at least 10.
        resamples: How many resamples, rounded up to tens.
        seed: Seed of the orders.

    Yields:
        As `resample_counts` does: 0 for a sample that is left out, 1 for any other.
    """
    generator = np.random.default_rng([seed, 10])
    orders = max(1, BLOCK // (10 * samples))
    needed = -(-resamples // 10)
    for start in range(0, needed, orders):
        counts = np.ones((min(orders, needed - start), 10, samples), np.float32)
        for order in counts:
            for row, tenth in zip(
                order, np.array_split(generator.permutation(samples), 10), strict=True
            ):
                row[tenth] = 0
        yield counts.reshape(-1, samples)
