"""Encodes a table's columns as numbers: scaled numbers, booleans, and one-hot categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from search_spaces.texts import listed
from studies.data.tables.column_values import MISSING

# At most this many categories of a column get an input: the most frequent ones.
_MOST_CODED = 256
# A category gets no input if it is in fewer than 5 training rows, and in less than one row of 200.
_FEW_ROWS, _FEW_OF = 5, 200
_OTHER = "(other)"
_SHOWN = 20


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: The name in the table.
        kind: Numbers that are all 0 or 1 are "boolean", and texts are a "category". "dates" may
            order the rows, but are no input of a model.
    """

    name: str
    kind: Literal["number", "boolean", "category", "dates"]


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table.

    Attributes:
        columns: The columns that a model learns from, in the order of the table.
        time: The column that orders the rows; empty if parts are drawn at random.
        decisions: The decisions of the rules of `table_dataset`, in words, by column or subject.
        missing: The texts that stand for missing values.
    """

    columns: tuple[Column, ...]
    time: str = ""
    decisions: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class FittedColumn(Column):
    """A column, and the statistics of its values in the training part.

    Attributes:
        scale, offset: ``x * scale + offset`` has mean 0 and deviation 1.
        fill: The value that replaces missing numbers after scaling: the scaled mean.
        gaps: Whether values are missing in the training part. If so, the model has a further input,
            which is 1 where the column's value is missing.
        vocabulary: The texts of a category that have an input; "" stands for a missing category.
        rare: The number of texts that are too rare for an input.
    """

    scale: float = 1.0
    offset: float = 0.0
    fill: float = 0.0
    gaps: bool = False
    vocabulary: tuple[str, ...] = ()
    rare: int = 0

    @property
    def treatment(self) -> str:
        if self.kind == "category":
            missing = ", one of them for missing values" if MISSING in self.vocabulary else ""
            rare = f"; rarer ones ({self.rare}) and new ones are all 0" if self.rare else ""
            return f"one-hot of {len(self.vocabulary)} categories{missing}{rare}"
        values = "0 or 1" if self.kind == "boolean" else "to mean 0 and deviation 1"
        gaps = "; a missing value is the mean, and a further input marks it"
        return values + (gaps if self.gaps else "")


@dataclass(frozen=True)
class FittedTable(TableColumns):
    """The columns of a table, with their statistics in the training part.

    A model gets each row of the table as one array. The values in the array are, in this order:

    * scaled numbers, and booleans as 0 and 1 (`numbers`);
    * for each of these columns that lacks values in the training part, 1 where the value is
      missing, else 0 (`indicated`);
    * categories, one-hot (`categories`). An unknown category is all 0.

    For the registered model, `saved_models.saving_with_preprocessing_layers` makes Keras layers
    that compute the same values to the bit.
    """

    columns: tuple[FittedColumn, ...]

    @property
    def numbers(self) -> list[FittedColumn]:
        return [column for column in self.columns if column.kind != "category"]

    @property
    def indicated(self) -> list[FittedColumn]:
        return [column for column in self.numbers if column.gaps]

    @property
    def categories(self) -> list[FittedColumn]:
        return [column for column in self.columns if column.kind == "category"]

    @property
    def names(self) -> list[str]:
        """The name of each value in a model's row, such as "age" or "missing age"."""
        return [
            *(column.name for column in self.numbers),
            *(f"missing {column.name}" for column in self.indicated),
            *(column.name for column in self.categories for _ in column.vocabulary),
        ]

    def apply(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Turns columns into a model's rows: float32 of shape (n, values)."""
        import pandas as pd

        rows = np.empty((len(x[self.columns[0].name]), len(self.names)), np.float32)
        inputs = iter(rows.T)
        for column in self.numbers:
            numbers = x[column.name].astype(np.float64) * column.scale + column.offset
            next(inputs)[:] = np.where(np.isnan(numbers), column.fill, numbers)
        for column in self.indicated:
            next(inputs)[:] = np.isnan(x[column.name])
        for column in self.categories:
            codes = pd.Index(column.vocabulary, dtype=object).get_indexer(x[column.name])
            for code in range(len(column.vocabulary)):
                next(inputs)[:] = codes == code
        return rows

    def columns_in(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Undoes `apply`. Returns the columns by name: numbers, and the texts of categories.

        Missing numbers are NaN. But if the column lacks no numbers in the training part, missing
        numbers in other parts are returned as the column's mean.
        """
        columns, inputs = {}, iter(rows.T)
        for column in self.numbers:
            columns[column.name] = (next(inputs).astype(np.float64) - column.offset) / column.scale
        for column in self.indicated:
            columns[column.name][next(inputs) == 1] = np.nan
        for column in self.categories:
            texts = np.full(len(rows), _OTHER, dtype=object)
            for text in column.vocabulary:
                texts[next(inputs) == 1] = text
            columns[column.name] = texts
        return {column.name: columns[column.name] for column in self.columns}

    def has_uncoded(self, rows: np.ndarray) -> np.ndarray:
        """Returns for each row whether a category of the row has no input, and is encoded as 0."""
        columns = self.columns_in(rows)
        uncoded = [columns[column.name] == _OTHER for column in self.categories]
        return np.any(uncoded, axis=0) if uncoded else np.zeros(len(rows), bool)

    @property
    def treatments(self) -> dict[str, str]:
        """How columns are preprocessed, e.g. {"age and size": "to mean 0 and deviation 1"}."""
        names_by_treatment: dict[str, list[str]] = {}
        for column in self.columns:
            names_by_treatment.setdefault(column.treatment, []).append(column.name)
        treatments = {listed(names, most=_SHOWN): t for t, names in names_by_treatment.items()}
        if self.time and self.time not in self.decisions:
            unseen = "" if self.time in [column.name for column in self.columns] else "; no input"
            treatments[self.time] = f"parts are split in its order{unseen}"
        return {**treatments, **self.decisions}

    def describe(self) -> list[dict[str, object]]:
        return [{"name": column.name, "kind": column.kind} for column in self.columns]


def fit_table(table: TableColumns, x: Mapping[str, np.ndarray]) -> FittedTable:
    """Fits means, deviations and vocabularies on the columns of the training part."""
    fitted = tuple(_fitted(column, x[column.name]) for column in table.columns)
    return FittedTable(fitted, table.time, table.decisions, table.missing)


def _fitted(column: Column, values: np.ndarray) -> FittedColumn:
    name, kind = column.name, column.kind
    if kind == "category":
        # If texts are equally frequent, the first in the alphabet are preferred, so that the order
        # of the rows has no influence.
        counts = sorted(Counter(values.tolist()).items(), key=lambda item: (-item[1], item[0]))
        least = min(_FEW_ROWS, len(values) // _FEW_OF)
        frequent = [text for text, count in counts if count >= least]
        # If all categories are rare, all get inputs.
        coded = frequent or [text for text, _ in counts]
        vocabulary = tuple(sorted(coded[:_MOST_CODED]))
        return FittedColumn(name, kind, vocabulary=vocabulary, rare=len(counts) - len(vocabulary))
    missing = np.isnan(values)
    numbers = values[~missing].astype(np.float64)
    mean, deviation = (numbers.mean(), numbers.std()) if numbers.size else (0.0, 0.0)
    if kind == "boolean":
        return FittedColumn(name, kind, fill=float(mean), gaps=bool(missing.any()))
    # A constant column becomes 0, as with scikit-learn's StandardScaler.
    scale = 1 / float(deviation) if deviation > 0 else 1.0
    return FittedColumn(name, kind, scale, -float(mean) * scale, gaps=bool(missing.any()))
