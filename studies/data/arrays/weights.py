"""Sample weights: how much each sample counts in the loss, as `model.fit(sample_weight=...)`."""

from __future__ import annotations

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.numbers import as_numbers, check_finite


def check_weights(value: object, samples: int, name: str, steps: int | None = None) -> np.ndarray:
    """Turns a user's weights into checked sample weights.

    Args:
        value: a weight for each sample, or for each step of each: anything that `np.asarray` turns
            into an array of numbers.
        samples: the number of samples that they are for.
        name: their name in messages.
        steps: of each sample's targets, if they are sequences.

    Returns:
        Finite numbers from 0 up, not all 0, of shape (samples,) or (samples, steps).

    Raises:
        DataError: the weights are something else.
    """
    weights = as_numbers(value, name)
    if weights.ndim != 1 and weights.shape[1:] != (steps,):
        sequences = (
            "" if steps is None else f", or one for each step, of shape ({samples}, {steps})"
        )
        raise DataError(
            f"{name} has shape {weights.shape}. Pass one weight for each sample, in an array of "
            f"shape ({samples},){sequences}."
        )
    if len(weights) != samples:
        raise DataError(
            f"{name} holds {len(weights)} weight(s) for {samples} samples. "
            "Pass one weight for each sample."
        )
    check_finite(weights, name)
    negative = weights < 0
    if negative.any():
        first = int(np.argwhere(negative)[0][0])
        value_of_first = weights[negative][0].item()
        raise DataError(
            f"{name} holds {int(negative.sum())} negative weight(s), the first at index {first}: "
            f"{value_of_first}. Pass weights from 0 up; a sample of weight 0 does not count."
        )
    check_some_weight(weights, name)
    return weights


def check_some_weight(weights: np.ndarray, name: str) -> None:
    """Refuses weights that are all 0: such samples can neither train nor judge a model.

    Args:
        weights: from 0 up, of shape (n,).
        name: their name in the message.

    Raises:
        DataError: all are 0.
    """
    if not weights.any():
        raise DataError(
            f"{name} is 0 for all of {len(weights)} samples: none counts. Pass weights above 0 "
            "for those that shall, or make the part larger."
        )
