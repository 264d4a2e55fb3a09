"""Simulates samples, configurations and trainings, whose true accuracies are known.

A configuration is a point in the unit cube. Its skill falls with the distance from an optimum that
is drawn for each world. A model is right about a sample if

    skill - lack of training + luck of the seed + wobble of the epoch
        + ease of the sample + taste of the configuration for the sample + noise

is above 0. The ease of a sample is the same for all models, so that trials are right and wrong
together. The taste for a sample varies smoothly over configurations, so that TPE can exploit the
validation samples as it does in life. The noise is drawn for each seed, and a third of it moves
from epoch to epoch. The variances of ease, taste and noise add up to 1, so the accuracy of a model
on infinitely many samples is the normal distribution function of the sum of the other four terms.

The settings are near those of dense networks that were trained on 1,000 MNIST images and measured
on 10,000 others. Right answers correlate (tetrachorically) by 0.96 to 0.999 between successive
epochs, 0.93 to 0.99 between the sixth and the tenth, 0.88 to 0.97 between seeds, and 0.90 to 0.96
between configurations. A seed's luck is 0.02 to 0.05, an epoch's wobble 0.01 to 0.04.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from benchmarks.honesty.settings import Setting

DIMENSIONS = 4
_WAVES = 8
_UNLEARNT, _WOBBLE = 0.5, 0.03
# The share of the noise that is the same in all epochs, and the correlation of the rest between
# successive epochs.
_STEADY, _STAYS = 2 / 3, 0.6


@dataclass(frozen=True)
class Part:
    """Samples drawn from the world.

    Attributes:
        ease: Shape (n,): how easy each sample is for all models.
        tastes: Shape (n, 2 × waves): they decide how a configuration scores the samples.
    """

    ease: np.ndarray
    tastes: np.ndarray


@dataclass(frozen=True)
class Training:
    """A configuration trained under seeds.

    Attributes:
        right: Shape (seeds, epochs, n), of bool: whether each model is right about each validation
            sample.
        skills: Shape (seeds, epochs): each model's skill with its luck and wobble.
        accuracies: Shape (seeds, epochs): each model's accuracy on infinitely many samples.
    """

    right: np.ndarray
    skills: np.ndarray
    accuracies: np.ndarray

    def best_epochs(self) -> np.ndarray:
        """Returns the first epoch of each seed, from 0, with the highest validation accuracy."""
        return np.asarray(self.right.sum(axis=2).argmax(axis=1))


class World:
    """Configurations and samples of one synthetic study.

    Attributes:
        default: The space's defaults, as a configuration.
        validation: The validation part.
        test: The test part.
    """

    def __init__(
        self, setting: Setting, generator: np.random.Generator, *, null: bool = False
    ) -> None:
        self._setting = setting
        self._generator = generator
        self._spread = 0.0 if null else setting.spread
        self._alike = 0.0 if null else setting.alike
        self._shared = setting.shared + (setting.alike if null else 0.0)
        self._optimum = generator.uniform(0.2, 0.8, DIMENSIONS)
        self._weights = generator.dirichlet(np.ones(DIMENSIONS)) / 0.12
        self._frequencies = generator.normal(0, 3, (_WAVES, DIMENSIONS))
        self.default = generator.random(DIMENSIONS)
        self.validation = self.draw(setting.validation)
        self.test = self.draw(setting.test)

    def draw(self, samples: int) -> Part:
        """Draws samples."""
        normal = self._generator.standard_normal
        return Part(
            normal(samples, dtype=np.float32), normal((samples, 2 * _WAVES), dtype=np.float32)
        )

    def skill(self, point: np.ndarray) -> float:
        """Returns the skill of a configuration after endless training."""
        lack = float(np.sum(self._weights * (point - self._optimum) ** 2))
        return float(ndtri(self._setting.accuracy)) - self._spread * lack

    def train(self, point: np.ndarray, seeds: int, *, even: bool = False) -> Training:
        """Trains a configuration.

        Args:
            point: The configuration.
            seeds: Under how many seeds.
            even: Whether the luck of the seeds is spread evenly instead of drawn, as for a truth.
        """
        setting, normal = self._setting, self._generator.standard_normal
        luck = ndtri((np.arange(seeds) + 0.5) / seeds) if even else normal(seeds)
        unlearnt = _UNLEARNT * np.exp(-np.arange(setting.epochs) / 1.5)
        wobble = _WOBBLE * normal((seeds, setting.epochs))
        skills = self.skill(point) - unlearnt + setting.luck * luck[:, None] + wobble
        shared_scores = self._shared_scores(point, self.validation)
        right = np.empty((*skills.shape, len(shared_scores)), bool)
        steady, moving = self._noise(_STEADY), self._noise(1 - _STEADY)
        for seed in range(seeds):
            scores = shared_scores + steady * normal(len(shared_scores), dtype=np.float32)
            noise = normal((setting.epochs, len(shared_scores)), dtype=np.float32)
            for epoch in range(setting.epochs):
                if epoch:
                    noise[epoch] *= np.float32(np.sqrt(1 - _STAYS**2))
                    noise[epoch] += np.float32(_STAYS) * noise[epoch - 1]
                right[seed, epoch] = scores + moving * noise[epoch] > -skills[seed, epoch]
        return Training(right, skills, ndtr(skills))

    def on_test(self, point: np.ndarray, training: Training) -> np.ndarray:
        """Returns whether each test sample is right, of shape (seeds, n), at the best epochs."""
        shared_scores = self._shared_scores(point, self.test)
        noise = self._generator.standard_normal(
            (len(training.right), len(shared_scores)), np.float32
        )
        chosen = np.take_along_axis(training.skills, training.best_epochs()[:, None], axis=1)
        return np.asarray(shared_scores + self._noise(1.0) * noise > -chosen)

    def expected_accuracy(self, point: np.ndarray, seeds: int = 32) -> float:
        """Returns a configuration's accuracy on infinitely many samples, over seeds.

        Each training counts by its best epoch on the validation part, as in a study.
        """
        training = self.train(point, seeds, even=True)
        best = training.best_epochs()[:, None]
        return float(np.take_along_axis(training.accuracies, best, axis=1).mean())

    def _shared_scores(self, point: np.ndarray, part: Part) -> np.ndarray:
        """Returns the part of each sample's score that all seeds share."""
        angles = self._frequencies @ point
        waves = np.concatenate([np.cos(angles), np.sin(angles)]) / np.sqrt(_WAVES)
        makes = part.tastes @ waves.astype(np.float32)
        return np.asarray(
            np.float32(np.sqrt(self._shared)) * part.ease + np.float32(np.sqrt(self._alike)) * makes
        )

    def _noise(self, share: float) -> np.float32:
        return np.float32(np.sqrt(share * (1 - self._shared - self._alike)))
