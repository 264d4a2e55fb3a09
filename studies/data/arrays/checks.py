"""Checks of data before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.given import Columns
from studies.data.arrays.numbers import as_arrays, as_numbers, check_finite, columns_of
from studies.data.structures import Arrays, described, length_of, named_arrays

if TYPE_CHECKING:
    from studies.data.tables.columns import TableColumns


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked samples with their targets, and their names in messages.

    Finite numbers, or texts, of shape (n, ...), n > 0. Without targets `y` is an empty tuple.
    """

    x: Arrays
    y: Arrays
    x_name: str
    y_name: str
    sample_weight: np.ndarray | None = None
    columns: Mapping[str, Columns] = field(default_factory=dict)
    # Of a table, whose `x` is its columns: texts, and numbers of which missing ones are NaN.
    table: TableColumns | None = None
    # How they are read from files, for the registered model.
    files: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        """Returns the number of samples."""
        return length_of(self.x)

    @property
    def in_time(self) -> bool:
        """Whether they are in the order of time, so that parts are not drawn at random."""
        return self.table is not None and bool(self.table.time)


def check_samples(
    x: object,
    y: object,
    x_name: str,
    y_name: str,
    sample_weight: object = None,
    weight_name: str = "sample_weight",
) -> Samples:
    """Turns a user's data into checked arrays, copied only if necessary.

    Several arrays come in a dict or a tuple. Without targets `y` is None. Raises DataError for
    arrays that are not numbers, empty, of differing lengths, or not finite; and for weights that
    are negative, all 0, or of another shape.
    """
    # By their name in all parts.
    columns = columns_of(x, "x")
    inputs = as_arrays(x, x_name)
    targets: Arrays = () if y is None else as_arrays(y, y_name)
    samples = Samples(inputs, targets, x_name, y_name, columns=columns)
    arrays = named_arrays(samples.x, x_name) | named_arrays(samples.y, y_name)
    first = next(iter(arrays))
    for name, array in arrays.items():
        if len(array) != len(samples):
            raise DataError(
                f"{first} and {name} differ in length: {len(samples)} and {len(array)} samples. "
                "Pass one target for each sample, and as many of each input and output."
            )
    for name, array in arrays.items():
        check_finite(array, name)
    if sample_weight is None:
        return samples
    if y is None:
        raise DataError(
            f"{weight_name} weighs the loss of each sample's targets, and there are none. Leave it "
            "out, or pass targets."
        )
    steps = targets.shape[1] if isinstance(targets, np.ndarray) and targets.ndim > 1 else None
    weights = _check_weights(sample_weight, len(samples), weight_name, steps)
    return replace(samples, sample_weight=weights)


def check_same_shape(part: Samples, pool: Samples) -> None:
    """Refuses a ready-made part whose samples have another shape than the training samples."""
    for arrays, name, of_pool, pool_name in (
        (part.x, part.x_name, pool.x, pool.x_name),
        (part.y, part.y_name, pool.y, pool.y_name),
    ):
        if described(arrays) != described(of_pool):
            raise DataError(
                f"{name} holds {described(arrays)}, but {pool_name} holds {described(of_pool)}. "
                "Give all parts the same arrays."
            )
        pairs = zip(
            named_arrays(arrays, name).items(),
            named_arrays(of_pool, pool_name).items(),
            strict=True,
        )
        for (named, array), (pool_named, pool_array) in pairs:
            if array.shape[1:] != pool_array.shape[1:]:
                raise DataError(
                    f"One entry of {named} has shape {array.shape[1:]}, but one of {pool_named} "
                    f"has shape {pool_array.shape[1:]}. Give all parts the same shape, except "
                    "for the first axis."
                )


def _check_weights(value: object, samples: int, name: str, steps: int | None = None) -> np.ndarray:
    """Returns finite weights from 0 up, not all 0, of shape (samples,) or (samples, steps)."""
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
    """Refuses weights that are all 0: such samples can neither train nor judge a model."""
    if not weights.any():
        raise DataError(
            f"{name} is 0 for all of {len(weights)} samples: none counts. Pass weights above 0 "
            "for some, or make the part larger."
        )
