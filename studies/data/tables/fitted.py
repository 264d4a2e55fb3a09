"""What the training part teaches about a table: means, deviations, vocabularies.

A model takes one array of a row: numbers to mean 0 and deviation 1, booleans as 0 and 1; then 1 for
each missing one of them; then the code of each category. Code 0 stands for unknown categories.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from studies.data.tables.columns import Column
from studies.data.tables.values import MISSING

PREPROCESSING = "numbers standardized, categories coded"
"""The name of this preprocessing in records."""


@dataclass(frozen=True, eq=False)
class FittedTable:
    """The columns of a table, and what is fitted on its training part.

    Attributes:
        columns: In the order of the table.
        scale, offset: A factor and an addend for each column of numbers and booleans, in their
            order.
        fill: The scaled value of a missing one: the mean.
        indicated: Their places, of those with missing values in the training part.
        vocabularies: For each category column the texts of the training part, by code from 1. The
            empty text is a missing category.
        warnings: For the user.
    """

    columns: tuple[Column, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    fill: tuple[float, ...]
    indicated: tuple[int, ...]
    vocabularies: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...] = ()

    @cached_property
    def numbers(self) -> tuple[Column, ...]:
        """The columns of numbers and booleans."""
        return tuple(column for column in self.columns if column.kind != "category")

    @cached_property
    def categories(self) -> tuple[Column, ...]:
        """The columns of categories."""
        return tuple(column for column in self.columns if column.kind == "category")

    @property
    def width(self) -> int:
        """The number of values of a row that a model takes."""
        return len(self.numbers) + len(self.indicated) + len(self.categories)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows as a model takes them: float32 of shape (n, width).

        Args:
            rows: As `columns.read_columns` reads them.
        """
        made = np.empty((len(rows), self.width), np.float32)
        numbers, indicated = len(self.numbers), len(self.indicated)
        places = self._places("number", "boolean")
        for column, place in enumerate(places):
            values = rows[:, place].astype(np.float64)
            scaled = (values * self.scale[column] + self.offset[column]).astype(np.float32)
            made[:, column] = np.where(np.isnan(scaled), np.float32(self.fill[column]), scaled)
        for number, column in enumerate(self.indicated):
            made[:, numbers + number] = np.isnan(rows[:, places[column]])
        for number, place in enumerate(self._places("category")):
            codes = self._codes(number)
            # The last two are those of texts that no column has, and of missing ones.
            read = np.nan_to_num(rows[:, place], nan=len(codes) - 1)
            made[:, numbers + indicated + number] = codes[read.astype(np.int64)]
        return made

    def values_of(self, row: np.ndarray) -> dict[str, float | str]:
        """Returns the values by column of a row that a model takes; "" for a missing one."""
        found: dict[str, float | str] = {}
        count, indicated = len(self.numbers), len(self.indicated)
        missing = {self.indicated[i] for i in range(indicated) if row[count + i] == 1}
        for place, column in enumerate(self.numbers):
            value = (float(row[place]) - self.offset[place]) / self.scale[place]
            found[column.name] = "" if place in missing else float(f"{value:.6g}")
        for place, column in enumerate(self.categories):
            code = int(row[count + indicated + place])
            found[column.name] = self.vocabularies[place][code - 1] if code else "(unknown)"
        return {column.name: found[column.name] for column in self.columns}

    def table_of(self, rows: np.ndarray) -> Any:
        """Returns rows, as `columns.read_columns` reads them, as a DataFrame."""
        import pandas as pd

        made: dict[str, Any] = {}
        for place, column in enumerate(self.columns):
            values: Any = rows[:, place].astype(np.float64)
            if column.kind == "category":
                levels = np.array([*column.levels, None], dtype=object)
                values = levels[np.nan_to_num(values, nan=len(column.levels)).astype(np.int64)]
            made[column.name] = values
        return pd.DataFrame(made)

    def describe(self) -> list[dict[str, object]]:
        """Returns the columns for records, ready for JSON."""
        counts = dict(zip((c.name for c in self.categories), self.vocabularies, strict=True))
        return [
            {"name": column.name, "kind": column.kind, "dtype": column.dtype}
            | ({"categories": len(counts[column.name])} if column.name in counts else {})
            for column in self.columns
        ]

    def _places(self, *kinds: str) -> list[int]:
        return [place for place, column in enumerate(self.columns) if column.kind in kinds]

    def _codes(self, number: int) -> np.ndarray:
        """Returns the code of each text of a category column, of an unknown and a missing one."""
        codes = {text: code for code, text in enumerate(self.vocabularies[number], start=1)}
        levels = self.categories[number].levels
        return np.array([*(codes.get(t, 0) for t in levels), 0, codes.get(MISSING, 0)], np.float32)


def fit_table(
    columns: tuple[Column, ...], rows: np.ndarray, warnings: tuple[str, ...] = ()
) -> FittedTable:
    """Fits means, deviations and vocabularies.

    Args:
        columns: Of the table.
        rows: Of the training part, as `columns.read_columns` reads them.
        warnings: For the user.
    """
    scale: list[float] = []
    offset: list[float] = []
    fill: list[float] = []
    indicated: list[int] = []
    vocabularies: list[tuple[str, ...]] = []
    for place, column in enumerate(columns):
        missing = np.isnan(rows[:, place])
        known = rows[~missing, place].astype(np.float64)
        if column.kind == "category":
            found = [column.levels[int(level)] for level in np.unique(known)]
            vocabularies.append((*([MISSING] if missing.any() else []), *found))
            continue
        mean = float(known.mean()) if known.size else 0.0
        if missing.any():
            indicated.append(len(scale))
        if column.kind == "boolean":
            scale.append(1.0)
            offset.append(0.0)
            fill.append(mean)
            continue
        deviation = float(known.std()) if known.size else 0.0
        # As scikit-learn's StandardScaler: a constant column becomes 0.
        scale.append(1 / deviation if deviation > 0 else 1.0)
        offset.append(-mean * scale[-1])
        fill.append(0.0)
    return FittedTable(
        columns,
        tuple(scale),
        tuple(offset),
        tuple(fill),
        tuple(indicated),
        tuple(vocabularies),
        warnings,
    )
