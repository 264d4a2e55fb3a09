"""Turns a user's samples, such as a DataFrame, into arrays of numbers or texts, and checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.digests_and_equal_samples import is_portable
from studies.data.arrays.memory_mapping import blocks
from studies.data.arrays.nested_arrays import (
    Arrays,
    Columns,
    described,
    entries,
    entry_name,
    is_text,
    length_of,
    named_arrays,
    rebuilt,
    several,
)

if TYPE_CHECKING:
    from studies.data.tables.table_encoding import TableColumns


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked samples and targets: arrays of shape (n, ...) of finite numbers or texts, n > 0.

    Attributes:
        y: The targets; an empty tuple if there are none.
        x_name, y_name: The names in messages, such as "x_train".
        columns: The names and types of columns, for each input that was a DataFrame.
        table: The columns of `datasets.table`; None for other data. For a table, `x` has an array
            for each column: texts, or numbers with NaN for missing values.
        files: The options by which samples are read from files. The registered model needs them.
    """

    x: Arrays
    y: Arrays
    x_name: str
    y_name: str
    sample_weight: np.ndarray | None = None
    columns: Mapping[str, Columns] = field(default_factory=dict)
    table: TableColumns | None = None
    files: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return length_of(self.x)

    @property
    def in_time(self) -> bool:
        """Whether rows are in the order of time. If so, parts are not drawn at random."""
        return self.table is not None and bool(self.table.time)


def check_samples(
    x: object, y: object, sample_weight: object = None, *, names: str = "{}"
) -> Samples:
    """Checks a user's samples, and turns them into arrays. Data is copied only if necessary.

    `y` is None if there are no targets. `names` is the format of names in messages, such as
    "{}_train" for "x_train" and "y_train".

    Raises:
        DataError: If arrays are empty, not finite, of different lengths, or neither numbers nor
            texts. Also if weights are negative or all 0, or have a shape that does not fit.
    """
    x_name, y_name, weight_name = map(names.format, ("x", "y", "sample_weight"))
    inputs = as_arrays(x, x_name)
    targets: Arrays = () if y is None else as_arrays(y, y_name)
    # The keys of `columns` are always "x", or "x['image']", even if messages say "x_train".
    samples = Samples(inputs, targets, x_name, y_name, columns=_columns_of(x, "x"))
    arrays = named_arrays(inputs, x_name) | named_arrays(targets, y_name)
    for name, array in arrays.items():
        if len(array) != len(samples):
            first = next(iter(arrays))
            lengths = f"{len(samples)} and {len(array)} samples"
            raise DataError(f"{first} and {name} differ in length: {lengths}.")
        check_finite(array, name)
    if sample_weight is None:
        return samples
    if y is None:
        raise DataError(f"{weight_name} weights the loss of targets, but there are no targets.")
    return replace(samples, sample_weight=_check_weights(sample_weight, samples, weight_name))


def check_same_shape(part: Samples, pool: Samples) -> None:
    """Raises DataError if a ready-made part has another shape or other columns than the pool.

    The pool is the samples that are split into the other parts.
    """
    for arrays, name, pool_arrays, pool_name in (
        (part.x, part.x_name, pool.x, pool.x_name),
        (part.y, part.y_name, pool.y, pool.y_name),
    ):
        has, needs = (
            f"{described(x)}, of shapes {[array.shape[1:] for array in entries(x).values()]}"
            for x in (arrays, pool_arrays)
        )
        if has != needs:
            raise DataError(f"{name} holds {has}, but {pool_name} holds {needs}.")
    for key in part.columns.keys() & pool.columns.keys():
        names, needed = ([name for name, _ in samples.columns[key]] for samples in (part, pool))
        if names != needed:
            raise DataError(
                f"{part.x_name}{key.removeprefix('x')} has the columns {names}, but "
                f"{pool.x_name}{key.removeprefix('x')} has {needed}",
                hint="Give both the same columns in the same order. Arrays keep no column names.",
            )


def _check_weights(value: object, samples: Samples, name: str) -> np.ndarray:
    weights, y, shapes = as_numbers(value, name), samples.y, [(len(samples),)]
    if isinstance(y, np.ndarray) and y.ndim > 1:
        shapes.append((len(samples), y.shape[1]))  # type: ignore[arg-type]
    if weights.shape not in shapes:
        raise DataError(
            f"{name} has shape {weights.shape}",
            hint=f"Pass a weight for each sample or step: shape {' or '.join(map(str, shapes))}.",
        )
    check_finite(weights, name)
    if (weights < 0).any():
        raise DataError(f"{name} holds negative weights, such as {weights.min()}.")
    check_some_weight(weights, name)
    return weights


def check_some_weight(weights: np.ndarray | None, name: str) -> None:
    """Raises DataError if all weights are 0, because no sample would count."""
    if weights is not None and not weights.any():
        raise DataError(f"{name} is 0 for all {len(weights)} samples, so no sample counts.")


