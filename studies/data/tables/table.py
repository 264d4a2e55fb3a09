"""A table: where it is from, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples
from studies.data.dataset import Dataset
from studies.data.npz_files import absolute_path
from studies.data.parts.partition import Contents
from studies.data.tables.columns import check_names, read_columns, same_columns
from studies.data.tables.files import read_csv, read_parquet
from studies.data.tables.targets import read_alike, read_target


@dataclass(frozen=True, eq=False)
class Table:
    """A table, and how it is read.

    Attributes:
        source: A path, or the DataFrame.
        read: Reads a source into a DataFrame; None for a DataFrame.
        target: The column to predict.
        drop: Columns to leave out.
        categories: Columns that are categories whatever they hold.
        classes: Whether the target is classes; None: as it looks.
        ready: Ready-made parts by name: "validation", "test"; sources like `source`.
        header: Whether sources are files whose first row names the columns.
    """

    source: Any
    read: Callable[[Path], Any] | None
    target: str
    drop: tuple[str, ...]
    categories: tuple[str, ...]
    classes: bool | None
    ready: tuple[tuple[str, Any], ...] = ()
    header: bool = False

    def contents(self) -> Contents:
        """Reads the table, and its ready-made parts.

        Raises:
            DataError: They can't be read, or no study can be run on them.
        """
        table, called = self._frame(self.source), self._called(self.source)
        named = {"target": [self.target], "drop": self.drop, "categories": self.categories}
        check_names(table, named, called)
        if not len(table):
            raise DataError(f"{called} has no rows.")
        left = table.drop(columns=[*self.drop, self.target])
        if not left.shape[1]:
            raise DataError(f"{called} has no column besides the target {self.target!r}.")
        found, rows = read_columns(left, self.categories, called)
        y = read_target(table[self.target], self.classes, called, header=self.header)
        pool = replace(
            self._samples(rows, y, called),
            columns={"x": tuple((column.name, column.dtype) for column in found.columns)},
            table=found,
        )
        ready = {}
        for part, source in self.ready:
            other, what = self._frame(source), self._called(source, part)
            check_names(other, {"target": [self.target]}, what)
            rows = same_columns(other, found.columns, what)
            targets = read_alike(other[self.target], y, what, header=self.header)
            ready[part] = self._samples(rows, targets, what)
        return Contents(pool, ready)

    def _frame(self, source: Any) -> Any:
        return source if self.read is None else self.read(source)

    def _called(self, source: Any, part: str = "") -> str:
        if isinstance(source, Path):
            return repr(str(source))
        return f"The {part} table" if part else "The table"

    def _samples(self, rows: np.ndarray, y: np.ndarray, called: str) -> Samples:
        return Samples(rows, y, called, f"{self.target!r} of {called}")


def with_path(data: Dataset, table: Table, path: str, target: str = "") -> Dataset:
    """Returns the description of another file that is read and split as a table.

    Args:
        data: The table's description.
        table: The table.
        path: The other file: CSV or Parquet.
        target: Another column to predict, or empty.
    """
    file = absolute_path(path)
    parquet = file.suffix.lower() == ".parquet"
    read = table.read
    # Of a CSV file alone.
    known = read.keywords if isinstance(read, partial) else {}
    if parquet:
        read = read_parquet
    elif known.get("separator", ",") == ",":
        # Another file may have another separator.
        read = partial(read_csv, **{"texts": table.categories, **known, "separator": None})
    target = target or table.target
    other = replace(table, source=file, read=read, target=target, header=not parquet)
    text = f"{data.text} from {str(file)!r}"
    return replace(data, source=str(file), text=text, read=other.contents)


def table_of(data: object) -> Table | None:
    """Returns the table that data is described by, if it is one."""
    found = getattr(getattr(data, "read", None), "__self__", None)
    return found if isinstance(found, Table) else None
