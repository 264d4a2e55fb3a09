"""Preprocessing: fitted on the training part's samples alone, applied to all parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from studies.data.errors import DataError
from studies.data.numbers import check_finite


def preprocessing_name(preprocess: object) -> str | None:
    """Returns what a record calls the preprocessing.

    Args:
        preprocess: None, a name, or a transformer.

    Returns:
        None, the name, or the transformer with its parameters, on one line.
    """
    if preprocess is None or isinstance(preprocess, str):
        return preprocess
    if hasattr(preprocess, "get_params"):
        return " ".join(repr(preprocess).split())
    # The repr of an object that isn't scikit-learn's may hold its address in memory.
    return type(preprocess).__qualname__


def fit_and_apply(
    preprocess: object, train: np.ndarray, others: Mapping[str, np.ndarray], seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Fits a transformer on the training samples, and transforms all parts.

    The transformer sees one row for each sample: samples of shape (n,) as (n, 1), of rank 3 and
    more as (n, features), every pixel a feature of its own. What comes out gets the shape of a
    sample back if the number of features stayed; else it stays (n, new features).

    Args:
        preprocess: "standardize" (each feature to mean 0 and variance 1 over the training part),
            "minmax" (each feature's training range to 0..1; other parts may go beyond), or a
            scikit-learn transformer, of which a clone is fitted.
        train: samples of the training part, of shape (n, ...).
        others: samples of the other parts.
        seed: what a transformer that draws at random, and was given no seed, draws with.

    Returns:
        The training samples and those of the other parts, as float32.

    Raises:
        DataError: the transformer fails, or what it returns is not one finite row for each sample.
    """
    transformer = _transformer(preprocess, seed)
    name = preprocessing_name(preprocess)
    _attempt(f"fitting preprocess={name}", transformer.fit, _rows(train))
    parts = {"train": train, **others}
    done = {part: _apply(transformer, array, name, part) for part, array in parts.items()}
    return done.pop("train"), done


def _transformer(preprocess: object, seed: int) -> Any:
    # Late: importing scikit-learn takes longer than describing a hundred data sets.
    from sklearn.base import clone
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if preprocess == "standardize":
        return StandardScaler()
    if preprocess == "minmax":
        return MinMaxScaler()
    # safe=False: what isn't scikit-learn's own kind is copied deeply instead.
    transformer: Any = clone(preprocess, safe=False)
    if hasattr(transformer, "get_params"):
        # Else every worker would get data of its own, with a digest of its own.
        unseeded = {
            parameter: seed
            for parameter, value in transformer.get_params(deep=True).items()
            if parameter.split("__")[-1] == "random_state" and value is None
        }
        transformer.set_params(**unseeded)
    return transformer


def _apply(transformer: Any, array: np.ndarray, name: str | None, part: str) -> np.ndarray:
    rows = _rows(array)
    made = _attempt(f"applying preprocess={name} to the {part} part", transformer.transform, rows)
    # Encoders return sparse matrices unless told otherwise.
    result = np.asarray(made.toarray() if hasattr(made, "toarray") else made)
    if result.ndim == 0 or len(result) != len(array):
        raise DataError(
            f"preprocess={name} made an array of shape {result.shape} of the {len(array)} samples "
            f"of the {part} part. Pass a transformer that returns one row for each sample."
        )
    # Values too large for float32 become infinite, which the check below reports.
    with np.errstate(over="ignore"):
        numbers: np.ndarray = _attempt(
            f"converting what preprocess={name} made", result.astype, np.float32
        )
    check_finite(numbers, f"What preprocess={name} made of x of the {part} part")
    return numbers.reshape(array.shape) if numbers.shape == rows.shape else numbers


def _attempt(what: str, function: Any, argument: object) -> Any:
    try:
        return function(argument)
    except Exception as error:
        # Any transformer, any error: the user needs to know that it is the preprocessing's.
        raise DataError(
            f"{what[0].upper()}{what[1:]} failed with {type(error).__name__}: {error} "
            "Try the transformer on the training samples alone, or pass preprocess=None."
        ) from error


def _rows(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array.reshape(len(array), -1)
