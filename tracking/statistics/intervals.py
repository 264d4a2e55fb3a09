"""Intervals of values, and of a gain, on samples that no choice was made on.

Of a mean over seeds and samples first (`crossed`), then of shares such as accuracies, of losses, of
a gain over the defaults; and their level after several readings of the same part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records.checks import Interval
from tracking.records.studies import Direction
from tracking.statistics.resamples import resample_counts

_AGREED = 1e-9
# Groups that are added to those of a part; see `crossed_share`.
_AGREEING = 0.5
_RESAMPLES = 2000
# See `heavy_tails`.
_HEAVY = 0.4
# Standard errors from 0, from which on the scale hardly matters.
_FAR = 4
# An interval that reaches further than this many times its value says nothing.
_MOST_TIMES = 100


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


def share_bounds(
    low: float, high: float, samples: float, *, level: float = 0.95, freedom: float = math.inf
) -> tuple[float, float]:
    """Returns the bounds of a share that lies between two estimates of it.

    C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits illustrated in the
    case of the binomial, Biometrika 26, 1934. Unlike a mean ± standard errors, or a bootstrap, it
    has a width where all samples agree, and stays between 0 and 1. It holds for weighted, grouped
    and other shares too, with the number of independent samples that would vary as much: E. L.
    Korn and B. I. Graubard, Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data, Survey Methodology 24, 1998.

    Args:
        low: The lower estimate, 0 to 1; the lower bound is below it.
        high: The higher one, which may be the same; the upper bound is above it.
        samples: Independent samples, above 0; may be a fraction, for those that vary as much.
        level: See `Interval.level`: above 0, below 1.
        freedom: Degrees of freedom of the variance that `samples` is from.
    """
    from scipy.special import stdtrit
    from scipy.stats import beta

    check_level(level)
    tail = (1 - level) / 2
    if math.isfinite(freedom):
        samples *= float((stdtrit(math.inf, tail) / stdtrit(freedom, tail)) ** 2)
    hits, misses = samples * low, samples * (1 - high)
    below = beta.ppf(tail, hits, samples - hits + 1) if hits > 0 else 0.0
    above = beta.ppf(1 - tail, samples - misses + 1, misses) if misses > 0 else 1.0
    return min(float(below), low), max(float(above), high)


def independent_samples(
    values: np.ndarray, variances: np.ndarray, fewest: float, most: float
) -> float:
    """Returns how many independent samples shares are worth.

    The number is the one with the same variance, summed over the models: a single model near 1 may
    have no error, and no variance.

    Args:
        values: Shares of one model or several, on the same samples.
        variances: The variances of these shares.
        fewest: The least that is returned; see `SampleScores.fewest`.
        most: The most.
    """
    variance = float(np.sum(variances))
    spread = float(np.sum(np.asarray(values) * (1 - np.asarray(values))))
    # Rounding leaves a little of both where all samples agree.
    if variance <= 0 or spread < _AGREED:
        return fewest
    return min(max(spread / variance, fewest), most)


def crossed_share(
    values: np.ndarray, value: float, *, fewest: float, most: float, level: float = 0.95
) -> Interval:
    """Returns the expected share of a configuration on new data and under new seeds.

    A few groups say little of how much groups differ, least of all near 1, where most are right
    throughout. So half a group more is counted, one that agrees within: without it, intervals of 12
    groups held in 86 to 96 %, with it in 92 to 100 % of simulated studies. It hardly matters where
    there are many groups, or samples.

    Args:
        values: Shape (R, n): of each of at least 2 fresh seeds, the score of each sample of a part
            that no choice was made on; see `crossed`.
        value: The mean of the seeds' shares, 0 to 1.
        fewest: See `independent_samples`.
        most: See `independent_samples`.
        level: See `Interval.level`: above 0, below 1.

    Raises:
        StatisticsError: If there are too few values, or values that are no numbers.
    """
    mean = crossed(values)
    samples = independent_samples(np.array(value), np.array(mean.of_samples), fewest, most)
    spread = value * (1 - value)
    if spread > _AGREED:
        of_samples = spread / samples
        of_samples += _AGREEING * (spread / fewest - of_samples) / fewest
        # More samples don't make seeds agree.
        samples = spread / (of_samples + mean.of_seeds)
    low, high = share_bounds(value, value, samples, level=level, freedom=mean.freedom)
    return Interval(value, low, high, level)


def loss_interval(
    values: np.ndarray,
    *,
    nonnegative: bool | None = None,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Returns the expected loss of a configuration on new data and under new seeds.

    A mean of losses is skewed: a few samples hold much of it. So the interval is a bootstrap-t on
    the log scale: each resample draws the samples with replacement, and the seeds from the normal
    distribution that their variance says; its deviation from the mean is divided by its own
    standard error, that of `crossed`; the quantiles of these take the
    place of Student's. B. Efron and R. Tibshirani, An introduction to the bootstrap, 1993, ch. 12;
    P. Hall, Theoretical comparison of bootstrap confidence intervals, Annals of Statistics 16,
    1988. Where a loss is negative and the mean near 0, the scale is their own.

    Args:
        values: Shape (R, n): of each of at least 2 fresh seeds, the loss of each sample of a part
            that no choice was made on.
        nonnegative: Whether the loss can't be below 0, though parts of its sum may be. None: if no
            value is.
        level: See `Interval.level`: above 0, below 1.
        resamples: Resamples of the bootstrap.
        seed: Their seed.

    Raises:
        StatisticsError: If there are too few values, values that are no numbers, or equal ones
            alone; if so few samples hold the loss that the interval says nothing.
    """
    check_level(level)
    values = checked(values)
    found = crossed(values)
    if found.variance == 0:
        raise StatisticsError("all samples have the same loss, so its interval has no width")
    error = math.sqrt(found.variance)
    nonnegative = bool(values.min() >= 0) if nonnegative is None else nonnegative
    on_log = found.mean > (0 if nonnegative else _FAR * error)
    per_sample = values.mean(axis=0)
    centred = per_sample - found.mean
    generator = np.random.default_rng([seed, 1])
    deviations = []
    for counts in resample_counts(np.arange(found.samples), resamples, seed):
        rows = len(counts)
        shifts = counts @ centred / found.samples
        squares = counts @ centred**2 / found.samples - shifts**2
        of_samples = squares / (found.samples - 1)
        of_seeds = found.of_seeds * generator.chisquare(found.seeds - 1, rows) / (found.seeds - 1)
        means = found.mean + shifts + math.sqrt(found.of_seeds) * generator.standard_normal(rows)
        errors = np.sqrt(np.maximum(of_samples, 0) + of_seeds)
        with np.errstate(invalid="ignore", divide="ignore"):
            if on_log:
                deviations.append((np.log(means) - math.log(found.mean)) / (errors / means))
            else:
                deviations.append((means - found.mean) / errors)
    studentized = np.concatenate(deviations)
    studentized = studentized[np.isfinite(studentized)]
    low, high = np.quantile(studentized, [(1 - level) / 2, (1 + level) / 2])
    if on_log:
        logs = [-bound * error / found.mean for bound in (high, low)]
        if logs[1] > math.log(_MOST_TIMES):
            raise StatisticsError(
                f"a few samples hold nearly all of the loss, so its interval would reach beyond "
                f"{_MOST_TIMES} times its value"
            )
        bounds = [found.mean * math.exp(log) for log in logs]
    else:
        bounds = [found.mean - bound * error for bound in (high, low)]
    return Interval(found.mean, min(bounds[0], found.mean), max(bounds[1], found.mean), level)


