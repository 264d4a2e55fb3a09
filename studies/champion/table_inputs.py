"""Rows of a user's file, for a registered model that takes the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.tables.files import read_csv, read_parquet
from studies.data.tables.values import model_columns

if TYPE_CHECKING:
    import keras

_SHOWN = 6


def read_rows(path: Path, described: Sequence[Mapping[str, Any]], model: keras.Model) -> Any:
    """Reads rows from a file.

    Args:
        path: A csv or parquet file, or an npz file with an array for each column.
        described: The columns, as `FittedTable.describe` describes them.
        model: The model.

    Returns:
        Tensors by the names of the columns.

    Raises:
        DataError: It can't be read, lacks a column, or has something else than numbers in one.
    """
    table = _read(path, [each["name"] for each in described if each["kind"] == "category"])
    names = [each["name"] for each in described]
    missing = [name for name in names if name not in table]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        listed = ", ".join(map(repr, missing[:_SHOWN])) + more
        raise DataError(
            f"{str(path)!r} lacks the columns {listed}. The model takes the columns it was trained "
            "on, by their names."
        )
    if not len(table[names[0]]):
        raise DataError(f"{str(path)!r} has no rows.")
    try:
        return model_columns(model, table)
    except ValueError as error:
        raise DataError(f"{str(path)!r}: {error}.") from None


def _read(path: Path, categories: Sequence[str]) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet(path)
    if path.is_dir() or suffix == ".npy":
        raise DataError(
            f"{str(path)!r} is no table. The model takes the columns of one: give a csv or parquet "
            "file, or an npz file with an array for each column."
        )
    if suffix != ".npz":
        return read_csv(path, texts=categories, separator=None)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} can't be read: {' '.join(str(error).split())}") from None