def as_arrays(value: object, name: str) -> Arrays:
    """Turns a user's data into an array, or a tuple of arrays, or a dict of arrays sorted by name.

    Raises:
        DataError: If a dict is empty, or has a key that is no text. Also if an array is empty, or
            holds neither numbers nor texts.
    """
    arrays = several(value)
    if arrays is None:
        return as_numbers(value, name, texts=True)
    if isinstance(arrays, dict):
        if not arrays or not all(isinstance(key, str) and key for key in arrays):
            names = "the names of the model's inputs or outputs, as texts"
            raise DataError.of_setting(f"The keys of {name}", names, list(arrays))
        arrays = dict(sorted(arrays.items()))
    checked: Arrays = rebuilt(
        arrays,  # type: ignore[arg-type]
        (as_numbers(v, entry_name(name, key), texts=True) for key, v in entries(arrays).items()),
    )
    return checked


def as_numbers(value: object, name: str, *, texts: bool = False) -> np.ndarray:
    """Turns a user's data into an array of numbers or, with `texts=True`, of numbers or texts.

    The array keeps its dtype, but in the machine's byte order, which TensorFlow needs.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        # np.asarray would drop the mask, and so use the values that the user has masked.
        raise DataError(f"{name} has masked values", hint="Fill them in: x.filled(...).")
    try:
        array = _table_array(value) if is_frame(value) else np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} can't be made an array: {error}", received=value) from error
    if texts and array.ndim and is_text(array):
        array = _as_texts(array, name)
    elif array.dtype.kind not in "biuf" or not is_portable(array.dtype):
        received = f" ({type(value).__name__})" if array.dtype.kind == "O" else ""
        raise DataError(
            f"{name} has dtype {array.dtype}{received}, but must hold numbers",
            hint="Make every column numeric, fill missing values in, and make sparse matrices "
            "dense, e.g. by .astype('float32') and .toarray().",
        )
    if array.ndim == 0 or array.size == 0:
        raise DataError.of_setting(name, "an array with an entry for each sample", array.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_finite(array: np.ndarray, name: str) -> None:
    """Raises DataError for NaN and infinite values, which would make a model's weights NaN."""
    if array.dtype.kind != "f":
        return
    if all(np.isfinite(array[start:end]).all() for start, end in blocks(array)):
        return
    bad = ~np.isfinite(array)
    first = tuple(np.argwhere(bad)[0].tolist())
    raise DataError(
        f"{name} holds {bad.sum()} NaN or infinite value(s) of {array.size}, the first at index "
        f"{first if len(first) > 1 else first[0]}",
        hint="Remove those samples, or fill the values in.",
    )


def is_frame(value: object) -> bool:
    """Returns whether a value is a DataFrame, without importing pandas."""
    attributes = ("columns", "dtypes", "to_numpy")
    return getattr(value, "ndim", 0) == 2 and all(hasattr(value, name) for name in attributes)


def _columns_of(value: object, name: str) -> dict[str, Columns]:
    """Returns, for each input that is a DataFrame, the names and types of its columns.

    A DataFrame is left out if a name of a column is no text, or if two columns have the same name.
    """
    arrays = several(value)
    inputs: dict[str, Any] = named_arrays(value if arrays is None else arrays, name)  # type: ignore[arg-type]
    columns: dict[str, Columns] = {}
    for key, table in inputs.items():
        names = list(table.columns) if is_frame(table) else []
        if len(set(names)) == len(names) > 0 and all(isinstance(n, str) for n in names):
            columns[key] = tuple(zip(names, map(str, table.dtypes), strict=True))
    return columns


def _table_array(table: Any) -> np.ndarray:
    """Turns a DataFrame into an array.

    If all columns are numbers or booleans, the array has a numeric dtype. Otherwise numpy chooses
    the dtype, which is usually object.
    """
    # A pandas extension type, such as Int64, has the attribute `numpy_dtype`: numpy's type of the
    # same values.
    types = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]
    if not all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in types):
        return np.asarray(table)
    dtype = np.dtype(np.float64) if table.isna().to_numpy().any() else np.result_type(*types)
    array: np.ndarray = table.to_numpy(dtype=dtype, na_value=np.nan)
    return array


def _as_texts(array: np.ndarray, name: str) -> np.ndarray:
    """Turns texts into Python's strings. numpy's strings stay, because TensorFlow takes both.

    Bytes are decoded as UTF-8. Raises DataError if a value is neither a text nor bytes in UTF-8.
    """
    if array.dtype.kind == "U":
        return array
    texts = array.astype(object)
    for place, entry in enumerate(texts.flat):
        try:
            texts.flat[place] = entry if isinstance(entry, str) else bytes.decode(entry)
        except (TypeError, UnicodeDecodeError):
            raise DataError(
                f"{name} holds texts, but the value at index {place} is no text in UTF-8",
                received=entry,
                hint="Fill missing texts in. Columns of several kinds go into a dict: "
                "{'text': df['text'], 'numbers': df[['age', 'size']]}.",
            ) from None
    return texts
