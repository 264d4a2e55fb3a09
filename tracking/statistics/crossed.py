"""The variance of a mean over seeds and samples, and the interval that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search_spaces.errors import StatisticsError


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
