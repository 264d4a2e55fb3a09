"""Preprocessing: fitted on the training samples alone, applied to all parts; samples before it.

The registered model takes samples before preprocessing, so scalings become layers of it. A layer
gets floats as float32 from Keras. So float32 is scaled here too, and both compute ``x * scale +
offset`` in float64, then round to float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import check_finite
from studies.data.arrays.structures import (
    Arrays,
    Columns,
    described,
    entry_name,
    map_arrays,
    named_arrays,
)
from studies.data.options import Options
from studies.data.tables.columns import TableColumns
from studies.data.tables.fitted import PREPROCESSING, FittedTable, fit_table

if TYPE_CHECKING:
    from studies.data.tables.fitted import FittedTable

_EXAMPLES = 5
# The most numbers or texts in an example, which is kept as JSON.
_MOST_VALUES = 10_000
# In units of a scaled feature, mostly its standard deviation.
_LARGEST_LOSS = 1e-3


def preprocessing_name(preprocess: object) -> str | None:
    """Returns the name of the preprocessing in records: a transformer's with its parameters."""
    if isinstance(preprocess, Mapping):
        named = {name: preprocessing_name(each) for name, each in sorted(preprocess.items())}
        return ", ".join(f"{name}: {each}" for name, each in named.items() if each) or None
    if preprocess is None or isinstance(preprocess, str):
        return preprocess
    if hasattr(preprocess, "get_params"):
        return " ".join(repr(preprocess).split())
    # The repr of an object that isn't scikit-learn's may hold its address in memory.
    return type(preprocess).__qualname__


def preprocessed_parts(
    table: TableColumns | None, parts: Mapping[str, Arrays], options: Options
) -> tuple[str | None, dict[str, Arrays], dict[str, Prepared], FittedTable | None]:
    """Fits the preprocessing of a data set on its training samples, and applies it to all parts.

    Returns its name in records; the samples; what was done to each array; of a table, what is
    fitted.
    """
    if table is None:
        made, prepared = preprocessed(options.preprocess, parts, options.seed)
        return preprocessing_name(options.preprocess), made, prepared, None
    columns: Mapping[str, Any] = parts
    fitted = fit_table(table, columns["train"])
    made = {name: fitted.apply(each) for name, each in columns.items()}
    return PREPROCESSING, made, {}, fitted


def preprocessed(
    preprocess: object, parts: Mapping[str, Arrays], seed: int
) -> tuple[dict[str, Arrays], dict[str, Prepared]]:
    """Fits transformers on the training samples, and transforms all parts.

    Returns the samples, and the preprocessing of each changed array by its name in messages.
    """
    if preprocess is None:
        return dict(parts), {}
    train = parts["train"]
    if not isinstance(preprocess, Mapping):
        if not isinstance(train, np.ndarray):
            raise DataError(
                f"preprocess={preprocessing_name(preprocess)} is for one array, and x holds "
                f"{described(train)}. Pass x as a dict, and preprocess as a dict by the names of "
                "its arrays: preprocess={'tabular': 'standardize'}."
            )
        made, prepared = fit_and_apply(preprocess, parts, seed)  # type: ignore[arg-type]
        return dict(made), {"x": prepared}
    unknown = [name for name in preprocess if not isinstance(train, dict) or name not in train]
    if unknown:
        raise DataError(
            f"preprocess names {', '.join(map(repr, unknown))}, and x holds {described(train)}. "
            "Name arrays of x, or pass one preprocessing where x is one array."
        )
    done: dict[str, Any] = {part: dict(arrays) for part, arrays in parts.items()}  # type: ignore[arg-type]
    prepared_by_name: dict[str, Prepared] = {}
    for name, each in preprocess.items():
        if each is not None:
            of_name, what = {part: x[name] for part, x in done.items()}, entry_name("x", name)
            made, prepared_by_name[what] = fit_and_apply(each, of_name, seed, what)
            for part, array in made.items():
                done[part][name] = array
    return done, prepared_by_name


def fit_and_apply(
    preprocess: object, parts: Mapping[str, np.ndarray], seed: int, what: str = "x"
) -> tuple[dict[str, np.ndarray], Prepared]:
    """Fits a transformer on the training samples; returns all parts as float32, transformed.

    The transformer sees one row for each sample: samples of shape (n,) as (n, 1), of rank 3 and
    more as (n, features), every pixel a feature of its own. The result gets the shape of a sample
    back if the number of features is the same; else it stays (n, new features). A transformer that
    only scales sees floats as Keras reads them, as float32. The seed is for a random transformer
    without a seed of its own.
    """
    transformer = _transformer(preprocess, seed)
    name = preprocessing_name(preprocess)
    assert name is not None, "there is a transformer"
    train, scales = parts["train"], can_be_scalings(transformer)
    fitted_on = as_read(_rows(train)) if scales else _rows(train)
    _attempt(f"fitting preprocess={name}", transformer.fit, fitted_on)
    scalings: tuple[Scaling, ...] = ()
    transform, loss = transformer.transform, 0.0
    if scales:
        scalings = scalings_of(transformer)
        transform, loss = partial(_scaled, scalings), _loss(_rows(train), scalings)
    made = {
        part: _apply(transform, array, name, f"{what} of the {part} part")
        for part, array in parts.items()
    }
    return made, Prepared(name, scalings, train.dtype.name, train.shape[1:], loss)


