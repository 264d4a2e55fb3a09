"""Data sets with a name, npz files, and folders of images and texts as Keras reads them."""

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kerastudy as ks

datasets, DataError = ks.datasets, ks.errors.DataError
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(50, 3)), np.arange(50) % 2
WEIGHTS = X[:, 0] ** 2


# Data sets with a name


@pytest.mark.parametrize(
    ("name", "sizes", "features"),
    [
        ("digits", (1079, 359, 359), 64),
        ("breast_cancer", (341, 114, 114), 30),
        ("diabetes", (266, 88, 88), 10),
    ],
)
def test_data_of_scikit_learn(name: str, sizes: tuple[int, ...], features: int) -> None:
    from sklearn import datasets as of_scikit_learn

    data = getattr(datasets, name)()
    splits = data.load()
    assert data.name == name and data.source == f"scikit-learn {name.replace('_', ' ')}"
    assert tuple(splits.sizes.values()) == sizes
    parts = [splits.train, splits.validation, splits.unseal_test()]
    x, y = getattr(of_scikit_learn, f"load_{name}")(return_X_y=True)
    x = x / 16 if name == "digits" else x
    rows = np.concatenate([np.column_stack([part.x, part.y]) for part in parts])
    assert rows.shape[1] == features + 1
    assert np.array_equal(*(t[np.lexsort(t.T)] for t in (rows, np.column_stack([x, y]))))


def test_mnist_from_the_file_that_the_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays: dict[str, Any] = {}
    for part, count in (("train", 200), ("test", 50)):
        arrays[f"x_{part}"] = RANDOM.integers(0, 256, (count, 28, 28), "uint8")
        arrays[f"y_{part}"] = (np.arange(count) % 10).astype("uint8")
    np.savez(tmp_path / "images.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERASTUDY_DATA", "images.npz")
    data, clothes = datasets.mnist(), datasets.fashion_mnist()
    few_train = datasets.mnist(validation=0.9)
    monkeypatch.chdir("/")
    splits = data.load()
    assert (data.source, data.name) == (str(tmp_path / "images.npz"), "mnist")
    assert splits.sizes == {"train": 160, "validation": 40, "test": 50}
    assert np.array_equal(splits.unseal_test().x, arrays["x_test"])
    assert clothes.load().preparation.class_names[9] == "ankle boot"
    assert few_train.load().sizes == {"train": 20, "validation": 180, "test": 50}
    # A study that ran with the variable goes on with --data, and the other way round.
    assert splits.digest == datasets.npz(tmp_path / "images.npz").load().digest
    monkeypatch.setenv("KERASTUDY_DATA", "/nowhere/images.npz")
    with pytest.raises(DataError, match=r"/nowhere/images\.npz' does not exist"):
        datasets.mnist().load()


# npz files


def save(folder: Path, **arrays: Any) -> Path:
    folder.mkdir(exist_ok=True)
    np.savez(folder / "손글씨 숫자.npz", **arrays)
    return folder / "손글씨 숫자.npz"


def test_a_file_is_split_like_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "내 자료", x_train=X, y_train=Y, sample_weight_train=WEIGHTS)
    monkeypatch.chdir(tmp_path)
    data = datasets.npz("내 자료/손글씨 숫자.npz")
    monkeypatch.chdir("/")
    assert data.load().digest == datasets.arrays(X, Y, sample_weight=WEIGHTS).load().digest
    assert (data.name, data.source) == ("손글씨 숫자", str(path))
    assert set(datasets.npz(path, test=0).load().sizes) == {"train", "validation"}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert datasets.npz("~/내 자료/손글씨 숫자.npz").load().digest == data.load().digest


def test_the_files_own_parts_are_the_parts_unless_others_are_described(tmp_path: Path) -> None:
    own = {"x_test": X[:5] + 1, "y_test": Y[:5], "x_validation": X[:7] + 2, "y_validation": Y[:7]}
    weights = {"sample_weight_validation": WEIGHTS[:7]}
    path = save(tmp_path, x_train=X, y_train=Y, **own, **weights)
    splits = datasets.npz(path).load()
    assert splits.sizes == {"train": 50, "validation": 7, "test": 5}
    assert np.array_equal(splits.unseal_test().x, X[:5] + 1)
    assert np.array_equal(splits.validation.x, X[:7] + 2)
    assert np.array_equal(splits.validation.sample_weight, WEIGHTS[:7])
    assert splits.train.sample_weight is None
    # The default share of the test part does not count beside the file's own test part.
    sizes = {"train": 5, "validation": 45, "test": 5}
    assert datasets.npz(path, validation=0.9).load().sizes == sizes
    other_splits = datasets.npz(path, validation=5, test=10).load()
    assert other_splits.digest == datasets.arrays(X, Y, validation=5, test=10).load().digest


