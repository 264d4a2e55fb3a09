"""Preprocessing, which is fitted on the training part alone, and applied to all parts.

words = ks.preprocessing.adapted(keras.layers.TextVectorization(max_tokens=5_000), data)

The registered model takes samples that are not preprocessed, and its first layers scale them. The
layers must give the same bits as this module. So both round floats to float32, compute
``x * scale + offset`` in float64, and round the result to float32.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.nested_arrays import (
    Arrays,
    Columns,
    described,
    entries,
    entry_name,
    map_arrays,
    rebuilt,
)
from studies.data.arrays.user_samples import check_finite
from studies.data.tables.table_encoding import FittedTable, TableColumns, fit_table

if TYPE_CHECKING:
    import keras

    from studies.data.arrays.loaded_data import LoadedData, Splits
    from studies.data.dataset_base import Dataset

__all__ = ["adapted"]

_EXAMPLES = 5
# An example is written as JSON, so it has at most this many numbers or texts.
_MOST_VALUES = 10_000
_OF_TABLES = "numbers standardized, categories one-hot"

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
    from studies.data.arrays.loaded_data import Splits
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
    """

    example: Arrays | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    class_names: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    table: FittedTable | None = None
    files: Mapping[str, object] = field(default_factory=dict)

    def describe(self) -> dict[str, object]:
        """Returns metadata for the registered model, ready for JSON."""
        description: dict[str, object] = {
            "class_names": self.class_names,
            "preprocessing": {
                name: {"name": prepared.name, "in_the_model": bool(prepared.scalings)}
                for name, prepared in self.prepared.items()
            },
            "columns": self.columns,
        }
        if self.table:
            description |= {"table": self.table.describe(), "missing": self.table.missing}
        if self.files:
            description["files"] = self.files
        # MLflow's YAML has no tuples. JSON turns tuples into lists.
        return dict(json.loads(json.dumps(description)))

    @property
    def warnings(self) -> list[str]:
        layers = [
            f"preprocess={prepared.name} can't become layers of a Keras model, so the registered "
            f"model will take {name} after this preprocessing. Put it into the model as layers, or "
            "use 'standardize', 'minmax' or scikit-learn's StandardScaler, MinMaxScaler, "
            "MaxAbsScaler or RobustScaler, which become layers."
            for name, prepared in self.prepared.items()
            if not prepared.scalings
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
    """Fits the preprocessing on the training samples, and applies it to all parts.

    Returns the name of the preprocessing in records, the preprocessed samples of each part, and
    `Preparation.prepared` and `Preparation.table`.
    """
    if table is not None:
        fitted = fit_table(table, parts["train"])
        return _OF_TABLES, {part: fitted.apply(x) for part, x in parts.items()}, {}, fitted
    train, name = parts["train"], preprocessing_name(preprocess)
    by_key = preprocess if isinstance(preprocess, Mapping) else {"": preprocess}
    transformers = {key: t for key, t in by_key.items() if t is not None}
    if unknown := [key for key in transformers if key not in entries(train)]:
        input_names = ", ".join(map(repr, unknown)) if isinstance(preprocess, Mapping) else "x"
        raise DataError(
            f"preprocess={name} is for {input_names}, but x holds {described(train)}",
            hint="For several arrays, pass x and preprocess as dicts with the same names: "
            "preprocess={'tabular': 'standardize'}.",
        )
    inputs = {part: dict(entries(x)) for part, x in parts.items()}
    prepared: dict[str, Prepared] = {}
    for key, transformer in transformers.items():
        before = {part: x[key] for part, x in inputs.items()}
        input_name = entry_name("x", key) if key else "x"
        after, prepared[input_name] = _fit_and_apply(transformer, before, seed, input_name)
        for part, array in after.items():
            inputs[part][key] = array
    return name, {part: rebuilt(train, x.values()) for part, x in inputs.items()}, prepared, None


def preprocessing_name(preprocess: object) -> str | None:
    """Returns the name in records, such as "standardize" or "PCA(n_components=2)"."""
    if isinstance(preprocess, Mapping):
        names = {key: preprocessing_name(t) for key, t in sorted(preprocess.items())}
        return ", ".join(f"{key}: {name}" for key, name in names.items() if name) or None
    if preprocess is None or isinstance(preprocess, str):
        return preprocess
    if hasattr(preprocess, "get_params"):
        return " ".join(repr(preprocess).split())
    # The repr of any other object may hold its address in memory.
    return type(preprocess).__qualname__


def _fit_and_apply(
    preprocess: object, parts: Mapping[str, np.ndarray], seed: int, input_name: str
) -> tuple[dict[str, np.ndarray], Prepared]:
    """Fits a transformer on the training samples. Returns the transformed parts, as float32.

    The transformer gets a row for each sample: (n, 1) for samples of shape (n,), and (n, pixels)
    for images. If it doesn't change the number of features, the result has the samples' shape.
    A transformer with random_state=None gets `seed` as its random state.
    """
    transformer = _transformer(preprocess, seed)
    name = str(preprocessing_name(preprocess))
    train, scales = parts["train"], _only_scales(transformer)
    rows = train.reshape(len(train), -1)
    action = f"Fitting preprocess={name}"
    _attempt(action, transformer.fit, _attempt(action, _as_read, rows) if scales else rows)
    scalings = tuple(map(_scaling_of, _steps(transformer))) if scales else ()
    transform = partial(_scaled, scalings) if scales else transformer.transform
    transformed = {
        part: _apply(transform, array, name, f"{input_name} of the {part} part")
        for part, array in parts.items()
    }
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
    # With safe=False, `clone` makes a deep copy of an object that is no estimator.
    transformer: Any = clone(preprocess, safe=False)
    if hasattr(transformer, "get_params"):
        # Without a seed, each worker would get different data, with another digest.
        unseeded = {
            parameter: seed
            for parameter, value in transformer.get_params(deep=True).items()
            if parameter.split("__")[-1] == "random_state" and value is None
        }
        transformer.set_params(**unseeded)
    return transformer


def _apply(transform: Any, array: np.ndarray, name: str, samples: str) -> np.ndarray:
    rows = array.reshape(len(array), -1)
    result = _attempt(f"Applying preprocess={name} to {samples}", transform, rows)
    # By default, scikit-learn's encoders return sparse matrices, which `np.asarray` can't convert.
    result = np.asarray(result.toarray() if hasattr(result, "toarray") else result)
    if result.shape[:1] != (len(array),):
        raise DataError(
            f"preprocess={name} turned the {len(array)} samples of {samples} into an array of "
            f"shape {result.shape}. The transformer must return a row for each sample."
        )
    # Values too large for float32 become infinite, which `check_finite` reports.
    with np.errstate(over="ignore"):
        action = f"Converting the result of preprocess={name}"
        numbers: np.ndarray = _attempt(action, result.astype, np.float32)
    check_finite(numbers, f"The result of preprocess={name} for {samples}")
    return numbers.reshape(array.shape) if numbers.shape == rows.shape else numbers


def _attempt(action: str, function: Any, argument: object) -> Any:
    try:
        return function(argument)
    except Exception as error:
        raise DataError(f"{action} failed with {type(error).__name__}: {error}") from error


def _as_read(rows: np.ndarray) -> np.ndarray:
    """Converts rows to float64. Floats are rounded to float32 first, as Keras does for layers."""
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
        name: The name in records, such as "standardize".
        scalings: The steps of the preprocessing, one after another. Empty if a step does more than
            scale.
        dtype: The dtype of the samples before preprocessing.
        shape: The shape of a sample before preprocessing.
    """

    name: str
    scalings: tuple[Scaling, ...]
    dtype: str
    shape: tuple[int, ...]

    def undone(self, rows: np.ndarray) -> np.ndarray:
        """Undoes the scaling of samples. Returns them unchanged if `scalings` is empty."""
        if not self.scalings:
            return rows
        values = rows.reshape(len(rows), -1).astype(np.float64)
        for scaling in reversed(self.scalings):
            values = (values - scaling.offset) / scaling.scale
        if np.dtype(self.dtype).kind in "biu":
            values = values.round()
        return values.reshape(len(rows), *self.shape)


def _only_scales(transformer: Any) -> bool:
    """Returns whether a transformer only multiplies and adds, so that Keras layers can do it."""
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    scalers, steps = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler), _steps(transformer)
    # Types are compared exactly, because a subclass may do anything.
    return bool(steps) and all(
        type(step) in scalers and not getattr(step, "clip", False) for step in steps
    )


def _steps(transformer: Any) -> list[Any]:
    """Returns the steps of a pipeline, and of the pipelines in it, without "passthrough" steps.

    A transformer that is no pipeline is its own single step.
    """
    from sklearn.pipeline import Pipeline

    if type(transformer) is not Pipeline:
        return [transformer]
    steps = [step for _, step in transformer.steps if step not in (None, "passthrough")]
    return [inner for step in steps for inner in _steps(step)]


def _scaling_of(scaler: Any) -> Scaling:
    features = int(scaler.n_features_in_)
    scale, offset = np.ones(features), np.zeros(features)
    centre = scaler.mean_ if getattr(scaler, "with_mean", False) else None
    centre = scaler.center_ if getattr(scaler, "with_centering", False) else centre
    if hasattr(scaler, "min_"):
        # MinMaxScaler already computes x * scale_ + min_. The other scalers divide by `scale_`.
        scale, offset = scaler.scale_, scaler.min_
    elif getattr(scaler, "scale_", None) is not None:
        scale = 1 / np.asarray(scaler.scale_, np.float64)
    if centre is not None:
        offset = -np.asarray(centre, np.float64) * scale
    return Scaling(np.asarray(scale, np.float64), np.asarray(offset, np.float64))
