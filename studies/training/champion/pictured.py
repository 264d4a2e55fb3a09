"""A sample for people to look at: an image, or its values by column."""

from __future__ import annotations

import math

import numpy as np

from studies.data.arrays.given import Given
from studies.data.structures import Arrays, named_arrays

# Of an image, in pixels.
_SMALLEST_SIDE, _LARGEST_SIDE = 8, 256
_MOST_COLUMNS = 100
_LONGEST_TEXT = 200


def pictured(sample: Arrays, given: Given) -> tuple[bytes, dict[str, float | str]]:
    """Returns a sample as an image, or as a row.

    Images are arrays of shape (height, width) of at least 8 by 8, with 1, 3 or 4 channels if they
    have any; and rows of pixels: a square number of values from 0 to 1, or of unsigned integers,
    without names of columns.

    Args:
        sample: One, after preprocessing.
        given: How the samples were before that. Scalings are undone.

    Returns:
        A PNG file, or nothing; and the values by column, in 6 digits, if it is no image.
    """
    png, row = b"", {}
    arrays = named_arrays(sample, "x")
    if given.table is not None and isinstance(sample, np.ndarray):
        found = given.table.values_of(sample) if sample.size <= _MOST_COLUMNS else {}
        return b"", {name: _cell(value) for name, value in found.items()}
    for name, array in arrays.items():
        values = _before_preprocessing(array, name, given)
        columns = given.columns.get(name)
        image = None if columns else _image(values)
        if image is not None:
            png = png or _png(image)
        elif values.size <= _MOST_COLUMNS and values.ndim <= 1:
            names = [str(place) for place in range(values.size)]
            if columns and len(columns) == values.size:
                names = [column for column, _ in columns]
            prefix = "" if len(arrays) == 1 else f"{name} "
            cells = map(_cell, values.reshape(-1).tolist())
            row.update({f"{prefix}{each}": cell for each, cell in zip(names, cells, strict=True)})
    return png, row


def _before_preprocessing(array: np.ndarray, name: str, given: Given) -> np.ndarray:
    prepared = given.prepared.get(name)
    if prepared is None or not prepared.scalings:
        return array
    values = array.reshape(-1).astype(np.float64)
    for scaling in reversed(prepared.scalings):
        values = (values - scaling.offset) / scaling.scale
    if np.dtype(prepared.dtype).kind in "biu":
        values = values.round()
    return np.asarray(values.reshape(prepared.shape))


def _image(values: np.ndarray) -> np.ndarray | None:
    """Returns an image of shape (height, width, channels), or None if it is none."""
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


def _png(image: np.ndarray) -> bytes:
    import tensorflow as tf

    step = -(-max(image.shape[:2]) // _LARGEST_SIDE)
    pixels = image[::step, ::step].astype(np.float64)
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 255:
        pixels = (pixels - low) / (high - low)
        low, high = 0, 1
    if high <= 1 and image.dtype != np.uint8:
        pixels = pixels * 255
    encoded: bytes = tf.io.encode_png(pixels.round().astype(np.uint8)).numpy()
    return encoded


def _cell(value: object) -> float | str:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[: _LONGEST_TEXT - 1]}…"
    return float(f"{float(value):.6g}")  # type: ignore[arg-type]
