"""A sample for people to look at: an image, or its values by column."""

from __future__ import annotations

import numpy as np

from studies.data.arrays.preprocessing import Given
from studies.data.arrays.structures import Arrays, image_of, named_arrays

# Of an image, in pixels.
_LARGEST_SIDE = 256
_MOST_COLUMNS = 100
_LONGEST_TEXT = 200


def pictured(sample: Arrays, given: Given) -> tuple[bytes, dict[str, float | str]]:
    """Returns a sample as an image, or as a row; see `image_of`.

    Args:
        sample: One, after preprocessing.
        given: How the samples were before that. Scalings are undone.

    Returns:
        A PNG file, or nothing; and the values by column, in 6 digits, if it is no image.
    """
    png, row = b"", {}
    arrays = named_arrays(sample, "x")
    if given.table is not None and isinstance(sample, np.ndarray):
        found = given.table.columns_in(sample[None]) if sample.size <= _MOST_COLUMNS else {}
        return b"", {name: _cell(column[0]) for name, column in found.items()}
    for name, array in arrays.items():
        values = _before_preprocessing(array, name, given)
        columns = given.columns.get(name)
        image = None if columns else image_of(values)
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


def before_preprocessing(samples: np.ndarray, given: Given) -> np.ndarray:
    """Returns samples of a single input as they were before preprocessing."""
    return np.stack([_before_preprocessing(sample, "x", given) for sample in samples])


def _before_preprocessing(array: np.ndarray, name: str, given: Given) -> np.ndarray:
    prepared = given.prepared.get(name)
    return array if prepared is None else np.asarray(prepared.undone(array[None])[0])


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
    number = float(value)  # type: ignore[arg-type]
    return "" if np.isnan(number) else float(f"{number:.6g}")
