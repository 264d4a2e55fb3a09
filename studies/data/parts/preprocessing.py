"""Preprocessing: fitted on the training samples alone, applied to all parts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.given import Prepared
from studies.data.arrays.numbers import check_finite
from studies.data.arrays.scalings import Scaling, as_read, can_be_scalings, scalings_of
from studies.data.options import Options
from studies.data.structures import Arrays, described, entry_name
from studies.data.tables.columns import TableColumns
from studies.data.tables.fitted import PREPROCESSING, FittedTable, fit_table


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

    Returns:
        Its name in records; the samples; what was done to each array; of a table, what is fitted.
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

    Returns:
        The samples by the names of the parts, and the preprocessing of each changed array, by the
        names of `structures.named_arrays`.
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
    """Fits a transformer on the training samples, and transforms all parts.

    The transformer sees one row for each sample: samples of shape (n,) as (n, 1), of rank 3 and
    more as (n, features), every pixel a feature of its own. The result gets the shape of a sample
    back if the number of features is the same; else it stays (n, new features). A transformer that
    only scales sees floats as Keras reads them, as float32: see `scalings`.

    Args:
        preprocess: "standardize" (each feature to mean 0 and variance 1 over the training part),
            "minmax" (each feature's training range to 0..1; other parts may go beyond), or a
            scikit-learn transformer, of which a clone is fitted.
        parts: samples of shape (n, ...) by the names of the parts, "train" among them.
        seed: for a random transformer without a seed of its own.
        what: name of the samples in messages.

    Returns:
        The samples by the names of the parts, as float32; and their preprocessing.

    Raises:
        DataError: the transformer fails, or does not return one finite row for each sample.
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
