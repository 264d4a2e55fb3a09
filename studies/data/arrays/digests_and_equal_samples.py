"""Digests of arrays, which identify data, and hashes of samples, which find equal samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.memory_mapped_files import blocks
from studies.data.arrays.users_samples_and_labels import is_portable, is_text

# At most this many samples are used to estimate how often two values of a column are equal.
_COUNTED = 1000


def array_digest(array: np.ndarray) -> str:
    """Returns the SHA-256 of an array's dtype, shape and values.

    The digest is the same on every machine. Memory layout and byte order don't change the digest,
    nor does the dtype of texts. Raises DataError for Python objects, records and long doubles.
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
    """Returns one SHA-256 over several named digests. It depends on their order."""
    lines = "".join(f"{name} {digest}\n" for name, digest in digests.items())
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def copies_in(arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Returns a whole number for each sample. Copies of the same sample have the same number.

    Returns None if there are no copies. Samples with only a few columns may be equal by chance:
    two patients of the same age and sex are not the same patient. So None is also returned if at
    least one pair of equal samples is expected by chance.
    """
    hashes, firsts, groups = np.unique(marks(arrays), return_index=True, return_inverse=True)
    if len(hashes) == len(groups):
        return None
    # Keep one sample of each set of copies, because copies say nothing about how often different
    # samples have equal values.
    different = {name: array[np.sort(firsts)[:_COUNTED]] for name, array in arrays.items()}
    if _repeats_by_chance(different, len(groups)):
        return None
    return groups.astype(np.min_scalar_type(len(hashes)))


def _repeats_by_chance(different: Mapping[str, np.ndarray], samples: int) -> bool:
    """Returns whether at least one pair of equal samples is expected by chance.

    The columns are taken as independent. `different` has samples of which no two are equal.
    `samples` is the number of all samples, including copies.
    """
    import pandas as pd

    expected_pairs, columns = samples * (samples - 1) / 2, set[bytes]()
    for array in different.values():
        for column in array.reshape(len(array), -1).T:
            codes = pd.factorize(column, use_na_sentinel=False)[0]
            # Columns with the same codes, such as the one-hot columns "yes" and "no", count as one
            # column. Two samples that are equal in one of these columns are equal in all of them.
            if codes.tobytes() not in columns:
                columns.add(codes.tobytes())
                counts = np.bincount(codes)
                pairs = len(codes) * (len(codes) - 1)
                expected_pairs *= float((counts * (counts - 1)).sum()) / max(pairs, 1)
            if expected_pairs < 1:
                return False
    return True


def marks(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns a 64-bit hash of each sample. Samples that are equal in all arrays share a hash."""
    # Imported late, because pandas is slow to import.
    import pandas as pd

    columns: list[np.ndarray] = []
    for array in arrays.values():
        rows = array.reshape(len(array), -1)
        if is_text(rows):
            columns += [*rows.astype(object).T]
        else:
            # pandas would be slow for a table with a column for each pixel of an image. So the
            # bytes of a row become a single value.
            hashed = [
                pd.util.hash_array(_as_bytes(rows[start:end]), categorize=False)
                for start, end in blocks(rows)
            ]
            columns.append(np.concatenate(hashed))
    table = pd.DataFrame(dict(enumerate(columns)))
    hashes: np.ndarray = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return hashes


def _as_bytes(rows: np.ndarray) -> np.ndarray:
    """Returns each row of an array of numbers as a Python `bytes` object."""
    contiguous = np.ascontiguousarray(rows)
    # numpy drops zero bytes at the end of a row. All rows have the same length, so different rows
    # stay different.
    return contiguous.view(f"S{contiguous[0].nbytes}")[:, 0].astype(object)
