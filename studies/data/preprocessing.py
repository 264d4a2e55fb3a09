"""Preprocessing, which is fitted on the training part alone, and applied to all parts.

Arrays are scaled. A table's columns become scaled numbers, booleans, and one-hot categories. Layers
of the model are adapted:

words = ks.preprocessing.adapted(keras.layers.TextVectorization(max_tokens=5_000), data)

The registered model takes samples that are not preprocessed, and its first layers scale them. The
layers must give the same bits as this module. So both round floats to float32, compute
``x * scale + offset`` in float64, and round the result to float32.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import listed
from studies.data.arrays.users_samples_and_labels import (
    Arrays,
    Columns,
    check_finite,
    described,
    entries,
    entry_name,
    map_arrays,
    rebuilt,
)
from studies.data.numbers_texts_and_dates import MISSING, folded

if TYPE_CHECKING:
    import keras

    from studies.data.arrays.loaded_parts_and_folds import LoadedData, Splits
    from studies.data.dataset_base import Dataset

__all__ = ["adapted"]
_EXAMPLES = 5
# An example is written as JSON, so it has at most this many numbers or texts.
_MOST_VALUES = 10_000
_OF_TABLES = "numbers standardized, categories one-hot"
# At most this many categories of a column get an input: the most frequent ones.
_MOST_CODED = 256
# A category gets no input if it is in fewer than 5 training rows, and in fewer than one row for
# each full 200: with less than 400 rows, no category is rare.
_FEW_ROWS, _FEW_OF = 5, 200
_OTHER = "(other)"
_SHOWN = 20
_trial_data: ContextVar[LoadedData | None] = ContextVar("kerastudy_building", default=None)


def __dir__() -> list[str]:
    return __all__


@contextlib.contextmanager
def building_for(splits: LoadedData | None) -> Iterator[None]:
    """Makes `adapted` use the data of a trial while the trial's model is built."""
    token = _trial_data.set(splits)
    try:
        yield
    finally:
        _trial_data.reset(token)


def adapted(
    layer: keras.layers.Layer, data: Dataset | Splits, *, of: str | int | None = None
) -> keras.layers.Layer:
    """Calls `layer.adapt` with the samples of the training part, and returns the layer.

    Use it for layers such as `TextVectorization`, `Normalization` and `StringLookup`. In
    cross-validation, the layer sees the training part of the fold. If ``--data`` names a file, the
    layer sees the training part of the file.

    Args:
        layer: A layer with a method `adapt`.
        data: The study's data.
        of: If the data has several inputs, the name of one, or its index in a tuple.

    Raises:
        DataError: The layer has no `adapt`, or the data has no such input.

    Example:
        ```python
        def build(hp):
            words = ks.preprocessing.adapted(keras.layers.TextVectorization(), data)
            model = keras.Sequential([keras.Input((), dtype="string"), words, ...])
        ```
    """
    # Imported late, because these modules import this one.
    from studies.data.arrays.loaded_parts_and_folds import Splits
    from studies.data.dataset_base import DescribedData

    if not callable(getattr(layer, "adapt", None)):
        raise DataError.of_setting("layer", "one with adapt, such as TextVectorization()", layer)
    splits: Any = _trial_data.get()
    if splits is None:
        splits = data.load() if isinstance(data, DescribedData) else data
    if not isinstance(splits, Splits):
        raise DataError.of_setting("data", "data of kerastudy.datasets in arrays", data)
    inputs = {None if key == "" else key: array for key, array in entries(splits.train.x).items()}
    if of not in inputs:
        raise DataError.of_setting("of", f"one of the data's inputs: {list(inputs)}", of)
    layer.adapt(inputs[of])
    return layer


@dataclass(frozen=True, eq=False)
class Preparation:
    """The preprocessing of a study's data, and other facts that the registered model needs.

    Attributes:
        example: The first training samples before preprocessing; None if they are too large.
        prepared: The preprocessing of each preprocessed input, by names such as "x['image']".
        columns: The columns of each input that was a DataFrame, by the same names.
        class_names: The names of the labels 0, 1, 2 and so on; empty if unknown. If there are
            several targets, a dict with the names of each target's labels.
        table: The columns of a table, fitted on its training part; None if the data is no table.
        files: The options by which images or texts are read from files, such as the image size.
        groups: The number of groups of each part, by the part's name; empty without groups.
        remarks: Sentences for the user on the parts, e.g. that groups made a part far too large.
    """

    example: Arrays | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    class_names: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    table: FittedTable | None = None
    files: Mapping[str, object] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def describe(self) -> dict[str, object]:
        """Returns metadata for the registered model, ready for JSON."""
        description: dict[str, object] = {
            "class_names": self.class_names,
            "preprocessing": {name: prepared.name for name, prepared in self.prepared.items()},
            "columns": self.columns,
        }
        if self.table:
            description |= {"table": self.table.describe(), "missing": self.table.missing}
            description |= {"target": self.table.target, "identifiers": self.table.identifiers}
        if self.files:
            description["files"] = self.files
        # MLflow's YAML has no tuples. JSON turns tuples into lists.
        return dict(json.loads(json.dumps(description)))

    @property
    def warnings(self) -> list[str]:
        decisions = self.table.decisions if self.table else {}
        return [*(f"{subject}: {text}" for subject, text in decisions.items()), *self.remarks]


