"""The column to predict: classes, or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.tables.values import MISSING, numbers_of, texts_of

# Whole numbers 0, 1, 2 and so on are classes if there are at most so many, and so many rows of each
# on average.
_MOST_CLASSES, _LEAST_ROWS = 100, 5


def read_target(
    series: Any, classes: bool | None, source: str, *, header: bool = False
) -> np.ndarray:
    """Returns targets of shape (n,): texts and int64 are classes, float64 is a quantity.

    Args:
        series: The column of a DataFrame.
        classes: Whether it is classes; None: texts and booleans are, and whole numbers from 0 up
            without a gap.
        source: Where the table is from, for messages.
        header: See `check_complete`.

    Raises:
        DataError: Values are missing, or are no targets.
    """
    import pandas as pd
    from pandas.api import types

    name = series.name
    check_complete(series, source, header=header)
    if types.is_datetime64_any_dtype(series.dtype) or types.is_timedelta64_dtype(series.dtype):
        raise DataError(
            f"The target {name!r} of {source} holds dates or durations. Make numbers of it in "
            "pandas, and pass datasets.table(df, target=...)."
        )
    texts = not types.is_numeric_dtype(series.dtype) or types.is_bool_dtype(series.dtype)
    texts |= isinstance(series.dtype, pd.CategoricalDtype)
    if texts and classes is False:
        raise DataError(
            f"The target {name!r} of {source} holds {series.dtype}, which are classes, and "
            "classes=False asks for numbers. Leave classes out, or make numbers of it."
        )
    if not texts:
        values = numbers_of(series)
        if not np.isfinite(values).all():
            raise DataError(f"The target {name!r} of {source} holds infinite values.")
        whole = bool((values == np.floor(values)).all())
        known = np.unique(values) if whole else values[:0]
        many = len(known) <= min(_MOST_CLASSES, len(values) / _LEAST_ROWS)
        counted = len(known) >= 2 and many and known[0] == 0 and known[-1] == len(known) - 1
        if classes is not False and counted:
            return values.astype(np.int64)
        if not classes:
            return values
    labels = texts_of(series.astype(object))
    if (labels == MISSING).any():
        count = int((labels == MISSING).sum())
        raise DataError(f"The target {name!r} of {source} is an empty text in {count} rows.")
    return labels


def check_complete(series: Any, source: str, *, header: bool) -> None:
    """Checks that no target is missing.

    Args:
        series: The column of a DataFrame.
        source: Where the table is from, for messages.
        header: Whether it is a file whose first row names the columns. People count that as row 1.

    Raises:
        DataError: One is missing.
    """
    missing = series.isna().to_numpy()
    if not missing.any():
        return
    first = int(missing.argmax())
    place = f"in row {first + 2}, counting the header" if header else f"at index {first}"
    raise DataError(
        f"{source} lacks the target {series.name!r} in {int(missing.sum())} of {len(series)} rows, "
        f"the first {place}. Remove these rows, such as by df.dropna(subset=[{series.name!r}])."
    )


def read_alike(series: Any, like: np.ndarray, source: str, *, header: bool = False) -> np.ndarray:
    """Returns the targets of another table, such as a test part's.

    Args:
        series: The column of a DataFrame.
        like: The targets of the first table.
        source: Where the table is from, for messages.
        header: See `check_complete`.

    Raises:
        DataError: Values are missing, or are no targets like these.
    """
    if like.dtype.kind == "O":
        labels = read_target(series, True, source, header=header)
        strange = sorted(set(labels) - set(like))
        if strange:
            raise DataError(
                f"The target {series.name!r} of {source} has classes that the training table "
                f"lacks, such as {strange[0]!r}."
            )
        return labels
    values = read_target(series, False, source, header=header)
    if like.dtype.kind != "i":
        return values
    if not bool((values == np.floor(values)).all()):
        raise DataError(
            f"The target {series.name!r} of {source} holds fractions, and that of the training "
            "table classes. Pass classes=False if both are quantities."
        )
    return values.astype(np.int64)
