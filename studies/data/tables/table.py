"""Tables: a CSV or Parquet file, or a DataFrame, with a column to predict."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import quoted
from studies.data.arrays.checks import Samples, is_frame
from studies.data.arrays.partition import Contents
from studies.data.dataset import Dataset, call_text, unless
from studies.data.npz_files import absolute_path
from studies.data.options import DEFAULT_SHARE, check_options
from studies.data.tables.columns import (
    TableColumns,
    check_names,
    dates_of,
    losses,
    read_alike,
    read_target,
    refusal,
    table_columns,
    values_of,
)
from studies.data.tables.files import has_header, is_table, name_of, read_table
from studies.data.tables.values import numbers_of

# A table is split in time by itself if no date is of more than this share of its rows.
_MOST_OF_A_DATE = 0.25


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

    The study's data is one array of a row for each sample: numbers to mean 0 and standard deviation
    1, booleans as 0 and 1, a missing one as the mean and with a further column that is 1, and
    categories one-hot. Means, deviations and categories are those of the training part of the
    trial, in cross-validation of its fold. The registered model takes the columns of the table.

    Values may be missing, except in the target. Free text is refused, with what to do. Where there
    is a column of dates, the validation part is not earlier than the training part, nor the test
    part than these: what comes next can only be predicted from what was before. Models see no
    dates.

    Args:
        source: A CSV file in UTF-8 whose first line names the columns, a Parquet file, or a
            DataFrame of pandas, whose index is ignored, and which must not change before the data
            is loaded. A relative path starts from the current folder; `~` is the home folder.
        target: The column to predict. Texts and booleans are classes, numbered in their order, with
            their names kept; so are whole numbers 0, 1, 2 and so on without a gap; all others are
            quantities.
        drop: Columns to leave out, such as identifiers.
        categories: Columns that are categories though they hold numbers, such as postal codes.
        missing: Further texts of a CSV file that stand for missing values, such as "?". Empty
            cells, "NA", "NaN", "null" and "None" do anyway.
        classes: Whether the target is classes; None: see there.
        time: The column of dates, or of numbers, by whose order parts are split; None: the first
            column of dates without a gap, if there is one; False: parts are drawn at random.
        validation: Share in (0, 1) of all rows, count of rows, or another table of the same
            columns.
        test: Likewise; None or 0: no test part.
        stratify: Whether each part gets the classes in equal proportions; None: if there are some,
            and parts are drawn at random.
        seed: What the splits are drawn with; from 0 to 2**32 - 1.
        name: Name in records; None: the file's name without its ending, or "table".

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the table.

    Example:
        >>> import pandas as pd
        >>> houses = pd.DataFrame({"area": [50.0, 80.0, 120.0], "price": [1.5, 2.0, 3.5]})
        >>> ks.datasets.table(houses, target="price").load().train.x.shape
        (1, 1)
    """
    asked = {**locals()}
    if not (is_frame(source) or isinstance(source, str | PathLike)):
        raise DataError(
            "table takes a CSV or Parquet file, or a DataFrame of pandas. Received: "
            f"{type(source).__name__}. Pass datasets.arrays(x, y) for arrays."
        )
    place = source if is_frame(source) else absolute_path(source)
    ready: dict[str, Any] = {}
    sizes: dict[str, Any] = {}
    for part, size in (("validation", validation), ("test", test)):
        if isinstance(size, tuple):
            raise DataError(
                f"{part} is a tuple, and a table has its targets in a column: pass another table."
            )
        sizes[part] = size
        if is_frame(size) or isinstance(size, str | PathLike):
            ready[part] = size if is_frame(size) else absolute_path(size)
            # Any size: the ready-made part replaces it.
            sizes[part] = 1
    options = check_options(**sizes, stratify=stratify, seed=seed)
    if not (classes is None or isinstance(classes, bool)):
        raise DataError(f"classes must be True, False or None. Received: {classes!r}.")
    if not (time is None or time is False or (isinstance(time, str) and time)):
        raise DataError(
            f"time must be the name of a column, such as 'day', False or None. Received: {time!r}."
        )
    if not isinstance(target, str) or not target:
        raise DataError(
            f"target must be the name of a column, such as 'price'. Received: {target!r:.80}. "
            "Several targets go with datasets.arrays."
        )
    if time and time == target:
        raise DataError(
            f"Parts can't be split by the target {target!r}: each would have targets of its own. "
            "Leave time out, or name a column of dates."
        )
    if stratify and time:
        raise DataError(
            f"Parts can't be split both by the time {time!r} and by classes. Leave stratify or "
            "time out."
        )
    described = Table(
        place,
        target,
        _names("drop", drop),
        _names("categories", categories),
        _names("missing", missing),
        classes,
        False if stratify and time is None else time,
        tuple(ready.items()),
    )
    defaults = {name: each.default for name, each in signature(table).parameters.items()}
    shown = unless(defaults, **{name: asked[name] for name in defaults if name != "source"})
    text = call_text("table", source, **shown)
    where = str(place) if isinstance(place, Path) else "table in memory"
    own_name = name_of(place) if isinstance(place, Path) else "table"
    return Dataset(name or own_name, where, text, options, described)