def examples_of(x: Arrays) -> Arrays | None:
    """Returns copies of the first few samples, or None if a sample is too large."""
    values = sum(math.prod(array.shape[1:]) for array in entries(x).values())
    count = min(_EXAMPLES, _MOST_VALUES // max(1, values))
    copies: Arrays = map_arrays(lambda array: np.array(array[:count]), x)
    return copies if count else None


def preprocessed_parts(
    table: TableColumns | None, parts: Mapping[str, Any], preprocess: object
) -> tuple[str | None, dict[str, Any], dict[str, Prepared], FittedTable | None]:
    """Fits the preprocessing on the training samples, and applies it to all parts.

    Returns the name of the preprocessing in records, the preprocessed samples of each part, and
    `Preparation.prepared` and `Preparation.table`.
    """
    if table is not None:
        fitted = _fit_table(table, parts["train"])
        return _OF_TABLES, {part: fitted.apply(x) for part, x in parts.items()}, {}, fitted
    train, name = parts["train"], _name(preprocess)
    by_key = preprocess if isinstance(preprocess, Mapping) else {"": preprocess}
    names = {key: kind for key, kind in by_key.items() if kind is not None}
    if unknown := [key for key in names if key not in entries(train)]:
        input_names = ", ".join(map(repr, unknown)) if isinstance(preprocess, Mapping) else "x"
        raise DataError(
            f"preprocess={name} is for {input_names}, but x holds {described(train)}",
            hint="For several arrays, pass x and preprocess as dicts with the same names: "
            "preprocess={'tabular': 'standardize'}.",
        )
    inputs = {part: dict(entries(x)) for part, x in parts.items()}
    prepared: dict[str, Prepared] = {}
    for key, kind in names.items():
        input_name = entry_name("x", key) if key else "x"
        scaling = prepared[input_name] = _fit(str(kind), inputs["train"][key], input_name)
        for part, x in inputs.items():
            x[key] = scaling.apply(x[key], f"{input_name} of the {part} part")
    return name, {part: rebuilt(train, x.values()) for part, x in inputs.items()}, prepared, None


def _name(preprocess: object) -> str | None:
    """Returns the name in records, such as "standardize" or "tabular: standardize"."""
    if isinstance(preprocess, Mapping):
        names = [f"{key}: {name}" for key, name in sorted(preprocess.items()) if name]
        return ", ".join(names) or None
    return None if preprocess is None else str(preprocess)


def _fit(name: str, train: np.ndarray, input_name: str) -> Prepared:
    """Fits "standardize" or "minmax" on the training samples.

    Each sample is a row: (n, 1) for samples of shape (n,), and (n, pixels) for images.
    """
    # Imported late, because scikit-learn is slow to import.
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if train.dtype.kind not in "biuf":
        raise DataError(f"preprocess={name} scales numbers, but {input_name} holds texts.")
    # Values too large for float32 become infinite, which `check_finite` reports.
    with np.errstate(over="ignore"):
        rows = _as_read(train.reshape(len(train), -1))
    check_finite(rows, f"{input_name} of the train part, rounded to float32,")
    if name == "minmax":
        minmax = MinMaxScaler().fit(rows)
        scale, offset = minmax.scale_, minmax.min_
    else:
        standard = StandardScaler().fit(rows)
        scale = 1 / standard.scale_
        offset = -standard.mean_ * scale
    return Prepared(name, scale, offset, train.dtype.name, train.shape[1:])


def _as_read(rows: np.ndarray) -> np.ndarray:
    """Converts rows to float64. Floats are rounded to float32 first, as Keras does for layers."""
    return (rows.astype(np.float32) if rows.dtype.kind == "f" else rows).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Prepared:
    """The preprocessing of an input: ``x * scale + offset``.

    Attributes:
        name: "standardize" or "minmax".
        scale, offset: Arrays of float64 and shape (features,).
        dtype: The dtype of the samples before preprocessing.
        shape: The shape of a sample before preprocessing.
    """

    name: str
    scale: np.ndarray
    offset: np.ndarray
    dtype: str
    shape: tuple[int, ...]

    def apply(self, array: np.ndarray, samples: str) -> np.ndarray:
        """Returns samples after preprocessing, as float32. `samples` is their name in messages."""
        with np.errstate(over="ignore"):
            rows = _as_read(array.reshape(len(array), -1)) * self.scale + self.offset
            scaled: np.ndarray = rows.astype(np.float32).reshape(array.shape)
        check_finite(scaled, f"The result of preprocess={self.name} for {samples}")
        return scaled

    def undone(self, rows: np.ndarray) -> np.ndarray:
        """Returns samples as they were before preprocessing."""
        values: np.ndarray = rows.reshape(len(rows), -1).astype(np.float64)
        values = (values - self.offset) / self.scale
        if np.dtype(self.dtype).kind in "biu":
            values = values.round()
        return values.reshape(len(rows), *self.shape)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: The name in the table.
        kind: Numbers that are all 0 or 1 are "boolean", and texts are a "category". "dates" may
            order the rows, but are no input of a model.
        unit: The unit of numbers that are texts, such as "kr".
        merged: Whether categories that differ only by case or blanks are one.
    """

    name: str
    kind: Literal["number", "boolean", "category", "dates"]
    unit: str | None = None
    merged: bool = False


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table.

    Attributes:
        columns: The columns that a model learns from, in the order of the table.
        time: The column that orders the rows; empty if parts are drawn at random.
        groups: The column that names the groups of rows that belong together, or None.
        decisions: The decisions of the rules of `tables`, in words, by column or subject.
        missing: The texts that stand for missing values.
        target: The column to predict.
        identifiers: The columns that tell rows from each other, and are no inputs: that of `groups`
            and those that were left out as identifiers.
    """

    columns: tuple[Column, ...]
    time: str = ""
    groups: str | None = None
    decisions: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    target: str = ""
    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True)
