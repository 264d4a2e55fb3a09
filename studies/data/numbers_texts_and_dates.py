"""Reads CSV files, and the values of a table's columns as numbers, texts and dates.

Each registered model has a copy of this file, which MLflow runs without kerastudy. So the file
imports nothing of kerastudy.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, cast

import numpy as np

MISSING = ""
"""The text that stands for a missing category."""
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
# The sign of a currency, or a unit, as in "1,130 kr".
_UNIT = r"[%$€£¥]|\s[^\W\d]+[²³]?"
_SPELLED = rf"^\s*([$€£¥]?)\s*([-+]?(?:{_NUMBER})(?:[eE][-+]?\d+)?)\s*({_UNIT})?\s*$"
# A number with a decimal comma between semicolons, as in "1,5;20".
_DECIMAL_COMMA = r"(?:^|;)[-+]?\d+,\d+(?:;|$)"
_PART = re.compile(r"(.+) \((days|month|weekday)(?:, (day first|month first))?\)")
_DATE = (
    r"(?:(?P<year>\d{4})(?P<dash>[-/.])(?P<month>\d{1,2})(?:(?P=dash)(?P<day>\d{1,2}))?"
    r"|(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second>\d{1,2})(?P=sign)(?P<last>\d{4}))"
    r"(?P<time>[T ].*)?"
)
# Which number is the year can't be told. The month and the day must have two digits as well, since
# 1.10.22 may be a version.
_SHORT_DATE = r"\d\d[-/.]\d\d[-/.]\d\d(?:[T ].*)?"
_LARGEST: Final = float(np.finfo(np.float32).max)


def read_csv(
    path: Any, *, missing: Collection[str] = (), texts: Collection[str] = (), **options: Any
) -> tuple[Any, list[str]]:
    """Reads a CSV file with columns separated by commas, semicolons, | or tabs.

    `missing` are texts that stand for missing values, and columns in `texts` are read as texts, so
    that "007" stays "007". The `options` are those of `pandas.read_csv`. Returns the table, and the
    names in the first line, in which pandas may have changed repeated names.
    """
    import pandas as pd

    # No file has this separator, so each line is one cell.
    lines: dict[str, Any] = {"sep": "\x01", "quoting": csv.QUOTE_NONE, "header": None, "dtype": str}
    header = pd.read_csv(path, nrows=1, **lines)[0][0]
    separator = max(",;\t|", key=header.count)
    # Where 0,5 means a half, spreadsheets write semicolons.
    if separator == ";" and pd.read_csv(path, **lines)[0].str.contains(_DECIMAL_COMMA).any():
        options = {"decimal": ","} | options
    options = {"na_values": list(missing) or None, "dtype": dict.fromkeys(texts, str)} | options
    # With low_memory, pandas may give the rows of one column different types.
    table = pd.read_csv(path, sep=separator, low_memory=False, **options)
    names = next(csv.reader([header], delimiter=separator))
    return table, [name for name in names if name]


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
    unit_of(series)
    numbers = np.full(len(series), np.nan)
    numbers[present] = matches[1].str.replace(",", "").astype(np.float64)
    return numbers


def unit_of(column: Any) -> str | None:
    """Returns the unit of a column's numbers, such as "kr" or "$", or None if they have no unit.

    Raises ValueError if they have several units.
    """
    import pandas as pd

    series = pd.Series(column).dropna()
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufmM":
        return None
    found = series.astype(str).drop_duplicates().str.extract(_SPELLED)
    units = {*(found[0].fillna("") + found[2].fillna("").str.strip())}
    if len(units) > 1:
        raise ValueError(f"holds numbers with several units: {sorted(units)}")
    return units.pop() or None if units else None


def with_gaps(column: Any, words: Collection[str]) -> Any:
    """Returns a column as a Series. Values in `words`, such as "?", are replaced by missing values.

    In a column of numbers, these are the words that are numbers, such as "9999".
    """
    import pandas as pd

    series = pd.Series(column)
    kind = series.dtype.kind
    if kind in "bmM" or not words:
        return series
    values = pd.to_numeric([*words], errors="coerce") if kind in "iuf" else words
    missing = series.isin(values)
    return series.mask(missing) if missing.any() else series


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


Order = Literal["day first", "month first"]


def is_date(text: str) -> bool:
    """Returns whether a text looks like a date, such as 2024-12-31 or 31.12.2024."""
    return re.fullmatch(rf"{_DATE}|{_SHORT_DATE}", text) is not None


def _parts_of_dates(texts: Any) -> Any:
    """Returns the numbers and signs of dates, as a table with a row for each text of a Series."""
    parts = texts.str.extract(f"^{_DATE}$")
    if len(others := texts[parts[["year", "last"]].isna().all(axis=1)]):
        raise ValueError(
            f"holds {others.min()!r}, which can't be read as a date; write dates as 2024-12-31"
        )
    return parts


def order_of_dates(column: Any) -> Order | None:
    """Returns whether the day or the month comes first; None if all dates begin with the year.

    Dates with the same sign, such as the points of 31.12.2024, have one order, which is that of all
    dates with a number above 12. Raises ValueError if a value is no date, if there is no number
    above 12, or if dates with different signs have different orders.
    """
    import pandas as pd

    if isinstance(getattr(column, "dtype", None), pd.PeriodDtype):
        return None
    texts = _unique_texts(column)
    parts = _parts_of_dates(texts)
    orders: dict[Order, str] = {}
    for _, rows in parts[parts["last"].notna()].groupby("sign"):
        numbers = rows[["first", "second"]].astype(int)
        days_first, days_second = (numbers[place] > 12 for place in ("first", "second"))
        if days_first.any():
            orders["day first"] = texts[numbers.index[days_first]].min()
        if days_second.any():
            orders["month first"] = texts[numbers.index[days_second]].min()
        if not (days_first | days_second).any():
            raise ValueError(
                f"holds dates such as {texts[numbers.index].min()!r}, in which the day or the "
                "month may come first; write them as 2024-12-31"
            )
    if len(orders) > 1:
        raise ValueError(
            f"holds dates with the day first, such as {orders['day first']!r}, and with the month "
            f"first, such as {orders['month first']!r}; write them as 2024-12-31"
        )
    return next(iter(orders), None)


def _unique_texts(column: Any) -> Any:
    """Returns the different dates of a column as texts. Times become texts such as 2024-12-31."""
    import pandas as pd

    return pd.Series(
        pd.Series(column).dropna().drop_duplicates().astype(str).unique(), dtype=object
    )


def dates_of(column: Any, order: Order | None) -> Any:
    """Returns a column of dates as times in UTC. `order` is as from `order_of_dates`.

    Raises ValueError if a value is no date, or is a date without year in front while `order` is
    None.
    """
    import pandas as pd

    series = pd.Series(column)
    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.start_time
    if not pd.api.types.is_datetime64_any_dtype(series.dtype):
        texts = _unique_texts(series)
        spelled = dict(zip(texts, _in_iso(texts, order), strict=True))
        series = series.astype(str).where(series.notna()).map(spelled)
    try:
        # Times of day may be written differently, but all texts begin with the year.
        return pd.to_datetime(series, utc=True, format="mixed")
    except ValueError:
        raise ValueError("holds times that can't be read; write 2024-12-31 23:59") from None


def _in_iso(texts: Any, order: Order | None) -> Any:
    """Returns texts that begin with dates as texts that begin with the year, such as 2024-12-31."""
    import pandas as pd

    parts = _parts_of_dates(texts)
    late = parts["last"].notna()
    if late.any() and order is None:
        raise ValueError(
            f"holds dates such as {texts[late].min()!r}, in which the day or the month may come "
            "first; write them as 2024-12-31"
        )
    day, month = ("first", "second") if order == "day first" else ("second", "first")
    dates = {
        "year": parts["year"].fillna(parts["last"]),
        "month": parts["month"].fillna(parts[month]),
        "day": parts["day"].fillna(parts[day]).fillna("1"),
    }
    days = pd.to_datetime(pd.DataFrame(dates).astype(int), errors="coerce")
    if len(wrong := texts[days.isna()]):
        raise ValueError(f"holds {wrong.min()!r}, which is no day{f', {order}' if order else ''}")
    return days.dt.strftime("%Y-%m-%d") + parts["time"].fillna("")


def names_of_parts(name: str, order: Order | None) -> list[str]:
    """Returns "sold (days)", "sold (month)" and "sold (weekday)" for a column "sold" of dates.

    The names tell the order of the day and the month: "sold (days, day first)".
    """
    how = "" if order is None else f", {order}"
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
            try:
                dates = dates_of(table[part[1]], cast("Order | None", part[3]))
            except ValueError as error:
                raise ValueError(f"the column {part[1]!r} {error}") from None
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


def folded(text: str) -> str:
    """Returns a text in lower case without needless blanks, so that "Yes " is "yes"."""
    return " ".join(text.split()).casefold()


def _text(value: object) -> str:
    # pandas reads whole numbers as floats if some are missing, so 3.0 becomes "3".
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


def model_columns(
    model: Any, table: Any, *, missing: Collection[str] = (), units: Mapping[str, str | None] = {}
) -> dict[str, Any]:
    """Returns a tensor for each input of a model: the table's column of the same name.

    The table is a DataFrame, or a dict of columns. `missing` are the texts that stand for missing
    values, and `units` are the units of the study's columns of numbers. Raises KeyError with the
    names of missing columns, and ValueError if a column holds no numbers where the model needs
    numbers, or numbers in another unit.
    """
    import tensorflow as tf

    if missing:
        table = {
            name: column if tf.is_tensor(column) else with_gaps(column, missing)
            for name, column in table.items()
        }
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
            numbers = numbers_of(column).astype(np.float32)
            unit, trained_on = unit_of(column), units.get(name)
            if name in units and unit not in (None, trained_on):
                expected = f"in {trained_on!r}" if trained_on else "without a unit"
                raise ValueError(f"holds numbers in {unit!r}; those of the study are {expected}")
            columns[name] = tf.constant(numbers)
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
