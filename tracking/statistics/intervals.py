"""Confidence intervals of values, of gains, and of differences.

`crossed` computes the variance of a mean over seeds and samples. From this variance,
`crossed_share` (for accuracies and other shares), `loss_interval` and `gain` compute intervals. The
samples must not have been used to choose the model. For example, they are the samples of the test
part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np

from search_spaces.errors import StatisticsError
from tracking.records import Direction, Interval
from tracking.statistics.sample_scores_and_resamples import resample_counts

# If v * (1 - v) is below this number, the share v counts as 0 or 1: all samples agree.
_AGREED = 1e-9
# `crossed_share` adds half a group of samples that all agree, so that its intervals are not too
# narrow.
_AGREEING = 0.5
_RESAMPLES = 2000
# `heavy_tails` warns if one sample has more than this share of the sum of squared deviations.
_HEAVY = 0.4
# If losses may be negative, `loss_interval` uses a log scale only if the mean loss is more than
# this many standard errors.
_FAR = 4
# `loss_interval` refuses an interval that reaches beyond this many times the value.
_MOST_TIMES = 100


@dataclass(frozen=True)
class Crossed:
    """A mean over seeds and samples. Its variance has two parts: `of_seeds` and `of_samples`."""

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
        """The degrees of freedom of `variance`.

        F. E. Satterthwaite, An approximate distribution of estimates of variance components,
        Biometrics Bulletin 2, 1946.
        """
        if self.variance == 0:
            return float(self.samples - 1)
        # The parts are divided by the variance, since the squares of small variances would
        # underflow to 0.
        seeds, samples = self.of_seeds / self.variance, self.of_samples / self.variance
        of_seeds = seeds**2 / (self.seeds - 1) if self.seeds > 1 else 0.0
        return 1 / (of_seeds + samples**2 / (self.samples - 1))

    def quantile(self, level: float) -> float:
        """Returns half the width of the mean's confidence interval, in standard errors."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, (1 + level) / 2))


