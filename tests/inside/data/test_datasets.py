"""Data sets: what they read, what they say of themselves, and that they are lazy."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search_spaces import DataError
from studies.data import datasets

X = np.random.default_rng(0).normal(size=(50, 3))
Y = np.arange(50) % 2


class Untouchable:
    """Fails the test when it is read."""

    def __array__(self, *arguments: object, **options: object) -> np.ndarray:
        raise AssertionError("the data was read")


# Laziness


def test_importing_and_describing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from studies.data import datasets, Dataset, Splits, Part;"
        "datasets.digits(); datasets.npz('none.npz', preprocess='minmax');"
        "datasets.arrays([[1.0], [2.0]], [0, 1], preprocess='standardize');"
        "heavy = {'sklearn', 'tensorflow', 'keras', 'pandas', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == "[]"


def test_nothing_is_read_before_load() -> None:
    dataset = datasets.arrays(Untouchable(), Untouchable())
    assert repr(dataset).startswith("datasets.arrays(")
    with pytest.raises(AssertionError, match="was read"):
        dataset.load()


def test_loading_twice_reads_once() -> None:
    dataset = datasets.arrays(X, Y)
    assert dataset.load() is dataset.load()


def test_a_dataset_can_not_be_changed() -> None:
    dataset: Any = datasets.digits()
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "mine"


@pytest.mark.parametrize("load_first", [False, True])
def test_a_dataset_travels_to_another_process(load_first: bool) -> None:
    dataset = datasets.arrays(X, Y, preprocess="standardize")
    if load_first:
        dataset.load()
    again = pickle.loads(pickle.dumps(dataset))
    assert again.load().digest == dataset.load().digest


# Digits


def test_digits() -> None:
    splits = datasets.digits().load()
    assert splits.sizes == {"train": 1079, "validation": 359, "test": 359}
    assert splits.classes == 10
    assert splits.preprocessing is None
    for part in (splits.train, splits.validation, splits.unseal_test()):
        assert part.x.dtype == np.float32
        assert part.x.shape[1:] == (64,)
        assert part.x.min() == 0
        assert part.x.max() == 1
        assert part.y.dtype == np.int64
        assert np.bincount(part.y).min() >= 0.096 * len(part)


def test_digits_are_the_same_on_every_machine() -> None:
    assert datasets.digits().load().digest == (
        "e92c14e1251f9513e87e789fecb4720e6cde6e1cdaf5a9e33e6ff24a5955b1bc"
    )


# What is said


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        (datasets.digits(), "datasets.digits()"),
        (datasets.digits(test=None, seed=3), "datasets.digits(test=None, seed=3)"),
        (datasets.npz("mnist.npz"), "datasets.npz('mnist.npz')"),
        (
            datasets.npz("a.npz", test=0, preprocess="minmax", stratify=False, name="b"),
            "datasets.npz('a.npz', test=0, stratify=False, preprocess='minmax', name='b')",
        ),
        (
            datasets.arrays(X, [1, 2], validation=(X, Y), name="mine"),
            "datasets.arrays(<ndarray float64 (50, 3)>, <list of 2>, "
            "validation=(<ndarray float64 (50, 3)>, <ndarray int64 (50,)>), name='mine')",
        ),
    ],
    ids=lambda value: "",
)
def test_the_repr_is_the_call(dataset: datasets.Dataset, text: str) -> None:
    assert repr(dataset) == text


def test_names_and_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert datasets.digits().name == "digits"
    assert datasets.digits().source == "scikit-learn digits"
    assert datasets.arrays(X, Y).source == "arrays in memory"
    assert datasets.arrays(X, Y, name="mine").name == "mine"
    assert datasets.npz("data/mnist.npz").name == "mnist"
    assert datasets.npz("data/mnist.npz").source == str(tmp_path / "data" / "mnist.npz")
    assert datasets.npz("~/mnist.npz").source == str(tmp_path / "home" / "mnist.npz")


# Arrays


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float32, np.float64, bool])
def test_dtypes_stay_as_they_are(dtype: type) -> None:
    x: np.ndarray = (np.arange(50 * 4 * 4).reshape(50, 4, 4) % 7).astype(dtype)
    splits = datasets.arrays(x, Y.astype(np.uint8)).load()
    assert splits.train.x.dtype == dtype
    assert splits.train.x.shape == (30, 4, 4)
    assert splits.train.y.dtype == np.uint8


def test_a_foreign_byte_order_is_put_right() -> None:
    splits = datasets.arrays(X.astype(">f8"), Y.astype(">i4")).load()
    assert splits.train.x.dtype.isnative
    assert splits.train.y.dtype.isnative
    assert splits.digest == datasets.arrays(X, Y.astype(np.int32)).load().digest


def test_lists_and_pandas_are_taken_as_numpy_takes_them() -> None:
    expected = datasets.arrays(X, Y).load().digest
    assert datasets.arrays(X.tolist(), Y.tolist()).load().digest == expected
    frame, series = pd.DataFrame(X, columns=list("abc")), pd.Series(Y, index=range(7, 57))
    assert datasets.arrays(frame, series).load().digest == expected
    assert "DataFrame (50, 3)" in repr(datasets.arrays(frame, series))


# Files


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_a_file_is_split_like_arrays(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y)
    assert datasets.npz(path).load().digest == datasets.arrays(X, Y).load().digest
    assert set(datasets.npz(path, test=0).load().sizes) == {"train", "validation"}


def test_the_files_own_parts_are_the_parts(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.npz",
        x_train=X,
        y_train=Y,
        x_test=X[:5] + 1,
        y_test=Y[:5],
        x_validation=X[:7] + 2,
        y_validation=Y[:7],
    )
    splits = datasets.npz(path).load()
    assert splits.sizes == {"train": 50, "validation": 7, "test": 5}
    assert np.array_equal(splits.unseal_test().x, X[:5] + 1)
    assert np.array_equal(splits.validation.x, X[:7] + 2)
    assert set(datasets.npz(path, test=0).load().sizes) == {"train", "validation"}


def test_the_default_test_share_is_no_matter_where_the_file_has_a_test_part(
    tmp_path: Path,
) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:5], y_test=Y[:5])
    splits = datasets.npz(path, validation=0.9).load()
    assert splits.sizes == {"train": 5, "validation": 45, "test": 5}


def test_a_described_part_replaces_the_file_s_own(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.npz",
        **dict.fromkeys(("x_train", "x_test", "x_validation"), X),
        **dict.fromkeys(("y_train", "y_test", "y_validation"), Y),
    )
    assert datasets.npz(path).load().sizes == {"train": 50, "validation": 50, "test": 50}
    drawn = datasets.npz(path, validation=5, test=10).load()
    assert drawn.sizes == {"train": 35, "validation": 5, "test": 10}
    assert drawn.digest == datasets.arrays(X, Y, validation=5, test=10).load().digest


def test_a_path_with_a_space_and_korean_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "내 자료"
    folder.mkdir()
    save(folder / "손글씨 숫자.npz", x_train=X, y_train=Y)
    monkeypatch.chdir(tmp_path)
    dataset = datasets.npz("내 자료/손글씨 숫자.npz")
    monkeypatch.chdir(folder)
    assert dataset.load().sizes["train"] == 30
    assert dataset.name == "손글씨 숫자"
    assert "내 자료/손글씨 숫자.npz" in repr(dataset)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    dataset = datasets.npz(tmp_path / "none.npz")
    with pytest.raises(DataError, match=r"none\.npz' does not exist.*current folder"):
        dataset.load()
    with pytest.raises(DataError, match="is a folder"):
        datasets.npz(tmp_path).load()


def test_what_is_not_an_npz_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.npz"
    text.write_text("x_train,y_train\n1,2\n")
    single = tmp_path / "b.npz"
    with single.open("wb") as file:
        np.save(file, X)
    for path in (text, single):
        with pytest.raises(DataError, match=r"is not an npz file.*numpy\.savez"):
            datasets.npz(path).load()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y)
    content = bytearray(path.read_bytes())
    content[500:520] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x_train in .* is damaged"):
        datasets.npz(path).load()


def test_a_file_that_needs_pickles_is_refused_unrun(tmp_path: Path) -> None:
    objects = np.array([Bomb() for _ in range(50)], dtype=object)
    path = save(tmp_path / "a.npz", x_train=X, y_train=objects)
    with pytest.raises(DataError, match=r"y_train in .* holds Python objects.*unpickling"):
        datasets.npz(path).load()


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("the file's code was run",)


def test_missing_arrays_are_named_along_with_those_that_are_there(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, labels=Y)
    with pytest.raises(DataError, match=r"lacks y_train; it holds x_train, labels\."):
        datasets.npz(path).load()


def test_half_a_part_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X)
    with pytest.raises(DataError, match="holds x_test but not its counterpart"):
        datasets.npz(path).load()


def test_errors_in_a_file_go_by_its_own_names(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:, :2], y_test=Y)
    with pytest.raises(DataError, match=r"x_test has shape \(2,\), but one of x_train has.*\(3,\)"):
        datasets.npz(path).load()


@pytest.mark.parametrize("path", [3, None, "", b"a.npz"])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(DataError, match="path must be a str or a Path"):
        datasets.npz(path)


def test_numbers_and_booleans_of_a_table_become_one_type() -> None:
    import pandas as pd

    columns = {"age": np.arange(30), "new": np.arange(30) % 2 == 0, "size": np.linspace(0, 1, 30)}
    table = pd.DataFrame(columns)
    splits = datasets.arrays(table, np.arange(30) % 3).load()
    assert isinstance(splits.train.x, np.ndarray)
    assert splits.train.x.dtype == np.float64
    nullable = table.astype({"age": "Int64", "new": "boolean", "size": "Float64"})
    assert datasets.arrays(nullable, np.arange(30) % 3).load().digest == splits.digest
    missing = nullable.astype({"age": "Int64"})
    missing.loc[3, "age"] = pd.NA
    with pytest.raises(DataError, match=r"x lacks 1 value.*'age' at index 3"):
        datasets.arrays(missing, np.arange(30) % 3).load()
