"""Tables: a CSV or Parquet file, or a DataFrame, with a column to predict."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from search_spaces import checks
from search_spaces.errors import DataError, suggestion
from search_spaces.texts import listed, quoted
from studies.data.arrays.partition import DEFAULT_SHARE, Contents
from studies.data.arrays.samples import Samples, check_finite, is_frame
from studies.data.column_values import MISSING, numbers_of, texts_of
from studies.data.description import Dataset, Reader, options_of
from studies.data.files import absolute_path, is_table, name_of, read_table
from studies.data.preprocessing import Column, TableColumns

# By default, dates order the rows of a table if no date is in more than this share of them.
_MOST_OF_A_DATE = 0.25
_MOST_LEVELS: Final = 10_000
# A column with at most this many different texts is a category, however few rows there are.
_FEW_LEVELS: Final = 30
_LONG_TEXT: Final = 50
_BEGUN: Final = 30
_SHOWN: Final = 5
_LARGEST: Final = float(np.finfo(np.float32).max)
# With a year of two digits, month and day must have two as well: 1.10.22 may be a version.
_DATE: Final = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d\d[-/.]\d\d[-/.]\d\d)([T ].*)?"
)
# The kind of a column by the result of pandas's `infer_dtype`.
_KINDS: Final[Mapping[str, Any]] = {
    "boolean": "boolean",
    **dict.fromkeys(("integer", "floating", "mixed-integer-float"), "number"),
    "categorical": "category",
    **dict.fromkeys(("datetime64", "datetime", "date", "period"), "dates"),
}
# Targets 0, 1, 2 and so on are classes if there are at most this many, with at least this many rows
# of each on average.
_MOST_CLASSES, _LEAST_ROWS = 100, 5


def table(
    source: Any,
    *,
    target: str,
    drop: Collection[str] = (),
    categories: Collection[str] = (),
    missing: Collection[str] = (),
    classes: bool | None = None,
    time: str | Literal[False] | None = None,
    validation: Any = DEFAULT_SHARE,
    test: Any = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a table: columns of numbers, booleans and categories, and one to predict.

    The study's data is one array with a row for each sample. Numbers are scaled to mean 0 and
    standard deviation 1, booleans are 0 and 1, and categories are one-hot. A missing number or
    boolean becomes the mean, and a further column is 1 for it. Means, deviations and categories are
    those of the trial's training part. The registered model takes the columns of the table.

    Values may be missing, except in the target. Free text is refused. If there is a column of
    dates, rows are split in time: training rows come first, then validation rows, then test rows.
    Models see no dates.

    Args:
        source: A CSV file in UTF-8 whose first line names the columns, a Parquet file, or a pandas
            DataFrame. A relative path starts from the current folder; `~` is the home folder. The
            index of a DataFrame is ignored. Don't change the DataFrame before the data is loaded.
        target: The column to predict. Texts and booleans are classes, numbered in their order. So
            are whole numbers 0, 1, 2 and so on without a gap, if there are enough rows of each.
            Other numbers are quantities.
        drop: Columns to leave out, such as identifiers.
        categories: Columns that are categories though they hold numbers, such as postal codes.
        missing: Further texts of a CSV file that stand for missing values, such as "?". Empty
            cells, "NA", "NaN", "null" and "None" always do.
        classes: Whether the target is classes; None: as described for `target`.
        time: The column of dates, or of numbers, by whose order rows are split. None: the first
            column of dates without a gap and with few rows of each date. False: parts are drawn at
            random.
        validation: Share in (0, 1) of all rows, count of rows, or another table of the same
            columns.
        test: As `validation`; None or 0: no test part.
        stratify: Whether each part gets the classes in equal proportions; None: yes, if there are
            classes and parts are drawn at random.
        seed: The seed of the splits, from 0 to 2**32 - 1.
        name: Name in records; None: the file's name without its ending, or "table".

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the table.

    Example:
        >>> import pandas as pd
        >>> houses = pd.DataFrame({"area": [50.0, 80.0, 120.0], "price": [1.5, 2.0, 3.5]})
        >>> ks.datasets.table(houses, target="price").load().train.x.shape
        (1, 1)
    """
    arguments = locals()
    place = _place_of("source", source)
    ready: dict[str, Any] = {}
    sizes: dict[str, Any] = {"validation": validation, "test": test}
    for part, size in sizes.items():
        if is_frame(size) or isinstance(size, str | PathLike | tuple):
            # Size 1 only passes the checks: the ready-made part is used.
            ready[part], sizes[part] = _place_of(part, size), 1
    options = options_of(arguments, **sizes)
    if classes is not None:
        checks.truth("classes", classes, DataError)
    if not isinstance(target, str) or not target:
        hint = "Several targets go with datasets.arrays."
        raise DataError.of_setting("target", "the name of a column", target, hint)
    named = isinstance(time, str) and time not in ("", target) and not stratify
    if time not in (None, False) and not named:
        expected = "False, or the name of another column than the target, without stratify=True"
        raise DataError.of_setting("time", expected, time)
    reader = Table(
        place,
        target,
        checks.names("drop", drop, DataError),
        checks.names("categories", categories, DataError),
        checks.names("missing", missing, DataError),
        classes,
        False if stratify and time is None else time,
        tuple(ready.items()),
    )
    in_file = isinstance(place, Path)
    own_name, where = (name_of(place), str(place)) if in_file else ("table", "table in memory")
    return Dataset(name or own_name, where, options, reader)