def crossed(values: np.ndarray) -> Crossed:
    """Returns the mean of values under several seeds on the same samples, and its variance.

    For R seeds and n samples, the variance is S²_seed / R + S²_sample / n. S²_seed is the variance
    of the seeds' means, and S²_sample the variance of the samples' means. S²_seed / R alone would
    be far too small, as samples cause most of the variance in most studies: X. Bouthillier et al.,
    Accounting for variance in machine learning benchmarks, MLSys 2021. The sum is slightly too
    large, as the interaction of seeds and samples is in both parts.

    `values` has the shape (seeds, samples), with at least 2 samples. With one seed, S²_seed is 0,
    and the mean is that of one model.
    """
    values = _checked(values)
    seeds, samples = values.shape
    return Crossed(
        mean=float(values.mean()),
        of_seeds=float(values.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0,
        of_samples=float(values.mean(axis=0).var(ddof=1)) / samples,
        seeds=seeds,
        samples=samples,
    )


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise StatisticsError(
            f"an interval needs the scores of at least 2 samples, not an array of shape "
            f"{values.shape}"
        )
    if not np.isfinite(values).all():
        raise StatisticsError("an interval needs scores that are numbers, not NaN or infinite")
    return values


def share_bounds(
    low: float, high: float, samples: float, *, level: float = 0.95, freedom: float = math.inf
) -> tuple[float, float]:
    """Returns the Clopper-Pearson bounds of a share, such as an accuracy.

    The bounds differ even if all samples agree, and stay between 0 and 1. C. J. Clopper and E. S.
    Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26, 1934. The result has the lower bound of the share `low`, and the upper bound of
    the share `high`. If there is one estimate, `low` and `high` are the same share.

    `samples` is the effective sample size: the number of independent samples whose share would vary
    as much as the estimated share. It may be a fraction, so the bounds also hold for weighted or
    grouped samples: E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data, Survey Methodology 24, 1998. If
    `samples` was computed from a variance, `freedom` is the degrees of freedom of this variance.
    """
    from scipy.special import betaincinv, stdtrit

    tail = (1 - level) / 2
    if math.isfinite(freedom):
        samples *= float((stdtrit(math.inf, tail) / stdtrit(freedom, tail)) ** 2)
    hits, misses = samples * low, samples * (1 - high)
    below = betaincinv(hits, samples - hits + 1, tail) if hits > 0 else 0.0
    above = betaincinv(samples - misses + 1, misses, 1 - tail) if misses > 0 else 1.0
    return min(float(below), low), max(float(above), high)


def independent_samples(
    values: np.ndarray, variances: np.ndarray, fewest: float, most: float
) -> float:
    """Returns the effective sample size of models' shares, such as accuracies, on the same samples.

    This is the number of independent samples whose shares would vary as much as these. `values`
    has the share of each model, and `variances` the variance of each share. Variances are summed
    over the models, because the variance of a model without errors is 0, which says nothing about
    the samples. The result is at least `fewest` and at most `most`, which `SampleScores` explains.
    """
    variance = float(np.sum(variances))
    spread = float(np.sum(np.asarray(values) * (1 - np.asarray(values))))
    # If all samples agree, the spread may not be exactly 0, because of rounding errors.
    if variance <= 0 or spread < _AGREED:
        return fewest
    return min(max(spread / variance, fewest), most)


def crossed_share(
    values: np.ndarray, value: float, *, fewest: float, most: float, level: float = 0.95
) -> Interval:
    """Returns the expected share, such as an accuracy, on new data under new seeds.

    A few groups say little about how much groups differ. So half a group of samples that all agree
    is added. In simulated studies with 12 groups, 86 to 96 % of the intervals contained the truth
    without this half group, and 92 to 100 % with it. With many groups, the half group hardly
    matters.

    `values` has the shape (seeds, samples). The samples must not have been used to choose the
    model. `value` is the mean of the seeds' shares.
    """
    mean = crossed(values)
    samples = independent_samples(np.array(value), np.array(mean.of_samples), fewest, most)
    spread = value * (1 - value)
    if spread > _AGREED:
        of_samples = spread / samples
        of_samples += _AGREEING * (spread / fewest - of_samples) / fewest
        # More samples do not reduce the variance between seeds. So the variance between seeds is
        # added to the variance between samples.
        samples = spread / (of_samples + mean.of_seeds)
    low, high = share_bounds(value, value, samples, level=level, freedom=mean.freedom)
    return Interval(value, low, high, level)


def loss_interval(
    values: np.ndarray,
    *,
    nonnegative: bool = False,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Returns the expected loss of a configuration on new data and under new seeds.

    Losses are skewed: a few samples have much of the sum. So the interval is a bootstrap-t on a log
    scale. Each resample draws samples with replacement, and adds normal noise with the variance
    between seeds. The deviation of the resample's mean from the mean loss is divided by the
    resample's standard error. The quantiles of these quotients replace the quantiles of Student's
    t: B. Efron and R. Tibshirani, An introduction to the bootstrap, 1993, ch. 12; P. Hall,
    Theoretical comparison of bootstrap confidence intervals, Annals of Statistics 16, 1988. If a
    loss may be negative and the mean is near 0, the scale is linear.

    `values` has the shape (seeds, samples). The samples must not have been used to choose the
    configuration. If `nonnegative` is true, the mean can't be below 0. Single values may still be
    negative, as the pseudo-values of `score_matrix` may be.
    """
    mean = crossed(values)
    if mean.variance == 0:
        raise StatisticsError("all samples have the same loss, so the interval has no width")
    error = math.sqrt(mean.variance)
    on_log = mean.mean > (0 if nonnegative else _FAR * error)
    per_sample = np.asarray(values, np.float64).mean(axis=0)
    centred = per_sample - mean.mean
    generator = np.random.default_rng([seed, 1])
    # With one seed, `of_seeds` is 0, whatever the degrees of freedom are.
    freedom = max(mean.seeds - 1, 1)
    deviations = []
    for counts in resample_counts(np.arange(mean.samples), resamples, seed):
        rows = len(counts)
        shifts = counts @ centred / mean.samples
        squares = counts @ centred**2 / mean.samples - shifts**2
        of_samples = squares / (mean.samples - 1)
        of_seeds = mean.of_seeds * generator.chisquare(freedom, rows) / freedom
        means = mean.mean + shifts + math.sqrt(mean.of_seeds) * generator.standard_normal(rows)
        errors = np.sqrt(np.maximum(of_samples, 0) + of_seeds)
        with np.errstate(invalid="ignore", divide="ignore"):
            if on_log:
                deviations.append((np.log(means) - math.log(mean.mean)) / (errors / means))
            else:
                deviations.append((means - mean.mean) / errors)
    studentized = np.concatenate(deviations)
    studentized = studentized[np.isfinite(studentized)]
    low, high = np.quantile(studentized, [(1 - level) / 2, (1 + level) / 2])
    if on_log:
        logs = [-bound * error / mean.mean for bound in (high, low)]
        if logs[1] > math.log(_MOST_TIMES):
            raise StatisticsError(
                "a few samples have nearly all of the loss, so the interval would reach beyond "
                f"{_MOST_TIMES} times the value"
            )
        bounds = [mean.mean * math.exp(log) for log in logs]
    else:
        bounds = [mean.mean - bound * error for bound in (high, low)]
    return Interval(mean.mean, min(bounds[0], mean.mean), max(bounds[1], mean.mean), level)


def heavy_tails(values: np.ndarray) -> str:
    """Returns a warning if one sample decides the mean loss, or an empty text.

    If one very large loss decides the mean, new data may contain an even larger loss, so their mean
    may lie outside of the interval. In simulations with 360 samples, 94 to 95 % of the intervals of
    `loss_interval` contained the true mean for exponential losses and cross-entropies, but only 71
    % for losses from a log-normal distribution of spread 3. The warning appears if one sample has
    more than two fifths of the sum of squared deviations.
    """
    per_sample = _checked(values).mean(axis=0)
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
    """Returns the winner's gain over the defaults. It is above 0 if the winner is better.

    The winner and the defaults were trained under the same seeds and scored on the same samples, so
    the differences of their scores vary less than the scores. The interval is Student's, with the
    variance that `crossed` computes from the differences.

    Hits are scores of 1 (right) or 0 (wrong). For hits, two samples are added: one that only the
    winner has right, and one that only the defaults have right. Without these samples, the interval
    would have no width if the models agree everywhere. D. G. Bonett and R. M. Price, Adjusted Wald
    confidence interval for a difference of binomial proportions based on paired data, Journal of
    Educational and Behavioral Statistics 37, 2012.

    `winner` and `default` have the shape (seeds, columns). A column is a sample, or a group of
    samples. `hits` is the number of samples if the scores are hits, else 0.
    """
    winner, default = np.asarray(winner, np.float64), np.asarray(default, np.float64)
    differences = winner - default if direction == "max" else default - winner
    value = float(differences.mean())
    if hits:
        seeds, columns = differences.shape
        added = np.tile([columns / hits, -columns / hits], (seeds, 1))
        differences = np.concatenate([differences, added], axis=1)
    mean = crossed(differences)
    if mean.variance == 0:
        raise StatisticsError("the gain is the same on all samples, so its interval has no width")
    half = mean.quantile(level) * math.sqrt(mean.variance)
    low, high = min(mean.mean - half, value), max(mean.mean + half, value)
    if hits:
        low, high = max(low, -1.0), min(high, 1.0)
    return Interval(value, low, high, level)


def difference_of_means(
    one: Sequence[float], other: Sequence[float], pairs: int = 1, level: float = 0.95
) -> Interval | None:
    """Returns the mean of `one` minus the mean of `other`, with its interval.

    Both need at least 2 values. The method is Welch's, so the variances and the numbers of values
    may differ. `pairs` is the number of pairs of means that are compared: all of their intervals
    together have the level `level`, by Bonferroni's inequality. The result is None if neither `one`
    nor `other` varies, as the interval would have no width.

    In simulated searches over 3 to 10 seeds, 94 to 99 % of the intervals contained the true
    difference of the mean best values, for losses and for accuracies. If one search had 3 seeds and
    the other 8, 92 to 94 % of the intervals contained it.
    """
    from scipy.special import stdtrit

    if len(set(one)) == len(set(other)) == 1:
        return None
    sizes = len(one), len(other)
    parts = variance(one) / len(one), variance(other) / len(other)
    freedom = sum(parts) ** 2 / sum(p**2 / (size - 1) for p, size in zip(parts, sizes, strict=True))
    half = float(stdtrit(freedom, 1 - (1 - level) / 2 / pairs)) * math.sqrt(sum(parts))
    value = fmean(one) - fmean(other)
    return Interval(value, value - half, value + half, level)


def level_of_reading(readings: int, level: float = 0.95) -> float:
    """Returns the confidence level at the r-th evaluation on the same test part: 1 - 0.05 / r.

    People who evaluate on a test part again may keep the better result. So each further interval
    gets a higher level. If r intervals have the level 1 - 0.05 / r, all of them together have at
    least the level 0.95, by Bonferroni's inequality: O. J. Dunn, Multiple comparisons among means,
    Journal of the American Statistical Association 56, 1961.

    `readings` is r. With another `level`, 1 - `level` replaces 0.05.
    """
    return 1 - (1 - level) / readings
