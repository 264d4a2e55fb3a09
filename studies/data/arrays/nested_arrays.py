"""The arrays of a model's inputs or outputs: one array, or several in a dict or a tuple.

The keys of a dict are the names of the Keras model's inputs or outputs. A tuple has the arrays in
the order of the model's inputs or outputs. A list is a single array, as for `np.asarray`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Arrays = np.ndarray | dict[str, np.ndarray] | tuple[np.ndarray, ...]
Columns = tuple[tuple[str, str], ...]
"""The name and the type of each column of a table."""

# The smallest side of an image, in pixels.
_SMALLEST_SIDE = 8


def entries(arrays: Any) -> dict[Any, Any]:
    """Returns arrays as a dict. Keys are names, positions in a tuple, or "" for a single array."""
    if isinstance(arrays, dict):
        return arrays
    return dict(enumerate(arrays)) if isinstance(arrays, tuple) else {"": arrays}


def rebuilt(like: Arrays, values: Iterable[Any]) -> Any:
    """Returns values in the structure of `like`, such as a dict with the same names."""
    if isinstance(like, dict):
        return dict(zip(like, values, strict=True))
    return tuple(values) if isinstance(like, tuple) else next(iter(values))


def map_arrays(function: Callable[..., Any], *arrays: Arrays) -> Any:
    """Applies a function to each array, as `map` does. The results have the arrays' structure."""
    return rebuilt(arrays[0], map(function, *(entries(argument).values() for argument in arrays)))


def named_arrays(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Returns arrays by their names in messages and digests: "x", "x['image']" or "x[0]"."""
    if isinstance(arrays, dict | tuple):
        return {entry_name(name, key): array for key, array in entries(arrays).items()}
    return {name: arrays}


def entry_name(name: str, key: str | int) -> str:
    """Returns "x['image'] of the test part" for "x of the test part" and "image"."""
    array, of, part = name.partition(" of ")
    return f"{array}[{key!r}]{of}{part}"


def length_of(arrays: Arrays) -> int:
    """Returns the number of samples in the arrays."""
    return len(next(iter(entries(arrays).values())))


def described(arrays: Arrays) -> str:
    """Describes arrays in messages, such as "arrays named 'image', 'size'"."""
    if isinstance(arrays, dict):
        return f"arrays named {', '.join(map(repr, arrays))}"
    if not isinstance(arrays, tuple):
        return "one array"
    return f"{len(arrays)} arrays in a tuple" if arrays else "nothing"


def several(value: object) -> dict[Any, object] | tuple[object, ...] | None:
    """Returns a user's dict or tuple of arrays. Returns None for a value that is one array.

    A tuple of numpy arrays, DataFrames or tensors is several arrays. A tuple of numbers, or of
    lists, is one array.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and value and all(getattr(v, "ndim", 0) >= 1 for v in value):
        return tuple(value)
    return None


def image_of(values: np.ndarray) -> np.ndarray | None:
    """Returns a sample as an image of shape (height, width, channels), or None if it is no image.

    An image has at least 8 by 8 pixels, and 1, 3 or 4 channels. A row of n * n numbers is a square
    image, as in `datasets.digits`, if the numbers are unsigned integers, or are all from 0 to 1.
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


def pixels_of(images: np.ndarray) -> np.ndarray:
    """Returns images as uint8, from 0 to 255.

    Values are scaled if some are outside this range. If all are at most 1, they are scaled too,
    unless they are uint8 already.
    """
    values = images.astype(np.float64)
    low, high = min(values.min(), 0), max(values.max(), 1)
    if low < 0 or high > 255 or (high <= 1 and images.dtype != np.uint8):
        values = (values - low) * (255 / (high - low))
    pixels: np.ndarray = values.round().astype(np.uint8)
    return pixels


def is_text(array: np.ndarray) -> bool:
    """Returns whether an array holds texts, as numpy's strings or as Python objects."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "UST"
    return isinstance(next(iter(array.ravel()[:1]), None), str | bytes)
