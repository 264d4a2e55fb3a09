"""What the champion predicts of the validation data, for people to look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

PredictionKind = Literal["classes", "binary", "regression"]

MOST_SAMPLES: Final = 24
"""The most samples that are kept as they are."""
MOST_POINTS: Final = 2_000
"""The most pairs of truth and prediction that are kept."""
MOST_CLASSES: Final = 100
"""The most classes that a confusion matrix has."""


def predictions_beside(folder: Path) -> Path:
    """Returns the file in which a saved model's predictions are, next to its folder."""
    return folder.with_name(f"{folder.name}-validation.json")


@dataclass(frozen=True)
class ClassCounts:
    """How many samples of a class there are, and what was predicted."""

    name: str
    samples: int
    predicted: int  # Samples that are predicted as it, rightly or not.
    correct: int  # Samples of it that are predicted as it.


@dataclass(frozen=True)
class WorstSample:
    """A sample whose true class gets a low probability."""

    index: int  # Its place in the validation data, from 0.
    true: int
    predicted: int  # The class of the highest probability; it may be the true one.
    probability: float  # Of the true class, 0 to 1.
    confidence: float  # Of the predicted class.
    png: bytes = b""  # Empty if the sample is no image.
    # Its values by column, as they were before preprocessing; texts are shortened. Empty if it is
    # an image, or too large.
    row: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationPredictions:
    """What the champion predicts of the validation data.

    All samples are counted, each once, whatever its weight; only some are kept.
    """

    uuid: str  # Of the trial.
    trial: int
    epoch: int  # The trial's best epoch, whose weights predict.
    kind: PredictionKind  # ``"binary"``: one output of a probability.
    samples: int
    class_names: tuple[str, ...] = ()  # Of the classes 0, 1, 2 and so on; none of a regression.
    classes: tuple[ClassCounts, ...] = ()  # In the same order.
    # Samples by true class (rows) and predicted class (columns). Empty for a regression, or more
    # than `MOST_CLASSES` classes.
    confusion: tuple[tuple[int, ...], ...] = ()
    # The samples whose true class got the lowest probability, the lowest first; at most
    # `MOST_SAMPLES`.
    worst: tuple[WorstSample, ...] = ()
    # Of a regression: the targets of samples at even distances; at most `MOST_POINTS`.
    truth: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()  # Of the same samples.
    # The same samples, before preprocessing, if each is a single number.
    feature: tuple[float, ...] = ()
    feature_name: str = "x"
    rule: tuple[float, ...] = ()  # Their targets without noise, of made data whose rule is known.
    output: str = ""  # Its name; empty if the model has just one output.
    others: tuple[ValidationPredictions, ...] = ()  # Of the model's other outputs.

    def of(self, uuid: str, epoch: int) -> ValidationPredictions:
        """Returns the predictions with the uuid and the epoch of their trial."""
        others = tuple(each.of(uuid, epoch) for each in self.others)
        return dataclasses.replace(self, uuid=uuid, epoch=epoch, others=others)

    @property
    def correct(self) -> int:
        """Samples whose class is predicted; 0 for a regression."""
        return sum(each.correct for each in self.classes)
