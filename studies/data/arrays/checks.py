"""Turns a user's data, tables of pandas included, into checked arrays of numbers or texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.large import blocks
from studies.data.arrays.structures import (
    Arrays,
    Columns,
    described,
    entry_name,
    is_portable,
    is_text,
    length_of,
    named_arrays,
    several,
)

if TYPE_CHECKING:
    from studies.data.tables.columns import TableColumns


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked samples with their targets, and their names in messages.

    Finite numbers, or texts, of shape (n, ...), n > 0. Without targets `y` is an empty tuple.
    """

    x: Arrays
    y: Arrays
    x_name: str
    y_name: str
    sample_weight: np.ndarray | None = None
    columns: Mapping[str, Columns] = field(default_factory=dict)
    # Of a table, whose `x` is its columns: texts, and numbers of which missing ones are NaN.
    table: TableColumns | None = None
    # How they are read from files, for the registered model.
    files: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        """Returns the number of samples."""
        return length_of(self.x)

    @property
    def in_time(self) -> bool:
        """Whether they are in the order of time, so that parts are not drawn at random."""
        return self.table is not None and bool(self.table.time)


def check_samples(
    x: object,
    y: object,
    x_name: str,
    y_name: str,
    sample_weight: object = None,
    weight_name: str = "sample_weight",
) -> Samples:
    """Turns a user's data into checked arrays, copied only if necessary.

    Several arrays come in a dict or a tuple. Without targets `y` is None. Raises DataError for
    arrays that are not numbers, empty, of differing lengths, or not finite; and for weights that
    are negative, all 0, or of another shape.
    """
    # By their name in all parts.
    columns = columns_of(x, "x")
    inputs = as_arrays(x, x_name)
    targets: Arrays = () if y is None else as_arrays(y, y_name)
    samples = Samples(inputs, targets, x_name, y_name, columns=columns)
    arrays = named_arrays(samples.x, x_name) | named_arrays(samples.y, y_name)
    first = next(iter(arrays))
    for name, array in arrays.items():
        if len(array) != len(samples):
            raise DataError(
                f"{first} and {name} differ in length: {len(samples)} and {len(array)} samples. "
                "Pass one target for each sample, and as many of each input and output."
            )
    for name, array in arrays.items():
        check_finite(array, name)
    if sample_weight is None:
        return samples
    if y is None:
        raise DataError(
            f"{weight_name} weighs the loss of each sample's targets, and there are none. Leave it "
            "out, or pass targets."
        )
    steps = targets.shape[1] if isinstance(targets, np.ndarray) and targets.ndim > 1 else None
    weights = _check_weights(sample_weight, len(samples), weight_name, steps)
    return replace(samples, sample_weight=weights)


def check_same_shape(part: Samples, pool: Samples) -> None:
    """Refuses a ready-made part whose samples have another shape than the training samples."""
    for arrays, name, of_pool, pool_name in (
        (part.x, part.x_name, pool.x, pool.x_name),
        (part.y, part.y_name, pool.y, pool.y_name),
    ):
        if described(arrays) != described(of_pool):
            raise DataError(
                f"{name} holds {described(arrays)}, but {pool_name} holds {described(of_pool)}. "
                "Give all parts the same arrays."
            )
        pairs = zip(
            named_arrays(arrays, name).items(),
            named_arrays(of_pool, pool_name).items(),
            strict=True,
        )
        for (named, array), (pool_named, pool_array) in pairs:
            if array.shape[1:] != pool_array.shape[1:]:
                raise DataError(
                    f"One entry of {named} has shape {array.shape[1:]}, but one of {pool_named} "
                    f"has shape {pool_array.shape[1:]}. Give all parts the same shape, except "
                    "for the first axis."
                )


