"""The columns of a table, from the rows that a model takes."""

from __future__ import annotations

import numpy as np

from studies.data.structures import entry_name
from studies.data.tables.fitted import FittedTable

_UNKNOWN = "(unknown)"


def columns_of_table(rows: np.ndarray, table: FittedTable) -> dict[str, np.ndarray]:
    """Returns the columns of a table by name: numbers with NaN for missing ones, and texts.

    Missing numbers of a column that has none in the training part appear as its mean.

    Args:
        rows: As `FittedTable.apply` makes them.
        table: Of the same table.
    """
    found: dict[str, np.ndarray] = {}
    count, indicated = len(table.numbers), len(table.indicated)
    for place, column in enumerate(table.numbers):
        values = (rows[:, place].astype(np.float64) - table.offset[place]) / table.scale[place]
        if place in table.indicated:
            missing = rows[:, count + table.indicated.index(place)] == 1
            values = np.where(missing, np.nan, values)
        found[column.name] = values
    for place, column in enumerate(table.categories):
        texts = np.array([_UNKNOWN, *table.vocabularies[place]], dtype=object)
        found[column.name] = texts[rows[:, count + indicated + place].astype(np.int64)]
    return {entry_name("x", column.name): found[column.name] for column in table.columns}
