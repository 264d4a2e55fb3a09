"""Resamples of a part of the data, in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Numbers in a block: 16 MiB of float32, twice as much while samples are drawn.
BLOCK = 1 << 22


def resample_counts(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draws groups of samples with replacement, as many as there are, again and again.

    B. Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979. Of
    samples that depend on each other the groups are what is drawn: A. C. Davison and D. V. Hinkley,
    Bootstrap methods and their application, 1997, ch. 3.8.

    Args:
        groups: Shape (samples,): the group of each sample, counted from 0; `SampleScores.places`.
        resamples: How many resamples, at least 1.
        seed: Seed of the draws; the same seed gives the same draws.

    Yields:
        Arrays of shape (rows, samples) and type float32, `resamples` rows in all: how often each
        sample was drawn.
    """
    generator, count = np.random.default_rng(seed), int(groups.max()) + 1
    rows = max(1, BLOCK // len(groups))
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, count, (min(rows, resamples - start), count))
        drawn += count * np.arange(len(drawn))[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield counts.astype(np.float32)[:, groups]


def counts_without_tenths(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Leaves out a tenth of the groups, each tenth in turn, of one random order after another.

    Args:
        groups: As of `resample_counts`; at least 10.
        resamples: How many resamples, rounded up to tens.
        seed: Seed of the orders.

    Yields:
        As `resample_counts` does, ten rows at a time: 0 for a sample that is left out, 1 for any
        other.
    """
    generator, count = np.random.default_rng([seed, 10]), int(groups.max()) + 1
    for _ in range(0, resamples, 10):
        counts = np.ones((10, count), np.float32)
        for row, tenth in zip(
            counts, np.array_split(generator.permutation(count), 10), strict=True
        ):
            row[tenth] = 0
        yield counts[:, groups]
