"""A user's samples as checked arrays of numbers or texts, and their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.mapped import blocks
from studies.data.arrays.structures import (
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
    """Checked samples and their targets, with the names that messages use for both.

    The arrays hold finite numbers, or texts, and have the shape (n, ...), n > 0. Without targets
    `y` is an empty tuple.

    Attributes:
        columns: Names and types of the columns of inputs that were tables.
        table: The columns of a table, or None. The `x` of a table has an array for each column:
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
        """Returns the number of samples."""
        return length_of(self.x)

    @property
    def in_time(self) -> bool:
        """Whether the samples are in the order of time, so that parts are not drawn at random."""
        return self.table is not None and bool(self.table.time)


def check_samples(x: object, y: object, sample_weight: object = None, names: str = "{}") -> Samples:
    """Turns a user's data into checked arrays, copied only if necessary.

    Several arrays come in a dict or a tuple. Without targets `y` is None. `names` is a format that
    turns "x", "y" and "sample_weight" into their names in messages. Raises DataError for arrays
    that are empty, not finite, of differing lengths, or neither numbers nor texts; and for weights
    that are negative, all 0, or of another shape.
    """
    x_name, y_name, weight_name = map(names.format, ("x", "y", "sample_weight"))
    inputs = as_arrays(x, x_name)
    targets: Arrays = () if y is None else as_arrays(y, y_name)
    # The keys of columns are the same in all parts: "x", or "x['image']" and so on.
    samples = Samples(inputs, targets, x_name, y_name, columns=_columns_of(x, "x"))
    arrays = named_arrays(inputs, x_name) | named_arrays(targets, y_name)
    for name, array in arrays.items():
        if len(array) != len(samples):
            raise DataError(
                f"{next(iter(arrays))} and {name} differ in length: {len(samples)} and "
                f"{len(array)} samples. Pass as many of each input and output."
            )
        check_finite(array, name)
    if sample_weight is None:
        return samples
    if y is None:
        raise DataError(f"{weight_name} weighs the loss of targets, and there are none.")
    return replace(samples, sample_weight=_check_weights(sample_weight, samples, weight_name))


def check_same_shape(part: Samples, pool: Samples) -> None:
    """Refuses a ready-made part whose samples have another shape than the training samples."""
    for own, name, first, first_name in (
        (part.x, part.x_name, pool.x, pool.x_name),
        (part.y, part.y_name, pool.y, pool.y_name),
    ):
        if described(own) != described(first):
            raise DataError(
                f"{name} holds {described(own)}, but {first_name} holds {described(first)}. "
                "Give all parts the same arrays."
            )
        firsts = named_arrays(first, first_name).items()
        for (named, array), (of, like) in zip(named_arrays(own, name).items(), firsts, strict=True):
            if array.shape[1:] != like.shape[1:]:
                raise DataError(
                    f"One entry of {named} has shape {array.shape[1:]}, but one of {of} has shape "
                    f"{like.shape[1:]}. Give all parts the same shape, except for the first axis."
                )


def _check_weights(value: object, samples: Samples, name: str) -> np.ndarray:
    """Returns finite weights from 0 up, not all 0, for samples or for their steps."""
    weights, y, count = as_numbers(value, name), samples.y, len(samples)
    several_steps = isinstance(y, np.ndarray) and y.ndim > 1
    shapes = [(count,), (count, y.shape[1])] if several_steps else [(count,)]  # type: ignore[union-attr]
    if weights.shape not in shapes:
        raise DataError(
            f"{name} holds {len(weights)} weight(s) in an array of shape {weights.shape}. Pass one "
            f"for each sample{', or each step' if several_steps else ''}, in an array of shape "
            f"{' or '.join(map(str, shapes))}."
        )
    check_finite(weights, name)
    if (negative := np.argwhere(weights < 0)).size:
        raise DataError(
            f"{name} holds {len(negative)} negative weight(s), the first at index "
            f"{negative[0][0]}: {weights[weights < 0][0]}. Pass weights from 0 up."
        )
    check_some_weight(weights, name)
    return weights


def check_some_weight(weights: np.ndarray | None, name: str) -> None:
    """Refuses weights that are all 0: such samples can neither train nor judge a model."""
    if weights is not None and not weights.any():
        raise DataError(
            f"{name} is 0 for all of {len(weights)} samples: none counts. Pass weights above 0 "
            "for some, or make the part larger."
        )


def as_arrays(value: object, name: str) -> Arrays:
    """Turns a user's data into one or several arrays of numbers or texts, sorted by name.

    Raises DataError for an array that is empty or of another kind, for a name that is no text, and
    for an empty dict.
    """
    arrays = several(value)
    if arrays is None:
        return as_numbers(value, name, texts=True)
    if isinstance(arrays, dict):
        for key in arrays:
            if not isinstance(key, str) or not key:
                raise DataError(
                    f"{name} has an array under the name {key!r}. Name arrays by texts, as the "
                    "model's inputs and outputs are: {'image': ..., 'tabular': ...}."
                )
        if not arrays:
            raise DataError(f"{name} is an empty dict. Pass at least one array.")
        arrays = dict(sorted(arrays.items()))
    checked: Arrays = rebuilt(
        arrays,  # type: ignore[arg-type]
        (as_numbers(v, entry_name(name, key), texts=True) for key, v in entries(arrays).items()),
    )
    return checked


