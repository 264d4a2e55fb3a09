"""What data has to be before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from studies.data.errors import DataError
from studies.data.numbers import as_numbers, check_finite
from studies.data.weights import check_weights


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked samples with their targets, and what their owner calls them.

    Attributes:
        x: finite numbers, of shape (n, ...), n > 0.
        y: finite numbers, of shape (n, ...).
        x_name: what messages call `x`.
        y_name: what messages call `y`.
        sample_weight: how much each sample counts, of shape (n,), or None if all count alike.
    """

    x: np.ndarray
    y: np.ndarray
    x_name: str
    y_name: str
    sample_weight: np.ndarray | None = None

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(self.x)


def check_samples(
    x: object,
    y: object,
    x_name: str,
    y_name: str,
    sample_weight: object = None,
    weight_name: str = "sample_weight",
) -> Samples:
    """Turns what a user gave into checked arrays.

    Args:
        x: samples: a numpy array, or anything `np.asarray` makes an array of numbers of.
        y: targets, likewise.
        x_name: what messages shall call `x`.
        y_name: what messages shall call `y`.
        sample_weight: how much each sample counts; None: all alike.
        weight_name: what messages shall call `sample_weight`.

    Returns:
        The arrays, not copied where that can be helped.

    Raises:
        DataError: not numbers, empty, of differing lengths, or with NaN or infinite values; or
            weights that `check_weights` refuses.
    """
    samples = Samples(as_numbers(x, x_name), as_numbers(y, y_name), x_name, y_name)
    if len(samples.x) != len(samples.y):
        raise DataError(
            f"{x_name} and {y_name} differ in length: {len(samples.x)} and {len(samples.y)} "
            "samples. Pass one target for each sample."
        )
    check_finite(samples.x, x_name)
    check_finite(samples.y, y_name)
    if sample_weight is None:
        return samples
    weights = check_weights(sample_weight, len(samples), weight_name)
    return replace(samples, sample_weight=weights)


def check_same_shape(part: Samples, pool: Samples) -> None:
    """Refuses a ready-made part whose samples are shaped otherwise than those to train on.

    Args:
        part: the ready-made part.
        pool: the samples that training is done on.

    Raises:
        DataError: the shapes of one sample, or of one target, differ.
    """
    for name, shape, pool_name, pool_shape in (
        (part.x_name, part.x.shape[1:], pool.x_name, pool.x.shape[1:]),
        (part.y_name, part.y.shape[1:], pool.y_name, pool.y.shape[1:]),
    ):
        if shape != pool_shape:
            raise DataError(
                f"One entry of {name} has shape {shape}, but one of {pool_name} has shape "
                f"{pool_shape}. Bring all parts to the same shape, the first axis aside."
            )
