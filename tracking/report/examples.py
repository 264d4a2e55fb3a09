"""The samples that the champion classifies worst."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from tracking.records.validation_predictions import ValidationPredictions
from tracking.report.formats import number, value_text

_MOST = 18


@dataclass(frozen=True)
class Example:
    """A sample, with what was predicted, as texts.

    Attributes:
        index: Its place in the validation data.
        true: Its class.
        predicted: The class of the highest probability.
        probability: That of the true class.
        confidence: That of the predicted class.
        image: A PNG in base64; empty if it is no image.
        row: Its values by column; empty if it is an image.
    """

    index: str
    true: str
    predicted: str
    probability: str
    confidence: str
    image: str
    row: Mapping[str, str]


def worst_examples(found: ValidationPredictions) -> tuple[Example, ...]:
    """Returns the misclassified samples, the worst first."""
    names = found.class_names
    wrong = [each for each in found.worst if each.true != each.predicted][:_MOST]
    return tuple(
        Example(
            f"{each.index:,}",
            names[each.true],
            names[each.predicted],
            number(each.probability, 2),
            number(each.confidence, 2),
            base64.b64encode(each.png).decode("ascii"),
            {name: value_text(value) for name, value in each.row.items()},
        )
        for each in wrong
    )
