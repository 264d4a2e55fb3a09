"""The kind of each column of a table; dates, free text and other things are refused."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from search_spaces.errors import DataError
from search_spaces.suggestions import suggestion
from studies.data.tables.values import levels_of, numbers_of

Kind = Literal["number", "boolean", "category"]

MOST_LEVELS: Final = 10_000
# Up to so many different texts are categories, however few rows there are.
_FEW_LEVELS: Final = 30
_LONG_TEXT: Final = 50
_DATE: Final = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})\b")
_LARGEST: Final = float(np.finfo(np.float32).max)
# Of a value by float32, in standard deviations.
_LARGEST_LOSS: Final = 1e-3
_SHOWN: Final = 5


@dataclass(frozen=True)
class Column:
    """A column that a model learns from.

    Attributes:
        name: Its name in the table.
        kind: "number"; "boolean" for true and false, and numbers that are 0 and 1 alone;
            "category" for texts.
        dtype: Its type in the table, by pandas's name.
        levels: The different texts of a category, sorted.
    """

    name: str
    kind: Kind
    dtype: str
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table.

    Attributes:
        columns: In the order of the table.
        warnings: For the user.
    """

    columns: tuple[Column, ...]
    warnings: tuple[str, ...] = ()


def read_columns(
    table: Any, categories: Collection[str], source: str
) -> tuple[TableColumns, np.ndarray]:
    """Finds the kinds of columns, and reads their values.

    Args:
        table: A DataFrame without the target.
        categories: The columns that are categories whatever they hold.
        source: Where the table is from, for messages.

    Returns:
        The columns; and rows: float32 of shape (n, columns), with numbers, 0 and 1, and the places
        of texts in `levels`; NaN where a value is missing.

    Raises:
        DataError: Some columns are nothing that a model takes; names all of them.
    """
    import pandas as pd

    found: list[Column] = []
    rows = np.empty((len(table), table.shape[1]), np.float32)
    refused: dict[str, str] = {}
    warnings: list[str] = []
    for place, name in enumerate(table.columns):
        series = table[name]
        dtype = str(series.dtype)
        kind = "category" if name in categories else _kind_of(series)
        if isinstance(series.dtype, pd.CategoricalDtype):
            # By its values: a model takes texts.
            series = series.astype(object)
        if kind not in ("number", "boolean", "category"):
            refused[name] = kind
        elif kind == "category":
            places, levels = levels_of(series)
            reason = _no_category(levels, len(series), name in categories)
            if reason:
                refused[name] = reason
                continue
            rows[:, place] = np.where(places < 0, np.nan, places)
            found.append(Column(name, "category", dtype, tuple(levels)))
        else:
            values = numbers_of(series)
            strange = _no_numbers(name, values)
            if strange:
                refused |= strange
                continue
            rows[:, place] = values
            warnings += _loss(name, values)
            found.append(Column(name, "number" if kind == "number" else "boolean", dtype))
    if refused:
        raise _refusal(source, refused)
    return TableColumns(tuple(found), tuple(warnings)), rows


def same_columns(table: Any, columns: tuple[Column, ...], source: str) -> np.ndarray:
    """Returns the values of another table with the same columns, such as a test part's.

    Texts that `columns` lack get places after theirs, as no model knows them.

    Raises:
        DataError: It lacks a column, or one holds something else.
    """
    missing = [column.name for column in columns if column.name not in table.columns]
    if missing:
        raise DataError(f"{source} lacks the columns {_listed(missing)}, which the training has.")
    rows = np.empty((len(table), len(columns)), np.float32)
    for place, column in enumerate(columns):
        series = table[column.name]
        if column.kind == "category":
            places, levels = levels_of(series.astype(object))
            known = {text: number for number, text in enumerate(column.levels)}
            by_place = np.array([*(known.get(t, len(known)) for t in levels), np.nan])
            rows[:, place] = by_place[places]
            continue
        try:
            values = numbers_of(series)
        except (TypeError, ValueError):
            raise DataError(
                f"{source} has something else than numbers in the column {column.name!r}, which "
                "has numbers in training."
            ) from None
        refused = _no_numbers(column.name, values, missing_too=False)
        if refused:
            raise _refusal(source, refused)
        rows[:, place] = values
    return rows


def check_names(table: Any, named: Mapping[str, Collection[str]], source: str) -> None:
    """Checks that a table has named columns, and names for all of its own.

    Args:
        table: A DataFrame.
        named: The columns that options name, by the option.
        source: Where the table is from, for messages.

    Raises:
        DataError: It has not.
    """
    names = list(table.columns)
    strange = [name for name in names if not isinstance(name, str) or not name]
    if strange:
        raise DataError(
            f"{source} has columns without a name, or named by numbers: {_listed(strange)}. Name "
            "them: df.columns = ['age', ...]."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source} has several columns named {_listed(twice)}. Rename them.")
    for option, wanted in named.items():
        for name in wanted:
            if name not in names:
                raise DataError(
                    f"{source} has no column {name!r} ({option}). " + _near(name, names)
                )


def _near(name: str, names: list[str]) -> str:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        mark = next(mark for mark in ";\t|" if mark in names[0])
        return f"It has one column, named {names[0]!r:.60}: pass separator={mark!r}."
    return suggestion(name, names)


def _kind_of(series: Any) -> str:
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


def _no_category(levels: list[str], rows: int, asked: bool) -> str:
    """Returns why texts can't be categories, or nothing."""
    count = len(levels)
    if count > MOST_LEVELS:
        return f"holds {count} different texts, more than the {MOST_LEVELS} that a category may"
    if asked or count <= _FEW_LEVELS:
        return ""
    if count > rows / 2:
        return f"holds {count} different texts in {rows} rows, such as {levels[0]!r:.30}"
    if sum(map(len, levels)) / count > _LONG_TEXT:
        return f"holds free text such as {levels[0]!r:.30}"
    return ""


def _no_numbers(name: str, values: np.ndarray, *, missing_too: bool = True) -> dict[str, str]:
    if bool(np.isinf(values).any()):
        return {name: "holds infinite values"}
    if missing_too and bool(np.isnan(values).all()):
        return {name: "has no values"}
    with np.errstate(invalid="ignore"):
        large = bool((np.abs(values) > _LARGEST).any())
    return {name: "holds numbers that are too large for float32"} if large else {}


def _loss(name: str, values: np.ndarray) -> Iterator[str]:
    """Yields a warning if float32, as which Keras reads numbers, loses differences."""
    known = values[~np.isnan(values)]
    if not known.size:
        return
    with np.errstate(over="ignore"):
        moved, spread = np.abs(known - known.astype(np.float32)).max(), known.std()
    if spread > 0 and moved / spread > _LARGEST_LOSS:
        yield (
            f"Keras reads numbers as float32, which moves values of the column {name!r} by up to "
            f"{moved / spread:.2g} standard deviations. Subtract an offset from its large numbers."
        )


def _dates(name: str) -> str:
    return f"holds dates (make numbers: pd.to_datetime(df[{name!r}]).dt.year, .month, ...)"


def _refusal(source: str, refused: dict[str, str]) -> DataError:
    listed = [f"{name!r} {why}" for name, why in refused.items()]
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    shown = list(refused)[: 2 * _SHOWN]
    return DataError(
        f"{source} has columns that are neither numbers nor categories: "
        f"{', '.join(listed[:_SHOWN])}{more}. Leave them out by drop={shown}, or change them in "
        "pandas and pass datasets.dataframe(df, target=...)."
    )


def _listed(names: Collection[object]) -> str:
    listed = [repr(name) for name in names]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
