"""Resamples of a part of the data, in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Numbers in a block: 16 MiB of float32, twice as much while samples are drawn.
BLOCK = 1 << 22


def resample_counts(groups: np.ndarray | int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draws groups of samples with replacement, as many as there are, again and again.

    B. Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979. Of
    samples that depend on each other the groups are what is drawn: A. C. Davison and D. V. Hinkley,
    Bootstrap methods and their application, 1997, ch. 3.8.

    Args:
        groups: Shape (samples,): the group of each sample, counted from 0; or how many samples
            there are, at least 1, each a group.
        resamples: How many resamples, at least 1.
        seed: Seed of the draws; the same seed gives the same draws.

    Yields:
        Arrays of shape (rows, samples) and type float32, `resamples` rows in all: how often each
        sample was drawn.
    """
    generator = np.random.default_rng(seed)
    places, count, rows = _placed(groups)
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, count, (min(rows, resamples - start), count))
        drawn += count * np.arange(len(drawn))[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        counts = counts.astype(np.float32)
        yield counts if places is None else counts[:, places]


def counts_without_tenths(
    groups: np.ndarray | int, resamples: int, seed: int
) -> Iterator[np.ndarray]:
    """Leaves out a tenth of the groups, each tenth in turn, of one random order after another.

    Args:
        groups: As of `resample_counts`; at least 10.
        resamples: How many resamples, rounded up to tens.
        seed: Seed of the orders.

    Yields:
        As `resample_counts` does: 0 for a sample that is left out, 1 for any other.
    """
    generator = np.random.default_rng([seed, 10])
    places, count, rows = _placed(groups)
    orders, needed = max(1, rows // 10), -(-resamples // 10)
    for start in range(0, needed, orders):
        counts = np.ones((min(orders, needed - start), 10, count), np.float32)
        for order in counts:
            for row, tenth in zip(
                order, np.array_split(generator.permutation(count), 10), strict=True
            ):
                row[tenth] = 0
        flat = counts.reshape(-1, count)
        yield flat if places is None else flat[:, places]


def _placed(groups: np.ndarray | int) -> tuple[np.ndarray | None, int, int]:
    """Returns the group of each sample, how many groups there are, and the rows of a block."""
    if isinstance(groups, int):
        return None, groups, max(1, BLOCK // groups)
    return groups, int(groups.max()) + 1, max(1, BLOCK // len(groups))
