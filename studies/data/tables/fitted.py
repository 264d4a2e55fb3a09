"""What the training part teaches about a table: means, deviations, vocabularies.

A model takes one array of a row: numbers to mean 0 and deviation 1, booleans as 0 and 1; then 1 for
each missing one of them; then a 1 among 0 for each category. An unknown category is all 0, as a
column that is never 1 in training would keep its random weights. `saved_models.served`
makes Keras's own layers of the same, to the bit, for the registered model: in training they would
run in each step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search_spaces.texts import listed
from studies.data.tables.columns import Column, TableColumns
from studies.data.tables.values import MISSING

PREPROCESSING = "numbers standardized, categories one-hot"
"""The name of this preprocessing in records."""

# Categories of a column that get a value of their own; of more, the most frequent ones do.
_MOST_CODED = 256
_OTHER = "(other)"
_SHOWN = 20


@dataclass(frozen=True)
class FittedColumn(Column):
    """A column, and what the training part teaches of it.

    Attributes:
        scale, offset: A factor and an addend that bring numbers to mean 0 and deviation 1.
        fill: What stands for a missing number after that: the mean.
        gaps: Whether numbers are missing in the training part, so that a further one says where.
        vocabulary: The texts of a category that get a 1 of their own; the empty one is a missing
            category.
        rare: How many texts are too rare for that.
    """

    scale: float = 1.0
    offset: float = 0.0
    fill: float = 0.0
    gaps: bool = False
    vocabulary: tuple[str, ...] = ()
    rare: int = 0

    @property
    def treatment(self) -> str:
        """What becomes of it, for people."""
        if self.kind == "category":
            missing = ", a missing one of them" if MISSING in self.vocabulary else ""
            rare = f"; {self.rare} rarer ones are 0" if self.rare else ""
            return f"one-hot of {len(self.vocabulary)} categories{missing}{rare}"
        what = "0 or 1" if self.kind == "boolean" else "to mean 0 and deviation 1"
        gaps = "; a missing one is the mean, and a further input says so"
        return what + (gaps if self.gaps else "")


@dataclass(frozen=True)
class FittedTable:
    """The columns of a table, and what is fitted on its training part.

    Attributes:
        columns: In the order of the table.
        time: The column whose order the rows have; or empty.
        notes: For the user.
    """

    columns: tuple[FittedColumn, ...]
    time: str = ""
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> list[FittedColumn]:
        """The columns of numbers and booleans: the first values of a row."""
        return [column for column in self.columns if column.kind != "category"]

    @property
    def indicated(self) -> list[FittedColumn]:
        """Those with missing values in the training part: the next ones."""
        return [column for column in self.numbers if column.gaps]

    @property
    def categories(self) -> list[FittedColumn]:
        """The columns of categories: the last ones."""
        return [column for column in self.columns if column.kind == "category"]

    @property
    def width(self) -> int:
        """The number of values of a row that a model takes."""
        coded = sum(len(column.vocabulary) for column in self.categories)
        return len(self.numbers) + len(self.indicated) + coded

    def apply(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns columns of `values_of` as a model takes them: float32 of shape (n, width)."""
        import pandas as pd

        made = np.empty((len(x[self.columns[0].name]), self.width), np.float32)
        place = iter(made.T)
        for column in self.numbers:
            numbers = x[column.name].astype(np.float64) * column.scale + column.offset
            next(place)[:] = np.where(np.isnan(numbers), column.fill, numbers)
        for column in self.indicated:
            next(place)[:] = np.isnan(x[column.name])
        for column in self.categories:
            codes = pd.Index(column.vocabulary, dtype=object).get_indexer(x[column.name])
            for code in range(len(column.vocabulary)):
                next(place)[:] = codes == code
        return made

    def columns_in(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the columns, by name, of rows that `apply` returned: numbers, or NaN, and texts.

        Missing numbers of a column that has none in the training part appear as its mean.
        """
        columns = {}
        place = iter(rows.T)
        for column in self.numbers:
            columns[column.name] = (next(place).astype(np.float64) - column.offset) / column.scale
        for column in self.indicated:
            columns[column.name][next(place) == 1] = np.nan
        for column in self.categories:
            texts = np.full(len(rows), _OTHER, dtype=object)
            for text in column.vocabulary:
                texts[next(place) == 1] = text
            columns[column.name] = texts
        return {column.name: columns[column.name] for column in self.columns}

    @property
    def treatments(self) -> dict[str, str]:
        """What becomes of columns, by their names, those of like ones together; for people."""
        alike: dict[str, list[str]] = {}
        for column in self.columns:
            alike.setdefault(column.treatment, []).append(column.name)
        told = {}
        for treatment, names in alike.items():
            told[listed(names, most=_SHOWN)] = treatment
        seen = self.time in [column.name for column in self.columns]
        by_time = {self.time: f"parts are split in its order{'' if seen else '; no input'}"}
        return told | (by_time if self.time else {})

    def describe(self) -> list[dict[str, object]]:
        """Returns the columns for records, ready for JSON."""
        return [{"name": column.name, "kind": column.kind} for column in self.columns]


def fit_table(table: TableColumns, x: Mapping[str, np.ndarray]) -> FittedTable:
    """Fits means, deviations and vocabularies on the columns of the training part."""
    fitted = tuple(_fitted(column, x[column.name]) for column in table.columns)
    return FittedTable(fitted, table.time, table.notes)


def _fitted(column: Column, values: np.ndarray) -> FittedColumn:
    own = (column.name, column.kind)
    if column.kind == "category":
        # Of equally frequent ones those that come first in the alphabet.
        frequent = sorted(Counter(values.tolist()).items(), key=lambda each: (-each[1], each[0]))
        vocabulary = tuple(sorted(text for text, _ in frequent[:_MOST_CODED]))
        return FittedColumn(*own, vocabulary=vocabulary, rare=len(frequent[_MOST_CODED:]))
    missing = np.isnan(values)
    known = values[~missing].astype(np.float64)
    mean, deviation = (known.mean(), known.std()) if known.size else (0.0, 0.0)
    if column.kind == "boolean":
        return FittedColumn(*own, fill=float(mean), gaps=bool(missing.any()))
    # As scikit-learn's StandardScaler: a constant column becomes 0.
    scale = 1 / float(deviation) if deviation > 0 else 1.0
    return FittedColumn(*own, scale, -float(mean) * scale, gaps=bool(missing.any()))
