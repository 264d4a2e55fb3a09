"""A user's samples and labels, as checked arrays of numbers or texts.

A model's inputs or outputs are one array, or several in a dict or a tuple. The keys of a dict are
the names of the Keras model's inputs or outputs. A tuple has the arrays in the order of the model's
inputs or outputs. A list is a single array, as for `np.asarray`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import counted
from studies.data.arrays.memory_mapped_files import blocks

if TYPE_CHECKING:
    from studies.data.preprocessing import TableColumns

Arrays = np.ndarray | dict[str, np.ndarray] | tuple[np.ndarray, ...]
Columns = tuple[tuple[str, str], ...]
"""The name and the type of each column of a table."""
ClassNames = tuple[str, ...] | Mapping[str, tuple[str, ...]]
# The smallest side of an image, in pixels.
_SMALLEST_SIDE = 8


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked samples and targets: arrays of shape (n, ...) of finite numbers or texts, n > 0.

    Attributes:
        y: The targets; an empty tuple if there are none.
        x_name, y_name: The names in messages, such as "x_train".
        columns: The names and types of columns, for each input that was a DataFrame.
        groups: The name of each sample's group, of shape (n,), or its number after
            `number_groups`. None if samples are independent.
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
    groups: np.ndarray | None = None
    table: TableColumns | None = None
    files: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return length_of(self.x)

    @property
    def in_time(self) -> bool:
        """Whether rows are in the order of time. If so, parts are not drawn at random."""
        return self.table is not None and bool(self.table.time)


@dataclass(frozen=True, eq=False)
class Contents:
    """The samples in a source, such as a file.

    Attributes:
        pool: The samples to split.
        ready: The "validation" and "test" parts that the source already has.
    """

    pool: Samples
    ready: Mapping[str, Samples] = field(default_factory=dict)


def check_samples(
    x: object,
    y: object,
    sample_weight: object = None,
    groups: object = None,
    *,
    names: str = "{}",
) -> Samples:
    """Checks a user's samples, and turns them into arrays. Data is copied only if necessary.

    `y` is None if there are no targets. `names` is the format of names in messages, such as
    "{}_train" for "x_train" and "y_train".

    Raises:
        DataError: If arrays are empty, not finite, of different lengths, or neither numbers nor
            texts. Also if weights are negative or all 0, or have a shape that does not fit, or if
            a sample lacks a group.
    """
    x_name, y_name, weight_name = map(names.format, ("x", "y", "sample_weight"))
    inputs = _as_arrays(x, x_name)
    targets: Arrays = () if y is None else _as_arrays(y, y_name)
    # The keys of `columns` are always "x", or "x['image']", even if messages say "x_train".
    samples = Samples(inputs, targets, x_name, y_name, columns=_columns_of(x, "x"))
    arrays = named_arrays(inputs, x_name) | named_arrays(targets, y_name)
    for name, array in arrays.items():
        if len(array) != len(samples):
            first = next(iter(arrays))
            lengths = f"{len(samples)} and {len(array)} samples"
            raise DataError(f"{first} and {name} differ in length: {lengths}.")
        check_finite(array, name)
    if groups is not None:
        checked = _check_groups(groups, len(samples), names.format("groups"))
        samples = replace(samples, groups=checked)
    if sample_weight is None:
        return samples
    if y is None:
        raise DataError(f"{weight_name} changes the loss of targets, but there are no targets.")
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
    weights, y, shapes = _as_numbers(value, name), samples.y, [(len(samples),)]
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


def _check_groups(value: object, samples: int, name: str) -> np.ndarray:
    """Returns the group of each sample, as numbers or texts of shape (n,) and dtype object."""
    # Imported late, because pandas is slow to import.
    import pandas as pd

    groups = np.asarray(value, dtype=object)
    if groups.ndim != 1 or len({isinstance(group, str) for group in groups[~pd.isna(groups)]}) > 1:
        expected = "a list with the group of each sample, all numbers or all texts"
        raise DataError.of_setting(name, expected, value)
    if len(groups) != samples:
        raise DataError(f"{name} holds groups of {len(groups)} samples, and there are {samples}.")
    missing = np.flatnonzero(pd.isna(groups))
    if missing.size:
        raise DataError(
            f"{name} has no group for {counted(missing.size, 'sample')}: the entry of sample "
            f"{missing[0]}, counted from 0, is {groups[missing[0]]!r}",
            hint="Leave these samples out, or give each a group of its own.",
        )
    return groups


def check_some_weight(weights: np.ndarray | None, name: str) -> None:
    """Raises DataError if all weights are 0, because no sample would count."""
    if weights is not None and not weights.any():
        raise DataError(f"{name} is 0 for all {len(weights)} samples, so no sample counts.")


def _as_arrays(value: object, name: str) -> Arrays:
    """Turns a user's data into an array, or a tuple of arrays, or a dict of arrays sorted by name.

    Raises:
        DataError: If a dict is empty, or has a key that is no text. Also if an array is empty, or
            holds neither numbers nor texts.
    """
    arrays = _several(value)
    if arrays is None:
        return _as_numbers(value, name, texts=True)
    if isinstance(arrays, dict):
        if not arrays or not all(isinstance(key, str) and key for key in arrays):
            names = "the names of the model's inputs or outputs, as texts"
            raise DataError.of_setting(f"The keys of {name}", names, list(arrays))
        arrays = dict(sorted(arrays.items()))
    checked: Arrays = rebuilt(
        arrays,  # type: ignore[arg-type]
        (_as_numbers(v, entry_name(name, key), texts=True) for key, v in entries(arrays).items()),
    )
    return checked


def _as_numbers(value: object, name: str, *, texts: bool = False) -> np.ndarray:
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


def is_portable(dtype: np.dtype) -> bool:
    """Returns whether numbers of this dtype have the same bits on every machine.

    Long doubles don't: depending on the machine, they have 64, 80 or 128 bits.
    """
    # On machines where a long double has 64 bits, its dtype equals float64. `dtype.char` tells
    # them apart.
    return dtype.kind in "biu" or (dtype.kind in "fc" and dtype.char not in "gG")


def check_finite(array: np.ndarray, name: str) -> None:
    """Raises DataError for NaN and infinite values, which would make a model's weights NaN."""
    if array.dtype.kind != "f":
        return
    if all(np.isfinite(array[start:end]).all() for start, end in blocks(array)):
        return
    bad = ~np.isfinite(array)
    first = tuple(np.argwhere(bad)[0].tolist())
    raise DataError(
        f"{name} holds {counted(bad.sum(), 'NaN or infinite value')} of {array.size}, the first "
        f"at index {first if len(first) > 1 else first[0]}",
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
    arrays = _several(value)
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
    """Turns texts into Python's strings. numpy's strings stay: TensorFlow takes them, too.

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


def class_labels(y: np.ndarray) -> np.ndarray | None:
    """Returns the class of each sample, of shape (n,), or None if the targets are no classes.

    Classes are:

    * booleans, and integers from 0 up, of shape (n,) or (n, 1);
    * floats of these shapes that are all 0 or 1;
    * one-hot rows of shape (n, k), of any dtype.

    Negative integers are no classes, because Keras's sparse losses need labels from 0 up.
    """
    values = _column(y)
    only_0_and_1 = bool(((values == 0) | (values == 1)).all())
    if values.ndim == 1:
        whole = values.dtype.kind != "f" and (values.dtype.kind in "bu" or values.min() >= 0)
        return values if whole or only_0_and_1 else None
    if values.ndim == 2 and only_0_and_1 and bool((values.sum(axis=1) == 1).all()):
        return np.asarray(values.argmax(axis=1))
    return None


def labels_of(
    samples: Samples, stratify: bool | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns two arrays: the class of each sample, and the labels to stratify by.

    Both are None for a regression, and if each sample has several targets. The labels to stratify
    by are also None if `stratify` is False, or if the samples are in the order of time.
    """
    labels = class_labels(samples.y) if isinstance(samples.y, np.ndarray) else None
    if stratify and labels is None:
        raise DataError(
            f"stratify=True needs one target that holds classes, but {samples.y_name} does not",
            hint="Leave stratify out, or make the parts yourself.",
        )
    return labels, None if stratify is False or samples.in_time else labels


def check_several_classes(labels: np.ndarray | None, y_name: str) -> None:
    """Raises DataError if all samples are of one class."""
    if labels is not None and bool((labels == labels[0]).all()):
        one = f"{labels[0].item()}, in all {len(labels)} samples"
        raise DataError(f"{y_name} holds one class only: {one}. There is nothing to learn.")


def _column(y: np.ndarray) -> np.ndarray:
    """Reshapes targets from (n, 1) to (n,), because Keras treats these shapes alike.

    Targets of other shapes are returned unchanged.
    """
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def number_labels(
    pool: Samples, ready: Mapping[str, Samples], class_names: tuple[str, ...]
) -> tuple[Samples, dict[str, Samples], ClassNames]:
    """Replaces labels that are texts by numbers, in all parts, as scikit-learn's LabelEncoder does.

    Returns the pool, the ready-made parts and the class names. If the targets are a dict, the class
    names are a dict too, with the names of each target's classes. If the targets are a tuple,
    `class_names` is returned unchanged.
    """
    parts = {"": pool, **ready}
    by_target = {
        target: _number_labels([entries(part.y)[target] for part in parts.values()])
        for target in entries(pool.y)
    }
    numbered_parts = {
        name: replace(part, y=rebuilt(pool.y, [labels[place] for labels, _ in by_target.values()]))
        for place, (name, part) in enumerate(parts.items())
    }
    names: ClassNames = class_names
    if isinstance(pool.y, dict):
        names = {target: texts for target, (_, texts) in by_target.items() if texts} or names
    elif not isinstance(pool.y, tuple):
        labels, texts = by_target[""]
        names = texts or class_names
        if class_names:
            _check_names(labels, texts, class_names, pool.y_name)
    return numbered_parts.pop(""), numbered_parts, names


def _number_labels(labels: list[np.ndarray]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Returns the labels of each part as numbers, and the text that each number stands for.

    Labels that are numbers already are returned unchanged, without texts.
    """
    if not any(map(is_text, labels)):
        return labels, ()
    texts = [np.asarray(part, dtype=object).astype(str) for part in labels]
    names = np.unique(np.concatenate([part.ravel() for part in texts]))
    return [np.searchsorted(names, part).astype(np.int64) for part in texts], tuple(names.tolist())


def _check_names(
    labels: list[np.ndarray], texts: tuple[str, ...], names: tuple[str, ...], y_name: str
) -> None:
    if texts:
        raise DataError(f"{y_name} holds the names of the classes", hint="Leave class_names out.")
    for part in labels:
        one_hot = part.ndim == 2 and part.shape[1] > 1
        largest = part.shape[1] - 1 if one_hot else float(part.max())
        if largest >= len(names):
            raise DataError(
                f"class_names has {counted(len(names), 'name')}, and {y_name} has labels up to "
                f"{largest:g}."
            )


def number_groups(
    pool: Samples, ready: Mapping[str, Samples]
) -> tuple[Samples, dict[str, Samples]]:
    """Replaces the names of groups by numbers from 0, alike in all parts.

    Raises DataError if a group is in two parts, or if only some of the parts have groups.
    """
    parts = {"training": pool, **ready}
    groups = {name: part.groups for name, part in parts.items() if part.groups is not None}
    if not groups:
        return pool, dict(ready)
    if without := next((name for name in parts if name not in groups), None):
        raise DataError(
            f"The {without} samples have no groups, but other samples have",
            hint="Give all samples groups: groups=..., and for a ready-made part (x, y, None, "
            "groups) or (x, y, sample_weight, groups). In an npz file: groups_train, groups_test.",
        )
    if len({isinstance(names[0], str) for names in groups.values()}) > 1:
        raise DataError("The groups of some parts are texts, and those of others numbers.")
    names, codes = np.unique(np.concatenate(list(groups.values())), return_inverse=True)
    ends = np.cumsum([len(of_part) for of_part in groups.values()])
    numbers = dict(zip(parts, np.split(codes, ends[:-1]), strict=True))
    for one, other in combinations(parts, 2):
        both = np.intersect1d(numbers[one], numbers[other])
        if both.size:
            raise DataError(
                f"The {other} part has {counted(both.size, 'group')} of the {one} samples, such as "
                f"{names[both[0]]!r}",
                hint="Leave these samples out of one part, or let both parts be drawn: each group "
                "is then in one part.",
            )
    numbered = {name: replace(part, groups=numbers[name]) for name, part in parts.items()}
    return numbered.pop("training"), numbered


def entries(arrays: Any) -> dict[Any, Any]:
    """Returns arrays as a dict. Keys are names, positions in a tuple, or "" for a single array."""
    if isinstance(arrays, dict):
        return arrays
    return dict(enumerate(arrays)) if isinstance(arrays, tuple) else {"": arrays}


def rebuilt(like: Arrays, values: Iterable[Any]) -> Any:
    """Returns values in the structure of `like`, such as a dict with the same names."""
    if isinstance(like, dict):
        return dict(zip(like, values, strict=True))
    return tuple(values) if isinstance(like, tuple) else next(iter(values))


def map_arrays(function: Callable[..., Any], *arrays: Arrays) -> Any:
    """Applies a function to each array, as `map` does. The results have the arrays' structure."""
    return rebuilt(arrays[0], map(function, *(entries(argument).values() for argument in arrays)))


def named_arrays(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Returns arrays by their names in messages and digests: "x", "x['image']" or "x[0]"."""
    if isinstance(arrays, dict | tuple):
        return {entry_name(name, key): array for key, array in entries(arrays).items()}
    return {name: arrays}


def entry_name(name: str, key: str | int) -> str:
    """Returns "x['image'] of the test part" for "x of the test part" and "image"."""
    array, of, part = name.partition(" of ")
    return f"{array}[{key!r}]{of}{part}"


def length_of(arrays: Arrays) -> int:
    """Returns the number of samples in the arrays."""
    return len(next(iter(entries(arrays).values())))


def described(arrays: Arrays) -> str:
    """Describes arrays in messages, such as "arrays named 'image', 'size'"."""
    if isinstance(arrays, dict):
        return f"arrays named {', '.join(map(repr, arrays))}"
    if not isinstance(arrays, tuple):
        return "one array"
    return f"{len(arrays)} arrays in a tuple" if arrays else "nothing"


def _several(value: object) -> dict[Any, object] | tuple[object, ...] | None:
    """Returns a user's dict or tuple of arrays. Returns None for a value that is one array.

    A tuple of numpy arrays, DataFrames or tensors is several arrays. A tuple of numbers, or of
    lists, is one array.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and value and all(getattr(v, "ndim", 0) >= 1 for v in value):
        return tuple(value)
    return None


def is_text(array: np.ndarray) -> bool:
    """Returns whether an array holds texts, as numpy's strings or as Python objects."""
    if array.dtype.kind != "O":
        return array.dtype.kind in "UST"
    return isinstance(next(iter(array.ravel()[:1]), None), str | bytes)


def image_of(values: np.ndarray) -> np.ndarray | None:
    """Returns a sample as an image of shape (height, width, channels), or None if it is no image.

    An image has at least 8 by 8 pixels, and 1, 3 or 4 channels. A row of n * n numbers is a square
    image, as in `datasets.digits`, if the numbers are unsigned integers, or are all from 0 to 1.
    """
    if values.dtype.kind not in "biuf":
        return None
    shape = values.shape
    side = math.isqrt(values.size)
    if len(shape) == 1 and side >= _SMALLEST_SIDE and side**2 == values.size:
        pixels = values.dtype.kind == "u" or (values.min() >= 0 and values.max() <= 1)
        shape = (side, side) if pixels else shape
    if len(shape) == 2:
        shape = (*shape, 1)
    small = len(shape) != 3 or min(shape[:2]) < _SMALLEST_SIDE
    return None if small or shape[2] not in (1, 3, 4) else values.reshape(shape)


def pixels_of(images: np.ndarray) -> np.ndarray:
    """Returns images as uint8, from 0 to 255.

    Values are scaled if some are outside this range. If all are at most 1, they are scaled too,
    unless they are uint8 already.
    """
    values = images.astype(np.float64)
    low, high = min(values.min(), 0), max(values.max(), 1)
    if low < 0 or high > 255 or (high <= 1 and images.dtype != np.uint8):
        values = (values - low) * (255 / (high - low))
    pixels: np.ndarray = values.round().astype(np.uint8)
    return pixels
