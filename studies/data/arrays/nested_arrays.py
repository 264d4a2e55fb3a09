"""The arrays of a model's inputs or outputs, one or several, and their digests.

Several arrays are a dict by the names of Keras's inputs or outputs, or a tuple in their order. A
list is one array, as for `np.asarray`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.memory_mapping import blocks

Arrays = np.ndarray | dict[str, np.ndarray] | tuple[np.ndarray, ...]
Columns = tuple[tuple[str, str], ...]
"""The name and the type of each column of a table."""

# The smallest side of an image, in pixels.
_SMALLEST_SIDE = 8
_MASK = 2**64 - 1
_ODD = 0x9E3779B97F4A7C15
# At most this many samples are used to estimate how often values of a column are equal.
_COUNTED = 1000


def entries(arrays: Any) -> dict[Any, Any]:
    """Returns a dict of the arrays by name, by position in a tuple, or by "" for a single array."""
    if isinstance(arrays, dict):
        return arrays
    return dict(enumerate(arrays)) if isinstance(arrays, tuple) else {"": arrays}


def rebuilt(like: Arrays, values: Iterable[Any]) -> Any:
    """Returns values in the structure of `like`: a dict, a tuple or a single value."""
    if isinstance(like, dict):
        return dict(zip(like, values, strict=True))
    return tuple(values) if isinstance(like, tuple) else next(iter(values))


def map_arrays(function: Callable[..., Any], *arrays: Arrays) -> Any:
    """Applies a function to each array, as `map` does, and keeps the dict or tuple."""
    return rebuilt(arrays[0], map(function, *(entries(each).values() for each in arrays)))


def named_arrays(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Returns arrays by their names in messages and digests.

    A single array is "x". Several are "x['image']" and so on, or "x[0]" and so on.
    """
    if isinstance(arrays, dict | tuple):
        return {entry_name(name, key): array for key, array in entries(arrays).items()}
    return {name: arrays}


def entry_name(name: str, key: str | int) -> str:
    """Returns a name such as "x['image'] of the training part"."""
    first, of, rest = name.partition(" of ")
    return f"{first}[{key!r}]{of}{rest}"


def length_of(arrays: Arrays) -> int:
    """Returns the number of samples."""
    return len(next(iter(entries(arrays).values())))


def described(arrays: Arrays) -> str:
    """Describes arrays in messages, such as "arrays named 'image', 'size'"."""
    if isinstance(arrays, dict):
        return f"arrays named {', '.join(map(repr, arrays))}"
    if not isinstance(arrays, tuple):
        return "one array"
    return f"{len(arrays)} arrays in a tuple" if arrays else "nothing"


