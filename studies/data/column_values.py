"""Values of a table's columns, as numbers and as texts.

Each registered model has a copy of this file, and MLflow runs it there. So it imports nothing of
kerastudy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

MISSING = ""
"""The text of a missing category."""


def numbers_of(column: Any) -> np.ndarray:
    """Returns a column of numbers or booleans as float64 of shape (n,). Missing values are NaN.

    Raises ValueError or TypeError if the column holds something else.
    """
    import pandas as pd

    series = pd.Series(column)
    if not isinstance(series.dtype, np.dtype) or series.dtype.kind not in "biuf":
        series = series.astype(object).where(series.notna(), np.nan)
    numbers: np.ndarray = series.to_numpy(dtype=np.float64)
    return numbers


def texts_of(column: Any) -> np.ndarray:
    """Returns a column as texts of shape (n,) and dtype object. Missing values are ""."""
    import pandas as pd

    codes, kinds = pd.factorize(pd.Series(column).astype(object))
    # Missing values have the code -1, the index of the last text.
    texts: np.ndarray = np.array([*map(_text, kinds.tolist()), MISSING], dtype=object)[codes]
    return texts


def model_columns(model: Any, table: Any) -> dict[str, Any]:
    """Returns a tensor for each input of a model: the table's column of the same name.

    The table is a DataFrame, or a dict of columns. Raises KeyError with the names of missing
    columns, and ValueError for a column that should hold numbers.
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
    """Returns whether a Keras model has named inputs of one number or text each."""
    inputs = getattr(model, "input", None)
    return isinstance(inputs, Mapping) and all(
        tuple(tensor.shape[1:]) == (1,) for tensor in inputs.values()
    )


def _text(value: object) -> str:
    """Returns "3" for 3.0, because pandas reads whole numbers as floats if some are missing."""
    return (
        str(int(value))
        if isinstance(value, float | np.floating) and value.is_integer()
        else str(value)
    )
