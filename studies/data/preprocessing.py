"""Preprocesses all parts of the data, as fitted on the training part alone.

words = ks.preprocessing.adapted(keras.layers.TextVectorization(max_tokens=5_000), data)

The registered model takes samples before preprocessing, so its first layers do the scaling. They
must give the same bits as this module. So both round floats to float32, compute
``x * scale + offset`` in float64, and round the result to float32.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import listed
from studies.data.arrays.samples import check_finite
from studies.data.arrays.structures import (
    Arrays,
    Columns,
    described,
    entries,
    entry_name,
    map_arrays,
    rebuilt,
)
from studies.data.column_values import MISSING

if TYPE_CHECKING:
    import keras

    from studies.data.arrays.parts import LoadedData, Splits
    from studies.data.description import Dataset

__all__ = ["adapted"]

_EXAMPLES = 5
# An example is kept as JSON, so it has at most this many numbers or texts.
_MOST_VALUES = 10_000
# At most this many categories of a column get an input: the most frequent ones.
_MOST_CODED = 256
# A category gets none if it is in fewer training rows than this, and in fewer than one in 200.
_FEW_ROWS = 5
_OTHER = "(other)"
_SHOWN = 20
_OF_TABLES = "numbers standardized, categories one-hot"

_present: ContextVar[LoadedData | None] = ContextVar("kerastudy_building", default=None)


def __dir__() -> list[str]:
    return __all__


@contextlib.contextmanager
def building_for(splits: LoadedData | None) -> Iterator[None]:
    """Makes `adapted` use the data of a trial while the trial's model is built."""
    token = _present.set(splits)
    try:
        yield
    finally:
        _present.reset(token)