class FittedColumn(Column):
    """A column, and the statistics of its values in the training part.

    Attributes:
        scale, offset: ``x * scale + offset`` has mean 0 and deviation 1.
        fill: The value that replaces missing numbers after scaling: the scaled mean.
        gaps: Whether values are missing in the training part. If so, the model has a further input,
            which is 1 where the column's value is missing.
        vocabulary: The categories that have an input each; "" stands for missing values.
        spellings: Other texts that mean a category, such as {"1234": "01234", "YES": "yes"}.
        rare: The number of texts that are too rare for an input.
    """

    scale: float = 1.0
    offset: float = 0.0
    fill: float = 0.0
    gaps: bool = False
    vocabulary: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    rare: int = 0

    @property
    def places(self) -> dict[str, int]:
        """The place in the vocabulary of each text that has an input."""
        own = {text: place for place, text in enumerate(self.vocabulary)}
        return own | {text: own[category] for text, category in self.spellings.items()}

    @property
    def treatment(self) -> str:
        if self.kind == "category":
            missing = ", one of them for missing values" if MISSING in self.vocabulary else ""
            rare = f"; rarer ones ({self.rare}) and new ones are all 0" if self.rare else ""
            return f"one-hot of {len(self.vocabulary)} categories{missing}{rare}"
        values = "0 or 1" if self.kind == "boolean" else "to mean 0 and deviation 1"
        gaps = "; a missing value is the mean, and a further input marks it"
        return values + (gaps if self.gaps else "")


