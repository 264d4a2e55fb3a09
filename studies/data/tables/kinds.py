"""What the columns of a table are: numbers, booleans, categories, or nothing that a model takes."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from typing import Any, Final

import numpy as np

from studies.data.tables.values import levels_of, numbers_of

MOST_LEVELS: Final = 10_000
# Up to so many different texts are categories, however few rows there are.
_FEW_LEVELS: Final = 30
_LONG_TEXT: Final = 50
_SHOWN: Final = 30
_DATE: Final = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})\b")
_LARGEST: Final = float(np.finfo(np.float32).max)


def unusable(table: Any, categories: Collection[str] = ()) -> dict[str, str]:
    """Returns the columns that no model takes, and why.

    Args:
        table: A DataFrame without the target.
        categories: The columns that are categories whatever they hold.
    """
    found = {}
    for name in table.columns:
        series = table[name]
        asked = name in categories
        kind = "category" if asked else kind_of(series)
        if kind == "category":
            found[name] = no_category(levels_of(series.astype(object))[1], len(series), asked)
        elif kind in ("number", "boolean"):
            found |= no_numbers(name, numbers_of(series))
        else:
            found[name] = kind
    return {name: why for name, why in found.items() if why}


def kind_of(series: Any) -> str:
    """Returns the kind of a column, or why it has none."""
    import pandas as pd
    from pandas.api import types

    if series.notna().sum() == 0:
        return "has no values"
    if types.is_bool_dtype(series.dtype):
        return "boolean"
    if isinstance(series.dtype, pd.CategoricalDtype):
        return "category"
    if types.is_complex_dtype(series.dtype):
        return "holds complex numbers"
    if types.is_numeric_dtype(series.dtype):
        values = numbers_of(series)
        values = values[~np.isnan(values)]
        return "boolean" if bool(((values == 0) | (values == 1)).all()) else "number"
    if types.is_datetime64_any_dtype(series.dtype) or isinstance(series.dtype, pd.PeriodDtype):
        return _dates(series.name)
    if types.is_timedelta64_dtype(series.dtype):
        return f"holds durations (make numbers: df[{series.name!r}].dt.total_seconds())"
    try:
        values = pd.unique(series.dropna()).tolist()
    except TypeError:
        # Of lists, and others that can't be compared.
        values = series.dropna().head(1).tolist()
    return _kind_of_objects(series.name, values)


def _kind_of_objects(name: str, values: list[Any]) -> str:
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if all(isinstance(value, int | float) for value in values):
        return "number"
    if any(isinstance(value, datetime.date | datetime.time) for value in values):
        return _dates(name)
    others = [value for value in values if not isinstance(value, str | int | float)]
    if others:
        return f"holds objects such as {type(others[0]).__name__}"
    texts = [str(value) for value in values]
    if len(texts) > 1 and all(_DATE.match(text) for text in texts):
        return _dates(name)
    strange = [text for text in texts if not _is_number(text)]
    if len(texts) >= _FEW_LEVELS and len(strange) <= len(texts) // 10:
        if not strange:
            return f"holds numbers as texts (make numbers: pd.to_numeric(df[{name!r}]))"
        return f"holds numbers and texts such as {strange[0]!r} (missing values? pass missing=...)"
    return "category"


def no_category(levels: list[str], rows: int, asked: bool) -> str:
    """Returns why texts can't be categories, or nothing."""
    count = len(levels)
    if count > MOST_LEVELS:
        return f"holds {count} different texts, more than the {MOST_LEVELS} that a category may"
    if asked or count <= _FEW_LEVELS:
        return ""
    if count > rows / 2:
        return f"holds {count} different texts in {rows} rows, such as {_begun(levels[0])}"
    if sum(map(len, levels)) / count > _LONG_TEXT:
        return f"holds free text such as {_begun(levels[0])}"
    return ""


def _begun(text: str) -> str:
    """Returns a text in quotes, of a long one its beginning."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def no_numbers(name: str, values: np.ndarray, *, missing_too: bool = True) -> dict[str, str]:
    """Returns why a column of numbers can't be one, by its name, or nothing."""
    if bool(np.isinf(values).any()):
        return {name: "holds infinite values"}
    if missing_too and bool(np.isnan(values).all()):
        return {name: "has no values"}
    with np.errstate(invalid="ignore"):
        large = bool((np.abs(values) > _LARGEST).any())
    return {name: "holds numbers that are too large for float32"} if large else {}


def _dates(name: str) -> str:
    return f"holds dates (make numbers: pd.to_datetime(df[{name!r}]).dt.year, .month, ...)"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
