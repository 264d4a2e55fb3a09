"""Reads the values of a table's columns as numbers, texts and dates.

Each registered model has a copy of this file, which MLflow runs without kerastudy. So the file
imports nothing of kerastudy.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

MISSING = ""
"""The text that stands for a missing category."""
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
# The sign of a currency, or a unit, as in "1,130 kr".
_UNIT = r"[%$€£¥]|\s[^\W\d]+[²³]?"
SPELLED = rf"^\s*([$€£¥]?)\s*([-+]?(?:{_NUMBER})(?:[eE][-+]?\d+)?)\s*({_UNIT})?\s*$"
_PART = re.compile(r"(.+) \((days|month|weekday)(, day first)?\)")


def numbers_of(column: Any) -> np.ndarray:
    """Returns a column of numbers or booleans as float64 of shape (n,). Missing values are NaN.

    Raises ValueError or TypeError if the column holds something else.
    """
    import pandas as pd

    series = pd.Series(column)
    if not isinstance(series.dtype, np.dtype) or series.dtype.kind not in "biuf":
        series = series.astype(object).where(series.notna(), np.nan)
    try:
        numbers: np.ndarray = series.to_numpy(dtype=np.float64)
    except ValueError:
        return _spelled_numbers(series)
    return numbers


def _spelled_numbers(series: Any) -> np.ndarray:
    present = series.notna().to_numpy()
    matches = series[present].astype(str).str.extract(SPELLED)
    if len(others := series[present][matches[1].isna()]):
        raise ValueError(f"holds {others.iloc[0]!r}, which is no number; leave missing cells empty")
    if len(matches[[0, 2]].fillna("").drop_duplicates()) > 1:
        raise ValueError("holds numbers with several units")
    numbers = np.full(len(series), np.nan)
    numbers[present] = matches[1].str.replace(",", "").astype(np.float64)
    return numbers


def read_dates(column: Any, day_first: bool = False, *, alike: bool = False) -> Any:
    """Reads a column of dates as times in UTC.

    With `alike=True`, raises ValueError unless all dates have the format of the first date.
    """
    import pandas as pd

    series = pd.Series(column)
    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.start_time
    with warnings.catch_warnings():
        # pandas warns of formats that it does not know, and of dates that begin with the year.
        warnings.simplefilter("ignore")
        try:
            return pd.to_datetime(series, utc=True, dayfirst=day_first)
        except ValueError:
            if alike:
                raise
        return pd.to_datetime(series, utc=True, dayfirst=day_first, format="mixed")


def names_of_parts(name: str, day_first: bool) -> list[str]:
    """Returns "sold (days)", "sold (month)" and "sold (weekday)" for a column "sold" of dates."""
    how = ", day first" if day_first else ""
    return [f"{name} ({part}{how})" for part in ("days", "month", "weekday")]


def date_of_part(name: str) -> str:
    """Returns "sold" for "sold (month)", and an empty text for names without such a suffix."""
    part = _PART.fullmatch(name)
    return part[1] if part else ""


def with_parts_of_dates(table: Any, names: Any) -> dict[str, Any]:
    """Returns the columns with these names. "sold (month)" is made from a column "sold" of dates.

    Raises KeyError with the names of missing columns.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    missing = []
    for name in names:
        part = _PART.fullmatch(name)
        if name in table:
            columns[name] = table[name]
        elif part and part[1] in table:
            dates = read_dates(table[part[1]], bool(part[3]))
            days = (dates - pd.Timestamp(0, tz=dates.dt.tz)).dt.days
            whole = {"days": days, "month": dates.dt.month, "weekday": dates.dt.day_of_week + 1}
            columns[name] = whole[part[2]]
        else:
            missing.append(part[1] if part else name)
    if missing:
        raise KeyError(*dict.fromkeys(missing))
    return columns


def texts_of(column: Any) -> np.ndarray:
    """Returns a column as texts of shape (n,) and dtype object. Missing values are "".

    Raises ValueError if the column holds lists or the like.
    """
    import pandas as pd

    try:
        codes, kinds = pd.factorize(pd.Series(column).astype(object))
    except TypeError:
        raise ValueError("holds values such as lists, which are no categories") from None
    # pandas gives missing values the code -1. As an index, -1 means the last text, `MISSING`.
    texts: np.ndarray = np.array([*map(_text, kinds.tolist()), MISSING], dtype=object)[codes]
    return texts


def model_columns(model: Any, table: Any) -> dict[str, Any]:
    """Returns a tensor for each input of a model: the table's column of the same name.

    The table is a DataFrame, or a dict of columns. Raises KeyError with the names of missing
    columns, and ValueError if a column holds no numbers where the model needs numbers.
    """
    import tensorflow as tf

    read, columns = with_parts_of_dates(table, model.input), {}
    for name, tensor in model.input.items():
        column = read[name]
        if tf.is_tensor(column):
            columns[name] = column
            continue
        if str(tensor.dtype) == "string":
            columns[name] = tf.constant(texts_of(column))
            continue
        try:
            columns[name] = tf.constant(numbers_of(column).astype(np.float32))
        except ValueError as error:
            raise ValueError(f"the column {name!r} {error}") from None
        except TypeError:
            raise ValueError(f"the column {name!r} holds values that are no numbers") from None
    return columns


def takes_columns(model: Any) -> bool:
    """Returns whether a Keras model has named inputs that each take a single number or text."""
    inputs = getattr(model, "input", None)
    return isinstance(inputs, Mapping) and all(
        tuple(tensor.shape[1:]) == (1,) for tensor in inputs.values()
    )


def _text(value: object) -> str:
    # pandas reads whole numbers as floats if some are missing, so 3.0 becomes "3".
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)
