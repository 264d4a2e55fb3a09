"""Layers that a study's data needs: fitted on the training part alone.

columns = ks.preprocessing.tabular(data)
model = keras.Sequential([columns, keras.layers.Dense(32, activation="relu"), ...])

words = ks.preprocessing.adapted(keras.layers.TextVectorization(max_tokens=5_000), data)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from search_spaces.suggestions import suggestion
from studies.data.dataset import Dataset
from studies.data.parts.splits import Splits
from studies.data.tables.building import built_for
from studies.data.tables.fitted import FittedTable
from studies.libraries.layer_names import layer_name

if TYPE_CHECKING:
    import keras

__all__ = ["adapted", "tabular"]


def __dir__() -> list[str]:
    return __all__


def tabular(
    data: Dataset | Splits, *, embedding: int | Mapping[str, int] = 0, name: str = "tabular"
) -> keras.Model:
    """Returns the layer that makes numbers of a table's categories: the first of a model.

    The study's data is an array of a row for each sample: numbers to mean 0 and standard deviation
    1, booleans as 0 and 1, a missing one as the mean and with a further column that is 1; and the
    number of each category. The layer passes numbers on, and makes a category one-hot, or a vector
    that is learned. An unknown category is all zeros, or vector 0.

    Means, deviations and categories are those of the training part of the trial that the model is
    built for, in cross-validation of its fold. The registered model takes the columns of the table
    themselves: the layers that look categories up and scale numbers become a part of it.

    Args:
        data: The study's data, from `datasets.table`.
        embedding: The length of the vectors of each category column, from 1; 0: one-hot. Or lengths
            by the names of columns; the others are one-hot.
        name: Its name in the model.

    Returns:
        A Keras model, which is a layer too: it takes an array of shape (n, columns), and returns
        one of shape (n, features).

    Raises:
        DataError: The data is no table, has no such column, or a length is wrong.

    Example:
        ```python
        def build(hp):
            model = keras.Sequential(
                [
                    ks.preprocessing.tabular(data, embedding=hp["embedding"]),
                    keras.layers.Dense(hp["units"], activation="relu"),
                    keras.layers.Dense(1),
                ]
            )
            model.compile("adam", "mse")
            return model
        ```
    """
    table = _table_of(data)
    return _layer(table, _lengths(table, embedding), name)


def adapted(
    layer: keras.layers.Layer, data: Dataset | Splits, *, of: str | int | None = None
) -> keras.layers.Layer:
    """Returns a layer of Keras after `adapt` on samples of the training part.

    It is for `TextVectorization`, `Normalization`, `StringLookup` and the like. The samples are
    those of the training part of the trial that the model is built for: in cross-validation of its
    fold, and of the file that replaces the study's data.

    Args:
        layer: A layer with a method `adapt`.
        data: The study's data.
        of: Which of several inputs: its name, or its place.

    Returns:
        The same layer.

    Raises:
        DataError: The layer has no `adapt`, or the data has no such input.

    Example:
        ```python
        def build(hp):
            words = ks.preprocessing.adapted(keras.layers.TextVectorization(), data)
            model = keras.Sequential([keras.Input((), dtype="string"), words, ...])
        ```
    """
    if not callable(getattr(layer, "adapt", None)):
        raise DataError(
            "preprocessing.adapted takes a layer with adapt, such as TextVectorization(). "
            f"Received: {layer!r:.200}"
        )
    splits = built_for()
    if splits is None:
        splits = data.load() if isinstance(data, Dataset) else data
    if not isinstance(splits, Splits):
        raise DataError(
            f"preprocessing.adapted takes data of kerastudy.datasets in arrays, not {data!r:.150}"
        )
    x: Any = splits.train.x
    several = isinstance(x, Mapping | tuple)
    if several != (of is not None) or (of is not None and of not in _names_of(x)):
        known = f"of={_names_of(x)[0]!r}" if several else "no of="
        raise DataError(f"The data has the inputs {_names_of(x)}: pass {known}. Received: {of!r}.")
    layer.adapt(x if of is None else x[of])
    return layer


def _names_of(x: Any) -> list[Any]:
    if isinstance(x, Mapping):
        return list(x)
    return list(range(len(x))) if isinstance(x, tuple) else ["x"]


def _table_of(data: object) -> FittedTable:
    present = built_for()
    if isinstance(present, Splits) and present.given.table is not None:
        return present.given.table
    splits = data.load() if isinstance(data, Dataset) else data
    if not isinstance(splits, Splits) or splits.given.table is None:
        raise DataError(
            "preprocessing.tabular takes the data of a table, from datasets.table. Received: "
            f"{data!r:.200}"
        )
    return splits.given.table


def _lengths(table: FittedTable, embedding: int | Mapping[str, int]) -> list[int]:
    """Returns the length of each category column's vectors; 0 for one-hot."""
    names = [column.name for column in table.categories]
    given = embedding if isinstance(embedding, Mapping) else dict.fromkeys(names, embedding)
    for name, length in given.items():
        if name not in names:
            raise DataError(f"{name!r} is no column of categories. {suggestion(name, names)}")
        if isinstance(length, bool) or not isinstance(length, int) or length < 0:
            raise DataError(
                f"embedding must be whole numbers from 0 up: lengths of vectors, and 0 for "
                f"one-hot. Received: {length!r}."
            )
    return [given.get(name, 0) for name in names]


def _layer(table: FittedTable, lengths: list[int], name: str) -> keras.Model:
    import keras
    from keras import ops

    row = keras.Input((table.width,), name=f"{name}_row")
    count = table.width - len(table.categories)
    pieces = [row[:, :count]] if count else []
    # Each place of a one-hot row: the column of its code, and the code that makes it 1.
    columns: list[int] = []
    codes: list[int] = []
    for number, column in enumerate(table.categories):
        if not lengths[number]:
            columns += [count + number] * len(column.vocabulary)
            codes += range(1, len(column.vocabulary) + 1)
    if codes:
        spread = ops.take(row, np.array(columns, np.int32), axis=1)
        pieces.append(ops.cast(ops.equal(spread, np.array(codes, np.float32)), "float32"))
    for number, column in enumerate(table.categories):
        if lengths[number]:
            look_up = keras.layers.Embedding(
                len(column.vocabulary) + 1,
                lengths[number],
                name=layer_name(f"{name}_{number}_{column.name}"),
            )
            pieces.append(look_up(row[:, count + number]))
    features = ops.concatenate(pieces, axis=1) if len(pieces) > 1 else ops.copy(pieces[0])
    return keras.Model(row, features, name=name)
