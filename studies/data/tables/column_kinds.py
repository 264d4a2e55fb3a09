"""Rules that find the kinds of a table's columns, and the columns that are of no use to a model.

Real tables have identifiers, codes, free text, and words such as "?" for missing values. The rules
find these by the names and the values of columns, never by the target.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import listed, quoted, suggestion
from studies.data.tables.column_values import (
    MISSING,
    SPELLED,
    numbers_of,
    read_dates,
    texts_of,
    with_parts_of_dates,
)
from studies.data.tables.table_encoding import Column

_MOST_LEVELS: Final = 10_000
# A column with at most this many different texts is a category, however few rows there are.
_FEW_LEVELS: Final = 30
# Texts with more characters than this on average are free text, not categories.
_LONG_TEXT: Final = 50
_SHOWN_CHARACTERS: Final = 30
SHOWN: Final = 5
_LARGEST: Final = float(np.finfo(np.float32).max)
# If the year has two digits, the month and the day must have two as well. So 1.10.22 is no date,
# because it may be a version.
_DATE: Final = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d\d[-/.]\d\d[-/.]\d\d)([T ].*)?"
)
# The kind of a column for each result of pandas's `infer_dtype`.
_KINDS: Final[Mapping[str, Any]] = {
    "boolean": "boolean",
    **dict.fromkeys(("integer", "floating", "mixed-integer-float"), "number"),
    "categorical": "category",
    **dict.fromkeys(("datetime64", "datetime", "date", "period"), "dates"),
}
_ID: Final = re.compile(
    r"(.*[^a-z])?(id|ids|uuid|guid|index|key|nr)|id[^a-z].*|.*[a-z]I[dD]|no|unnamed: \d+", re.I
)
_CODE: Final = re.compile(
    r"(.*[^a-z])?(zip|plz|(zip|post|postal|area)?[ _-]?code)([^a-z].*)?", re.I
)
# Texts that stand for missing values. The signs do so in every column. The words do so only in
# columns of numbers or dates, because in other columns a word such as "none" may be a category.
_SIGNS: Final = ("?", "-", "--", ".", "n.a.", "n.a")
_WORDS: Final = ("unknown", "missing", "none", "not available", "not applicable", "nil")
FREE_TEXT: Final = "free text, which ks.datasets.text turns into inputs"
# At most this many different words among many numbers stand for missing values.
_FEW_WORDS: Final = 3


def code_columns(rows: Any) -> list[str]:
    """Returns the columns whose whole numbers are codes, and not quantities.

    Such a column has a name such as "zip", or has numbers that begin with 0. `rows` are the first
    rows of a table, as texts.
    """
    codes = []
    for name in rows.columns:
        texts = rows[name].dropna().astype(str)
        whole = bool(len(texts)) and bool(texts.str.fullmatch(r"\d+(\.0)?").all())
        if whole and (_CODE.fullmatch(name) or texts.str.match(r"0\d").any()):
            codes.append(name)
    return codes


def missing_words(series: Any) -> list[str]:
    """Returns the texts of a column that stand for missing values."""
    if series.dtype.kind in "biufmM":
        return []
    texts = list(series.dropna().astype(str).unique())
    missing = [text for text in texts if _plain(text) in _SIGNS + _WORDS]
    gaps = set(missing)
    rest = [text for text in texts if text not in gaps]
    words = list(islice((text for text in rest if not _is_number(text)), _FEW_WORDS + 1))
    if rest and (not words or all(map(_DATE.fullmatch, rest))):
        return missing
    if len(words) <= _FEW_WORDS and len(rest) - len(words) >= _FEW_LEVELS:
        return [*missing, *words]
    return [text for text in missing if _plain(text) in _SIGNS]


def _plain(text: str) -> str:
    return text.strip().lower()


def _is_number(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return re.match(SPELLED, text) is not None
    # Python reads "-nan" as a number, and "12_003" as 12003, which may be a code.
    return not math.isnan(number) and "_" not in text


def reasons_to_drop(table: Any, categories: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yields the name of each column that teaches a model nothing, and the reason."""
    for name in table.columns:
        series = table[name]
        try:
            values, present = series.nunique(), series.dropna()
        except TypeError:
            # Values such as lists can't be compared. `table_columns` refuses them.
            continue
        if name in categories:
            continue
        if values == 1 and len(present) == len(series):
            only = series.iloc[0]
            yield name, f"is always {only if isinstance(only, np.generic) else repr(only)}"
        elif (
            _ID.fullmatch(name)
            and values > max(_FEW_LEVELS, len(series) / 20)
            and (series.dtype.kind != "f" or (present == present.round()).all())
        ):
            several = "; rows with the same identifier may be in two parts"
            yield name, f"is an identifier{several if values < len(present) else ''}"


def table_columns(
    table: Any, categories: Collection[str] = (), *, spelled: bool = False
) -> tuple[list[Column], dict[str, str]]:
    """Returns the columns that a model can use and, for the others, why it can't use them.

    The target is not among the columns of `table`. Columns in `categories` are categories, whatever
    they hold. With `spelled`, as for CSV files, a column is a column of numbers if all its texts
    can be read as numbers, such as "1,200".
    """
    usable, reasons = [], {}
    for name in table.columns:
        series = table[name]
        try:
            kind: Any = "category" if name in categories else _kind_of(series, spelled)
            if kind == "category":
                _check_category(texts_of(series), asked=name in categories)
            elif kind != "dates":
                float32_of(series)
        except ValueError as error:
            reasons[name] = str(error)
        else:
            usable.append(Column(name, kind))
    return usable, reasons


