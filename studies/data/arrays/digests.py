"""Digests of arrays, the same on every machine; and copies of a sample.

A digest covers dtype, shape and values. It does not depend on the memory layout (transposed,
strided) or on the byte order. SHA-256: https://csrc.nist.gov/pubs/fips/180-4/upd1/final
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from hashlib import blake2b

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.large import blocks
from studies.data.arrays.structures import is_portable, is_text

_MASK = 2**64 - 1
_ODD = 0x9E3779B97F4A7C15
# Samples of which the values of a column are counted.
_COUNTED = 1000


def array_digest(array: np.ndarray) -> str:
    """Returns the SHA-256 of an array's dtype, shape and values.

    The digest of texts does not depend on their dtype. A contiguous little-endian array is hashed
    in place; any other, block by block. Raises DataError for Python objects, records and long
    doubles, whose bytes depend on the machine.
    """
    array = np.asarray(array)
    if is_text(array):
        return _text_digest(array)
    if not is_portable(array.dtype):
        raise DataError(
            f"An array of dtype {array.dtype} has no digest that is the same on every machine. "
            "Convert it to booleans, integers, or floats of at most 64 bits."
        )
    little_endian = array.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{little_endian.str} {tuple(array.shape)}\n".encode("ascii"))
    # Arrays that must be rearranged are copied in blocks.
    in_place = array.ndim == 0 or (array.flags.c_contiguous and array.dtype == little_endian)
    for block in [array] if in_place else (array[start:end] for start, end in blocks(array)):
        ordered = np.ascontiguousarray(block, dtype=little_endian)
        # hashlib takes buffers of one dimension only. Neither step copies.
        digest.update(ordered.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _text_digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"text {array.shape}\n".encode("ascii"))
    for value in array.ravel().tolist():
        text = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()


def combined_digest(digests: Mapping[str, str]) -> str:
    """Returns one SHA-256 over named digests, whose order counts."""
    lines = "".join(f"{name} {digest}\n" for name, digest in digests.items())
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def copies_in(arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Returns groups of samples that are copies of each other; None if there are no copies.

    The groups are whole numbers of shape (samples,), equal for copies. Weights may differ.

    A table of few columns repeats by chance: two patients of the same age and sex are two. If at
    least one pair of equal rows were to be expected of columns that are independent of each other,
    repeated samples are no copies.
    """
    kinds, firsts, groups = np.unique(marks(arrays), return_index=True, return_inverse=True)
    if len(kinds) == len(groups):
        return None
    # Copies say nothing of how often different samples have the same value.
    different = {name: array[np.sort(firsts)[:_COUNTED]] for name, array in arrays.items()}
    if _repeats_by_chance(different, len(groups)):
        return None
    return groups.astype(np.min_scalar_type(len(kinds)))


def _repeats_by_chance(different: Mapping[str, np.ndarray], samples: int) -> bool:
    """Returns whether chance alone would make a pair of samples equal."""
    import pandas as pd

    expected, columns = samples * (samples - 1) / 2, set[bytes]()
    for array in different.values():
        for column in array.reshape(len(array), -1).T:
            codes = pd.factorize(column, use_na_sentinel=False)[0]
            # The columns of a one-hot yes and no say the same.
            if codes.tobytes() not in columns:
                columns.add(codes.tobytes())
                counts = np.bincount(codes)
                pairs = len(codes) * (len(codes) - 1)
                expected *= float((counts * (counts - 1)).sum()) / max(pairs, 1)
            if expected < 1:
                return False
    return True


def marks(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns 64 bits for each sample, the same for samples that are the same in all arrays."""
    total: np.ndarray | None = None
    for place, array in enumerate(arrays.values(), start=1):
        own = _of_texts(array) if is_text(array) else _of_numbers(array)
        mixed = _mixed(own + np.uint64(place * _ODD & _MASK))
        total = mixed if total is None else total + mixed
    assert total is not None, "data has inputs"
    return total


def _of_numbers(array: np.ndarray) -> np.ndarray:
    mixed = np.empty(len(array), np.uint64)
    for start, end in blocks(array):
        rows = np.ascontiguousarray(array[start:end]).reshape(end - start, -1)
        flat = rows.view(np.uint8)
        missing = -flat.shape[1] % 8
        if missing:
            flat = np.pad(flat, ((0, 0), (0, missing)))
        words = flat.view(np.uint64)
        places = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(_ODD)
        mixed[start:end] = _mixed(words + places).sum(axis=1, dtype=np.uint64)
    return mixed


def _of_texts(array: np.ndarray) -> np.ndarray:
    columns = array.reshape(len(array), -1)
    total = np.zeros(len(array), np.uint64)
    for place, column in enumerate(columns.T, start=1):
        hashes = np.fromiter(map(_of_text, column.tolist()), np.uint64)
        total += _mixed(hashes + np.uint64(place * _ODD & _MASK))
    return total


def _of_text(text: object) -> int:
    return int.from_bytes(blake2b(str(text).encode(), digest_size=8).digest())


def _mixed(words: np.ndarray) -> np.ndarray:
    """Returns 64 bits that all depend on all bits given: the end of SplitMix64.

    https://doi.org/10.1145/2714064.2660195
    """
    mixed: np.ndarray = words ^ (words >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
