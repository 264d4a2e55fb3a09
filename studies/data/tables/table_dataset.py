"""`datasets.table`: a CSV or Parquet file, or a DataFrame, with a column to predict."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError
from search_spaces.texts import listed, quoted
from studies.data.arrays.splitting_into_parts import DEFAULT_SHARE, Contents
from studies.data.arrays.user_samples import Samples, check_finite, is_frame
from studies.data.dataset_base import Dataset, Reader, options_of
from studies.data.npz_csv_parquet import absolute_path, is_csv, is_table, name_of, read_table
from studies.data.tables.column_kinds import (
    SHOWN,
    check_complete,
    check_names,
    code_columns,
    dates_of,
    missing_words,
    reasons_to_drop,
    refusal,
    table_columns,
    values_of,
)
from studies.data.tables.column_values import MISSING, names_of_parts, numbers_of, texts_of
from studies.data.tables.table_encoding import Column, TableColumns

# By default, a column of dates orders the rows if no date is in more than this share of rows.
_MOST_OF_A_DATE = 0.25
# Targets 0, 1, 2 and so on are classes if there are at most `_MOST_CLASSES` different targets, with
# at least `_LEAST_ROWS` rows of each on average.
_MOST_CLASSES, _LEAST_ROWS = 100, 5
# Only this many rows, from the first on, are searched for codes, and for words that pandas reads as
# missing values.
_FIRST_ROWS = 1000
_WORDS_OF_PANDAS: Final = {*"NA N/A n/a NaN nan null NULL None #N/A <NA>".split()}


def table(
    source: Any,
    *,
    target: str,
    drop: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    missing: Collection[str] | None = None,
    dates: Collection[str] = (),
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
    boolean is replaced by the column's mean, and a further column marks the row by a 1. Means,
    deviations and categories are taken from the training part. The registered model takes the
    columns as they are in the table.

    If there is a column of dates, rows are split in time: training rows come first, then validation
    rows, then test rows. Rules decide about the options `drop`, `categories`, `missing` and `time`
    that you leave out, and `load().warnings` says how.

    Args:
        source: A CSV file in UTF-8 whose first line names the columns, a Parquet file, or a pandas
            DataFrame. A relative path starts from the current folder; `~` is the home folder. The
            index of a DataFrame is ignored. Don't change the DataFrame before the data is loaded.
        target: The column to predict. Texts and booleans are classes, numbered in sorted order.
            Whole numbers 0, 1, 2 and so on without a gap are classes, too, if there are enough rows
            of each. Other numbers are quantities.
        drop: The columns to leave out. None: columns that teach nothing are left out, i.e.
            identifiers, free text, and columns without values or with one value. In any case, rows
            without a target are left out.
        categories: The columns whose numbers are read as categories. None: columns of whole numbers
            with names such as "zip", or with numbers that begin with 0.
        missing: Texts that stand for missing values, such as "?", besides empty cells, "NA", "NaN",
            "null" and "None". None: "?", "-" and the like in any column. In columns of
            numbers, words are missing values too, if there are only a few different words.
        dates: Columns of dates whose day, month and weekday become inputs.
        classes: Whether the target is classes; None: as described for `target`.
        time: The column of dates or numbers that orders the rows before they are split. None: the
            first column of dates without gaps and with few rows of each date. False: parts are
            drawn at random.
        validation: The validation part: a share in (0, 1) of all rows, a number of rows, or another
            table with the same columns.
        test: As `validation`; None or 0: no test part.
        stratify: Whether all parts have the classes in the same proportions. None: yes, if the
            target is classes and parts are drawn at random.
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
            # A size of 1 passes the checks. It has no effect, because the ready-made part is used.
            ready[part], sizes[part] = _place_of(part, size), 1
    options = options_of(arguments, **sizes)
    if classes is not None:
        checks.truth("classes", classes, DataError)
    if not isinstance(target, str) or not target:
        hint = "For several targets, take datasets.arrays."
        raise DataError.of_setting("target", "the name of a column", target, hint)
    by_column = isinstance(time, str) and time not in ("", target) and not stratify
    if time not in (None, False) and not by_column:
        expected = "False, or the name of another column than the target, without stratify=True"
        raise DataError.of_setting("time", expected, time)
    lists = {"drop": drop, "categories": categories, "missing": missing, "dates": dates}
    names: dict[str, Any] = {n: checks.names(n, v or (), DataError) for n, v in lists.items()}
    reader = Table(
        place,
        target,
        **names,
        classes=classes,
        time=False if stratify and time is None else time,
        ready=tuple(ready.items()),
        open=frozenset(option for option, value in lists.items() if value is None),
    )
    in_file = isinstance(place, Path)
    own_name, where = (name_of(place), str(place)) if in_file else ("table", "table in memory")
    return Dataset(name or own_name, where, options, reader)


def table_alone(path: Path, target: str, options: Mapping[str, Any]) -> Dataset:
    """Describes a table that belongs to no study. `options` are arguments of `table`.

    The options `drop` and `missing` don't switch the rules off: the rules may leave out more
    columns, and may find more texts that stand for missing values.
    """
    named = {name: value for name, value in options.items() if name in ("dates", "time")}
    dataset = table(path, target=target, **named)
    more: dict[str, Any] = {name: tuple(options.get(name, ())) for name in ("drop", "missing")}
    return replace(dataset, read=replace(cast(Table, dataset.read), **more))


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

    Attributes:
        source: A path or a DataFrame.
        ready: Ready-made parts, such as ("test", DataFrame).
        open: The names of the options that the user left out. The rules decide about these options.
        decisions: The decisions of the rules, in words, by the column or by a subject such as
            "codes".
    """

    source: Any
    target: str
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    classes: bool | None = None
    time: str | Literal[False] | None = None
    ready: tuple[tuple[str, Any], ...] = ()
    open: frozenset[str] = frozenset()
    decisions: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return _title(self.source)

    def __call__(self) -> Contents:
        table, frame, columns = self.decided()
        return table.contents_of(frame, columns)

    def at(self, place: Path, target: str) -> Table | None:
        same_kind = is_table(place)
        return replace(self, source=place, target=target or self.target) if same_kind else None

    def decided(self) -> tuple[Table, Any, list[Column]]:
        """Applies the rules for the options that are `open`.

        Returns the reader in which all options are decided, the rows to use, and the columns that
        become inputs of a model.
        """
        in_file = is_csv(self.source)
        if in_file:
            first = read_table(self.source, nrows=_FIRST_ROWS, keep_default_na=False, dtype=str)
        else:
            frame = first = self._frame(self.source)
        named = {"drop": self.drop, "categories": self.categories, "dates": self.dates}
        named |= {"target": (self.target,), "time": (self.time,) if self.time else ()}
        check_names(first, named, self.title)
        table, decisions = self, dict(self.decisions)
        inputs = [name for name in first if name not in (*self.drop, self.target)]
        if "categories" in self.open and (codes := code_columns(first[inputs].head(_FIRST_ROWS))):
            decisions["codes"] = f"the numbers of {listed(codes, most=SHOWN)} are categories"
            table = replace(table, categories=(*dict.fromkeys([*self.categories, *codes]),))
        if in_file:
            frame = table._frame(self.source)
        if not len(frame):
            raise DataError(f"{self.title} has no rows.")
        if "missing" in self.open:
            words = {name: missing_words(frame[name]) for name in (*inputs, self.target)}
            table = replace(
                table, missing=(*dict.fromkeys([*self.missing, *chain(*words.values())]),)
            )
            if in_file:
                words = {n: [*w, *sorted(_WORDS_OF_PANDAS & {*first[n]})] for n, w in words.items()}
            phrases = (f"{quoted(texts)} in {name}" for name, texts in words.items() if texts)
            decisions |= {"missing": text} if (text := listed(phrases, most=SHOWN)) else {}
        frame, on_target = self._with_target(table._without_words(frame))
        decisions |= on_target
        dropped = {}
        if "drop" in self.open:
            candidates = [name for name in inputs if name not in (self.time, *self.dates)]
            dropped = dict(reasons_to_drop(frame[candidates], table.categories))
            inputs = [name for name in inputs if name not in dropped]
        columns, refused = table_columns(frame[inputs], table.categories, spelled=in_file)
        if refused and "drop" not in self.open:
            raise refusal(self.title, refused)
        dropped |= refused
        decisions |= {name: f"left out, as it {why}" for name, why in dropped.items()}
        dates = [column.name for column in columns if column.kind == "dates"]
        time = table._time(frame, dates)
        if self.open or self.time is None:
            unused = [name for name in dates if name not in self.dates]
            decisions |= _on_dates(time, unused)
        if self.open and decisions:
            decisions["to change it"] = (
                "set drop, categories, missing, dates or time (options: --drop, --missing, "
                "--dates, --time)"
            )
        table = replace(
            table,
            drop=(*self.drop, *dropped),
            time=time or False,
            open=frozenset(),
            decisions=decisions,
        )
        columns = [column for column in columns if column.kind != "dates"]
        columns += self._parts_of_dates(frame)
        return table, frame.iloc[self._order(frame, time)] if time else frame, columns

    def contents_of(self, frame: Any, columns: list[Column]) -> Contents:
        """Returns the samples. The reader must have no `open` options, so `decided` comes first."""
        if not columns:
            why = "; ".join(f"{subject}: {text}" for subject, text in self.decisions.items())
            raise DataError(
                f"{self.title} has no column besides the target {self.target!r} that a model can "
                "use",
                received=why or list(frame.columns),
                hint="Dates become inputs by dates=['day']. For texts, take datasets.text.",
            )
        y = _read_target(frame[self.target], self.classes, self.title)
        facts = TableColumns(tuple(columns), self.time or "", self.decisions, self.missing)
        x = values_of(frame, columns, self.title)
        pool = Samples(x, y, self.title, f"{self.target!r} of {self.title}", table=facts)
        ready = {}
        for part, source in self.ready:
            title = _title(source, part)
            other = self._without_words(self._frame(source))
            check_names(other, {"target": [self.target]}, title)
            targets = _read_alike(other[self.target], y, title)
            x = values_of(other, columns, title)
            ready[part] = Samples(x, targets, title, f"{self.target!r} of {title}")
        return Contents(pool, ready)

    def _frame(self, source: Any) -> Any:
        if not isinstance(source, Path):
            return source
        return read_table(source, missing=self.missing, texts=self.categories)

    def _without_words(self, frame: Any) -> Any:
        """Returns the rows with missing values in place of texts in `missing`, such as "?"."""
        texts = [name for name in frame if frame[name].dtype.kind not in "biufmM"]
        words = {name: frame[name].isin(self.missing) for name in texts} if self.missing else {}
        gaps = {name: frame[name].mask(mask) for name, mask in words.items() if mask.any()}
        return frame.assign(**gaps) if gaps else frame

    def _with_target(self, frame: Any) -> tuple[Any, dict[str, str]]:
        """Returns the rows that have a target, and decisions and remarks about the target."""
        target, decisions = frame[self.target], {}
        try:
            target.nunique()
        except TypeError:
            subject, expected = f"the target {self.target!r}", "one number or class in each row"
            hint = "Lists of one length go with datasets.arrays(x, y), as an array."
            raise DataError.of_setting(subject, expected, target.iloc[0], hint) from None
        empty = target.isna() | (target == MISSING)
        if empty.any() and not empty.all():
            count = f"{empty.sum():,} of {len(frame):,}"
            decisions["rows"] = f"{count} lack {self.target}, and are left out"
            frame = frame[~empty]
        return frame, decisions

    def _time(self, frame: Any, dates: list[str]) -> str:
        """Returns the column that orders the rows, or an empty text if no column does."""
        if self.time is not None:
            return self.time or ""
        # A date that many rows share says little about their order.
        most = len(frame) * _MOST_OF_A_DATE
        complete = (name for name in dates if frame[name].notna().all())
        return next((n for n in complete if frame[n].value_counts().iloc[0] <= most), "")

    def _order(self, frame: Any, time: str) -> np.ndarray:
        check_complete(frame[time], f"the time {time!r}", self.title)
        try:
            numeric = frame[time].dtype.kind in "biuf"
            values = numbers_of(frame[time]) if numeric else dates_of(frame[time])[0]
        except ValueError as error:
            wrong = f"{self.title} can't be ordered by the column {time!r} (time): it {error}"
            raise DataError(wrong, hint="Or pass time=False.") from None
        return np.argsort(np.asarray(values), kind="stable")

    def _parts_of_dates(self, frame: Any) -> Iterator[Column]:
        """Yields the columns of days, months and weekdays that are made from columns of dates."""
        for name in self.dates:
            try:
                _, day_first = dates_of(frame[name])
            except ValueError as error:
                raise refusal(self.title, {name: str(error)}) from None
            days, *others = names_of_parts(name, day_first)
            yield Column(days, "number")
            yield from (Column(part, "category") for part in others)


