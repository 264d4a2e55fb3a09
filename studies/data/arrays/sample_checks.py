"""Checks a user's samples, and turns them into arrays of numbers or texts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.memory_mapping import blocks
from studies.data.arrays.nested_arrays import (
    Arrays,
    Columns,
    described,
    entries,
    entry_name,
    is_portable,
    is_text,
    length_of,
    named_arrays,
    rebuilt,
    several,
)

if TYPE_CHECKING:
    from studies.data.preprocessing import TableColumns

ClassNames = tuple[str, ...] | Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked samples and their targets, with their names in messages.

    The arrays have the shape (n, ...), n > 0, and hold finite numbers or texts. Without targets,
    `y` is an empty tuple.

    Attributes:
        columns: The names and types of columns, for each input that was a DataFrame.
        table: The columns of a table, or None. With a table, `x` has an array for each column:
            texts, or numbers with NaN for missing ones.
        files: How samples are read from files, for the registered model.
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
        """Whether the samples are in the order of time. Parts are then not drawn at random."""
        return self.table is not None and bool(self.table.time)


def check_samples(x: object, y: object, sample_weight: object = None, names: str = "{}") -> Samples:
    """Checks a user's samples, and turns them into arrays, which are copies only if necessary.

    Without targets `y` is None. `names` is the format of names in messages, such as "{}_train" for
    "x_train". Raises DataError if arrays are empty, not finite, of different lengths, or neither
    numbers nor texts. Raises DataError, too, if weights are negative, all 0, or of another shape.
    """
    x_name, y_name, weight_name = map(names.format, ("x", "y", "sample_weight"))
    inputs = as_arrays(x, x_name)
    targets: Arrays = () if y is None else as_arrays(y, y_name)
    # The key is "x", or "x['image']", in all parts, even where messages say "x_train".
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
        raise DataError(f"{weight_name} weighs the loss of targets, and there are none.")
    return replace(samples, sample_weight=_check_weights(sample_weight, samples, weight_name))


def check_same_shape(part: Samples, pool: Samples) -> None:
    """Refuses a part whose samples have another shape or other columns than those of the pool."""
    for own, name, first, first_name in (
        (part.x, part.x_name, pool.x, pool.x_name),
        (part.y, part.y_name, pool.y, pool.y_name),
    ):
        has, needs = (
            f"{described(each)}, of shapes {[array.shape[1:] for array in entries(each).values()]}"
            for each in (own, first)
        )
        if has != needs:
            raise DataError(f"{name} holds {has}, but {first_name} holds {needs}.")
    for key in part.columns.keys() & pool.columns.keys():
        names, needed = ([name for name, _ in each.columns[key]] for each in (part, pool))
        if names != needed:
            raise DataError(
                f"{part.x_name}{key.removeprefix('x')} has the columns {names}, but "
                f"{pool.x_name}{key.removeprefix('x')} has {needed}",
                hint="Give both the same columns in the same order, as columns become numbers.",
            )


def _check_weights(value: object, samples: Samples, name: str) -> np.ndarray:
    weights, y, shapes = as_numbers(value, name), samples.y, [(len(samples),)]
    if isinstance(y, np.ndarray) and y.ndim > 1:
        shapes.append((len(samples), y.shape[1]))  # type: ignore[arg-type]
    if weights.shape not in shapes:
        raise DataError(
            f"{name} has shape {weights.shape}",
            hint=f"Pass one for each sample, or for each step: {' or '.join(map(str, shapes))}.",
        )
    check_finite(weights, name)
    if (weights < 0).any():
        raise DataError(f"{name} holds negative weights, such as {weights.min()}.")
    check_some_weight(weights, name)
    return weights


def check_some_weight(weights: np.ndarray | None, name: str) -> None:
    """Refuses weights that are all 0, because no sample would count."""
    if weights is not None and not weights.any():
        raise DataError(f"{name} is 0 for all of {len(weights)} samples: none counts.")


def as_arrays(value: object, name: str) -> Arrays:
    """Turns a user's data into one array, or several in a dict or tuple. Sorts dicts by name.

    Raises DataError for an array that is empty, or holds neither numbers nor texts, for a name that
    is no text, and for an empty dict.
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
    """Turns a user's data into an array of numbers. With `texts=True`, it may also hold texts.

    The array keeps its dtype, but in the machine's byte order, which TensorFlow needs. Raises
    DataError for all other data.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        # np.asarray would drop the mask, and return the masked values.
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
            f"{name} has dtype {array.dtype}{received}, and must hold numbers",
            hint="Make every column numeric, fill missing values in, and make sparse matrices "
            "dense. Then convert it, such as by .astype('float32').",
        )
    if array.ndim == 0 or array.size == 0:
        raise DataError.of_setting(name, "an array with an entry for each sample", array.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_finite(array: np.ndarray, name: str) -> None:
    """Refuses NaN and infinite values: training on one turns all weights into NaN."""
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
    """Returns the names and types of the columns of each DataFrame, by the name of the input.

    DataFrames whose column names are not texts, or not unique, are left out.
    """
    arrays = several(value)
    inputs: dict[str, Any] = named_arrays(value if arrays is None else arrays, name)  # type: ignore[arg-type]
    columns: dict[str, Columns] = {}
    for key, table in inputs.items():
        names = list(table.columns) if is_frame(table) else []
        if len(set(names)) == len(names) > 0 and all(isinstance(each, str) for each in names):
            columns[key] = tuple(zip(names, map(str, table.dtypes), strict=True))
    return columns


def _table_array(table: Any) -> np.ndarray:
    """Returns a DataFrame as an array, of objects unless all columns are numbers or booleans."""
    # For pandas's extension types (Int64, boolean), `numpy_dtype` is numpy's type.
    types = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]
    if not all(isinstance(each, np.dtype) and each.kind in "biuf" for each in types):
        return np.asarray(table)
    dtype = np.dtype(np.float64) if table.isna().to_numpy().any() else np.result_type(*types)
    array: np.ndarray = table.to_numpy(dtype=dtype, na_value=np.nan)
    return array


def _as_texts(array: np.ndarray, name: str) -> np.ndarray:
    """Returns texts as Python strings, or as numpy's strings of a fixed length.

    TensorFlow takes both. Bytes are read as UTF-8. Raises DataError if an entry is no text.
    """
    if array.dtype.kind == "U":
        return array
    texts = array.astype(object)
    for place, entry in enumerate(texts.flat):
        text = entry
        if isinstance(entry, bytes):
            with contextlib.suppress(UnicodeDecodeError):
                text = texts.flat[place] = entry.decode()
        if not isinstance(text, str):
            raise DataError(
                f"{name} holds texts, but the value at index {place} is no text in UTF-8",
                received=entry,
                hint="Fill missing texts in. Columns of several kinds go into a dict: "
                "{'text': df['text'], 'numbers': df[['age', 'size']]}.",
            )
    return texts


def by_rule(rule: Callable[[Any], Any], x: Any) -> np.ndarray:
    """Returns the targets that a user's `rule` computes from samples, of shape (n,)."""
    try:
        targets = np.asarray(rule(x), dtype=np.float64)
    except Exception as error:
        raise DataError(f"rule failed on the samples: {type(error).__name__}: {error}") from error
    if not isinstance(x, np.ndarray) or targets.size != len(x):
        expected = "a function that takes all samples, as one array, and returns a number for each"
        raise DataError.of_setting("rule", expected, f"an array of shape {targets.shape}")
    return targets.reshape(-1)