def as_numbers(value: object, name: str, *, texts: bool = False) -> np.ndarray:
    """Turns a user's data into an array of numbers, or texts, of shape (n, ...), n > 0.

    The array keeps the dtype of the data, but in the machine's byte order, since TensorFlow takes
    no other. Data is copied only if necessary. Raises DataError for data of any other kind.
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
        array = _as_texts(array, name)
    else:
        _check_numbers(array, value, name)
    if array.ndim == 0 or array.size == 0:
        raise DataError(
            f"{name} is {'empty' if array.ndim else 'a single value'}: its shape is {array.shape}. "
            "Pass an array with one entry for each sample."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_finite(array: np.ndarray, name: str) -> None:
    """Refuses NaN and infinite values: training on one turns all weights into NaN."""
    if array.dtype.kind != "f":
        return
    if all(np.isfinite(array[start:end]).all() for start, end in blocks(array)):
        return
    bad = ~np.isfinite(array)
    nans = int(np.isnan(array).sum())
    counts = {"NaN": nans, "infinite": int(bad.sum()) - nans}
    first = tuple(int(place) for place in np.argwhere(bad)[0])
    raise DataError(
        f"{name} holds {' and '.join(f'{n} {kind}' for kind, n in counts.items() if n)} value(s) "
        f"of {array.size}, the first at index {first if len(first) > 1 else first[0]}. Remove "
        "those samples or fill the values in."
    )


def _check_numbers(array: np.ndarray, value: object, name: str) -> None:
    if array.dtype.kind in "biuf" and is_portable(array.dtype):
        return
    hint = "Convert it to booleans, integers, or floats of at most 64 bits."
    if array.dtype.kind == "O":
        types = sorted({type(entry).__name__ for entry in array.ravel()[:1000].tolist()})
        sparse = " (a sparse matrix? `.toarray()`)" if hasattr(value, "toarray") else ""
        hint = (
            f"It becomes an array of Python objects ({', '.join(types)}); received: "
            f"{type(value).__name__}{sparse}. Make every column numeric and fill missing values "
            "in, then convert, for instance with `.astype('float32')`."
        )
    raise DataError(f"{name} has dtype {array.dtype}, and must hold numbers", hint=hint)


def is_frame(value: object) -> bool:
    """Returns whether a value is a DataFrame, without importing pandas."""
    attributes = ("columns", "dtypes", "to_numpy")
    return getattr(value, "ndim", 0) == 2 and all(hasattr(value, name) for name in attributes)


def _columns_of(value: object, name: str) -> dict[str, Columns]:
    """Returns the names and types of each table's columns, by the table's name in `named_arrays`.

    Tables whose column names are not texts, or not all different, are left out.
    """
    arrays = several(value)
    inputs: dict[str, Any] = named_arrays(value if arrays is None else arrays, name)  # type: ignore[arg-type]
    columns: dict[str, Columns] = {}
    for key, table in inputs.items():
        names = list(table.columns) if is_frame(table) else []
        if len(set(names)) == len(names) > 0 and all(isinstance(each, str) for each in names):
            columns[key] = tuple(zip(names, map(str, table.dtypes), strict=True))
    return columns


def _table_array(table: Any, name: str) -> np.ndarray | None:
    """Returns a table of numbers and booleans as an array of one type; None for other columns."""
    # pandas's extension types (Int64, boolean) have numpy's type as `numpy_dtype`.
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


def _as_texts(array: np.ndarray, name: str) -> np.ndarray:
    """Returns texts as TensorFlow takes them: Python strings, or numpy's strings of a fixed length.

    Bytes are read as UTF-8. Raises DataError if some entries are no texts, or no UTF-8.
    """
    if array.dtype.kind == "U":
        return array
    texts = array.astype(object)
    for place, entry in enumerate(texts.flat):
        if isinstance(entry, bytes):
            try:
                texts.flat[place] = entry.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{name} holds bytes that are no text in UTF-8, such as the one that begins "
                    f"with {entry[:40]!r}: {error}",
                    hint="Save it as UTF-8.",
                ) from None
        elif not isinstance(entry, str):
            raise DataError(
                f"{name} holds texts, and values that are none, the first at index {place}: "
                f"{entry!r:.50}. Fill missing texts in. Columns of several kinds go into a dict: "
                "{'text': df['text'], 'numbers': df[['age', 'size']]}."
            )
    return texts


def by_rule(rule: Callable[[Any], Any], x: Any) -> np.ndarray:
    """Returns the target that a rule gives each sample, as one number."""
    try:
        targets = np.asarray(rule(x), dtype=np.float64)
    except Exception as error:
        raise DataError(f"rule failed on the samples: {type(error).__name__}: {error}") from error
    if not isinstance(x, np.ndarray) or targets.size != len(x):
        raise DataError(
            "rule must take all samples, as one array, and return a number for each. "
            f"Received: an array of shape {targets.shape}."
        )
    return targets.reshape(-1)


def class_labels(y: np.ndarray) -> np.ndarray | None:
    """Returns the class of each sample, of shape (n,), if the targets look like classes; else None.

    Classes are: booleans and integers from 0 up, of shape (n,) or (n, 1); floats of those shapes
    that are all 0 or 1; rows of shape (n, k) that are one-hot, of any dtype. Negative integers are
    no classes, since Keras's sparse losses need labels from 0 up: they count as targets of a
    regression. So do integers of shape (n, k) that are not one-hot, which are several values for
    each sample.
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
    samples: Samples, stratify: bool | str | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns the class of each sample, and the labels to stratify splits by; each may be None.

    Several targets together are no classes. Splits are stratified by the classes, or by those of
    the named targets; samples in the order of time are not stratified. Raises DataError if there
    are no labels to stratify by, or several for each sample.
    """
    labels = class_labels(samples.y) if isinstance(samples.y, np.ndarray) else None
    if stratify is False or samples.in_time:
        return labels, None
    if stratify is None:
        return labels, labels
    y, name = _target(samples, stratify)
    strata = class_labels(y)
    strata = _column(y) if strata is None else strata
    if strata.ndim != 1:
        raise DataError(
            f"stratify={stratify!r} needs one class for each sample, but {name} has shape "
            f"{y.shape} and its rows are not one-hot. Pass stratify=False, or ready-made parts."
        )
    return labels, strata


def _target(samples: Samples, stratify: bool | str) -> tuple[np.ndarray, str]:
    """Returns the targets to stratify by, and their name."""
    y, name = samples.y, samples.y_name
    if isinstance(y, dict) and isinstance(stratify, str) and stratify in y:
        return y[stratify], entry_name(name, stratify)
    if isinstance(y, np.ndarray) and stratify is True:
        return y, name
    raise DataError(
        f"stratify={stratify!r} does not say which targets to stratify by: {name} holds "
        f"{described(y)}",
        hint="Pass stratify=True or False."
        if isinstance(y, np.ndarray)
        else "Pass the name of an output as stratify, where y is a dict, or stratify=False.",
    )


def count_classes(pool: Samples, labels: np.ndarray, ready: Iterable[Samples]) -> int:
    """Returns the number of classes: the columns of one-hot rows, else the distinct labels.

    Labels with gaps, such as 1, 2 and 5, are as many classes as occur in all parts together. Raises
    DataError if the targets of a part are no classes.
    """
    everywhere = [labels]
    assert isinstance(pool.y, np.ndarray), "several targets have no labels"
    for part in ready:
        assert isinstance(part.y, np.ndarray), "parts hold the same arrays"
        own = class_labels(part.y)
        if own is None:
            raise DataError(
                f"{pool.y_name} holds classes ({pool.y.dtype}), but {part.y_name} does not "
                f"({part.y.dtype}: negative, fractional, or not one-hot). Encode both alike."
            )
        everywhere.append(own)
    values = _column(pool.y)
    return values.shape[1] if values.ndim == 2 else len(np.unique(np.concatenate(everywhere)))


def check_several_classes(labels: np.ndarray | None, y_name: str) -> None:
    """Refuses targets that are all of one class, since there is nothing to learn."""
    if labels is not None and bool((labels == labels[0]).all()):
        raise DataError(
            f"{y_name} holds one class only: {labels[0].item()}, in all {len(labels)} samples. "
            "There is nothing to learn: pass samples of at least two classes."
        )


def check_class_counts(labels: np.ndarray, least: int, y_name: str, of: str, hint: str) -> None:
    """Refuses classes with fewer members than there are parts, or folds, to split them into."""
    classes, counts = np.unique(labels, return_counts=True)
    rarest = int(counts.argmin())
    if counts[rarest] < least:
        few = int((counts < least).sum())
        others = f" ({few} classes have too few)" if few > 1 else ""
        raise DataError(
            f"Class {classes[rarest].item()} of {y_name} has {counts[rarest]} sample(s), fewer "
            f"than {of}{others}. {hint}"
        )


def _column(y: np.ndarray) -> np.ndarray:
    """Returns targets of shape (n, 1) as (n,): for Keras, both are one value for each sample."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _zeros_and_ones(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def numbered(
    pool: Samples, ready: Mapping[str, Samples], class_names: tuple[str, ...]
) -> tuple[Samples, dict[str, Samples], ClassNames]:
    """Numbers the labels that are texts, in all parts, as scikit-learn's LabelEncoder does.

    Returns the pool, the ready-made parts, and the names of the classes; for several targets, the
    class names by target.
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
        # Targets in a tuple have no names, so the names of their classes would have no keys.
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
        raise DataError(
            f"{y_name} holds labels by name already ({', '.join(own[:5])}). Leave class_names out."
        )
    for part in labels:
        one_hot = part.ndim == 2 and part.shape[1] > 1
        largest = part.shape[1] - 1 if one_hot else float(part.max())
        if largest >= len(names):
            raise DataError(
                f"class_names has {len(names)} name(s), and {y_name} has labels up to "
                f"{largest:g}. Give a name for each label from 0 up."
            )
