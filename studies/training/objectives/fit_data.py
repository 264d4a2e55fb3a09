"""Digests of the data that a call of `model.fit` gets, to notice that it has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from studies.data.arrays.digests import array_digest, combined_digest

# Of larger arrays, rows at equal distances count: a digest takes 0.1 s then, not a second.
_MOST_BYTES: Final = 2**26


class FitDigests(NamedTuple):
    """Digests of the data of a training.

    Attributes:
        data: Over all of it; empty if it isn't in arrays.
        validation: Over the targets that validate; empty if nothing does, or they are unknown.
    """

    data: str = ""
    validation: str = ""


def fit_digests(arguments: Mapping[str, Any]) -> FitDigests:
    """Returns digests of the data that `fit` gets; those of batches, which it reads, are empty.

    Args:
        arguments: Those of `fit`, by name.
    """
    try:
        return _digests(arguments)
    except Exception:
        # Whatever people give to fit: that Keras takes it is what counts.
        return FitDigests()


def _digests(arguments: Mapping[str, Any]) -> FitDigests:
    given = {name: arguments.get(name) for name in ("x", "y", "sample_weight", "validation_data")}
    found = {
        place: _array_digest(array)
        for name, value in given.items()
        for place, array in _arrays(name, value)
    }
    share, validation = arguments.get("validation_split") or 0.0, given["validation_data"]
    targets: Any = None
    if isinstance(validation, tuple | list) and len(validation) > 1:
        targets = validation[1]
    elif validation is None and share:
        found["validation_split"] = str(share)
        targets = given["y"]
    validated = {place: _array_digest(array) for place, array in _arrays("y", targets)}
    if validated and validation is None:
        validated["validation_split"] = str(share)
    return FitDigests(combined_digest(found), combined_digest(validated) if validated else "")


def _arrays(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the arrays of a structure. Raises TypeError for what is none."""
    import keras

    for place, each in enumerate(keras.tree.flatten(value)):
        if each is None:
            continue
        is_array = isinstance(each, np.ndarray) or keras.ops.is_tensor(each)
        if not is_array and type(each).__module__.partition(".")[0] != "pandas":
            raise TypeError
        yield f"{name} {place}", np.asarray(each)


def _array_digest(array: np.ndarray) -> str:
    step = -(-array.nbytes // _MOST_BYTES)
    return array_digest(array) if step <= 1 else f"{array.shape} {array_digest(array[::step])}"
