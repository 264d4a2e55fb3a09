"""Every refusal: what it says is wrong, what was received, what to do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search_spaces import DataError
from studies.data import datasets

X = np.random.default_rng(0).normal(size=(50, 3))
Y = np.arange(50) % 2


def changed(array: np.ndarray, *changes: tuple[Any, float]) -> np.ndarray:
    array = array.astype(np.float64)
    for index, value in changes:
        array[index] = value
    return array


# Refused when described


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"validation": 0},
            r"validation must be a share between 0 and 1.* Received: 0\. Pass for instance",
        ),
        ({"validation": 1.0}, r"Received: 1\.0\."),
        ({"validation": -0.1}, r"Received: -0\.1\."),
        ({"validation": 1.5}, r"Received: 1\.5\."),
        ({"validation": float("nan")}, "Received: nan"),
        ({"validation": -3}, "a count of samples above 0.* Received: -3"),
        (
            {"validation": True},
            "a ready-made part. Received: True",
        ),
        ({"validation": None}, "validation must be .* Received: None"),
        ({"validation": "0.2"}, "validation must be .* Received: '0.2'"),
        ({"validation": X}, "validation must be .* Received: an object of type ndarray"),
        ({"validation": (X, Y, Y, Y)}, "validation must be .* Received: an object of type tuple"),
        ({"test": 1.0}, r"test must be .* Received: 1\.0"),
        ({"test": False}, "test must be .* Received: False.* or None for no such part"),
        ({"validation": 0.5, "test": 0.5}, "validation=0.5 and test=0.5 sum to 1: nothing is left"),
        ({"stratify": 1}, "stratify must be True, False or None. Received: 1"),
        ({"stratify": Y}, "stratify must be .* Received: an object of type ndarray"),
        ({"seed": -1}, "seed must be a whole number from 0 to .* Received: -1"),
        ({"seed": 2**32}, "seed must be"),
        ({"seed": True}, "seed must be .* Received: True"),
        ({"seed": None}, "seed must be .* Received: None"),
        ({"preprocess": "standardise"}, "preprocess must be .* Did you mean 'standardize'"),
        ({"preprocess": "min-max"}, "Did you mean 'minmax'"),
        ({"preprocess": "zzz"}, "preprocess must be one of 'standardize' or 'minmax'"),
        ({"preprocess": len}, "methods fit and transform"),
        ({"preprocess": dict}, "an object, no class.* Received: the class dict"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_options_are_checked_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        datasets.arrays(X, Y, **options)
    # The parts of a file may be its own.
    if options.get("validation", 0) is not None:
        with pytest.raises(DataError, match=said):
            datasets.npz("none.npz", **options)


def test_digits_check_their_options() -> None:
    with pytest.raises(DataError, match=r"validation must be .* Received: 2\.0"):
        datasets.digits(validation=2.0)


# Refused when loaded


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (
            changed(X, ((4, 2), np.nan), ((9, 0), np.nan)),
            Y,
            r"^x holds 2 NaN value\(s\) of 150, the first at index \(4, 2\)\. Remove",
        ),
        (changed(X, ((0, 1), np.inf)), Y, r"^x holds 1 infinite .* at index \(0, 1\)"),
        (
            changed(X, ((7, 0), -np.inf), ((8, 1), np.nan)),
            Y,
            r"^x holds 1 NaN and 1 infinite value\(s\) of 150, the first at index \(7, 0\)",
        ),
        (X, changed(Y, (3, np.nan)), r"^y holds 1 NaN value\(s\) of 50, the first at index 3\."),
        (X, Y[:49], "^x and y differ in length: 50 and 49 samples"),
        (X[:0], Y[:0], r"^x is empty: its shape is \(0, 3\)"),
        (X[:, :0], Y, r"^x is empty: its shape is \(50, 0\)"),
        ([], [], "^x is empty"),
        (X, np.ones(50, int), "^y holds one class only: 1, in all 50 samples"),
        (X, np.zeros(50), r"^y holds one class only: 0\.0"),
        (X, np.eye(3)[np.full(50, 2)], "^y holds one class only: 2"),
        (X, np.ones(50, bool), "^y holds one class only: True"),
        (X, np.r_[np.arange(48) % 2, 7, 7], r"^Class 7 of y has 2 sample\(s\), fewer than the 3"),
        (X, np.arange(50), r"Class 0 of y has 1 sample.*50 classes have too few.*stratify=False"),
        (X[:2], [0.5, 1.5], "test=0.2 of 2 samples is less than one sample. Pass a larger share"),
        (X, ["a"] * 50, "^y holds one class only"),
        (
            X,
            np.array(["a", None] * 25, dtype=object),
            "^y holds texts, and values that are none, the first at index 1: None",
        ),
        (X, pd.Series([b"\xff"] * 50), "^y holds bytes that are no text in UTF-8"),
        (pd.DataFrame({"a": Y, "b": "c"}), Y, r"^x has dtype object.* Python objects \(int, str\)"),
        (X.astype(object), Y, "^x has dtype object.* received: ndarray.*astype"),
        ([[1, 2], [3]], [0, 1], "^x can't be made an array.*Received: list"),
        (X + 1j, Y, "^x has dtype complex128"),
        (X, np.full(50, "2020-01-01", dtype="datetime64[D]"), r"^y has dtype datetime64\[D\]"),
        (X.astype(np.longdouble), Y, "^x has dtype (float128|longdouble|float96).* 64 bits"),
        (3.0, Y, "^x is a single value"),
        (np.ma.masked_less(X, 0), Y, r"^x is a masked array with \d+ masked value"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_bad_data_is_refused(x: Any, y: Any, said: str) -> None:
    dataset = datasets.arrays(x, y)
    with pytest.raises(DataError, match=said):
        dataset.load()


def test_sparse_matrices_are_refused_with_the_way_out() -> None:
    from scipy.sparse import csr_matrix

    with pytest.raises(DataError, match=r"received: csr_matrix \(a sparse matrix\? `\.toarray"):
        datasets.arrays(csr_matrix(X), Y).load()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validation": 30, "test": 20}, "test=20 and validation=30 of 50 samples leave none"),
        ({"validation": 0.9, "test": 5}, "test=5 and validation=0.9 of 50 samples leave none"),
        ({"validation": 0.001, "test": 0}, "validation=0.001 of 50 samples is less than one"),
        ({"validation": 1}, "The validation part would have 1 sample.* fewer than the 2 classes"),
        ({"validation": 39, "test": 10}, "The train part would have 1 sample"),
        (
            {"validation": (X[:, :2], Y)},
            r"x of the ready-made validation part has shape \(2,\), but one of x has shape \(3,\)",
        ),
        (
            {"test": (X, Y[:, None])},
            r"y of the ready-made test part has shape \(1,\), but one of y has shape \(\)",
        ),
        ({"test": (X, Y[1:])}, "ready-made test part differ in length: 50 and 49"),
        ({"test": (X * np.nan, Y)}, "x of the ready-made test part holds 150 NaN"),
        ({"test": (X, Y + 0.5)}, r"y holds classes \(int64\), but y of .* does not \(float64"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:40],
)
def test_bad_parts_are_refused(options: dict[str, Any], said: str) -> None:
    dataset = datasets.arrays(X, Y, **options)
    with pytest.raises(DataError, match=said):
        dataset.load()


def test_a_small_class_never_makes_scikit_learn_speak_instead() -> None:
    y = np.r_[np.zeros(47, int), [1, 1, 1]]
    for seed in range(20):
        try:
            splits = datasets.arrays(X, y, validation=0.45, test=0.5, seed=seed).load()
        except DataError as error:
            assert re.search("Class 1 of y.* has 1 sample|training part .* one class", str(error))
        else:
            assert sum(splits.sizes.values()) == 50