def _check_weights(value: object, samples: int, name: str, steps: int | None = None) -> np.ndarray:
    """Returns finite weights from 0 up, not all 0, of shape (samples,) or (samples, steps)."""
    weights = as_numbers(value, name)
    if weights.ndim != 1 and weights.shape[1:] != (steps,):
        sequences = (
            "" if steps is None else f", or one for each step, of shape ({samples}, {steps})"
        )
        raise DataError(
            f"{name} has shape {weights.shape}. Pass one weight for each sample, in an array of "
            f"shape ({samples},){sequences}."
        )
    if len(weights) != samples:
        raise DataError(
            f"{name} holds {len(weights)} weight(s) for {samples} samples. "
            "Pass one weight for each sample."
        )
    check_finite(weights, name)
    negative = weights < 0
    if negative.any():
        first = int(np.argwhere(negative)[0][0])
        value_of_first = weights[negative][0].item()
        raise DataError(
            f"{name} holds {int(negative.sum())} negative weight(s), the first at index {first}: "
            f"{value_of_first}. Pass weights from 0 up; a sample of weight 0 does not count."
        )
    check_some_weight(weights, name)
    return weights


def check_some_weight(weights: np.ndarray, name: str) -> None:
    """Refuses weights that are all 0: such samples can neither train nor judge a model."""
    if not weights.any():
        raise DataError(
            f"{name} is 0 for all of {len(weights)} samples: none counts. Pass weights above 0 "
            "for some, or make the part larger."
        )