def _place_of(setting: str, source: Any) -> Any:
    if is_frame(source):
        return source
    if isinstance(source, str | PathLike):
        return absolute_path(source)
    raise DataError.of_setting(
        setting,
        "a CSV or Parquet file, or a DataFrame of pandas, with the target in a column",
        source,
        "Arrays go to datasets.arrays(x, y).",
    )


@dataclass(frozen=True, eq=False)
class Table(Reader):
    """Reads a table with the options of `datasets.table`.

    `source` is a path or a DataFrame. `ready` has ready-made parts, such as ("test", DataFrame).
    """

    source: Any
    target: str
    drop: tuple[str, ...]
    categories: tuple[str, ...]
    missing: tuple[str, ...]
    classes: bool | None
    time: str | Literal[False] | None
    ready: tuple[tuple[str, Any], ...]

    def __call__(self) -> Contents:
        return self.contents_of(self._frame(self.source))

    def takes(self, place: Path) -> bool:
        return is_table(place)

    def at(self, place: Path, target: str) -> Table:
        return replace(self, source=place, target=target or self.target)

    def contents_of(self, frame: Any) -> Contents:
        called = _called(self.source)
        named = {"target": [self.target], "drop": self.drop, "categories": self.categories}
        check_names(frame, {**named, "time": [self.time] if self.time else []}, called)
        if not len(frame):
            raise DataError(f"{called} has no rows.")
        columns, refused = table_columns(
            frame.drop(columns=[*self.drop, self.target]), self.categories
        )
        if refused:
            raise _refusal(called, refused)
        dates = [column.name for column in columns if column.kind == "dates"]
        columns = [column for column in columns if column.kind != "dates"]
        if not columns:
            raise DataError(
                f"{called} has no column besides the target {self.target!r}, and dates",
                hint="No model takes dates: make numbers of them in pandas, by df['day'].dt.month.",
            )
        y = _read_target(frame[self.target], self.classes, called)
        time = self._time(frame, dates)
        notes = [_note(time, dates)] if dates or time else []
        if time:
            order = self._order(frame, time, called)
            frame, y = frame.iloc[order], y[order]
        x = _values_of(frame, columns, called)
        table = TableColumns(tuple(columns), time, tuple(notes))
        pool = Samples(x, y, called, f"{self.target!r} of {called}", table=table)
        ready = {}
        for part, source in self.ready:
            other, part_called = self._frame(source), _called(source, part)
            check_names(other, {"target": [self.target]}, part_called)
            targets = _read_alike(other[self.target], y, part_called)
            x = _values_of(other, columns, part_called)
            ready[part] = Samples(x, targets, part_called, f"{self.target!r} of {part_called}")
        return Contents(pool, ready)

    def _frame(self, source: Any) -> Any:
        if not isinstance(source, Path):
            return source
        return read_table(source, missing=self.missing, texts=self.categories)

    def _time(self, frame: Any, dates: list[str]) -> str:
        """Returns the column that orders the rows, or an empty text if none does."""
        if self.time is not None:
            return self.time or ""
        # A date that many rows share says little about their order.
        most = len(frame) * _MOST_OF_A_DATE
        whole = (name for name in dates if frame[name].notna().all())
        return next((n for n in whole if frame[n].value_counts().iloc[0] <= most), "")

    def _order(self, frame: Any, time: str, called: str) -> np.ndarray:
        check_complete(frame[time], f"the time {time!r}", called)
        try:
            values = numbers_of(frame[time])
        except (TypeError, ValueError):
            try:
                values = _dates_of(frame[time])
            except ValueError:
                held = f"{called} has neither dates nor numbers in the column {time!r} (time)"
                raise DataError(held, hint="Pass time=False.") from None
        return np.argsort(np.asarray(values), kind="stable")


