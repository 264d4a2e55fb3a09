"""The variance of a mean over seeds and samples, and the interval that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.confirmations import Interval


@dataclass(frozen=True)
class Crossed:
    """A mean over seeds and samples, and how much it varies.

    Attributes:
        mean: Over all seeds and samples.
        of_seeds: The variance of the mean that comes of the seeds.
        of_samples: The variance of the mean that comes of the samples.
        seeds: Seeds, at least 2.
        samples: Samples, at least 2.
    """

    mean: float
    of_seeds: float
    of_samples: float
    seeds: int
    samples: int

    @property
    def variance(self) -> float:
        """The variance of the mean."""
        return self.of_seeds + self.of_samples

    @property
    def freedom(self) -> float:
        """Degrees of freedom of `variance`.

        F. E. Satterthwaite, An approximate distribution of estimates of variance components,
        Biometrics Bulletin 2, 1946.
        """
        if self.variance == 0:
            return float(self.samples - 1)
        # Shares, as squares of small variances would underflow.
        seeds, samples = self.of_seeds / self.variance, self.of_samples / self.variance
        return 1 / (seeds**2 / (self.seeds - 1) + samples**2 / (self.samples - 1))

    def quantile(self, level: float) -> float:
        """Returns how many standard errors an interval reaches to either side."""
        from scipy.special import stdtrit

        check_level(level)
        return float(stdtrit(self.freedom, (1 + level) / 2))


def crossed(values: np.ndarray) -> Crossed:
    """Returns the mean of values under several seeds on the same samples, and its variance.

    New seeds and new samples would both give another mean, so the variance adds two parts:
    S²_seed / R + S²_sample / n, of the variances of the seeds' means and of the samples' means. A
    variance over seeds alone claims far too much: the samples are the larger part in most studies.
    X. Bouthillier et al., Accounting for variance in machine learning benchmarks, MLSys 2021.
    What varies by seed and sample together is in both parts, so the sum is rather too large.

    Args:
        values: Shape (R, n): of each seed, the score of each sample.

    Raises:
        StatisticsError: If there are fewer than 2 seeds or samples, or values that are no numbers.
    """
    values = checked(values)
    seeds, samples = values.shape
    return Crossed(
        mean=float(values.mean()),
        of_seeds=float(values.mean(axis=1).var(ddof=1)) / seeds,
        of_samples=float(values.mean(axis=0).var(ddof=1)) / samples,
        seeds=seeds,
        samples=samples,
    )


def crossed_interval(values: np.ndarray, *, level: float = 0.95, accuracy: bool) -> Interval:
    """Returns the expected score of a configuration on new data and under new seeds.

    Args:
        values: Shape (R, n): of each of at least 2 fresh seeds, the score of each sample of a part
            that no choice was made on. For an accuracy, 0 or 1.
        level: See `Interval.level`: above 0, below 1.
        accuracy: Whether the scores are shares of a whole, from 0 to 1. Others are losses: see
            `tracking.statistics.losses.loss_interval`.

    Raises:
        StatisticsError: If there are too few values, values that are no numbers, or, for an
            accuracy, outside 0 to 1.
    """
    if not accuracy:
        from tracking.statistics.losses import loss_interval

        return loss_interval(values, level=level)
    found = crossed(values)
    if np.min(values) < 0 or np.max(values) > 1:
        raise StatisticsError(
            f"scores of an accuracy lie between 0 and 1, not {np.min(values):g} to "
            f"{np.max(values):g}"
        )
    low, high = wilson(found.mean, _effective_samples(found), found.quantile(level))
    return Interval(found.mean, low, high, level)


def wilson(mean: float, samples: float, quantile: float) -> tuple[float, float]:
    """Returns the bounds of a share that was `mean` of a number of samples.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of
    the American Statistical Association 22, 1927. Unlike mean ± standard error it stays between
    0 and 1, and is not empty where all samples agree.

    Args:
        mean: The share, 0 to 1.
        samples: Independent samples; may be a fraction, for those that vary as much.
        quantile: Of the normal or of Student's distribution, above 0.
    """
    spread = quantile**2 / samples
    centre = (mean + spread / 2) / (1 + spread)
    half = math.sqrt(spread * mean * (1 - mean) + spread**2 / 4) / (1 + spread)
    return max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean))


def _effective_samples(found: Crossed) -> float:
    """Returns how many independent samples would have the same variance."""
    spread = found.mean * (1 - found.mean)
    # Values cannot tell more than all of them would if they were independent.
    if spread <= found.variance * found.seeds * found.samples and found.variance > 0:
        return spread / found.variance
    # All seeds agree on all samples: as many as there are samples.
    return float(found.samples if found.variance == 0 else found.seeds * found.samples)


def checked(values: np.ndarray) -> np.ndarray:
    """Returns values of seeds and samples as float64.

    Raises:
        StatisticsError: As `crossed` does.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise StatisticsError(
            "an interval needs the scores of at least 2 samples under each of at least 2 seeds, "
            f"not an array of shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise StatisticsError("an interval needs scores that are numbers, not NaN or infinite")
    return values


def check_level(level: float) -> None:
    """Refuses a level that is no share.

    Raises:
        StatisticsError: If the level is not above 0 and below 1.
    """
    if not 0 < level < 1:
        raise StatisticsError(f"level must be above 0 and below 1, such as 0.95, not {level}")
