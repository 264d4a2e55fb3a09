"""Part e: compares intervals with exact ones: few samples, values near 1, weights, AUC.

All trials of a study are equally good, so that the best one is chosen by luck alone. A model's
output for a sample is the sum of the model's skill, a part that all models share (0.7 of the
variance), a part of its configuration and a part of its seed (0.15 each). The model is right about
the sample if the sum is above 0. In some settings the seeds of `confirm` differ in skill: each is
better or worse on all samples. Nothing here shares code with the statistics that it judges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.stats
from scipy.special import ndtr, ndtri

from tracking.records import Interval
from tracking.statistics import SampleScores, confirmed_value, corrected

SHARED, OF_CONFIGURATION, OF_SEED = 0.7, 0.15, 0.15
SEEDS = 5
_THRESHOLDS = 200
# An AUC takes twenty times as long, and so gets fewer resamples.
_RESAMPLES = {"accuracy": 1000, "weighted": 1000, "auc": 300}
_CLASS_WEIGHT, _RARE = 5.0, 0.2


@dataclass(frozen=True)
class SmallSetting:
    """The size and the truth of a small study.

    Attributes:
        kind: The objective: an accuracy, one with class weights (a fifth of the samples counts five
            times), or the area under a ROC curve.
        truth: The true value of every trial.
        samples: How many validation samples there are, and how many test samples.
        trials: Trials of the study.
        positives: Share of positive samples, for an AUC.
        seeds: Standard deviation of the skill of new seeds.
    """

    kind: Literal["accuracy", "weighted", "auc"]
    truth: float
    samples: int
    trials: int = 20
    positives: float = 0.5
    seeds: float = 0.0

    @property
    def name(self) -> str:
        """Its name."""
        rare = f", {self.positives:.0%} positive" if self.kind == "auc" else ""
        differing = f", seeds differ by {self.seeds:g}" if self.seeds else ""
        return f"{self.kind} {self.truth:g}, {self.samples} x {self.trials}{rare}{differing}"


def _settings() -> Iterable[SmallSetting]:
    for trials in (8, 20):
        for samples in (20, 36, 69, 114, 300):
            for truth in (0.95, 0.98, 0.99):
                yield SmallSetting("accuracy", truth, samples, trials)
    for samples in (36, 114, 300):
        for truth in (0.9, 0.95, 0.99):
            yield SmallSetting("weighted", truth, samples)
    for samples, positives in ((60, 0.5), (300, 0.1)):
        for truth in (0.8, 0.9, 0.95):
            yield SmallSetting("auc", truth, samples, positives=positives)
    for samples in (300, 10_000):
        for seeds in (0.05, 0.1):
            yield SmallSetting("accuracy", 0.9, samples, trials=8, seeds=seeds)


SMALL_SETTINGS = tuple(_settings())


def small_studies(setting: SmallSetting, studies: int, first: int = 0) -> dict[str, Any]:
    """Simulates studies; returns how many intervals contain the truth, and their widths.

    Args:
        setting: The setting.
        studies: How many studies.
        first: The number of the first study; each study has its own samples.

    Returns:
        "setting", "studies"; by "corrected" and "confirmed": "held", how many intervals contain
        the truth; "width", their mean width divided by that of an exact interval of one model that
        nobody chose; "narrowest", the least width; "outside", how many reach beyond 0 or 1.
    """
    intervals_by_kind: dict[str, list[Interval]] = {"corrected": [], "confirmed": []}
    exact: list[float] = []
    for number in range(first, first + studies):
        random = np.random.default_rng([number, setting.samples, setting.trials, 5])
        part = _Part(setting, random)
        scores = {trial: [part.scores(part.trained(1)[0])] for trial in range(setting.trials)}
        intervals_by_kind["corrected"].append(
            corrected(scores, "max", resamples=_RESAMPLES[setting.kind], seed=number).estimate
        )
        test = _Part(setting, random)
        trainings = test.trained(SEEDS, setting.seeds)
        again = [test.scores(training) for training in trainings]
        intervals_by_kind["confirmed"].append(confirmed_value(again, "max")[0])
        low, high = test.exact(trainings[0])
        exact.append(high - low)
    figures: dict[str, Any] = {"setting": setting.name, "studies": studies}
    for name, intervals in intervals_by_kind.items():
        widths = [interval.high - interval.low for interval in intervals]
        figures[name] = {
            "held": sum(interval.low <= setting.truth <= interval.high for interval in intervals),
            "width": float(np.mean(widths) / np.mean(exact)),
            "narrowest": min(widths),
            "outside": sum(interval.low < 0 or interval.high > 1 for interval in intervals),
        }
    return figures


class _Part:
    """The samples of a part, and the scores that models give them."""

    def __init__(self, setting: SmallSetting, random: np.random.Generator) -> None:
        self._setting, self._random = setting, random
        samples = setting.samples
        self._shared = self._drawn()
        self._positive = np.arange(samples) < round(setting.positives * samples)
        rare = np.arange(samples) < round(_RARE * samples)
        self._weights = np.where(rare, _CLASS_WEIGHT, 1.0) if setting.kind == "weighted" else None

    def _drawn(self) -> np.ndarray:
        return self._random.standard_normal(self._setting.samples)

    def trained(self, seeds: int, differing: float = 0.0) -> np.ndarray:
        """Returns one configuration's output for each sample, of shape (seeds, samples).

        Args:
            seeds: Trainings.
            differing: Standard deviation of their skills.
        """
        common = np.sqrt(SHARED) * self._shared + np.sqrt(OF_CONFIGURATION) * self._drawn()
        scores = np.stack([common + np.sqrt(OF_SEED) * self._drawn() for _ in range(seeds)])
        if self._setting.kind == "auc":
            scores += np.sqrt(2) * ndtri(self._setting.truth) * self._positive
            return scores
        # On average over seeds, the share of right answers is still the truth.
        skill = ndtri(self._setting.truth) * np.sqrt(1 + differing**2)
        return np.asarray(scores + skill + differing * self._random.standard_normal((seeds, 1)))

    def scores(self, outputs: np.ndarray) -> SampleScores:
        """Returns the scores of one model as a study records them."""
        if self._setting.kind != "auc":
            return SampleScores("val_accuracy", "mean", outputs > 0, 1, self._weights)
        # Probabilities in the bins of Keras's metric.
        above = np.ceil(ndtr(outputs / 2) * (_THRESHOLDS - 1)).astype(np.int64)
        codes = (2 * above + self._positive)[:, None]
        settings = {"thresholds": _THRESHOLDS}
        return SampleScores("val_auc", "auc", codes, 1, settings=settings)

    def exact(self, outputs: np.ndarray) -> tuple[float, float]:
        """Returns an interval of one model: by Clopper and Pearson, or by DeLong.

        With weights, the samples count as fewer: as samples without weights of the same worth.
        """
        if self._setting.kind == "auc":
            return _delong(outputs[self._positive], outputs[~self._positive])
        weights = np.ones(len(outputs)) if self._weights is None else self._weights
        worth = weights.sum() ** 2 / (weights**2).sum()
        right = worth * float(np.average(outputs > 0, weights=weights))
        low = scipy.stats.beta.ppf(0.025, right, worth - right + 1) if right > 0 else 0.0
        high = scipy.stats.beta.ppf(0.975, right + 1, worth - right) if right < worth else 1.0
        return float(low), float(high)


def _delong(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """Returns the interval of E. DeLong and others, Biometrics 44, 1988, cut at 0 and 1."""
    above = positive[:, None] > negative[None, :]
    variance = above.mean(axis=1).var(ddof=1) / len(positive)
    variance += above.mean(axis=0).var(ddof=1) / len(negative)
    half = 1.959964 * np.sqrt(variance)
    return max(0.0, float(above.mean() - half)), min(1.0, float(above.mean() + half))
