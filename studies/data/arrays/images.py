"""Samples that are images."""

from __future__ import annotations

import math

import numpy as np

# In pixels.
_SMALLEST_SIDE = 8


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