def adapted(
    layer: keras.layers.Layer, data: Dataset | Splits, *, of: str | int | None = None
) -> keras.layers.Layer:
    """Calls `layer.adapt` with the samples of the training part, and returns the layer.

    It is for `TextVectorization`, `Normalization`, `StringLookup` and the like. In
    cross-validation, the training part is that of the trial's fold. If a file replaces the study's
    data, the training part is that of the file.

    Args:
        layer: A layer with a method `adapt`.
        data: The study's data.
        of: Which of several inputs: its name, or its place.

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
    from studies.data.arrays.parts import Splits
    from studies.data.description import DescribedData

    if not callable(getattr(layer, "adapt", None)):
        raise DataError.of_setting("layer", "one with adapt, such as TextVectorization()", layer)
    splits: Any = _present.get()
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
    """How samples were preprocessed, and what else the registered model needs to know of them.

    Attributes:
        example: The first training samples before preprocessing; None if one is too large.
        prepared: The preprocessing of each input that has one, by names such as "x['image']".
        columns: The columns of inputs that were DataFrames, by the same names.
        class_names: The names of the labels 0, 1, 2 and so on; empty if unknown. For several
            targets, a dict by target.
        table: The columns of a table, as fitted on its training part; None if the data is no table.
        files: How images or texts are read from files, such as the size of images.
    """

    example: Arrays | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    class_names: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    table: FittedTable | None = None
    files: Mapping[str, object] = field(default_factory=dict)

    def describe(self) -> dict[str, object]:
        """Returns metadata for the registered model, ready for JSON."""
        names, files = self.class_names, self.files.items()
        return {
            # MLflow's YAML has no tuples.
            "class_names": list(names)
            if isinstance(names, tuple)
            else {target: list(own) for target, own in names.items()},
            "preprocessing": {
                name: {"name": own.name, "in_the_model": bool(own.scalings)}
                for name, own in self.prepared.items()
            },
            "columns": {name: [list(pair) for pair in own] for name, own in self.columns.items()},
            **({"table": self.table.describe()} if self.table else {}),
            **({"missing": list(self.table.missing)} if self.table else {}),
            **(
                {"files": {n: list(v) if isinstance(v, tuple) else v for n, v in files}}
                if files
                else {}
            ),
        }

    @property
    def warnings(self) -> list[str]:
        layers = [
            f"preprocess={own.name} can't become layers of a Keras model, so the registered model "
            f"will take {name} after this preprocessing. Put it into the model as layers, or use "
            "'standardize', 'minmax' or scikit-learn's StandardScaler, MinMaxScaler, MaxAbsScaler "
            "or RobustScaler, which become layers."
            for name, own in self.prepared.items()
            if not own.scalings
        ]
        decisions = self.table.decisions if self.table else {}
        return [*layers, *(f"{subject}: {text}" for subject, text in decisions.items())]


def examples_of(x: Arrays) -> Arrays | None:
    """Returns copies of the first few samples, or None if a sample is too large."""
    values = sum(math.prod(array.shape[1:]) for array in entries(x).values())
    count = min(_EXAMPLES, _MOST_VALUES // max(1, values))
    copies: Arrays = map_arrays(lambda array: np.array(array[:count]), x)
    return copies if count else None


def preprocessed_parts(
    table: TableColumns | None, parts: Mapping[str, Any], preprocess: object, seed: int
) -> tuple[str | None, dict[str, Any], dict[str, Prepared], FittedTable | None]:
    """Fits the preprocessing of a data set on its training samples, and applies it to all parts.

    Returns the name of the preprocessing in records, the samples of each part, and the `prepared`
    and `table` of `Preparation`.
    """
    if table is not None:
        fitted = fit_table(table, parts["train"])
        return _OF_TABLES, {n: fitted.apply(x) for n, x in parts.items()}, {}, fitted
    train, name = parts["train"], preprocessing_name(preprocess)
    by_key = preprocess if isinstance(preprocess, Mapping) else {"": preprocess}
    transformers = {key: each for key, each in by_key.items() if each is not None}
    if unknown := [key for key in transformers if key not in entries(train)]:
        of = f"of {', '.join(map(repr, unknown))}" if isinstance(preprocess, Mapping) else "of x"
        raise DataError(
            f"preprocess={name} is {of}, and x holds {described(train)}",
            hint="For several arrays pass x, and preprocess, as dicts by the same names: "
            "preprocess={'tabular': 'standardize'}.",
        )
    finished = {part: dict(entries(x)) for part, x in parts.items()}
    prepared: dict[str, Prepared] = {}
    for key, transformer in transformers.items():
        before = {part: x[key] for part, x in finished.items()}
        input_name = entry_name("x", key) if key else "x"
        made, prepared[input_name] = _fit_and_apply(transformer, before, seed, input_name)
        for part, array in made.items():
            finished[part][key] = array
    restored = {part: rebuilt(train, x.values()) for part, x in finished.items()}
    return name, restored, prepared, None


def preprocessing_name(preprocess: object) -> str | None:
    """Returns the name in records, such as "standardize" or "PCA(n_components=2)"."""
    if isinstance(preprocess, Mapping):
        named = {name: preprocessing_name(each) for name, each in sorted(preprocess.items())}
        return ", ".join(f"{name}: {own}" for name, own in named.items() if own) or None
    if preprocess is None or isinstance(preprocess, str):
        return preprocess
    if hasattr(preprocess, "get_params"):
        return " ".join(repr(preprocess).split())
    # The repr of any other object may hold its address in memory.
    return type(preprocess).__qualname__


def _fit_and_apply(
    preprocess: object, parts: Mapping[str, np.ndarray], seed: int, what: str
) -> tuple[dict[str, np.ndarray], Prepared]:
    """Fits a transformer on the training samples. Returns all parts as float32.

    The transformer sees one row for each sample: (n, 1) for samples of shape (n,), and (n, pixels)
    for images. If the number of features stays the same, the result gets the shape of the samples
    back. `seed` replaces random_state=None.
    """
    transformer = _transformer(preprocess, seed)
    name = str(preprocessing_name(preprocess))
    rows, scales = _rows(parts["train"]), _can_be_scalings(transformer)
    fitted_on = _as_read(rows) if scales else rows
    _attempt(f"Fitting preprocess={name}", transformer.fit, fitted_on)
    scalings = _scalings_of(transformer) if scales else ()
    transform = partial(_scaled, scalings) if scales else transformer.transform
    transformed = {
        part: _apply(transform, array, name, f"{what} of the {part} part")
        for part, array in parts.items()
    }
    train = parts["train"]
    return transformed, Prepared(name, scalings, train.dtype.name, train.shape[1:])


def _scaled(scalings: tuple[Scaling, ...], rows: np.ndarray) -> np.ndarray:
    rows = _as_read(rows)
    for scaling in scalings:
        rows = rows * scaling.scale + scaling.offset
    return rows


def _transformer(preprocess: object, seed: int) -> Any:
    # Imported late, because scikit-learn is slow to import.
    from sklearn.base import clone
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if preprocess == "standardize":
        return StandardScaler()
    if preprocess == "minmax":
        return MinMaxScaler()
    # With safe=False, an object that is no estimator is copied deeply.
    transformer: Any = clone(preprocess, safe=False)
    if hasattr(transformer, "get_params"):
        # Without a seed each worker would get other data, with another digest.
        unseeded = {
            parameter: seed
            for parameter, value in transformer.get_params(deep=True).items()
            if parameter.split("__")[-1] == "random_state" and value is None
        }
        transformer.set_params(**unseeded)
    return transformer


def _apply(transform: Any, array: np.ndarray, name: str, what: str) -> np.ndarray:
    rows = _rows(array)
    result = _attempt(f"Applying preprocess={name} to {what}", transform, rows)
    # By default, encoders return sparse matrices.
    result = np.asarray(result.toarray() if hasattr(result, "toarray") else result)
    if result.shape[:1] != (len(array),):
        raise DataError(
            f"preprocess={name} made an array of shape {result.shape} of the {len(array)} samples "
            f"of {what}."
        )
    # Values too large for float32 become infinite, which `check_finite` reports.
    with np.errstate(over="ignore"):
        numbers: np.ndarray = _attempt(
            f"Converting what preprocess={name} made", result.astype, np.float32
        )
    check_finite(numbers, f"What preprocess={name} made of {what}")
    return numbers.reshape(array.shape) if numbers.shape == rows.shape else numbers


def _attempt(what: str, function: Any, argument: object) -> Any:
    try:
        return function(argument)
    except Exception as error:
        raise DataError(f"{what} failed with {type(error).__name__}: {error}") from error


def _rows(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array.reshape(len(array), -1)


def _as_read(rows: np.ndarray) -> np.ndarray:
    """Rounds floats to float32, as Keras does before a layer. Returns numbers as float64."""
    return (rows.astype(np.float32) if rows.dtype.kind == "f" else rows).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Scaling:
    """``x * scale + offset``, with arrays of float64 and shape (features,)."""

    scale: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True, eq=False)
class Prepared:
    """The preprocessing of an input.

    Attributes:
        name: Its name in records.
        scalings: The preprocessing, if it only scales; else empty.
        dtype: The dtype of the samples before preprocessing.
        shape: The shape of a sample before preprocessing.
    """

    name: str
    scalings: tuple[Scaling, ...]
    dtype: str
    shape: tuple[int, ...]

    def undone(self, rows: np.ndarray) -> np.ndarray:
        """Undoes the scaling of samples. Returns them unchanged if they were not scaled."""
        if not self.scalings:
            return rows
        values = rows.reshape(len(rows), -1).astype(np.float64)
        for scaling in reversed(self.scalings):
            values = (values - scaling.offset) / scaling.scale
        if np.dtype(self.dtype).kind in "biu":
            values = values.round()
        return values.reshape(len(rows), *self.shape)


def _can_be_scalings(transformer: Any) -> bool:
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    steps = _steps(transformer)
    if steps is not None:
        return bool(steps) and all(map(_can_be_scalings, steps))
    # Types are compared exactly, because a subclass may do anything.
    if type(transformer) is MinMaxScaler:
        return not transformer.clip
    return type(transformer) in (StandardScaler, RobustScaler, MaxAbsScaler)


def _steps(transformer: Any) -> Sequence[Any] | None:
    """Returns the steps of a pipeline without "passthrough"; None if it is no pipeline."""
    from sklearn.pipeline import Pipeline

    if type(transformer) is not Pipeline:
        return None
    return [step for _, step in transformer.steps if step not in (None, "passthrough")]


def _scalings_of(transformer: Any) -> tuple[Scaling, ...]:
    steps = _steps(transformer)
    if steps is not None:
        return tuple(scaling for step in steps for scaling in _scalings_of(step))
    features = int(transformer.n_features_in_)
    scale, offset = np.ones(features), np.zeros(features)
    centre = transformer.mean_ if getattr(transformer, "with_mean", False) else None
    centre = transformer.center_ if getattr(transformer, "with_centering", False) else centre
    if hasattr(transformer, "min_"):
        # MinMaxScaler already has a factor and an addend.
        scale, offset = transformer.scale_, transformer.min_
    elif getattr(transformer, "scale_", None) is not None:
        scale = 1 / np.asarray(transformer.scale_, np.float64)
    if centre is not None:
        offset = -np.asarray(centre, np.float64) * scale
    return (Scaling(np.asarray(scale, np.float64), np.asarray(offset, np.float64)),)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in the table.
        kind: "boolean" also stands for numbers that are only 0 and 1, "category" for texts. "dates"
            may order rows, but are no input of a model.
    """

    name: str
    kind: Literal["number", "boolean", "category", "dates"]


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table.

    Attributes:
        columns: The columns that a model learns from, in the order of the table.
        time: The column that orders the rows; empty if parts are drawn at random.
        decisions: What rules decided, in words, by column or subject.
        missing: The texts that stand for missing values.
    """

    columns: tuple[Column, ...]
    time: str = ""
    decisions: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class FittedColumn(Column):
    """A column, and the statistics of its values in the training part.

    Attributes:
        scale, offset: ``x * scale + offset`` has mean 0 and deviation 1.
        fill: The value for missing numbers: the mean, after scaling.
        gaps: Whether values are missing in the training part. If so, another input marks them by 1.
        vocabulary: The texts of a category that get an input each; "" is a missing category.
        rare: How many texts are too rare to get an input.
    """

    scale: float = 1.0
    offset: float = 0.0
    fill: float = 0.0
    gaps: bool = False
    vocabulary: tuple[str, ...] = ()
    rare: int = 0

    @property
    def treatment(self) -> str:
        if self.kind == "category":
            missing = ", a missing one of them" if MISSING in self.vocabulary else ""
            rare = f"; {self.rare} rarer ones are 0, as new ones are" if self.rare else ""
            return f"one-hot of {len(self.vocabulary)} categories{missing}{rare}"
        values = "0 or 1" if self.kind == "boolean" else "to mean 0 and deviation 1"
        gaps = "; a missing one is the mean, and a further input says so"
        return values + (gaps if self.gaps else "")


@dataclass(frozen=True)
class FittedTable:
    """The columns of a table, with their statistics in the training part.

    A model gets each row as one array. Its values are, in this order:

    * numbers, scaled, and booleans as 0 and 1 (`numbers`);
    * for each of these columns with gaps, 1 where the value is missing (`indicated`);
    * categories, one-hot (`categories`). An unknown category is all 0.

    For the registered model, `saved_models.preprocessing_layers` makes Keras layers that compute
    the same bits.

    Attributes:
        columns: The columns, in the order of the table.
        time, decisions, missing: As in `TableColumns`.
    """

    columns: tuple[FittedColumn, ...]
    time: str = ""
    decisions: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

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
        """The name of each number in a model's row, such as "age" or "missing age"."""
        return [
            *(column.name for column in self.numbers),
            *(f"missing {column.name}" for column in self.indicated),
            *(column.name for column in self.categories for _ in column.vocabulary),
        ]

    def apply(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Turns columns into a model's rows: float32 of shape (n, values)."""
        import pandas as pd

        rows = np.empty((len(x[self.columns[0].name]), len(self.names)), np.float32)
        place = iter(rows.T)
        for column in self.numbers:
            numbers = x[column.name].astype(np.float64) * column.scale + column.offset
            next(place)[:] = np.where(np.isnan(numbers), column.fill, numbers)
        for column in self.indicated:
            next(place)[:] = np.isnan(x[column.name])
        for column in self.categories:
            codes = pd.Index(column.vocabulary, dtype=object).get_indexer(x[column.name])
            for code in range(len(column.vocabulary)):
                next(place)[:] = codes == code
        return rows

    def columns_in(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Undoes `apply`. Returns the columns by name: numbers, with NaN, and texts.

        If a column has no gaps in the training part, its missing numbers appear as its mean.
        """
        columns = {}
        place = iter(rows.T)
        for column in self.numbers:
            columns[column.name] = (next(place).astype(np.float64) - column.offset) / column.scale
        for column in self.indicated:
            columns[column.name][next(place) == 1] = np.nan
        for column in self.categories:
            texts = np.full(len(rows), _OTHER, dtype=object)
            for text in column.vocabulary:
                texts[next(place) == 1] = text
            columns[column.name] = texts
        return {column.name: columns[column.name] for column in self.columns}

    @property
    def treatments(self) -> dict[str, str]:
        """How columns are preprocessed, in words. Columns with one treatment share an entry."""
        alike: dict[str, list[str]] = {}
        for column in self.columns:
            alike.setdefault(column.treatment, []).append(column.name)
        treatments = {listed(names, most=_SHOWN): treatment for treatment, names in alike.items()}
        if self.time and self.time not in self.decisions:
            unseen = "" if self.time in [column.name for column in self.columns] else "; no input"
            treatments[self.time] = f"parts are split in its order{unseen}"
        return {**treatments, **self.decisions}

    def describe(self) -> list[dict[str, object]]:
        return [{"name": column.name, "kind": column.kind} for column in self.columns]


def fit_table(table: TableColumns, x: Mapping[str, np.ndarray]) -> FittedTable:
    """Fits means, deviations and vocabularies on the columns of the training part."""
    fitted = tuple(_fitted(column, x[column.name]) for column in table.columns)
    return FittedTable(fitted, table.time, table.decisions, table.missing)


def _fitted(column: Column, values: np.ndarray) -> FittedColumn:
    own = (column.name, column.kind)
    if column.kind == "category":
        # Among equally frequent texts, the first in the alphabet is preferred.
        frequent = sorted(Counter(values.tolist()).items(), key=lambda each: (-each[1], each[0]))
        least = min(_FEW_ROWS, len(values) // (40 * _FEW_ROWS))
        often = [each for each in frequent if each[1] >= least][:_MOST_CODED]
        vocabulary = tuple(sorted(text for text, _ in often or frequent[:_MOST_CODED]))
        return FittedColumn(*own, vocabulary=vocabulary, rare=len(frequent) - len(vocabulary))
    missing = np.isnan(values)
    known = values[~missing].astype(np.float64)
    mean, deviation = (known.mean(), known.std()) if known.size else (0.0, 0.0)
    if column.kind == "boolean":
        return FittedColumn(*own, fill=float(mean), gaps=bool(missing.any()))
    # A constant column becomes 0, as with scikit-learn's StandardScaler.
    scale = 1 / float(deviation) if deviation > 0 else 1.0
    return FittedColumn(*own, scale, -float(mean) * scale, gaps=bool(missing.any()))
