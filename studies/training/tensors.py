"""Arrays as tensors: copied to TensorFlow's memory, or mapped from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from studies.data.arrays.large import file_of
from studies.data.arrays.texts import is_text

if TYPE_CHECKING:
    import tensorflow as tf


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """Returns the tensor of an array.

    Args:
        array: Any. One of numbers that is mapped to memory as a whole from a file of
            `numpy.save` is not copied, except to a device with its own memory.

    Returns:
        A tensor of the same type, shape and values.
    """
    import tensorflow as tf

    mapped = _mapped_again(array)
    if mapped is None:
        return tf.constant(array)
    # To TensorFlow's default device; on a CPU this copies nothing.
    return tf.identity(tf.experimental.dlpack.from_dlpack(mapped.__dlpack__()))


def _mapped_again(array: np.ndarray) -> np.ndarray | None:
    """Returns an array mapped to memory so that TensorFlow can use it without a copy.

    TensorFlow takes no read-only array. This one is copied on write, which never happens.
    """
    file = file_of(array)
    # TensorFlow has texts in another form: they are copied.
    if file is None or is_text(array):
        return None
    return np.asarray(np.load(file, mmap_mode="c"))
