"""The record of the champion's predictions for the validation data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MOST_SAMPLES: Final = 24
"""The most samples in `ValidationPredictions.worst`."""
MOST_POINTS: Final = 2_000
"""The most samples in `ValidationPredictions.truth` and `ValidationPredictions.predicted`."""
MOST_CLASSES: Final = 100
"""The most classes of a confusion matrix."""


MODEL_SUMMARY: Final = "model_summary.txt"
"""The name of the file with the text of `model.summary()`, in a saved model's folder."""


def predictions_beside(folder: Path) -> Path:
    """Returns the file with a saved model's predictions, next to the model's folder."""
    return folder.with_name(f"{folder.name}-validation.json")


@dataclass(frozen=True)
class WorstSample:
    """A validation sample whose true class gets a low probability."""

    index: int  # The sample's index in the validation data.
    true: int  # The true class.
    predicted: int  # The class with the highest probability, which may be the true class.
    probability: float  # The true class's probability, 0 to 1.
    confidence: float  # The predicted class's probability.
    png: bytes = b""  # The sample as a PNG file. Empty if it is no image.
    # The sample's values by column, before preprocessing. Long texts are cut. Empty if the sample
    # is an image, or too large.
    row: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationPredictions:
    """The champion's predictions for the validation data. All counts ignore sample weights."""

    trial: int
    epoch: int  # The best epoch, whose weights predict.
    samples: int
    class_names: tuple[str, ...] = ()  # The names of classes 0, 1, …; empty for a regression.
    # The number of samples by true class (rows) and predicted class (columns). Empty for a
    # regression, and with more than `MOST_CLASSES` classes.
    confusion: tuple[tuple[int, ...], ...] = ()
    # The samples whose true class got the lowest probability, the lowest first.
    worst: tuple[WorstSample, ...] = ()
    # The targets of a regression. With more than `MOST_POINTS` validation samples, only the targets
    # of `MOST_POINTS` evenly spaced samples.
    truth: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()  # The predictions for the samples of `truth`.
    output: str = ""  # The output's name; empty if the model has one output.

    @property
    def correct(self) -> int:
        """The number of samples whose true class is predicted, by the confusion matrix."""
        return sum(line[place] for place, line in enumerate(self.confusion))