def _scaled(scalings: tuple[Scaling, ...], rows: np.ndarray) -> np.ndarray:
    rows = as_read(rows)
    for scaling in scalings:
        rows = scaling.apply(rows)
    return rows


def _loss(rows: np.ndarray, scalings: tuple[Scaling, ...]) -> float:
    """Returns the most by which reading floats as float32 moves the scaled values."""
    if rows.dtype.itemsize <= 4 or rows.dtype.kind != "f":
        return 0.0
    factors = np.prod([scaling.scale for scaling in scalings], axis=0) if scalings else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        moved = np.abs((rows - as_read(rows)) * factors).max()
    return float(moved) if np.isfinite(moved) else 0.0


def _transformer(preprocess: object, seed: int) -> Any:
    # Late: importing scikit-learn takes longer than describing a hundred data sets.
    from sklearn.base import clone
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if preprocess == "standardize":
        return StandardScaler()
    if preprocess == "minmax":
        return MinMaxScaler()
    # safe=False: objects that are no estimators are copied deeply instead.
    transformer: Any = clone(preprocess, safe=False)
    if hasattr(transformer, "get_params"):
        # Otherwise each worker would get other data, with another digest.
        unseeded = {
            parameter: seed
            for parameter, value in transformer.get_params(deep=True).items()
            if parameter.split("__")[-1] == "random_state" and value is None
        }
        transformer.set_params(**unseeded)
    return transformer


def _apply(transform: Any, array: np.ndarray, name: str, what: str) -> np.ndarray:
    rows = _rows(array)
    made = _attempt(f"applying preprocess={name} to {what}", transform, rows)
    # Encoders return sparse matrices unless told otherwise.
    result = np.asarray(made.toarray() if hasattr(made, "toarray") else made)
    if result.ndim == 0 or len(result) != len(array):
        raise DataError(
            f"preprocess={name} made an array of shape {result.shape} of the {len(array)} samples "
            f"of {what}. Pass a transformer that returns one row for each sample."
        )
    # Values too large for float32 become infinite, which the check below reports.
    with np.errstate(over="ignore"):
        numbers: np.ndarray = _attempt(
            f"converting what preprocess={name} made", result.astype, np.float32
        )
    check_finite(numbers, f"What preprocess={name} made of {what}")
    return numbers.reshape(array.shape) if numbers.shape == rows.shape else numbers


def _attempt(what: str, function: Any, argument: object) -> Any:
    try:
        return function(argument)
    except Exception as error:
        # Whatever the error, the message says that it comes from the preprocessing.
        raise DataError(
            f"{what[0].upper()}{what[1:]} failed with {type(error).__name__}: {error} "
            "Try the transformer on the training samples alone, or pass preprocess=None."
        ) from error