def as_numbers(value: object, name: str, *, texts: bool = False) -> np.ndarray:
    """Turns a user's data into an array of numbers, or texts, of shape (n, ...), n > 0.

    The dtype stays that of the input, in the machine's byte order, as TensorFlow takes no other. It
    is copied only if necessary. Raises DataError for anything else.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        # np.asarray would drop the mask, and return the masked values.
        masked = int(np.ma.getmaskarray(value).sum())
        raise DataError(
            f"{name} is a masked array with {masked} masked value(s). "
            "Remove those samples or fill the values in (`.filled(...)`)."
        )
    try:
        array = _table_array(value, name) if is_frame(value) else None
        array = np.asarray(value) if array is None else array
    except DataError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{name} can't be made an array: {error} Received: {type(value).__name__}. "
            "Pass a numpy array, or nested lists of numbers of equal lengths."
        ) from error
    if texts and array.ndim and is_text(array):
        array = as_texts(array, name)
    else:
        _check_numbers(array, value, name)
    if array.ndim == 0:
        raise DataError(
            f"{name} is a single value ({type(value).__name__}). "
            "Pass an array with one entry for each sample."
        )
    if array.size == 0:
        raise DataError(f"{name} is empty: its shape is {array.shape}. Pass at least one sample.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_arrays(value: object, name: str) -> Arrays:
    """Turns a user's data into one or several arrays of numbers or texts, sorted by name.

    Raises DataError if one is neither, or empty; if a name is no text; or if there is none.
    """
    entries = several(value)
    if entries is None:
        return as_numbers(value, name, texts=True)
    if isinstance(entries, tuple):
        return tuple(as_numbers(v, entry_name(name, i), texts=True) for i, v in enumerate(entries))
    for key in entries:
        if not isinstance(key, str) or not key:
            raise DataError(
                f"{name} has an array under the name {key!r}. Name arrays by texts, as the "
                "model's inputs and outputs are: {'image': ..., 'tabular': ...}."
            )
    if not entries:
        raise DataError(f"{name} is an empty dict. Pass at least one array.")
    return {
        key: as_numbers(entries[key], entry_name(name, key), texts=True) for key in sorted(entries)
    }


def check_finite(array: np.ndarray, name: str) -> None:
    """Refuses NaN and infinite values: training on one turns all weights into NaN."""
    if array.dtype.kind != "f":
        return
    if all(np.isfinite(array[start:end]).all() for start, end in blocks(array)):
        return
    bad = ~np.isfinite(array)
    not_numbers = int(np.isnan(array).sum())
    infinite = int(bad.sum()) - not_numbers
    counts = [f"{not_numbers} NaN"] if not_numbers else []
    counts += [f"{infinite} infinite"] if infinite else []
    first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
    where = first[0] if len(first) == 1 else first
    raise DataError(
        f"{name} holds {' and '.join(counts)} value(s) of {array.size}, the first at index "
        f"{where}. Remove those samples or fill the values in."
    )


def _check_numbers(array: np.ndarray, value: object, name: str) -> None:
    if array.dtype.kind in "biuf" and is_portable(array.dtype):
        return
    types = sorted({type(entry).__name__ for entry in array.ravel()[:1000].tolist()})
    if is_text(array):
        raise DataError(f"{name} holds text (dtype {array.dtype}). Pass numbers.")
    if array.dtype.kind == "O":
        hint = " (a sparse matrix? `.toarray()`)" if hasattr(value, "toarray") else ""
        raise DataError(
            f"{name} becomes an array of Python objects (dtype object; {', '.join(types)}), "
            f"not of numbers; received: {type(value).__name__}{hint}. Make every column numeric "
            "and fill missing values in, then convert, for instance with `.astype('float32')`."
        )
    raise DataError(
        f"{name} has dtype {array.dtype}, which no model here is trained on. "
        "Convert it to booleans, integers, or floats of at most 64 bits."
    )


def is_frame(value: object) -> bool:
    """Returns whether a value is a DataFrame, without importing pandas."""
    wanted = ("columns", "dtypes", "to_numpy")
    return getattr(value, "ndim", 0) == 2 and all(hasattr(value, name) for name in wanted)


def columns_of(value: object, name: str) -> dict[str, Columns]:
    """Returns names and types of the columns of each table, by the names of `named_arrays`.

    Tables whose columns are not named by different texts are left out.
    """
    entries = several(value)
    given: dict[str, Any] = named_arrays(value if entries is None else entries, name)  # type: ignore[arg-type]
    columns: dict[str, Columns] = {}
    for each, table in given.items():
        if not is_frame(table):
            continue
        names = list(table.columns)
        if len(set(names)) == len(names) and all(isinstance(column, str) for column in names):
            types = map(str, table.dtypes)
            columns[each] = tuple(zip(names, types, strict=True))
    return columns


def _table_array(table: Any, name: str) -> np.ndarray | None:
    """Returns a table of numbers and booleans as an array of one type; None for other columns."""
    # Extension types of pandas (Int64, boolean) name numpy's type.
    types = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]
    if not all(isinstance(each, np.dtype) and each.kind in "biuf" for each in types):
        return None
    missing = table.isna().to_numpy()
    common = np.result_type(*types)
    if missing.any() and (common.kind != "f" or any(hasattr(d, "na_value") for d in table.dtypes)):
        row, column = map(int, np.argwhere(missing)[0])
        raise DataError(
            f"{name} lacks {int(missing.sum())} value(s), the first in the column "
            f"{table.columns[column]!r} at index {row}. Remove those samples or fill the values in."
        )
    array: np.ndarray = table.to_numpy(dtype=common)
    return array


def as_texts(array: np.ndarray, name: str) -> np.ndarray:
    """Returns texts as TensorFlow takes them: Python's, or numpy's with a fixed length.

    Bytes are read as UTF-8. Raises DataError if some entries are no texts, or no UTF-8.
    """
    if array.dtype.kind == "U":
        return array
    if array.dtype.kind == "T":
        return array.astype(object)
    entries = array.ravel().tolist()
    others = [i for i, entry in enumerate(entries) if not isinstance(entry, str | bytes)]
    if others:
        raise DataError(
            f"{name} holds texts, and {len(others)} value(s) that are none, the first at index "
            f"{others[0]}: {entries[others[0]]!r:.50}. Fill missing texts in. Columns of several "
            "kinds go into a dict: {'text': df['text'], 'numbers': df[['age', 'size']]}."
        )
    if not any(isinstance(entry, bytes) for entry in entries):
        return array
    try:
        decoded = [each.decode() if isinstance(each, bytes) else each for each in entries]
    except UnicodeDecodeError as error:
        raise DataError(f"{name} holds bytes that are no text in UTF-8: {error}.") from None
    texts = np.empty(len(decoded), dtype=object)
    texts[:] = decoded
    return texts.reshape(array.shape)


def by_rule(rule: Callable[[Any], Any], x: Any) -> np.ndarray:
    """Returns the targets of samples by a rule, a number each."""
    try:
        made = np.asarray(rule(x), dtype=np.float64)
    except Exception as error:
        raise DataError(f"rule failed on the samples: {type(error).__name__}: {error}") from error
    if not isinstance(x, np.ndarray) or made.size != len(x):
        raise DataError(
            "rule must take all samples, as one array, and return a number for each. "
            f"Received: an array of shape {made.shape}."
        )
    return made.reshape(-1)
