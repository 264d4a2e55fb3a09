"""Bootstrap resamples of a part of the data, in blocks that fit in memory."""

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
