"""What data has to be before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studies.data.digests import is_portable
from studies.data.errors import DataError


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked samples with their targets, and what their owner calls them.

    Attributes:
        x: finite numbers, of shape (n, ...), n > 0.
        y: finite numbers, of shape (n, ...).
        x_name: what messages call `x`.
        y_name: what messages call `y`.
    """

    x: np.ndarray
    y: np.ndarray
    x_name: str
    y_name: str

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(self.x)


def check_samples(x: object, y: object, x_name: str, y_name: str) -> Samples:
    """Turns what a user gave into checked arrays.

    The dtype stays the input's own; only a foreign byte order is put right, since TensorFlow takes
    none but the machine's.

    Args:
        x: samples: a numpy array, or anything `np.asarray` makes an array of numbers of.
        y: targets, likewise.
        x_name: what messages shall call `x`.
        y_name: what messages shall call `y`.

    Returns:
        The arrays, not copied where that can be helped.

    Raises:
        DataError: not numbers, empty, of differing lengths, or with NaN or infinite values.
    """
    samples = Samples(_as_array(x, x_name), _as_array(y, y_name), x_name, y_name)
    if len(samples.x) != len(samples.y):
        raise DataError(
            f"{x_name} and {y_name} differ in length: {len(samples.x)} and {len(samples.y)} "
            "samples. Pass one target for each sample."
        )
    check_finite(samples.x, x_name)
    check_finite(samples.y, y_name)
    return samples


def check_finite(array: np.ndarray, name: str) -> None:
    """Refuses NaN and infinite values: training on one turns all weights into NaN.

    Args:
        array: numbers of any shape.
        name: what the message shall call the array.

    Raises:
        DataError: with how many there are, and the index of the first.
    """
    if array.dtype.kind != "f":
        return
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    not_numbers = int(np.isnan(array).sum())
    infinite = int(bad.sum()) - not_numbers
    counts = [f"{not_numbers} NaN"] if not_numbers else []
    counts += [f"{infinite} infinite"] if infinite else []
    first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
    where = first[0] if len(first) == 1 else first
    raise DataError(
        f"{name} holds {' and '.join(counts)} value(s) of {array.size}, the first at index "
        f"{where}. Remove those samples or fill the values in."
    )


def check_same_shape(part: Samples, pool: Samples) -> None:
    """Refuses a ready-made part whose samples are shaped otherwise than those to train on.

    Args:
        part: the ready-made part.
        pool: the samples that training is done on.

    Raises:
        DataError: the shapes of one sample, or of one target, differ.
    """
    for name, shape, pool_name, pool_shape in (
        (part.x_name, part.x.shape[1:], pool.x_name, pool.x.shape[1:]),
        (part.y_name, part.y.shape[1:], pool.y_name, pool.y.shape[1:]),
    ):
        if shape != pool_shape:
            raise DataError(
                f"One entry of {name} has shape {shape}, but one of {pool_name} has shape "
                f"{pool_shape}. Bring all parts to the same shape, the first axis aside."
            )


def _as_array(value: object, name: str) -> np.ndarray:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        # np.asarray would drop the mask and pass on what lies under it.
        masked = int(np.ma.getmaskarray(value).sum())
        raise DataError(
            f"{name} is a masked array with {masked} masked value(s). "
            "Remove those samples or fill the values in (`.filled(...)`)."
        )
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{name} can't be made an array: {error} Received: {type(value).__name__}. "
            "Pass a numpy array, or nested lists of numbers of equal lengths."
        ) from error
    _check_numbers(array, value, name)
    if array.ndim == 0:
        raise DataError(
            f"{name} is a single value ({type(value).__name__}). "
            "Pass an array with one entry for each sample."
        )
    if array.size == 0:
        raise DataError(f"{name} is empty: its shape is {array.shape}. Pass at least one sample.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_numbers(array: np.ndarray, value: object, name: str) -> None:
    if array.dtype.kind in "biuf" and is_portable(array.dtype):
        return
    types = sorted({type(entry).__name__ for entry in array.ravel()[:1000].tolist()})
    if array.dtype.kind in "UST" or types == ["str"]:
        raise DataError(
            f"{name} holds text (dtype {array.dtype}). Encode it as numbers, for instance labels "
            "with scikit-learn's LabelEncoder: `LabelEncoder().fit_transform(y)`."
        )
    if array.dtype.kind == "O":
        hint = " (a sparse matrix? `.toarray()`)" if hasattr(value, "toarray") else ""
        raise DataError(
            f"{name} becomes an array of Python objects (dtype object; {', '.join(types)}), "
            f"not of numbers; received: {type(value).__name__}{hint}. Make every column numeric "
            "and fill missing values in, then convert, for instance with `.astype('float32')`."
        )
    raise DataError(
        f"{name} has dtype {array.dtype}, which no model here is trained on. "
        "Convert it to booleans, integers, or floats of at most 64 bits."
    )
