"""Digests of arrays: the same content gives the same digest on every machine.

A digest covers dtype, shape and values. It does not depend on the memory layout (transposed,
strided) or on the byte order. SHA-256: https://csrc.nist.gov/pubs/fips/180-4/upd1/final
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.large import blocks
from studies.data.arrays.texts import is_text


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


def is_portable(dtype: np.dtype) -> bool:
    """Returns whether a dtype has the same bytes on every machine, except for their order.

    Long doubles do not: they have 64, 80 or 128 bits, by platform, with padding of no fixed value.
    """
    if dtype.kind in "biu":
        return True
    # By character: where a long double has 64 bits, its dtype equals float64, which is portable.
    return dtype.kind in "fc" and dtype.char not in "gG"
