"""Turns a user's data, tables of pandas included, into arrays of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.digests import is_portable
from studies.data.arrays.given import Columns
from studies.data.arrays.large import blocks
from studies.data.arrays.texts import as_texts, is_text
from studies.data.structures import Arrays, entry_name, named_arrays, several


def as_numbers(value: object, name: str, *, texts: bool = False) -> np.ndarray:
    """Turns a user's data into an array of numbers, or texts, of shape (n, ...), n > 0.

    The dtype stays that of the input, in the machine's byte order, as TensorFlow takes no other. It
    is copied only if necessary. Raises DataError for anything else.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        # np.asarray would drop the mask, and return the masked values.
        masked = int(np.ma.getmaskarray(value).sum())
        raise DataError(
            f"{name} is a masked array with {masked} masked value(s). "
            "Remove those samples or fill the values in (`.filled(...)`)."
        )
    try:
        array = _table_array(value, name) if is_frame(value) else None
        array = np.asarray(value) if array is None else array
    except DataError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{name} can't be made an array: {error} Received: {type(value).__name__}. "
            "Pass a numpy array, or nested lists of numbers of equal lengths."
        ) from error
    if texts and array.ndim and is_text(array):
        array = as_texts(array, name)
    else:
        _check_numbers(array, value, name)
    if array.ndim == 0:
        raise DataError(
            f"{name} is a single value ({type(value).__name__}). "
            "Pass an array with one entry for each sample."
        )
    if array.size == 0:
        raise DataError(f"{name} is empty: its shape is {array.shape}. Pass at least one sample.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_arrays(value: object, name: str) -> Arrays:
    """Turns a user's data into one or several arrays of numbers or texts, sorted by name.

    Raises DataError if one is neither, or empty; if a name is no text; or if there is none.
    """
    entries = several(value)
    if entries is None:
        return as_numbers(value, name, texts=True)
    if isinstance(entries, tuple):
        return tuple(as_numbers(v, entry_name(name, i), texts=True) for i, v in enumerate(entries))
    for key in entries:
        if not isinstance(key, str) or not key:
            raise DataError(
                f"{name} has an array under the name {key!r}. Name arrays by texts, as the "
                "model's inputs and outputs are: {'image': ..., 'tabular': ...}."
            )
    if not entries:
        raise DataError(f"{name} is an empty dict. Pass at least one array.")
    return {
        key: as_numbers(entries[key], entry_name(name, key), texts=True) for key in sorted(entries)
    }


def check_finite(array: np.ndarray, name: str) -> None:
    """Refuses NaN and infinite values: training on one turns all weights into NaN."""
    if array.dtype.kind != "f":
        return
    if all(np.isfinite(array[start:end]).all() for start, end in blocks(array)):
        return
    bad = ~np.isfinite(array)
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


def _check_numbers(array: np.ndarray, value: object, name: str) -> None:
    if array.dtype.kind in "biuf" and is_portable(array.dtype):
        return
    types = sorted({type(entry).__name__ for entry in array.ravel()[:1000].tolist()})
    if is_text(array):
        raise DataError(f"{name} holds text (dtype {array.dtype}). Pass numbers.")
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


def is_frame(value: object) -> bool:
    """Returns whether a value is a DataFrame, without importing pandas."""
    wanted = ("columns", "dtypes", "to_numpy")
    return getattr(value, "ndim", 0) == 2 and all(hasattr(value, name) for name in wanted)


def columns_of(value: object, name: str) -> dict[str, Columns]:
    """Returns names and types of the columns of each table, by the names of `named_arrays`.

    Tables whose columns are not named by different texts are left out.
    """
    entries = several(value)
    given: dict[str, Any] = named_arrays(value if entries is None else entries, name)  # type: ignore[arg-type]
    found: dict[str, Columns] = {}
    for each, table in given.items():
        if not is_frame(table):
            continue
        names = list(table.columns)
        if len(set(names)) == len(names) and all(isinstance(column, str) for column in names):
            types = map(str, table.dtypes)
            found[each] = tuple(zip(names, types, strict=True))
    return found


def _table_array(table: Any, name: str) -> np.ndarray | None:
    """Returns a table of numbers and booleans as an array of one type; None for other columns."""
    # Extension types of pandas (Int64, boolean) name numpy's type.
    types = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]
    if not all(isinstance(each, np.dtype) and each.kind in "biuf" for each in types):
        return None
    missing = table.isna().to_numpy()
    common = np.result_type(*types)
    if missing.any() and (common.kind != "f" or any(hasattr(d, "na_value") for d in table.dtypes)):
        row, column = map(int, np.argwhere(missing)[0])
        raise DataError(
            f"{name} lacks {int(missing.sum())} value(s), the first in the column "
            f"{table.columns[column]!r} at index {row}. Remove those samples or fill the values in."
        )
    array: np.ndarray = table.to_numpy(dtype=common)
    return array
