"""Reads the values of a table's columns as numbers, texts and dates.

Each registered model has a copy of this file, which MLflow runs without kerastudy. So the file
imports nothing of kerastudy.
"""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

MISSING = ""
"""The text that stands for a missing category."""
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
# The sign of a currency, or a unit, as in "1,130 kr".
_UNIT = r"[%$€£¥]|\s[^\W\d]+[²³]?"
_SPELLED = rf"^\s*([$€£¥]?)\s*([-+]?(?:{_NUMBER})(?:[eE][-+]?\d+)?)\s*({_UNIT})?\s*$"
_PART = re.compile(r"(.+) \((days|month|weekday)(, day first)?\)")
_LARGEST: Final = float(np.finfo(np.float32).max)


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
    matches = series[present].astype(str).str.extract(_SPELLED)
    if len(others := series[present][matches[1].isna()]):
        raise ValueError(f"holds {others.iloc[0]!r}, which is no number; leave missing cells empty")
    if len(matches[[0, 2]].fillna("").drop_duplicates()) > 1:
        raise ValueError("holds numbers with several units")
    numbers = np.full(len(series), np.nan)
    numbers[present] = matches[1].str.replace(",", "").astype(np.float64)
    return numbers


def is_number(text: str) -> bool:
    """Returns whether a text is a number, such as "1,200 kr"."""
    try:
        number = float(text)
    except ValueError:
        return re.match(_SPELLED, text) is not None
    # Python reads "-nan" as a number, and "12_003" as 12003, which may be a code.
    return not math.isnan(number) and "_" not in text


def float32_of(series: Any) -> np.ndarray:
    """Returns a column as float32, with NaN for missing values.

    Raises ValueError if the column holds anything other than numbers, or numbers that are infinite
    or too large.
    """
    try:
        values = numbers_of(series)
    except (TypeError, ValueError):
        raise ValueError("holds values that are no numbers") from None
    if bool(np.isinf(values).any()):
        raise ValueError("holds infinite values")
    if bool(np.nanmax(np.abs(values), initial=0) > _LARGEST):
        raise ValueError("holds numbers that are too large for float32")
    return values.astype(np.float32)


def _read_dates(column: Any, day_first: bool = False, *, alike: bool = False) -> Any:
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


def dates_of(series: Any) -> tuple[Any, bool]:
    """Returns a column as dates, and whether the day comes before the month, as in 13/4/2024.

    Raises ValueError if a value is no date, or if no day is above 12, so that both orders of day
    and month are possible.
    """
    first = series.dropna().iloc[:1].tolist()
    orders = [False] if first and re.match(r"\d{4}", str(first[0])) else [False, True]
    readings = []
    for alike in (True, False):
        for day_first in orders:
            with contextlib.suppress(ValueError, TypeError):
                readings.append((_read_dates(series, day_first, alike=alike), day_first))
        if readings:
            break
    if not readings:
        raise ValueError("holds values that can't be read as dates")
    (dates, _), (others, _) = readings[0], readings[-1]
    if not dates.equals(others):
        raise ValueError(
            f"holds dates such as {first[0]!r}, in which the day or the month may come first; "
            "write them as 2024-12-31"
        )
    return readings[0]


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
            dates = _read_dates(table[part[1]], bool(part[3]))
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


def _text(value: object) -> str:
    # pandas reads whole numbers as floats if some are missing, so 3.0 becomes "3".
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


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