def _note(time: str, dates: list[str]) -> str:
    note = f"Parts are split in time, by the column {time!r}. time=False draws them at random."
    unseen = "Models see no dates: make numbers of {} in pandas if they should."
    told = unseen.format(quoted(dates, most=_SHOWN)) if dates else ""
    return f"{note if time else 'Parts are drawn at random.'} {told}".strip()


def _called(source: Any, part: str = "") -> str:
    if isinstance(source, Path):
        return repr(str(source))
    return f"The {part} table" if part else "The table"


def check_names(table: Any, named: Mapping[str, Collection[str]], source: str) -> None:
    """Checks that the names of columns are unique, and that the names in options exist."""
    names = list(table.columns)
    for name in names:
        if not isinstance(name, str) or not name or names.count(name) > 1:
            raise DataError(
                f"{source} has several columns named {name!r}, or one without a name",
                hint="Give each its name: df.columns = ['age', ...].",
            )
    for option, columns in named.items():
        for name in columns:
            if name not in names:
                raise DataError(
                    f"{source} has no column {name!r} ({option})", hint=suggestion(name, names)
                )


def table_columns(
    table: Any, categories: Collection[str] = ()
) -> tuple[list[Column], dict[str, str]]:
    """Returns the usable columns of a DataFrame, and the reason why each other column is refused.

    The DataFrame has no target. Columns in `categories` are categories, whatever they hold.
    """
    usable, refused = [], {}
    for name in table.columns:
        series = table[name]
        try:
            kind: Any = "category" if name in categories else _kind_of(series)
            if kind == "category":
                _check_category(texts_of(series), asked=name in categories)
            elif kind != "dates":
                _float32(series)
        except ValueError as error:
            refused[name] = str(error)
        else:
            usable.append(Column(name, kind))
    return usable, refused


def _values_of(table: Any, columns: Collection[Column], source: str) -> dict[str, np.ndarray]:
    """Returns columns by name: categories as texts with "" for gaps, others as float32 with NaN."""
    missing = [column.name for column in columns if column.name not in table.columns]
    if missing:
        raise DataError(f"{source} lacks the columns {quoted(missing, most=_SHOWN)}.")
    values = {}
    for column in columns:
        try:
            read = texts_of if column.kind == "category" else _float32
            values[column.name] = read(table[column.name])
        except ValueError as error:
            raise _refusal(source, {column.name: str(error)}) from None
    return values


def _dates_of(series: Any) -> Any:
    """Reads a column of dates. Raises ValueError if a value is no date.

    In 3/4/2024 the month may be first or second. The reading that puts the rows in order is taken,
    else the first one that pandas can read.
    """
    import pandas as pd

    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.start_time
    ways: list[dict[str, Any]] = [{}, {"dayfirst": True}, {"format": "mixed"}]
    first = series.dropna().iloc[:1].tolist()
    if first and re.match(r"\d{4}", str(first[0])):
        ways.pop(1)
    readings = []
    for way in ways:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dates = pd.to_datetime(series, utc=True, **way)
            except (ValueError, TypeError):
                continue
        if dates.dropna().is_monotonic_increasing:
            return dates
        readings.append(dates)
    if not readings:
        raise ValueError("holds dates, of which some can't be read")
    return readings[0]


def _refusal(source: str, refused: Mapping[str, str]) -> DataError:
    reasons = listed((f"{name!r} {why}" for name, why in refused.items()), most=_SHOWN)
    return DataError(
        f"{source} has columns that are neither numbers nor categories: {reasons}",
        hint=f"Leave them out by drop={list(refused)[: 2 * _SHOWN]}, or change them in pandas and "
        "pass datasets.table(df, target=...).",
    )


def _float32(series: Any) -> np.ndarray:
    """Returns a column as float32, with NaN for gaps. A ValueError says why that can't be done."""
    try:
        values = numbers_of(series)
    except (TypeError, ValueError):
        raise ValueError("holds something else than numbers") from None
    if bool(np.isinf(values).any()):
        raise ValueError("holds infinite values")
    if bool(np.nanmax(np.abs(values), initial=0) > _LARGEST):
        raise ValueError("holds numbers that are too large for float32")
    return values.astype(np.float32)