def _rows(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array.reshape(len(array), -1)


@dataclass(frozen=True, eq=False)
class Prepared:
    """The preprocessing of an input.

    Attributes:
        name: its name in records.
        scalings: the same for layers; empty if no layer can do it.
        dtype: of the samples before it.
        shape: of a sample before it.
        loss: the most by which values moved because Keras reads floats as float32, in units of the
            scaled values.
    """

    name: str
    scalings: tuple[Scaling, ...]
    dtype: str
    shape: tuple[int, ...]
    loss: float = 0.0

    def undone(self, rows: np.ndarray) -> np.ndarray:
        """Returns samples as they were before it, as far as it scales; others as they are."""
        if not self.scalings:
            return rows
        values = rows.reshape(len(rows), -1).astype(np.float64)
        for scaling in reversed(self.scalings):
            values = (values - scaling.offset) / scaling.scale
        if np.dtype(self.dtype).kind in "biu":
            values = values.round()
        return values.reshape(len(rows), *self.shape)


@dataclass(frozen=True, eq=False)
class Given:
    """The samples of a data set before preprocessing.

    Attributes:
        example: the first training samples; none if one is too large to be shown.
        prepared: the preprocessing of samples, by the names of `structures.named_arrays`.
        columns: of inputs that were tables, by the same names.
        class_names: the names of the labels 0, 1, 2 and so on; empty if unknown. For several
            targets, by their names in `y`.
        table: of a table, its columns and what is fitted on its training part.
        files: of images and texts in files, how they are read, such as their size.
    """

    example: Arrays | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    class_names: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    table: FittedTable | None = None
    files: Mapping[str, object] = field(default_factory=dict)

    def describe(self) -> dict[str, object]:
        """Returns metadata for the registered model, ready for JSON, without values."""
        names = self.class_names
        return {
            "class_names": list(names)
            if isinstance(names, tuple)
            else {target: list(each) for target, each in names.items()},
            "preprocessing": {
                name: {"name": each.name, "in_the_model": bool(each.scalings)}
                for name, each in self.prepared.items()
            },
            "columns": {name: [list(pair) for pair in each] for name, each in self.columns.items()},
            **({} if self.table is None else {"table": self.table.describe()}),
            **({"files": self._described_files()} if self.files else {}),
        }

    def _described_files(self) -> dict[str, object]:
        # MLflow's YAML has no tuples.
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.files.items()
        }

    @property
    def unlike_layers(self) -> Mapping[str, Prepared]:
        """The preprocessing that no layer can do, by the inputs' names."""
        return {name: each for name, each in self.prepared.items() if not each.scalings}

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user."""
        told = [
            f"preprocess={each.name} can't become layers of a Keras model, so the registered model "
            f"will take {name} after this preprocessing. Put it into the model as layers, or use "
            "'standardize', 'minmax' or scikit-learn's StandardScaler, MinMaxScaler, MaxAbsScaler "
            "or RobustScaler, which become layers."
            for name, each in self.unlike_layers.items()
        ]
        told += self.table.notes if self.table is not None else ()
        return told + [
            f"Keras reads floats as float32, which moves values of {name} by up to "
            f"{each.loss:.2g} after preprocess={each.name}. Subtract an offset from its large "
            "numbers, such as dates as seconds."
            for name, each in self.prepared.items()
            if each.loss > _LARGEST_LOSS
        ]


def examples_of(x: Arrays) -> Arrays | None:
    """Returns copies of the first samples, as many as are small enough to be shown."""
    values = sum(math.prod(array.shape[1:]) for array in named_arrays(x, "x").values())
    count = min(_EXAMPLES, _MOST_VALUES // max(1, values))
    if not count:
        return None
    copies: Arrays = map_arrays(lambda array: np.array(array[:count]), x)
    return copies


@dataclass(frozen=True, eq=False)
class Scaling:
    """A factor and an addend for each feature: float64, of shape (features,)."""

    scale: np.ndarray
    offset: np.ndarray

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Returns scaled rows: float64 of shape (n, features), as are those given."""
        scaled: np.ndarray = rows * self.scale + self.offset
        return scaled


def as_read(rows: np.ndarray) -> np.ndarray:
    """Returns numbers as Keras passes them to a layer that computes in float64."""
    read = rows.astype(np.float32) if rows.dtype.kind == "f" else rows
    return read.astype(np.float64)


def can_be_scalings(transformer: Any) -> bool:
    """Returns whether a transformer, fitted or not, only scales."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    # Exactly: a subclass may do anything.
    if type(transformer) is Pipeline:
        steps = [step for _, step in transformer.steps]
        doing = [step for step in steps if step not in (None, "passthrough")]
        return bool(doing) and all(map(can_be_scalings, doing))
    if type(transformer) is MinMaxScaler:
        return not transformer.clip
    return type(transformer) in (StandardScaler, RobustScaler, MaxAbsScaler)


def scalings_of(transformer: Any) -> tuple[Scaling, ...]:
    """Returns the scalings of a fitted transformer that `can_be_scalings`, in their order."""
    from sklearn.pipeline import Pipeline

    if type(transformer) is Pipeline:
        steps: Sequence[Any] = [step for _, step in transformer.steps]
        by_step = [scalings_of(each) for each in steps if each not in (None, "passthrough")]
        return tuple(scaling for each in by_step for scaling in each)
    features = int(transformer.n_features_in_)
    scale, offset = np.ones(features), np.zeros(features)
    if hasattr(transformer, "min_"):
        # MinMaxScaler has them as they are used.
        scale, offset = transformer.scale_, transformer.min_
    else:
        if getattr(transformer, "scale_", None) is not None:
            scale = 1 / np.asarray(transformer.scale_, np.float64)
        centre = _centre(transformer)
        if centre is not None:
            offset = -np.asarray(centre, np.float64) * scale
    return (Scaling(np.asarray(scale, np.float64), np.asarray(offset, np.float64)),)


def _centre(transformer: Any) -> Any:
    if getattr(transformer, "with_mean", False):
        return transformer.mean_
    return transformer.center_ if getattr(transformer, "with_centering", False) else None