@dataclass(frozen=True, eq=False)
class Table:
    """Reads a table: a path, or a DataFrame, with the options of `datasets.table`.

    `ready` are sources of ready-made parts, by their names.
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
        """Reads the table, and its ready-made parts."""
        return self.contents_of(self._frame(self.source))

    def contents_of(self, frame: Any) -> Contents:
        """Returns the contents where the table is read already."""
        called = _called(self.source)
        named = {"target": [self.target], "drop": self.drop, "categories": self.categories}
        check_names(frame, {**named, "time": [self.time] if self.time else []}, called)
        if not len(frame):
            raise DataError(f"{called} has no rows.")
        columns, refused = table_columns(
            frame.drop(columns=[*self.drop, self.target]), self.categories
        )
        if refused:
            raise refusal(called, refused)
        dates = [column.name for column in columns if column.kind == "dates"]
        columns = [column for column in columns if column.kind != "dates"]
        if not columns:
            also = "".join(
                f" and the dates {quoted(dates, most=8)}, which no model takes. Make "
                f"numbers of them in pandas: df[{first!r}].dt.month"
                for first in dates[:1]
            )
            raise DataError(f"{called} has no column besides the target {self.target!r}{also}.")
        y = read_target(frame[self.target], self.classes, called, header=has_header(self.source))
        time, order, note = self._order(frame, dates, called)
        if order is not None:
            frame, y = frame.iloc[order], y[order]
        x = values_of(frame, columns, called)
        notes = (*([note] if note else []), *losses(x, frame))
        table = TableColumns(tuple(columns), time, notes)
        pool = Samples(x, y, called, f"{self.target!r} of {called}", table=table)
        ready = {}
        for part, source in self.ready:
            other, what = self._frame(source), _called(source, part)
            check_names(other, {"target": [self.target]}, what)
            targets = read_alike(other[self.target], y, what, header=has_header(source))
            x = values_of(other, columns, what)
            ready[part] = Samples(x, targets, what, f"{self.target!r} of {what}")
        return Contents(pool, ready)

    def takes(self, place: Path) -> bool:
        """Returns whether another file can be read in the same way."""
        return is_table(place)

    def at(self, place: Path, target: str) -> Table:
        """Returns what reads another file, with another column to predict if one is named."""
        return replace(self, source=place, target=target or self.target)

    def _frame(self, source: Any) -> Any:
        if not isinstance(source, Path):
            return source
        return read_table(source, missing=self.missing, texts=self.categories)

    def _order(
        self, frame: Any, dates: list[str], called: str
    ) -> tuple[str, np.ndarray | None, str]:
        """Returns the column of time, if there is one, its order, and a note for the user."""
        unseen = f"Models see no dates: make numbers of {quoted(dates, most=8)} in pandas"
        unseen = f"{unseen} if they should." if dates else ""
        time = self.time
        if time is None:
            # Where one date is of many rows, it says little of their order.
            most = len(frame) * _MOST_OF_A_DATE
            whole = (name for name in dates if frame[name].notna().all())
            time = next((n for n in whole if frame[n].value_counts().iloc[0] <= most), False)
        if not time:
            return "", None, f"Parts are drawn at random. {unseen}" if dates else ""
        try:
            values = numbers_of(frame[time])
        except (TypeError, ValueError):
            try:
                values = dates_of(frame[time])
            except ValueError:
                raise DataError(
                    f"{called} has neither dates nor numbers in the column {time!r} (time), by "
                    "which rows could be ordered."
                ) from None
        missing = int(np.asarray(frame[time].isna()).sum())
        if missing:
            raise DataError(
                f"{called} lacks the time {time!r} in {missing} of {len(frame)} rows. Remove these "
                f"rows, such as by df.dropna(subset=[{time!r}]), or pass time=False."
            )
        split = "" if self.ready else ": no validation row is earlier than a training row"
        note = (
            f"Parts are split in time, by the column {time!r}{split}. time=False draws them at "
            "random."
        )
        order = np.argsort(np.asarray(values), kind="stable")
        return time, order, f"{note} {unseen}".strip()


def _called(source: Any, part: str = "") -> str:
    if isinstance(source, Path):
        return repr(str(source))
    return f"The {part} table" if part else "The table"


def _names(option: str, value: object) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Iterable) or not all(isinstance(each, str) for each in (*names,)):
        raise DataError(
            f"{option} must be a list of texts, such as ['id']. Received: {value!r:.80}"
        )
    return tuple(names)
