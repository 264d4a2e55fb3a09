"""Tables: pandas DataFrames, whose columns have names and types of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.given import Columns
from studies.data.structures import named_arrays, several


def is_table(value: object) -> bool:
    """Returns whether a value is a DataFrame, without importing pandas."""
    wanted = ("columns", "dtypes", "to_numpy")
    return getattr(value, "ndim", 0) == 2 and all(hasattr(value, name) for name in wanted)


def columns_of(value: object, name: str) -> dict[str, Columns]:
    """Returns names and types of the columns of each table among a user's arrays.

    Args:
        value: one array, or several; see `structures.several`.
        name: its name in messages.

    Returns:
        By the names of `structures.named_arrays`. None of tables whose columns are not named by
        different texts.
    """
    entries = several(value)
    given: dict[str, Any] = named_arrays(value if entries is None else entries, name)  # type: ignore[arg-type]
    found: dict[str, Columns] = {}
    for each, table in given.items():
        if not is_table(table):
            continue
        names = list(table.columns)
        if len(set(names)) == len(names) and all(isinstance(column, str) for column in names):
            types = map(str, table.dtypes)
            found[each] = tuple(zip(names, types, strict=True))
    return found


def table_array(table: Any, name: str) -> np.ndarray | None:
    """Returns a table of numbers and booleans of several types as an array of one.

    Args:
        table: a DataFrame.
        name: its name in messages.

    Returns:
        An array of the type that holds the values of all columns; None if one column is neither.

    Raises:
        DataError: a value is missing.
    """
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