@dataclass(frozen=True)
class FittedTable(TableColumns):
    """The columns of a table, with their statistics in the training part.

    A model gets each row of the table as one array. The values in the array are, in this order:

    * scaled numbers, and booleans as 0 and 1 (`numbers`);
    * for each of these columns that lacks values in the training part, 1 where the value is
      missing, else 0 (`indicated`);
    * categories, one-hot (`categories`). An unknown category is all 0.

    For the registered model, `model_saving_and_preprocessing_layers` makes Keras layers that
    compute the same values to the bit.
    """

    columns: tuple[FittedColumn, ...]

    @property
    def numbers(self) -> list[FittedColumn]:
        return [column for column in self.columns if column.kind != "category"]

    @property
    def indicated(self) -> list[FittedColumn]:
        return [column for column in self.numbers if column.gaps]

    @property
    def categories(self) -> list[FittedColumn]:
        return [column for column in self.columns if column.kind == "category"]

    @property
    def names(self) -> list[str]:
        """The name of each value in a model's row, such as "age" or "missing age"."""
        return [
            *(column.name for column in self.numbers),
            *(f"missing {column.name}" for column in self.indicated),
            *(column.name for column in self.categories for _ in column.vocabulary),
        ]

    def apply(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Turns columns into a model's rows: float32 of shape (n, values)."""
        import pandas as pd

        rows = np.empty((len(x[self.columns[0].name]), len(self.names)), np.float32)
        inputs = iter(rows.T)
        for column in self.numbers:
            numbers = x[column.name].astype(np.float64) * column.scale + column.offset
            next(inputs)[:] = np.where(np.isnan(numbers), column.fill, numbers)
        for column in self.indicated:
            next(inputs)[:] = np.isnan(x[column.name])
        for column in self.categories:
            codes = pd.Series(x[column.name]).map(column.places)
            for code in range(len(column.vocabulary)):
                next(inputs)[:] = codes == code
        return rows

    def columns_in(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Undoes `apply`. Returns the columns by name: numbers, and the texts of categories.

        Missing numbers are NaN. But if the column is complete in the training part, missing numbers
        in other parts are returned as the column's mean.
        """
        columns, inputs = {}, iter(rows.T)
        for column in self.numbers:
            columns[column.name] = (next(inputs).astype(np.float64) - column.offset) / column.scale
        for column in self.indicated:
            columns[column.name][next(inputs) == 1] = np.nan
        for column in self.categories:
            texts = np.full(len(rows), _OTHER, dtype=object)
            for text in column.vocabulary:
                texts[next(inputs) == 1] = text
            columns[column.name] = texts
        return {column.name: columns[column.name] for column in self.columns}

    def has_uncoded(self, rows: np.ndarray) -> np.ndarray:
        """Returns whether each row has a category that has no input, and so is encoded as all 0."""
        columns = self.columns_in(rows)
        uncoded = [columns[column.name] == _OTHER for column in self.categories]
        return np.any(uncoded, axis=0) if uncoded else np.zeros(len(rows), bool)

    @property
    def treatments(self) -> dict[str, str]:
        """How columns are preprocessed, e.g. {"age and size": "to mean 0 and deviation 1"}."""
        names_by_treatment: dict[str, list[str]] = {}
        for column in self.columns:
            names_by_treatment.setdefault(column.treatment, []).append(column.name)
        treatments = {listed(names, most=_SHOWN): t for t, names in names_by_treatment.items()}
        if self.time and self.time not in self.decisions:
            unseen = "" if self.time in [column.name for column in self.columns] else "; no input"
            treatments[self.time] = f"parts are split in its order{unseen}"
        if self.groups is not None:
            treatments[self.groups] = "all rows of a group are in the same part; no input"
        return {**treatments, **self.decisions}

    @property
    def reading(self) -> dict[str, Any]:
        """The arguments `missing` and `units` of `model_columns`."""
        units = {column.name: column.unit for column in self.numbers if column.kind == "number"}
        return {"missing": list(self.missing), "units": units}

    def describe(self) -> list[dict[str, object]]:
        return [{"name": column.name, "kind": column.kind} for column in self.columns]


def _fit_table(table: TableColumns, x: Mapping[str, np.ndarray]) -> FittedTable:
    """Fits means, deviations and vocabularies on the columns of the training part."""
    fitted = tuple(_fitted(column, x[column.name]) for column in table.columns)
    return FittedTable(**{**vars(table), "columns": fitted})


def _fitted(column: Column, values: np.ndarray) -> FittedColumn:
    fitted = FittedColumn(**vars(column))
    if column.kind == "category":
        # If texts are equally frequent, the first in the alphabet are preferred, so that the order
        # of the rows has no influence.
        texts = sorted(Counter(values.tolist()).items(), key=lambda item: (-item[1], item[0]))
        counts, spellings = dict[str, int](), dict[str, str]()
        categories = dict[str, str]()
        for text, count in texts:
            category = categories.setdefault(folded(text) if column.merged else text, text)
            counts[category] = counts.get(category, 0) + count
            if text != category:
                spellings[text] = category
        least = min(_FEW_ROWS, len(values) // _FEW_OF)
        frequent = [text for text, count in counts.items() if count >= least]
        # If all categories are rare, all get inputs.
        coded = sorted(frequent or counts, key=lambda text: (-counts[text], text))[:_MOST_CODED]
        # A code such as 01234 loses its zero where it was read as a number.
        shorter = {text.lstrip("0"): text for text in coded if re.fullmatch(r"0+[1-9]\d*", text)}
        spellings |= {text: code for text, code in shorter.items() if text not in counts}
        return replace(
            fitted,
            vocabulary=tuple(sorted(coded)),
            spellings={text: of for text, of in spellings.items() if of in coded},
            rare=len(counts) - len(coded),
        )
    missing = np.isnan(values)
    numbers = values[~missing].astype(np.float64)
    mean, deviation = (numbers.mean(), numbers.std()) if numbers.size else (0.0, 0.0)
    if column.kind == "boolean":
        return replace(fitted, fill=float(mean), gaps=bool(missing.any()))
    # A constant column becomes 0, as with scikit-learn's StandardScaler.
    scale = 1 / float(deviation) if deviation > 0 else 1.0
    return replace(fitted, scale=scale, offset=-float(mean) * scale, gaps=bool(missing.any()))