def values_of(table: Any, columns: Collection[Column], source: str) -> dict[str, np.ndarray]:
    """Returns columns by name: categories as texts, other columns as float32.

    Missing values are "" among texts, and NaN among numbers. Raises DataError if a column is
    missing, or if its values are not of its kind.
    """
    try:
        series_by_name = with_parts_of_dates(table, [column.name for column in columns])
    except KeyError as error:
        raise DataError(f"{source} lacks columns: {quoted(error.args, most=SHOWN)}.") from None
    values = {}
    for column in columns:
        try:
            of_kind = texts_of if column.kind == "category" else float32_of
            values[column.name] = of_kind(series_by_name[column.name])
        except ValueError as error:
            raise refusal(source, {column.name: str(error)}) from None
    return values


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
                readings.append((read_dates(series, day_first, alike=alike), day_first))
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


def refusal(source: str, refused: Mapping[str, str]) -> DataError:
    """Returns the error for columns that no model can use."""
    reasons = listed((f"{name!r} {why}" for name, why in refused.items()), most=SHOWN)
    return DataError(
        f"{source} has columns that are neither numbers nor categories: {reasons}",
        hint=f"Leave them out by drop={list(refused)[: 2 * SHOWN]}, or change them in pandas and "
        "pass datasets.table(df, target=...).",
    )


def check_names(table: Any, named: Mapping[str, Collection[str]], source: str) -> None:
    """Checks that a table's columns have unique names, and that options name only such columns.

    `named` maps each option to the names in it. Raises DataError if a check fails.
    """
    names = list(table.columns)
    for name in names:
        if not isinstance(name, str) or not name or names.count(name) > 1:
            raise DataError(
                f"{source} has several columns named {name!r}, or one without a name",
                hint="Give each column a name of its own: df.columns = ['age', ...].",
            )
    for option, columns in named.items():
        for name in columns:
            if name not in names:
                raise DataError(
                    f"{source} has no column {name!r} ({option})", hint=suggestion(name, names)
                )


def check_complete(series: Any, name: str, source: str) -> None:
    """Raises DataError if a value of a column is missing."""
    missing = (series.isna() | (series == MISSING)).to_numpy(dtype=bool)
    if missing.any():
        first = f"the first in row {missing.argmax() + 1} after the header"
        raise DataError(
            f"{source} lacks {name} in {missing.sum()} of {len(series)} rows, {first}",
            hint=f"Remove these rows, such as by df.dropna(subset=[{series.name!r}]).",
        )


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


def _kind_of(series: Any, spelled: bool) -> Any:
    """Returns the `Column.kind` of a column. Raises ValueError if no model can use it."""
    from pandas.api import types

    if not series.notna().any():
        raise ValueError("has no values")
    value_type = types.infer_dtype(series, skipna=True)
    types_of_values = set(series.dropna().map(type)) if value_type.startswith("mixed") else set()
    if types_of_values and all(
        issubclass(t, str | int | float | np.generic) for t in types_of_values
    ):
        value_type = "string" if any(issubclass(t, str) for t in types_of_values) else "floating"
    if value_type == "string":
        return _kind_of_texts(series, spelled)
    kind = _KINDS.get(value_type)
    if kind is None:
        objects = ", ".join(sorted(t.__name__ for t in types_of_values)) or value_type
        raise ValueError(f"holds values of the kind {objects}")
    if kind == "number":
        values = numbers_of(series)
        return "boolean" if np.isin(values[~np.isnan(values)], (0, 1)).all() else "number"
    return kind


def _kind_of_texts(series: Any, spelled: bool) -> str:
    texts = list(series.dropna().astype(str).unique())
    if len(texts) > 1 and all(map(_DATE.fullmatch, texts)):
        dates_of(series)
        return "dates"
    # In a DataFrame, a column of texts with only a few different numbers stays a category, because
    # the user may have turned the numbers into texts for this purpose.
    if (spelled or len(texts) >= _FEW_LEVELS) and all(map(_is_number, texts)):
        float32_of(texts)
        return "number"
    return "category"


def _check_category(texts: np.ndarray, *, asked: bool) -> None:
    levels = sorted(set(texts.tolist()) - {""})
    count = len(levels)
    free = count > len(texts) / 2 or sum(map(len, levels)) > _LONG_TEXT * count
    if count > _MOST_LEVELS or (free and not asked and count > _FEW_LEVELS):
        first = levels[0]
        if len(first) > _SHOWN_CHARACTERS:
            first = f"{first[:_SHOWN_CHARACTERS]}…"
        many = f"{count:,} different texts in {len(texts):,} rows, such as {first!r}"
        free_text = sum(" " in level for level in levels) > count / 2
        raise ValueError(f"holds {many}{f': {FREE_TEXT}' if free_text else ''}")