def _kind_of(series: Any) -> Any:
    """Returns the `Column.kind` of a column. Raises ValueError if no model can use it."""
    from pandas.api import types

    if not series.notna().any():
        raise ValueError("has no values")
    held = types.infer_dtype(series, skipna=True)
    of = set(series.dropna().map(type)) if held.startswith("mixed") else set()
    if of and all(issubclass(each, str | int | float | np.generic) for each in of):
        held = "string" if any(issubclass(each, str) for each in of) else "floating"
    if held == "string":
        return _kind_of_texts(series)
    kind = _KINDS.get(held)
    if kind is None:
        objects = ", ".join(sorted(each.__name__ for each in of)) or held
        raise ValueError(f"holds values of the kind {objects}")
    if kind == "number":
        values = numbers_of(series)
        return "boolean" if np.isin(values[~np.isnan(values)], (0, 1)).all() else "number"
    return kind


def _kind_of_texts(series: Any) -> str:
    import pandas as pd

    texts = pd.Series(series.dropna().astype(str).unique())
    if len(texts) > 1 and texts.map(_DATE.fullmatch).notna().all():
        _dates_of(series)
        return "dates"
    strange = texts[pd.to_numeric(texts, errors="coerce").isna()]
    if len(texts) >= _FEW_LEVELS and len(strange) <= len(texts) // 10:
        few = f" and {quoted(strange, most=_SHOWN)} (missing values? pass missing=...)"
        raise ValueError(f"holds numbers as texts{few if len(strange) else ''}")
    return "category"


def _check_category(texts: np.ndarray, *, asked: bool) -> None:
    levels = sorted(set(texts.tolist()) - {""})
    count = len(levels)
    free = count > len(texts) / 2 or sum(map(len, levels)) > _LONG_TEXT * count
    if count > _MOST_LEVELS or (free and not asked and count > _FEW_LEVELS):
        first = repr(levels[0] if len(levels[0]) <= _BEGUN else f"{levels[0][:_BEGUN]}…")
        raise ValueError(f"holds {count} different texts in {len(texts)} rows, such as {first}")


def _read_target(series: Any, classes: bool | None, source: str) -> np.ndarray:
    """Returns targets of shape (n,): texts and int64 are classes, float64 is a quantity.

    `classes` is as in `datasets.table`. Raises DataError if values are missing, or no targets.
    """
    from pandas.api import types

    name, dtype = f"the target {series.name!r}", series.dtype
    check_complete(series, name, source)
    texts = not types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype)
    dates = types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype)
    if dates or (texts and classes is False):
        expected = "numbers" if classes is False else "numbers or classes"
        hint = "Make numbers of it in pandas, and pass datasets.table(df, target=...)."
        raise DataError.of_setting(f"{name} of {source}", expected, str(dtype), hint)
    if not texts:
        values = numbers_of(series)
        check_finite(values, f"{name} of {source}")
        known = np.unique(values)
        many = len(known) <= min(_MOST_CLASSES, len(values) / _LEAST_ROWS)
        counted = len(known) >= 2 and many and np.array_equal(known, np.arange(len(known)))
        if classes is not False and counted:
            return values.astype(np.int64)
        if not classes:
            return values
    return texts_of(series.astype(object))


def check_complete(series: Any, name: str, source: str) -> None:
    """Raises DataError if a value of a column is missing."""
    missing = (series.isna() | (series == MISSING)).to_numpy(dtype=bool)
    if missing.any():
        first = f"the first in row {missing.argmax() + 1} after the header"
        raise DataError(
            f"{source} lacks {name} in {missing.sum()} of {len(series)} rows, {first}",
            hint=f"Remove these rows, such as by df.dropna(subset=[{series.name!r}]).",
        )


def _read_alike(series: Any, like: np.ndarray, source: str) -> np.ndarray:
    """Returns the targets of a ready-made part. `like` are the training table's targets.

    Raises DataError for classes that the training table lacks.
    """
    targets = _read_target(series, like.dtype.kind == "O", source)
    if like.dtype.kind in "Oi" and (strange := sorted(set(targets) - set(like))):
        raise DataError(
            f"The target {series.name!r} of {source} has classes that the training table lacks, "
            f"such as {strange[0]!r}."
        )
    return targets.astype(like.dtype)
