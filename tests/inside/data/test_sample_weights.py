"""Sample weights: split along with their samples, part of the digest, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces import DataError
from studies.data import Part, Splits, datasets

X = np.random.default_rng(0).normal(size=(50, 3))
Y = np.arange(50) % 2
# Each weight tells whose it is.
WEIGHTS = X[:, 0] ** 2


def parts(splits: Splits) -> list[Part]:
    return [splits.train, splits.validation, splits.unseal_test()]


def test_each_part_gets_the_weights_of_its_samples() -> None:
    for part in parts(datasets.arrays(X, Y, sample_weight=WEIGHTS).load()):
        assert part.sample_weight is not None
        assert np.array_equal(part.sample_weight, part.x[:, 0] ** 2)


def test_preprocessing_leaves_them_alone() -> None:
    weighted = datasets.arrays(X, Y, sample_weight=WEIGHTS, preprocess="standardize").load()
    plain = datasets.arrays(X, Y, sample_weight=WEIGHTS).load()
    assert np.array_equal(weighted.train.sample_weight, plain.train.sample_weight)  # type: ignore[arg-type]


def test_ready_made_parts_bring_their_own_or_none() -> None:
    splits = datasets.arrays(
        X, Y, sample_weight=WEIGHTS, validation=(X[:7], Y[:7], WEIGHTS[:7]), test=(X[:5], Y[:5])
    ).load()
    train, validation, test = parts(splits)
    assert np.array_equal(train.sample_weight, WEIGHTS)  # type: ignore[arg-type]
    assert np.array_equal(validation.sample_weight, WEIGHTS[:7])  # type: ignore[arg-type]
    assert test.sample_weight is None
    unweighted = datasets.arrays(X, Y, validation=(X[:7], Y[:7], WEIGHTS[:7])).load()
    assert unweighted.train.sample_weight is None
    assert unweighted.validation.sample_weight is not None


def test_they_are_part_of_the_digest() -> None:
    plain = datasets.arrays(X, Y).load()
    weighted = datasets.arrays(X, Y, sample_weight=WEIGHTS).load()
    changed = WEIGHTS.copy()
    changed[0] += 1
    other = datasets.arrays(X, Y, sample_weight=changed).load()
    assert len({plain.digest, weighted.digest, other.digest}) == 3
    # All count alike, but the data is another: it says so.
    assert datasets.arrays(X, Y, sample_weight=np.ones(50)).load().digest != plain.digest


def test_they_are_read_only_copies() -> None:
    weights = WEIGHTS.copy()
    splits = datasets.arrays(X, Y, sample_weight=weights).load()
    digest = splits.digest
    weights[:] = 1
    assert splits.digest == digest
    with pytest.raises(ValueError, match="read-only"):
        splits.train.sample_weight[0] = 1


def test_they_are_told_by_dtype_and_shape() -> None:
    dataset = datasets.arrays(X, Y, sample_weight=WEIGHTS, validation=(X, Y, WEIGHTS))
    weights = "<ndarray float64 (50,)>"
    assert f"sample_weight={weights}, validation=(" in repr(dataset)
    assert f", {weights}))" in repr(dataset)
    splits = dataset.load()
    assert repr(splits.train).endswith("sample_weight=float64(40,))")
    described: Any = splits.describe()
    assert described["shapes"]["train"]["sample_weight"] == [40]
    assert described["dtypes"]["validation"]["sample_weight"] == "float64"


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (WEIGHTS[:49], r"sample_weight holds 49 weight\(s\) .* Pass one"),
        (WEIGHTS[:, None], r"an array of shape \(50, 1\)\. .*of shape \(50,\)"),
        (1.0, "sample_weight is a single value"),
        (-WEIGHTS, r"sample_weight holds 50 negative weight\(s\), the first at index 0: -0\.01"),
        (np.where(Y, np.nan, WEIGHTS), "sample_weight holds 25 NaN"),
        (np.zeros(50), "sample_weight is 0 for all of 50 samples.*Pass weights above 0"),
        (["heavy"] * 50, "sample_weight has dtype <U5, and must hold numbers"),
    ],
    ids=["length", "shape", "single", "negative", "NaN", "all 0", "text"],
)
def test_what_can_not_be_weights_is_refused(weights: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        datasets.arrays(X, Y, sample_weight=weights).load()
    with pytest.raises(DataError, match="sample_weight of the ready-made validation part"):
        datasets.arrays(X, Y, validation=(X, Y, weights)).load()


def test_a_part_that_would_count_nothing_is_refused() -> None:
    weights = np.zeros(50)
    weights[0] = 1.0
    with pytest.raises(DataError, match=r"sample_weight of the .* part is 0 for all of"):
        datasets.arrays(X, Y, sample_weight=weights).load()


# Files


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_a_file_brings_weights(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y, sample_weight_train=WEIGHTS)
    expected = datasets.arrays(X, Y, sample_weight=WEIGHTS).load()
    assert datasets.npz(path).load().digest == expected.digest


def test_a_files_own_parts_bring_theirs(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.npz",
        **{f"x_{part}": X for part in ("train", "validation", "test")},
        **{f"y_{part}": Y for part in ("train", "validation", "test")},
        sample_weight_validation=WEIGHTS,
    )
    train, validation, test = parts(datasets.npz(path).load())
    assert train.sample_weight is None and test.sample_weight is None
    assert np.array_equal(validation.sample_weight, WEIGHTS)  # type: ignore[arg-type]


def test_weights_of_a_part_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y, sample_weight_validation=WEIGHTS)
    with pytest.raises(DataError, match="holds sample_weight_validation but not its counterpart"):
        datasets.npz(path).load()


def test_wrong_weights_in_a_file_go_by_its_own_names(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y, sample_weight_train=WEIGHTS[:3])
    with pytest.raises(DataError, match=r"sample_weight_train holds 3 weight\(s\)"):
        datasets.npz(path).load()
