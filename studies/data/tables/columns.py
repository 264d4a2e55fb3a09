"""The columns of a table: what each holds, and its values. What no model takes is refused."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from search_spaces.errors import DataError, suggestion
from search_spaces.texts import listed, quoted
from studies.data.tables.values import MISSING, numbers_of, texts_of

Kind = Literal["number", "boolean", "category", "dates"]

MOST_LEVELS: Final = 10_000
# Up to so many different texts are categories, however few rows there are.
_FEW_LEVELS: Final = 30
_LONG_TEXT: Final = 50
_BEGUN: Final = 30
_SHOWN: Final = 5
# Of a value by float32, in standard deviations.
_LARGEST_LOSS: Final = 1e-3
_LARGEST: Final = float(np.finfo(np.float32).max)
# A year of two digits only beside two digits of month and day: 1.10.22 may be a version.
_DATE: Final = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d\d[-/.]\d\d[-/.]\d\d)([T ].*)?"
)
# By what pandas infers.
_KINDS: Final[Mapping[str, Kind]] = {
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "categorical": "category",
    **dict.fromkeys(("datetime64", "datetime", "date", "period"), "dates"),
}

# Whole numbers 0, 1, 2 and so on are classes if there are at most so many, and so many rows of each
# on average.
_MOST_CLASSES, _LEAST_ROWS = 100, 5


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in the table.
        kind: "number"; "boolean" for true and false, and numbers that are 0 and 1 alone;
            "category" for texts; "dates", which order rows, and which no model takes.
    """

    name: str
    kind: Kind


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table.

    Attributes:
        columns: Those that a model learns from, in the order of the table.
        time: The column whose order the rows have, so that parts are split in time; or empty.
        notes: For the user.
    """

    columns: tuple[Column, ...]
    time: str = ""
    notes: tuple[str, ...] = ()


def table_columns(
    table: Any, categories: Collection[str] = ()
) -> tuple[list[Column], dict[str, str]]:
    """Returns the columns of a DataFrame without the target; and those of no use, with the reason.

    `categories` are the columns that are categories whatever they hold.
    """
    usable, refused = [], {}
    for name in table.columns:
        series = table[name]
        try:
            kind: Kind = "category" if name in categories else _kind_of(series)
            if kind == "category":
                _check_category(texts_of(series), asked=name in categories)
            elif kind != "dates":
                _float32(series)
        except ValueError as error:
            refused[name] = str(error)
        else:
            usable.append(Column(name, kind))
    return usable, refused


def values_of(table: Any, columns: Collection[Column], source: str) -> dict[str, np.ndarray]:
    """Returns the values of columns of a DataFrame, by name, of shape (n,).

    They are texts, "" where one is missing; and float32, NaN where one is missing. Raises DataError
    if the table lacks a column, or one holds something else.
    """
    missing = [column.name for column in columns if column.name not in table.columns]
    if missing:
        raise DataError(
            f"{source} lacks the columns {quoted(missing, most=_SHOWN)}, which the training has."
        )
    values = {}
    for column in columns:
        series = table[column.name]
        try:
            text = column.kind == "category"
            values[column.name] = texts_of(series) if text else _float32(series)
        except ValueError as error:
            raise refusal(source, {column.name: str(error)}) from None
    return values


def dates_of(series: Any) -> Any:
    """Returns a column of dates as datetimes of pandas, NaT where one is missing.

    Texts may begin with the day, the month or the year. Where they leave open whether the month
    comes before the day, the order of the rows decides. Raises ValueError if some are no dates.
    """
    import pandas as pd

    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.start_time
    ways: list[dict[str, Any]] = [{}, {"dayfirst": True}, {"format": "mixed"}]
    first = series.dropna().iloc[:1].tolist()
    if first and re.match(r"\d{4}", str(first[0])):
        ways.pop(1)
    read = []
    for way in ways:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dates = pd.to_datetime(series, utc=True, **way)
            except (ValueError, TypeError):
                continue
        if dates.dropna().is_monotonic_increasing:
            return dates
        read.append(dates)
    if not read:
        raise ValueError("holds dates, of which some can't be read")
    return read[0]


def losses(values: Mapping[str, np.ndarray], table: Any) -> Iterator[str]:
    """Yields a warning for each column that loses differences as float32, as Keras reads it."""
    for name, rounded in values.items():
        if rounded.dtype != np.float32:
            continue
        numbers = numbers_of(table[name])
        known = ~np.isnan(numbers)
        moved, spread = np.abs(numbers - rounded)[known].max(initial=0), numbers[known].std()
        if spread > 0 and moved / spread > _LARGEST_LOSS:
            yield (
                f"Keras reads numbers as float32, which moves values of the column {name!r} by up "
                f"to {moved / spread:.2g} standard deviations. Subtract an offset from its large "
                "numbers."
            )


def check_names(table: Any, named: Mapping[str, Collection[str]], source: str) -> None:
    """Checks that a DataFrame has the columns that options name, and different names for all."""
    names = list(table.columns)
    strange = [name for name in names if not isinstance(name, str) or not name]
    if strange:
        raise DataError(
            f"{source} has columns without a name, or named by numbers: "
            f"{quoted(strange, most=_SHOWN)}. Name them: df.columns = ['age', ...]."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{source} has several columns named {quoted(twice, most=_SHOWN)}. Rename them."
        )
    for option, wanted in named.items():
        for name in wanted:
            if name not in names:
                raise DataError(
                    f"{source} has no column {name!r} ({option}). {suggestion(name, names)}"
                )


def refusal(source: str, refused: Mapping[str, str]) -> DataError:
    """Returns the error for columns that no model takes, by their names."""
    told = [f"{name!r} {why}" for name, why in refused.items()]
    return DataError(
        f"{source} has columns that are neither numbers nor categories: "
        f"{listed(told, most=_SHOWN)}. Leave them out by drop={list(refused)[: 2 * _SHOWN]}, "
        "or change them in pandas and pass datasets.table(df, target=...)."
    )


def _float32(series: Any) -> np.ndarray:
    """Returns a column of numbers, NaN where one is missing. Raises ValueError with the reason."""
    try:
        values = numbers_of(series)
    except (TypeError, ValueError):
        raise ValueError("holds something else than numbers") from None
    if bool(np.isinf(values).any()):
        raise ValueError("holds infinite values")
    with np.errstate(invalid="ignore"):
        if bool((np.abs(values) > _LARGEST).any()):
            raise ValueError("holds numbers that are too large for float32")
    return values.astype(np.float32)


def _kind_of(series: Any) -> Kind:
    """Returns what a column holds. Raises ValueError if no model takes it."""
    from pandas.api import types

    if not series.notna().any():
        raise ValueError("has no values")
    held = types.infer_dtype(series, skipna=True)
    of = set(series.dropna().map(type)) if held.startswith("mixed") else set()
    if of and all(issubclass(each, str | int | float | np.generic) for each in of):
        held = "string" if any(issubclass(each, str) for each in of) else "floating"
    kind = _KINDS.get(held)
    if kind == "number":
        values = numbers_of(series)
        return "boolean" if np.isin(values[~np.isnan(values)], (0, 1)).all() else "number"
    if held == "string":
        return _kind_of_texts(series)
    if kind is None:
        objects = ", ".join(sorted(each.__name__ for each in of)) or held
        raise ValueError(f"holds values of the kind {objects}")
    return kind


def _kind_of_texts(series: Any) -> Kind:
    import pandas as pd

    texts = pd.Series(series.dropna().astype(str).unique())
    if len(texts) > 1 and texts.map(_DATE.fullmatch).notna().all():
        dates_of(series)
        return "dates"
    strange = texts[pd.to_numeric(texts, errors="coerce").isna()]
    if len(texts) >= _FEW_LEVELS and len(strange) <= len(texts) // 10:
        if strange.empty:
            raise ValueError(
                f"holds numbers as texts (make numbers: pd.to_numeric(df[{series.name!r}]))"
            )
        raise ValueError(
            f"holds numbers and texts such as {strange.iloc[0]!r} (missing values? pass "
            "missing=...)"
        )
    return "category"


def _check_category(texts: np.ndarray, *, asked: bool) -> None:
    levels = sorted(set(texts.tolist()) - {""})
    count = len(levels)
    if count > MOST_LEVELS:
        raise ValueError(
            f"holds {count} different texts, more than the {MOST_LEVELS} that a category may"
        )
    if asked or count <= _FEW_LEVELS:
        return
    first = repr(levels[0] if len(levels[0]) <= _BEGUN else f"{levels[0][:_BEGUN]}…")
    if count > len(texts) / 2:
        raise ValueError(f"holds {count} different texts in {len(texts)} rows, such as {first}")
    if sum(map(len, levels)) / count > _LONG_TEXT:
        raise ValueError(f"holds free text such as {first}")


def read_target(
    series: Any, classes: bool | None, source: str, *, header: bool = False
) -> np.ndarray:
    """Returns targets of shape (n,): texts and int64 are classes, float64 is a quantity.

    Where `classes` is None, texts and booleans are classes, and whole numbers from 0 up without a
    gap. Raises DataError if values are missing, or are no targets.
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
    """Checks that no target is missing; a header is the first row of a file, as people count."""
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
    """Returns the targets of another table, such as a test part's, which must be `like` the first.

    Raises DataError if values are missing, or are no such targets.
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