def class_labels(y: np.ndarray) -> np.ndarray | None:
    """Returns the class of each sample, of shape (n,), or None if the targets are no classes.

    Classes are:

    * booleans, and integers from 0 up, of shape (n,) or (n, 1);
    * floats of these shapes that are all 0 or 1;
    * one-hot rows of shape (n, k), of any dtype.

    Negative integers are no classes, because Keras's sparse losses need labels from 0 up.
    """
    values = _column(y)
    if values.ndim == 1:
        if values.dtype.kind == "f":
            return values if _zeros_and_ones(values) else None
        return values if values.dtype.kind in "bu" or values.min() >= 0 else None
    if values.ndim == 2 and _zeros_and_ones(values) and bool((values.sum(axis=1) == 1).all()):
        return np.asarray(values.argmax(axis=1))
    return None


def labels_of(
    samples: Samples, stratify: bool | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns the class of each sample, and the labels to stratify by. Each may be None.

    Several targets together are no classes. Samples in the order of time are not stratified.
    """
    labels = class_labels(samples.y) if isinstance(samples.y, np.ndarray) else None
    if stratify and labels is None:
        raise DataError(
            f"stratify=True needs one target that holds classes, and {samples.y_name} is none",
            hint="Leave stratify out, or make the parts yourself.",
        )
    return labels, None if stratify is False or samples.in_time else labels


def count_classes(pool: Samples, labels: np.ndarray, ready: Iterable[Samples]) -> int:
    """Returns the number of classes: the columns of one-hot rows, else the distinct labels.

    The labels 1, 2 and 5 are three classes. Labels of all parts count. Raises DataError if the
    targets of a part are no classes.
    """
    everywhere = [labels]
    assert isinstance(pool.y, np.ndarray), "several targets have no labels"
    for part in ready:
        assert isinstance(part.y, np.ndarray), "parts hold the same arrays"
        own = class_labels(part.y)
        if own is None:
            raise DataError(f"{pool.y_name} holds classes, and {part.y_name} does not.")
        everywhere.append(own)
    values = _column(pool.y)
    return values.shape[1] if values.ndim == 2 else len(np.unique(np.concatenate(everywhere)))


def check_several_classes(labels: np.ndarray | None, y_name: str) -> None:
    """Refuses targets that are all of one class."""
    if labels is not None and bool((labels == labels[0]).all()):
        one = f"{labels[0].item()}, in all {len(labels)} samples"
        raise DataError(f"{y_name} holds one class only: {one}. There is nothing to learn.")


def _column(y: np.ndarray) -> np.ndarray:
    """Returns targets of shape (n, 1) as (n,), which mean the same to Keras."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _zeros_and_ones(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def numbered(
    pool: Samples, ready: Mapping[str, Samples], class_names: tuple[str, ...]
) -> tuple[Samples, dict[str, Samples], ClassNames]:
    """Replaces labels that are texts by numbers, in all parts, as scikit-learn's LabelEncoder does.

    Returns the pool, the ready-made parts and the class names. For several targets, class names are
    a dict by target.
    """
    parts = {"": pool, **ready}
    by_key = {
        key: _numbered([entries(part.y)[key] for part in parts.values()]) for key in entries(pool.y)
    }
    numbered_parts = {
        name: replace(part, y=rebuilt(pool.y, [labels[place] for labels, _ in by_key.values()]))
        for place, (name, part) in enumerate(parts.items())
    }
    names: ClassNames = class_names
    if isinstance(pool.y, dict):
        names = {key: own for key, (_, own) in by_key.items() if own} or class_names
    elif not isinstance(pool.y, tuple):
        # Class names are kept by the names of targets, and targets in a tuple have none.
        labels, own = by_key[""]
        names = own or class_names
        if class_names:
            _check_names(labels, own, class_names, pool.y_name)
    return numbered_parts.pop(""), numbered_parts, names


def _numbered(labels: list[np.ndarray]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    if not any(map(is_text, labels)):
        return labels, ()
    texts = [np.asarray(part, dtype=object).astype(str) for part in labels]
    names = np.unique(np.concatenate([part.ravel() for part in texts]))
    return [np.searchsorted(names, part).astype(np.int64) for part in texts], tuple(names.tolist())


def _check_names(
    labels: list[np.ndarray], own: tuple[str, ...], names: tuple[str, ...], y_name: str
) -> None:
    if own:
        raise DataError(f"{y_name} holds labels by name already. Leave class_names out.")
    for part in labels:
        one_hot = part.ndim == 2 and part.shape[1] > 1
        largest = part.shape[1] - 1 if one_hot else float(part.max())
        if largest >= len(names):
            raise DataError(
                f"class_names has {len(names)} name(s), and {y_name} has labels up to {largest:g}."
            )
