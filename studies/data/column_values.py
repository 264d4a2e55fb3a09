"""Values of a table's columns, as numbers and as texts.

This file is copied into the folder of a registered model, where MLflow runs it: it needs only numpy
and pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

MISSING = ""
"""The text of a missing category."""


def numbers_of(column: Any) -> np.ndarray:
    """Returns a column of numbers or booleans as float64, of shape (n,), with NaN for missing ones.

    Raises ValueError or TypeError if it holds something else.
    """
    import pandas as pd

    series = pd.Series(column)
    if not isinstance(series.dtype, np.dtype) or series.dtype.kind not in "biuf":
        series = series.astype(object).where(series.notna(), np.nan)
    numbers: np.ndarray = series.to_numpy(dtype=np.float64)
    return numbers


def texts_of(column: Any) -> np.ndarray:
    """Returns a column as texts, of shape (n,) and dtype object, with "" for missing ones."""
    import pandas as pd

    codes, kinds = pd.factorize(pd.Series(column).astype(object))
    # Missing values have the code -1, which takes the last text.
    texts: np.ndarray = np.array([*map(_text, kinds.tolist()), MISSING], dtype=object)[codes]
    return texts


def model_columns(model: Any, table: Any) -> dict[str, Any]:
    """Returns the columns of a table as tensors, for a model with an input for each column.

    The table is a DataFrame, or a dict of columns; further columns are ignored. Raises KeyError
    with the names of missing columns, and ValueError for a column that should hold numbers.
    """
    import tensorflow as tf

    missing = [name for name in model.input if name not in table]
    if missing:
        raise KeyError(*missing)
    columns = {}
    for name, tensor in model.input.items():
        column = table[name]
        if tf.is_tensor(column):
            columns[name] = column
            continue
        if str(tensor.dtype) == "string":
            columns[name] = tf.constant(texts_of(column))
            continue
        try:
            columns[name] = tf.constant(numbers_of(column).astype(np.float32))
        except (TypeError, ValueError):
            raise ValueError(f"the column {name!r} holds something else than numbers") from None
    return columns


def takes_columns(model: Any) -> bool:
    """Returns whether a Keras model takes columns: named inputs of one number or text each."""
    inputs = getattr(model, "input", None)
    return isinstance(inputs, Mapping) and all(
        tuple(tensor.shape[1:]) == (1,) for tensor in inputs.values()
    )


def _text(value: object) -> str:
    """Returns a category's text: "3" for 3.0, as pandas reads whole numbers with gaps as floats."""
    return (
        str(int(value))
        if isinstance(value, float | np.floating) and value.is_integer()
        else str(value)
    )