def _on_dates(time: str, unused: list[str]) -> dict[str, str]:
    decisions = dict.fromkeys(unused, "no input")
    if time:
        unseen = "; no input" if time in decisions else ""
        decisions[time] = f"parts are split in time by it{unseen}"
    return decisions


def _title(source: Any, part: str = "") -> str:
    """Returns the name of a table in messages."""
    if isinstance(source, Path):
        return repr(str(source))
    return f"The {part} table" if part else "The table"


def _read_target(series: Any, classes: bool | None, source: str) -> np.ndarray:
    """Returns targets of shape (n,): texts or int64 for classes, float64 for quantities.

    `classes` is as in `datasets.table`. Raises DataError for missing values, and for dates.
    """
    import pandas as pd
    from pandas.api import types

    name, dtype = f"the target {series.name!r}", series.dtype
    check_complete(series, name, source)
    texts = not types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype)
    if texts and not classes and (classes is False or series.nunique() > _MOST_CLASSES):
        # Texts such as "1,200 kr" may be numbers.
        with contextlib.suppress(ValueError, TypeError):
            series, texts = pd.Series(numbers_of(series), name=series.name), False
    dates = types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype)
    if dates or (texts and classes is False):
        expected = "numbers" if classes is False else "numbers or classes"
        hint = "Make numbers of it in pandas, and pass datasets.table(df, target=...)."
        raise DataError.of_setting(f"{name} of {source}", expected, str(dtype), hint)
    if not texts:
        values = numbers_of(series)
        check_finite(values, f"{name} of {source}")
        labels = np.unique(values)
        few = 2 <= len(labels) <= min(_MOST_CLASSES, len(values) / _LEAST_ROWS)
        if classes is not False and few and np.array_equal(labels, np.arange(len(labels))):
            return values.astype(np.int64)
        if not classes:
            return values
    return texts_of(series.astype(object))


def _read_alike(series: Any, like: np.ndarray, source: str) -> np.ndarray:
    """Returns the targets of a ready-made part, of the same dtype as the training targets `like`.

    Raises DataError if the ready-made part has a class that is not among the training targets.
    """
    targets = _read_target(series, like.dtype.kind == "O", source)
    if like.dtype.kind in "Oi" and (unknown := sorted(set(targets) - set(like))):
        raise DataError(
            f"The target {series.name!r} of {source} has classes that the training table lacks, "
            f"such as {unknown[0]!r}."
        )
    return targets.astype(like.dtype)
