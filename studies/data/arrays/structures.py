"""One array, or several, for a model with one or several inputs or outputs.

Several arrays are a dict by name, as Keras names inputs and outputs, or a tuple in their order.
A list is one array, as `np.asarray` makes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = np.ndarray | dict[str, np.ndarray] | tuple[np.ndarray, ...]
Columns = tuple[tuple[str, str], ...]
"""Names and types of a table's columns, in their order."""

# In pixels.
_SMALLEST_SIDE = 8


def map_arrays(function: Callable[[np.ndarray], Any], arrays: Arrays) -> Any:
    """Applies a function to each array, and returns the results in the same structure."""
    if isinstance(arrays, dict):
        return {name: function(array) for name, array in arrays.items()}
    if isinstance(arrays, tuple):
        return tuple(map(function, arrays))
    return function(arrays)


def named_arrays(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Returns arrays by their names in messages and digests, in their order.

    That is "x" for a single one, else "x['image']" or "x[0]" and so on.
    """
    if isinstance(arrays, dict):
        return {entry_name(name, key): array for key, array in arrays.items()}
    if isinstance(arrays, tuple):
        return {entry_name(name, place): array for place, array in enumerate(arrays)}
    return {name: arrays}


def entry_name(name: str, key: str | int) -> str:
    """Returns the name of one of several arrays: "x['image'] of the training part"."""
    first, of, rest = name.partition(" of ")
    return f"{first}[{key!r}]{of}{rest}"


def length_of(arrays: Arrays) -> int:
    """Returns the number of samples of the first array."""
    return len(next(iter(named_arrays(arrays, "").values())))


def described(arrays: Arrays) -> str:
    """Returns how many arrays there are, and their names, for messages."""
    if isinstance(arrays, tuple) and not arrays:
        return "nothing"
    if isinstance(arrays, dict):
        return f"arrays named {', '.join(map(repr, arrays))}"
    return f"{len(arrays)} arrays in a tuple" if isinstance(arrays, tuple) else "one array"


def several(value: object) -> dict[Any, object] | tuple[object, ...] | None:
    """Returns a user's several arrays, or None if the value makes one array.

    Several are: a dict, and a tuple of which each entry is an array (a numpy array, a pandas
    DataFrame, a tensor). A tuple of numbers, or of lists of them, is data.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and value and all(getattr(v, "ndim", 0) >= 1 for v in value):
        return tuple(value)
    return None


def image_of(values: np.ndarray) -> np.ndarray | None:
    """Returns a sample as an image of shape (height, width, channels), or None if it is none.

    Images are arrays of shape (height, width) of at least 8 by 8, with 1, 3 or 4 channels if they
    have any; and rows of pixels: a square number of values from 0 to 1, or of unsigned integers.
    """
    if values.dtype.kind not in "biuf":
        return None
    shape = values.shape
    side = math.isqrt(values.size)
    if len(shape) == 1 and side >= _SMALLEST_SIDE and side**2 == values.size:
        pixels = values.dtype.kind == "u" or (values.min() >= 0 and values.max() <= 1)
        shape = (side, side) if pixels else shape
    if len(shape) == 2:
        shape = (*shape, 1)
    small = len(shape) != 3 or min(shape[:2]) < _SMALLEST_SIDE
    return None if small or shape[2] not in (1, 3, 4) else values.reshape(shape)


def is_text(array: np.ndarray) -> bool:
    """Returns whether an array holds texts: of numpy's own type, or Python's as objects."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "UST"
    first = next(iter(array.ravel()[:1]), None)
    return isinstance(first, str | bytes)


def is_portable(dtype: np.dtype) -> bool:
    """Returns whether a dtype has the same bytes on every machine, except for their order.

    Long doubles do not: they have 64, 80 or 128 bits, by platform, with padding of no fixed value.
    """
    if dtype.kind in "biu":
        return True
    # By character: where a long double has 64 bits, its dtype equals float64, which is portable.
    return dtype.kind in "fc" and dtype.char not in "gG"