# Folders


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("some images")
    for number in range(18):
        place = folder / f"class {'ab'[number % 2]}" / ("inner" if number == 4 else ".")
        place.mkdir(parents=True, exist_ok=True)
        pixels = RANDOM.integers(0, 256, (9 + number % 3, 12, 3))
        ending = ("png", "jpg", "PNG")[number % 3]
        keras.utils.save_img(place / f"{number:02}.{ending.lower()}", pixels, scale=False)
        (place / f"{number:02}.{ending.lower()}").rename(place / f"{number:02}.{ending}")
    (folder / "class a" / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("some texts")
    for number in range(12):
        place = folder / ("neg", "pos")[number % 2]
        place.mkdir(exist_ok=True)
        (place / f"{number:02}.txt").write_text(f"Text {number}, süß\n", encoding="utf-8")
    return folder


def labels_of(data: Any) -> dict[Any, int]:
    """Returns the label of each sample of all parts, by the sample's content."""
    splits = data.load()
    return {
        (sample.tobytes() if isinstance(sample, np.ndarray) else sample): int(label)
        for part in (splits.train, splits.validation, splits.unseal_test())
        for sample, label in zip(part.x, part.y, strict=True)
    }


@pytest.mark.parametrize(("mode", "size"), [("rgb", (6, 5)), ("grayscale", (12, 16))])
def test_images_are_those_that_keras_reads(
    images: Path, mode: str, size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    read = keras.utils.image_dataset_from_directory(
        images, color_mode=mode, image_size=size, shuffle=False, batch_size=None, verbose=False
    )
    expected = {np.round(x.numpy()).astype("uint8").tobytes(): int(y) for x, y in read}
    data = datasets.images(images, image_size=size, color_mode=mode)
    assert labels_of(data) == expected and len(expected) == 18
    splits = data.load()
    assert splits.preparation.class_names == ("class a", "class b")
    assert (splits.train.x.dtype, splits.train.x.shape[1:3]) == (np.uint8, size)
    assert capfd.readouterr().out == ""


def test_texts_are_those_that_keras_reads(texts: Path, tmp_path: Path) -> None:
    read = keras.utils.text_dataset_from_directory(
        texts, shuffle=False, batch_size=None, verbose=False
    )
    expected = {x.numpy().decode(): int(y) for x, y in read}
    assert labels_of(datasets.text(texts, validation=2, test=2)) == expected
    lines = [f'"{text.strip()}, ""quoted""",{("bad", "good")[y]}' for text, y in expected.items()]
    file = tmp_path / "some reviews.csv"
    file.write_text("\n".join(["review,stars", *lines]), encoding="utf-8")
    data = datasets.text(file, text="review", target="stars", validation=2, test=2)
    assert labels_of(data) == {f'{text.strip()}, "quoted"': y for text, y in expected.items()}
    assert data.name == "some reviews"
    assert data.load().preparation.class_names == ("bad", "good")


def test_parts_may_be_folders_of_their_own(images: Path, texts: Path, tmp_path: Path) -> None:
    for part in ("Train", "val"):
        shutil.copytree(images, tmp_path / "parts" / part)
    data = datasets.images(tmp_path / "parts", image_size=(8, 8), test=None)
    assert data.load().sizes == {"train": 18, "validation": 18}
    assert data.load().preparation.class_names == ("class a", "class b")
    findings = ks.check_data(data)
    assert "images of 8 × 8 × 3" in findings.inputs["x"]
    assert (findings.findings[0].check, findings.findings[0].severity) == ("leaks", "problem")
    # A part that has no folder is drawn from the training part.
    other_splits = datasets.images(tmp_path / "parts", image_size=(8, 8), test=4).load()
    assert other_splits.sizes == {"train": 14, "validation": 18, "test": 4}
    shutil.copytree(texts / "neg", tmp_path / "texts" / "training" / "neg")
    shutil.copytree(texts, tmp_path / "texts" / "test")
    with pytest.raises(
        DataError, match=r"test' must be the same as in .*training': neg. Received:"
    ):
        datasets.text(tmp_path / "texts", validation=2).load()