def several(value: object) -> dict[Any, object] | tuple[object, ...] | None:
    """Returns a value that holds several arrays as a dict or tuple. Returns None for one array.

    A tuple whose entries are numpy arrays, DataFrames or tensors holds several arrays. A tuple of
    numbers, or of lists, is one array.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and value and all(getattr(v, "ndim", 0) >= 1 for v in value):
        return tuple(value)
    return None


def image_of(values: np.ndarray) -> np.ndarray | None:
    """Returns a sample as an image of shape (height, width, channels), or None if it is no image.

    An image has at least 8 by 8 pixels, and 1, 3 or 4 channels. A row of numbers is an image, too,
    if their count is a square, and they are unsigned integers or from 0 to 1.
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
    """Returns whether an array holds texts, as numpy's strings or as Python objects."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "UST"
    return isinstance(next(iter(array.ravel()[:1]), None), str | bytes)


def is_portable(dtype: np.dtype) -> bool:
    """Returns whether values of a dtype have the same bytes on every machine, except byte order.

    Those of long doubles differ: they have 64, 80 or 128 bits.
    """
    # dtype.char is compared, because the dtype of a long double of 64 bits equals float64.
    return dtype.kind in "biu" or (dtype.kind in "fc" and dtype.char not in "gG")


def array_digest(array: np.ndarray) -> str:
    """Returns the SHA-256 of an array's dtype, shape and values, the same on every machine.

    It depends neither on memory layout nor on byte order. For texts it does not depend on the
    dtype. Raises DataError for Python objects, records and long doubles.
    """
    array = np.asarray(array)
    if is_text(array):
        digest = hashlib.sha256(f"text {array.shape}\n".encode("ascii"))
        for value in array.ravel().tolist():
            text = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(text) + text)
        return digest.hexdigest()
    if not is_portable(array.dtype):
        raise DataError(
            f"An array of dtype {array.dtype} has no digest that is the same on every machine",
            hint="Convert it to booleans, integers, or floats of at most 64 bits.",
        )
    little_endian = array.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{little_endian.str} {tuple(array.shape)}\n".encode("ascii"))
    rows = np.atleast_1d(array)
    for start, end in blocks(rows):
        ordered = np.ascontiguousarray(rows[start:end], dtype=little_endian)
        # hashlib takes buffers of one dimension only.
        digest.update(ordered.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def combined_digest(digests: Mapping[str, str]) -> str:
    """Returns one SHA-256 over named digests. Their order counts."""
    lines = "".join(f"{name} {digest}\n" for name, digest in digests.items())
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def copies_in(arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Returns a whole number for each sample, equal for copies, or None if there are no copies.

    Rows of a few columns may be equal by chance: two patients of the same age and sex are two
    people. So None is returned if chance alone would make at least one pair of rows equal.
    """
    kinds, firsts, groups = np.unique(marks(arrays), return_index=True, return_inverse=True)
    if len(kinds) == len(groups):
        return None
    # Only one of several copies is used: copies don't show how often different samples have equal
    # values.
    different = {name: array[np.sort(firsts)[:_COUNTED]] for name, array in arrays.items()}
    if _repeats_by_chance(different, len(groups)):
        return None
    return groups.astype(np.min_scalar_type(len(kinds)))


def _repeats_by_chance(different: Mapping[str, np.ndarray], samples: int) -> bool:
    """Returns whether independent columns with these values would give a pair of equal samples."""
    import pandas as pd

    expected, columns = samples * (samples - 1) / 2, set[bytes]()
    for array in different.values():
        for column in array.reshape(len(array), -1).T:
            codes = pd.factorize(column, use_na_sentinel=False)[0]
            # Columns with the same codes, such as one-hot yes and no, count once.
            if codes.tobytes() not in columns:
                columns.add(codes.tobytes())
                counts = np.bincount(codes)
                pairs = len(codes) * (len(codes) - 1)
                expected *= float((counts * (counts - 1)).sum()) / max(pairs, 1)
            if expected < 1:
                return False
    return True


def marks(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns a 64-bit hash of each sample, equal for samples that are equal in all arrays."""
    total = np.zeros(len(next(iter(arrays.values()))), np.uint64)
    for place, array in enumerate(arrays.values(), start=1):
        own = _of_texts(array) if is_text(array) else _of_numbers(array)
        total += _mixed(own + np.uint64(place * _ODD & _MASK))
    return total


def _of_numbers(array: np.ndarray) -> np.ndarray:
    mixed = np.empty(len(array), np.uint64)
    for start, end in blocks(array):
        rows = np.ascontiguousarray(array[start:end]).reshape(end - start, -1)
        flat = rows.view(np.uint8)
        words = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))).view(np.uint64)
        places = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(_ODD)
        mixed[start:end] = _mixed(words + places).sum(axis=1, dtype=np.uint64)
    return mixed


def _of_texts(array: np.ndarray) -> np.ndarray:
    total = np.zeros(len(array), np.uint64)
    for place, column in enumerate(array.reshape(len(array), -1).T, start=1):
        hashes = np.fromiter(map(_of_text, column.tolist()), np.uint64)
        total += _mixed(hashes + np.uint64(place * _ODD & _MASK))
    return total


def _of_text(text: object) -> int:
    return int.from_bytes(blake2b(str(text).encode(), digest_size=8).digest())


def _mixed(words: np.ndarray) -> np.ndarray:
    """Mixes the bits of each word by the last step of SplitMix64.

    https://doi.org/10.1145/2714064.2660195
    """
    mixed: np.ndarray = words ^ (words >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
