"""Data sets known by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search_spaces import DataError
from studies.data import datasets


def test_breast_cancer() -> None:
    splits = datasets.breast_cancer(preprocess="standardize").load()
    assert splits.sizes == {"train": 341, "validation": 114, "test": 114}
    assert splits.classes == 2
    assert splits.train.x.shape[1:] == (30,)
    assert splits.train.y.dtype == np.int64
    assert splits.train.x.mean(axis=0) == pytest.approx(0, abs=1e-5)
    for part in (splits.train, splits.validation, splits.unseal_test()):
        assert part.y.mean() == pytest.approx(357 / 569, abs=0.01)


def test_diabetes() -> None:
    splits = datasets.diabetes().load()
    assert splits.sizes == {"train": 266, "validation": 88, "test": 88}
    assert splits.classes is None
    assert splits.train.x.shape[1:] == (10,)
    targets = [part.y for part in (splits.train, splits.validation, splits.unseal_test())]
    assert (np.concatenate(targets).min(), np.concatenate(targets).max()) == (25, 346)


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        (datasets.breast_cancer(), "datasets.breast_cancer()"),
        (
            datasets.diabetes(test=None, preprocess="minmax", seed=3),
            "datasets.diabetes(test=None, preprocess='minmax', seed=3)",
        ),
        (datasets.mnist(validation=10_000), "datasets.mnist(validation=10000)"),
    ],
)
def test_repr_is_the_call(dataset: datasets.Dataset, text: str) -> None:
    assert repr(dataset) == text


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A file as Keras keeps it, with fewer images."""
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "images.npz",
        x_train=random.integers(0, 256, (200, 28, 28), "uint8"),
        y_train=(np.arange(200) % 10).astype("uint8"),
        x_test=random.integers(0, 256, (50, 28, 28), "uint8"),
        y_test=(np.arange(50) % 10).astype("uint8"),
    )
    return tmp_path / "images.npz"


def test_mnist_from_the_file_that_the_variable_names(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images.parent)
    monkeypatch.setenv("KERASTUDY_DATA", "images.npz")
    dataset = datasets.mnist()
    monkeypatch.chdir("/")
    splits = dataset.load()
    assert dataset.source == str(images)
    assert dataset.name == "mnist"
    assert splits.sizes == {"train": 160, "validation": 40, "test": 50}
    assert splits.classes == 10
    for part in (splits.train, splits.validation):
        assert part.x.dtype == np.uint8
        assert (np.bincount(part.y) == len(part) / 10).all()
    with np.load(images) as file:
        assert (splits.unseal_test().x == file["x_test"]).all()
    # What was run with the variable goes on with --data, and the other way round.
    assert splits.digest == datasets.npz(images).load().digest


def test_a_variable_that_names_no_file_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERASTUDY_DATA", "/nowhere/images.npz")
    with pytest.raises(DataError, match=r"/nowhere/images\.npz' does not exist"):
        datasets.mnist().load()
