"""Part g: intervals of samples in groups, such as the visits of a patient.

All trials of a study are equally good, so that the best one is chosen by luck alone. A model's
output for a sample is a sum of three normal numbers: one that all models share (0.7 of the
variance), one of its configuration and one of its seed (0.15 each). Within a group, each of the
three correlates. The output decides whether the model is right about the sample, how large its loss
is, or how probable the sample's class is. Nothing here shares code with the statistics that it
judges.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import scipy.stats
from scipy.special import ndtr, ndtri

from search_spaces.errors import StatisticsError
from tracking.records import Direction, Interval
from tracking.statistics import SampleScores, confirmed_value, corrected, gain, score_matrix

SEEDS = 5
_SHARES = {"shared": 0.7, "configuration": 0.15, "seed": 0.15}
_THRESHOLDS = 200
_POSITIVE = 0.3
_RESAMPLES = 300
# The exact width comes from this many parts.
_PARTS = 1000


@dataclass(frozen=True)
class GroupedSetting:
    """The size and the truth of a study whose samples are in groups.

    Attributes:
        kind: The objective.
        groups: The number of groups in the validation part, and in the test part.
        rows: The fewest and the most samples of a group. Each number between them is as frequent.
        within: The correlation of outputs within a group.
        trials: The number of trials.
        skill: The mean output of each model. Its standard deviation is 1.
    """

    kind: Literal["accuracy", "auc", "loss"]
    groups: int
    rows: tuple[int, int]
    within: float
    trials: int = 20
    skill: float = 1.0

    @property
    def name(self) -> str:
        """The setting as a line of the table."""
        fewest, most = self.rows
        rows = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return (
            f"{self.kind} {self.truth:.2f}, {self.groups} groups of {rows} at {self.within:g}, "
            f"{self.trials} trials"
        )

    @property
    def direction(self) -> Direction:
        """The direction of the objective."""
        return "min" if self.kind == "loss" else "max"

    @property
    def truth(self) -> float:
        """The objective on endless new groups."""
        if self.kind == "accuracy":
            return float(ndtr(self.skill))
        if self.kind == "auc":
            return float(ndtr(self.skill / np.sqrt(2)))
        outputs, weights = np.polynomial.hermite_e.hermegauss(60)
        return float(weights @ _loss(outputs + self.skill) / weights.sum())


def _settings() -> Iterable[GroupedSetting]:
    for trials in (1, 20):
        for within in (0.0, 0.2, 0.5):
            for groups in (12, 60, 200, 600):
                for rows in (2, 2), (2, 30):
                    yield GroupedSetting("accuracy", groups, rows, within, trials)
                    yield GroupedSetting("accuracy", groups, rows, within, trials, 1.6)
                    yield GroupedSetting("loss", groups, rows, within, trials)
                    if groups < 200:
                        yield GroupedSetting("auc", groups, rows, within, trials)


GROUPED_SETTINGS = tuple(_settings())


def grouped_studies(setting: GroupedSetting, studies: int, first: int = 0) -> dict[str, Any]:
    """Simulates studies; returns how many intervals contain the truth, and their widths.

    Args:
        setting: The setting.
        studies: The number of studies.
        first: The number of the first study; each study has its own samples.

    Returns:
        "setting", "studies"; by "corrected", "confirmed", "evaluated" and "gain": "given", the
        number of studies that have the interval; "held", how many of them contain the truth; and
        "width", their mean width divided by the exact one of a fixed model, or None for the gain.
        "naive" has "held" of the interval of a study whose parts share their groups.
    """
    names = ("corrected", "confirmed", "evaluated", "gain")
    intervals: dict[str, list[Interval]] = {name: [] for name in names}
    naive, direction = 0, setting.direction
    for number in range(first, first + studies):
        random = np.random.default_rng([number, setting.groups, setting.trials, 6])
        part, test = _Part(setting, random), _Part(setting, random)
        scores = {trial: [part.scores(part.trained(1)[0])] for trial in range(setting.trials)}
        ours, theirs = ([test.scores(seed) for seed in test.trained(SEEDS)] for _ in range(2))
        naive += _naive_holds(setting, random)
        with contextlib.suppress(StatisticsError):
            correction = corrected(scores, direction, resamples=_RESAMPLES, seed=number)
            intervals["corrected"].append(correction.estimate)
        with contextlib.suppress(StatisticsError):
            intervals["confirmed"].append(confirmed_value(ours, direction)[0])
            intervals["evaluated"].append(confirmed_value(ours[:1], direction)[0])
            hits = len(ours[0]) if setting.kind == "accuracy" else 0
            matrices = score_matrix(ours), score_matrix(theirs)
            intervals["gain"].append(gain(*matrices, direction, hits=hits))
    figures: dict[str, Any] = {"setting": setting.name, "studies": studies}
    for name, some in intervals.items():
        truth = 0.0 if name == "gain" else setting.truth
        widths = [interval.high - interval.low for interval in some]
        has_width = some and name != "gain"
        figures[name] = {
            "given": len(some),
            "held": sum(interval.low <= truth <= interval.high for interval in some),
            "width": float(np.mean(widths)) / _exact_width(setting) if has_width else None,
        }
    return figures | {"naive": {"held": naive}}


class _Part:
    """The groups and samples of a part."""

    def __init__(self, setting: GroupedSetting, random: np.random.Generator) -> None:
        self._setting, self._random = setting, random
        fewest, most = setting.rows
        sizes = random.integers(fewest, most + 1, setting.groups)
        self.groups = np.repeat(np.arange(setting.groups), sizes)
        self._shared = self._drawn("shared")
        self._positive = self._normal() < ndtri(_POSITIVE)

    def _normal(self) -> np.ndarray:
        """Returns a normal number for each sample, correlated within groups."""
        of_groups = self._random.standard_normal(self._setting.groups)[self.groups]
        of_samples = self._random.standard_normal(len(self.groups))
        within = self._setting.within
        return np.asarray(np.sqrt(within) * of_groups + np.sqrt(1 - within) * of_samples)

    def _drawn(self, source: str) -> np.ndarray:
        return np.asarray(np.sqrt(_SHARES[source]) * self._normal())

    def trained(self, seeds: int) -> np.ndarray:
        """Returns the outputs of one configuration, of shape (seeds, samples)."""
        common = self._shared + self._drawn("configuration")
        outputs = np.stack([common + self._drawn("seed") for _ in range(seeds)])
        shift = self._positive if self._setting.kind == "auc" else 1.0
        return np.asarray(outputs + self._setting.skill * shift)

    def scores(self, outputs: np.ndarray) -> SampleScores:
        """Returns the scores of one model as a study records them."""
        kind = self._setting.kind
        if kind == "accuracy":
            return SampleScores("val_accuracy", "mean", outputs > 0, 1, groups=self.groups)
        if kind == "loss":
            return SampleScores("val_loss", "mean", _loss(outputs), 1, groups=self.groups)
        # Probabilities in the bins of Keras's metric.
        above = np.ceil(ndtr(outputs / 2) * (_THRESHOLDS - 1)).astype(np.int64)
        codes = (2 * above + self._positive)[:, None]
        settings = {"thresholds": _THRESHOLDS}
        return SampleScores("val_auc", "auc", codes, 1, settings=settings, groups=self.groups)

    def value(self) -> float:
        """Returns the objective of one model."""
        outputs = self.trained(1)[0]
        if self._setting.kind == "accuracy":
            return float((outputs > 0).mean())
        if self._setting.kind == "loss":
            return float(_loss(outputs).mean())
        ranks = scipy.stats.rankdata(outputs)[self._positive]
        positive, negative = len(ranks), len(outputs) - len(ranks)
        if not positive or not negative:
            return self._setting.truth
        return float((ranks.sum() - positive * (positive + 1) / 2) / positive / negative)


def _loss(outputs: np.ndarray) -> np.ndarray:
    """Returns the cross-entropy of outputs that are logits of the true class."""
    return np.asarray(np.logaddexp(0, -2 * outputs))


@cache
def _exact_width(setting: GroupedSetting) -> float:
    """Returns the width of the range that has the values of one model on 95 % of all parts."""
    random = np.random.default_rng(7)
    values = [_Part(setting, random).value() for _ in range(_PARTS)]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(high - low)


def _naive_holds(setting: GroupedSetting, random: np.random.Generator) -> bool:
    """Returns whether an interval holds if samples are split one by one.

    Each group has a class by the toss of a coin, and a sample has its group's class, or by a second
    coin the other. The model knows the frequent class of each group from seven tenths of the
    samples. It is right about half of the samples of new groups. The interval of its accuracy on
    the other samples is that of Clopper and Pearson.
    """
    part = _Part(setting, random)
    classes = random.integers(0, 2, setting.groups)[part.groups]
    # Samples of a group correlate by `within`.
    keeps = (1 + np.sqrt(setting.within)) / 2
    y = np.where(random.random(len(classes)) < keeps, classes, 1 - classes)
    trained = random.random(len(y)) < 0.7
    signs = np.bincount(part.groups[trained], 2 * y[trained] - 1, minlength=setting.groups)
    # A coin decides between classes that are equally frequent.
    votes = signs + random.uniform(-0.5, 0.5, setting.groups)
    right = (votes[part.groups] > 0) == y
    hits, samples = int(right[~trained].sum()), int((~trained).sum())
    bounds = scipy.stats.binomtest(hits, samples).proportion_ci(0.95, method="exact")
    return bool(bounds.low <= 0.5 <= bounds.high)