def heavy_tails(values: np.ndarray) -> str:
    """Returns a warning if a few samples decide a mean loss, or an empty text.

    No interval of a mean holds where the largest of many losses decides it: new data may have a
    larger one. Simulated with 360 samples, those of `loss_interval` that claim 95 % cover 94 to
    95 % for exponential losses, cross-entropies and a log-normal distribution of spread 1; but 89 %
    for spread 2, 87 % for Pareto's of tail 1.5, and 71 % for spread 3. The sign of these is that
    one sample has more than two fifths of the sum of squared deviations: seldom for the former,
    mostly for the last. Without a warning tails may still be heavy.

    Args:
        values: Shape (R, n), as for `loss_interval`.

    Raises:
        StatisticsError: As `loss_interval` does.
    """
    per_sample = checked(values).mean(axis=0)
    squares = (per_sample - per_sample.mean()) ** 2
    total = squares.sum()
    if total == 0 or squares.max() <= _HEAVY * total:
        return ""
    return (
        f"One sample, or group, has {squares.max() / total:.0%} of the variance of the loss: the "
        "interval may be too narrow, as new data may have a larger loss."
    )


def gain(
    winner: np.ndarray,
    default: np.ndarray,
    direction: Direction,
    level: float = 0.95,
    *,
    hits: int = 0,
) -> Interval:
    """Returns how much better the winner is than the defaults: above 0 is better.

    Both were trained under the same seeds and scored on the same samples, so their differences vary
    less than either: the variance is that of `crossed`, of the
    differences, and the interval Student's. About one tuned configuration in ten is worse than the
    default on new data: Overtuning in hyperparameter optimization, PMLR 293. If the interval
    holds 0, no gain is shown.

    Of hits, two samples are added, one that only the winner has right and one that only the
    defaults have: without, models that agree on all samples would have an interval without a width.
    D. G. Bonett and R. M. Price, Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data, Journal of Educational and Behavioral Statistics 37, 2012.

    Args:
        winner: Shape (R, n): of each of at least 2 seeds, the score of each sample.
        default: Shape (R, n), of the same seeds and samples.
        direction: Whether high or low scores are better.
        level: See `Interval.level`: above 0, below 1.
        hits: How many samples are each right or wrong, so that a difference is -1, 0 or 1; a column
            may be of several. 0: the scores are no hits.

    Raises:
        StatisticsError: If there are too few values, values that are no numbers, two shapes, or,
            but for hits, only equal differences.
    """
    check_level(level)
    winner, default = np.asarray(winner, np.float64), np.asarray(default, np.float64)
    if winner.shape != default.shape:
        raise StatisticsError(
            "a gain is of the same seeds and samples, but the winner has scores of shape "
            f"{winner.shape}, the defaults {default.shape}"
        )
    differences = winner - default if direction == "max" else default - winner
    value = float(differences.mean())
    if hits:
        seeds, columns = differences.shape
        added = np.tile([columns / hits, -columns / hits], (seeds, 1))
        differences = np.concatenate([differences, added], axis=1)
    mean = crossed(differences)
    if mean.variance == 0:
        raise StatisticsError("it is the same on all samples, so its interval has no width")
    half = mean.quantile(level) * math.sqrt(mean.variance)
    low, high = min(mean.mean - half, value), max(mean.mean + half, value)
    return Interval(value, max(low, -1.0) if hits else low, min(high, 1.0) if hits else high, level)


def level_of_reading(readings: int, level: float = 0.95) -> float:
    """Returns the level of the interval at a reading: 1 - 0.05 / r at the r-th.

    Who reads a test part again may keep the better of two results. With Bonferroni's inequality,
    each of r intervals is made so wide that all of them hold at `level`. O. J. Dunn, Multiple
    comparisons among means, Journal of the American Statistical Association 56, 1961.

    Args:
        readings: How often the part was read, this time included: 1 or more.
        level: The level of the first reading: above 0, below 1.

    Raises:
        StatisticsError: If there is no reading, or the level is no share.
    """
    check_level(level)
    if readings < 1:
        raise StatisticsError(f"readings must be 1 or more, not {readings}")
    return 1 - (1 - level) / readings
