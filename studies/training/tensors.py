"""Arrays as TensorFlow takes them: copied to its memory, or where they lie in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from studies.data.large import file_of

if TYPE_CHECKING:
    import tensorflow as tf


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """Returns the tensor of an array.

    Args:
        array: Any. One that is mapped to memory, as a whole, from a file of `numpy.save` is not
            copied, but on a device with memory of its own.

    Returns:
        A tensor of the same type, shape and values.
    """
    import tensorflow as tf

    mapped = _mapped_again(array)
    if mapped is None:
        return tf.constant(array)
    # To the device on which TensorFlow would make it; on a CPU this copies nothing.
    return tf.identity(tf.experimental.dlpack.from_dlpack(mapped.__dlpack__()))


def _mapped_again(array: np.ndarray) -> np.ndarray | None:
    """Returns an array that is mapped to memory in a way that lets TensorFlow take it as it is.

    TensorFlow takes none that is read-only. This one is copied where it is written to, which
    nobody does.
    """
    file = file_of(array)
    return None if file is None else np.asarray(np.load(file, mmap_mode="c"))
