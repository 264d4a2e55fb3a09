"""Reading images, as `keras.utils.image_dataset_from_directory` does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.large import allocated

ENDINGS: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
CHANNELS: Final = {"grayscale": 1, "rgb": 3, "rgba": 4}


def read_images(
    files: Sequence[Path], image_size: tuple[int, int], color_mode: str, interpolation: str
) -> np.ndarray:
    """Returns images as uint8 of shape (n, height, width, channels); large ones in a file.

    Raises:
        DataError: If a file is no image, or can't be read.
    """
    array = allocated((len(files), *image_size, CHANNELS[color_mode]), np.dtype(np.uint8))
    for place, file in enumerate(files):
        array[place] = _image(file, image_size, CHANNELS[color_mode], interpolation)
    return array


def _image(file: Path, size: tuple[int, int], channels: int, interpolation: str) -> np.ndarray:
    import tensorflow as tf

    try:
        content = file.read_bytes()
        image = tf.io.decode_image(content, channels=channels, expand_animations=False)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "message", None) or getattr(error, "strerror", None) or error
        # TensorFlow names its function before, and its operation after.
        reason = re.sub(r"^\{\{.*?\}\}\s*|\s*\[Op:\w+\].*$", "", str(reason), flags=re.DOTALL)
        reason = " ".join(reason.split())[:200].rstrip(".")
        raise DataError(
            f"{str(file)!r} can't be read as an image: {reason}. Remove it, or save it again."
        ) from None
    resized = tf.image.resize(image, size, method=interpolation)
    # Keras passes on the floats: whole numbers take a quarter of the memory.
    return np.asarray(tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8).numpy())
