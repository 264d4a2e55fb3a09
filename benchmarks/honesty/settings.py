"""The six settings of synthetic studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Chooser = Literal["random", "tpe"]


@dataclass(frozen=True)
class Setting:
    """The size of a study, and the parameters of its world.

    Skill, luck and ease are on the scale of a normal score: a trained model is right about a sample
    if skill, luck of the seed, ease of the sample and noise add up to more than 0.

    Attributes:
        name: Its name.
        trials: Trials of the study.
        validation: Validation samples.
        test: Samples of the sealed test part.
        accuracy: The best configuration's accuracy on infinitely many samples.
        chooser: The engine that proposes trials.
        spread: How much skill a typical configuration lacks.
        luck: Standard deviation of a seed's luck.
        shared: Share of a sample's variance that all configurations and seeds have in common.
        alike: Share of that variance that similar configurations have in common, under all seeds.
        epochs: Epochs of a training.
    """

    name: str
    trials: int
    validation: int
    test: int
    accuracy: float
    chooser: Chooser
    spread: float
    luck: float = 0.04
    shared: float = 0.75
    alike: float = 0.1
    epochs: int = 6


SETTINGS = (
    Setting("tiny", 20, 114, 114, 0.95, "random", 0.5, luck=0.06),
    Setting("tiny, TPE", 40, 114, 114, 0.90, "tpe", 0.3, luck=0.06),
    Setting("digits, TPE", 40, 360, 360, 0.97, "tpe", 0.4),
    Setting("hard", 100, 360, 360, 0.80, "random", 0.25, shared=0.6, alike=0.15),
    Setting("good", 50, 1000, 1000, 0.98, "random", 0.3),
    Setting("large", 100, 2000, 2000, 0.90, "random", 0.15, luck=0.03),
)
