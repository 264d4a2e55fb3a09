"""Samples of a script or a notebook, as a registered model takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError

if TYPE_CHECKING:
    import keras


def samples_for(model: keras.Model, x: Any, study: str) -> Any:
    """Returns samples as the model takes them.

    Args:
        model: A registered one.
        x: What the user passes to `predict`: arrays, lists, a table, or whatever Keras reads.
        study: The study's name.

    Raises:
        DataError: If the model can't take them.
    """
    from studies.data.tables.values import takes_columns

    if isinstance(x, str | Path):
        raise DataError(
            f"predict takes samples, not a file. For a file: kerastudy.predict({study!r}, {x!r})"
        )
    is_table = hasattr(x, "columns") or isinstance(x, Mapping)
    if takes_columns(model) and isinstance(x, np.ndarray):
        raise DataError(
            "The model takes the columns of a table: pass a DataFrame, or a dict of columns."
        )
    if takes_columns(model) and is_table:
        return columns_for(model, x, "The table")
    inputs: Any = getattr(model, "inputs", None) or ()
    if isinstance(x, list) and len(inputs) == 1:
        x = np.asarray(x)
    if isinstance(x, np.ndarray) and len(inputs) == 1:
        _check_shape(x.shape, tuple(inputs[0].shape[1:]))
        if x.dtype.kind == "U":
            import tensorflow as tf

            # Keras takes texts as tensors alone.
            return tf.constant(x)
    return x


def columns_for(model: keras.Model, table: Any, called: str) -> dict[str, Any]:
    """Returns the columns of a table as a model takes them that has an input for each.

    Args:
        model: A registered one.
        table: A DataFrame, or a dict of columns.
        called: What messages call it.

    Raises:
        DataError: If it lacks columns or rows, or has something else than numbers in one.
    """
    from studies.data.tables.columns import listed
    from studies.data.tables.values import model_columns

    if not all(np.ndim(table[name]) and len(table[name]) for name in table):
        raise DataError(f"{called} has no rows.")
    try:
        return model_columns(model, table)
    except KeyError as error:
        raise DataError(
            f"{called} lacks the columns {listed(error.args)}. The model takes the columns it was "
            "trained on, by their names."
        ) from None
    except ValueError as error:
        raise DataError(f"{called} can't be predicted: {error}.") from None


def _check_shape(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> None:
    """Refuses an array that Keras can't take for samples of a shape."""
    if shape[:1] == (0,):
        raise DataError("There are no samples: the array is empty.")
    # Keras adds a last axis.
    given = (*shape, 1) if len(shape) == len(wanted) and wanted[-1:] == (1,) else shape
    if len(given) == len(wanted) + 1 and sizes_agree(given[1:], wanted):
        return
    takes = f"({', '.join('any' if size is None else str(size) for size in ('n', *wanted))})"
    if len(shape) == len(wanted) and sizes_agree(shape, wanted):
        raise DataError(f"The array of shape {shape} is one sample. Pass an array of them: x[None]")
    raise DataError(f"The samples have shape {shape}, and the model takes {takes}.")


def sizes_agree(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Returns whether an array's sizes are those wanted, where None is any; both of one length."""
    return all(size in (None, each) for size, each in zip(wanted, shape, strict=True))
