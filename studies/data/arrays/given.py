"""Samples before preprocessing, as a registered model takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from studies.data.arrays.scalings import Scaling
from studies.data.structures import Arrays, map_arrays, named_arrays

if TYPE_CHECKING:
    from studies.data.tables.fitted import FittedTable

Columns = tuple[tuple[str, str], ...]
"""Names and types of a table's columns, in their order."""

_EXAMPLES = 5
# The most numbers or texts in an example, which is kept as JSON.
_MOST_VALUES = 10_000
# In units of a scaled feature, mostly its standard deviation.
_LARGEST_LOSS = 1e-3


@dataclass(frozen=True, eq=False)
class Prepared:
    """The preprocessing of an input.

    Attributes:
        name: its name in records.
        scalings: the same for layers; empty if no layer can do it.
        dtype: of the samples before it.
        shape: of a sample before it.
        loss: the most by which values moved because Keras reads floats as float32, in units of the
            scaled values.
    """

    name: str
    scalings: tuple[Scaling, ...]
    dtype: str
    shape: tuple[int, ...]
    loss: float = 0.0

    def undone(self, rows: np.ndarray) -> np.ndarray:
        """Returns samples as they were before it, as far as it scales; others as they are."""
        if not self.scalings:
            return rows
        values = rows.reshape(len(rows), -1).astype(np.float64)
        for scaling in reversed(self.scalings):
            values = (values - scaling.offset) / scaling.scale
        if np.dtype(self.dtype).kind in "biu":
            values = values.round()
        return values.reshape(len(rows), *self.shape)


@dataclass(frozen=True, eq=False)
class Given:
    """The samples of a data set before preprocessing.

    Attributes:
        example: the first training samples; none if one is too large to be shown.
        prepared: the preprocessing of samples, by the names of `structures.named_arrays`.
        columns: of inputs that were tables, by the same names.
        class_names: the names of the labels 0, 1, 2 and so on; empty if unknown. For several
            targets, by their names in `y`.
        table: of a table, its columns and what is fitted on its training part.
        files: of images and texts in files, how they are read, such as their size.
    """

    example: Arrays | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    class_names: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    table: FittedTable | None = None
    files: Mapping[str, object] = field(default_factory=dict)

    def describe(self) -> dict[str, object]:
        """Returns metadata for the registered model, ready for JSON, without values."""
        names = self.class_names
        return {
            "class_names": list(names)
            if isinstance(names, tuple)
            else {target: list(each) for target, each in names.items()},
            "preprocessing": {
                name: {"name": each.name, "in_the_model": bool(each.scalings)}
                for name, each in self.prepared.items()
            },
            "columns": {name: [list(pair) for pair in each] for name, each in self.columns.items()},
            **({} if self.table is None else {"table": self.table.describe()}),
            **({"files": self._described_files()} if self.files else {}),
        }

    def _described_files(self) -> dict[str, object]:
        # MLflow's YAML has no tuples.
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.files.items()
        }

    @property
    def unlike_layers(self) -> Mapping[str, Prepared]:
        """The preprocessing that no layer can do, by the inputs' names."""
        return {name: each for name, each in self.prepared.items() if not each.scalings}

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user."""
        found = [
            f"preprocess={each.name} can't become layers of a Keras model, so the registered model "
            f"will take {name} after this preprocessing. Put it into the model as layers, or use "
            "'standardize', 'minmax' or scikit-learn's StandardScaler, MinMaxScaler, MaxAbsScaler "
            "or RobustScaler, which become layers."
            for name, each in self.unlike_layers.items()
        ]
        found += self.table.notes if self.table is not None else ()
        return found + [
            f"Keras reads floats as float32, which moves values of {name} by up to "
            f"{each.loss:.2g} after preprocess={each.name}. Subtract an offset from its large "
            "numbers, such as dates as seconds."
            for name, each in self.prepared.items()
            if each.loss > _LARGEST_LOSS
        ]


def examples_of(x: Arrays) -> Arrays | None:
    """Returns copies of the first samples, as many as are small enough to be shown."""
    values = sum(math.prod(array.shape[1:]) for array in named_arrays(x, "x").values())
    count = min(_EXAMPLES, _MOST_VALUES // max(1, values))
    if not count:
        return None
    copies: Arrays = map_arrays(lambda array: np.array(array[:count]), x)
    return copies
