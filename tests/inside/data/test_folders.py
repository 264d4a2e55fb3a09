"""Images and texts in folders, compared with what Keras's own functions read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kerastudy as ks
from search_spaces import DataError
from studies.data import building_for, replaced_data, spelled

RANDOM = np.random.default_rng(0)


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


def whole(data: Any) -> dict[Any, int]:
    """The label of each sample, by its content, of all parts."""
    splits = data.load()
    parts = [splits.train, splits.validation, splits.unseal_test()]
    return {
        (each.tobytes() if isinstance(each, np.ndarray) else each): int(label)
        for part in parts
        for each, label in zip(part.x, part.y, strict=True)
    }


@pytest.mark.parametrize(("mode", "size"), [("rgb", (6, 5)), ("grayscale", (12, 16))])
def test_images_are_those_that_keras_reads(
    images: Path, mode: str, size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    read = keras.utils.image_dataset_from_directory(
        images, color_mode=mode, image_size=size, shuffle=False, batch_size=None, verbose=False
    )
    wanted = {np.round(x.numpy()).astype("uint8").tobytes(): int(y) for x, y in read}
    data = ks.datasets.images(images, image_size=size, color_mode=mode)
    assert whole(data) == wanted and len(wanted) == 18
    splits = data.load()
    assert splits.preparation.class_names == ("class a", "class b")
    assert (splits.train.x.dtype, splits.train.x.shape[1:3]) == (np.uint8, size)
    assert capfd.readouterr().out == ""


def test_texts_are_those_that_keras_reads(texts: Path, tmp_path: Path) -> None:
    read = keras.utils.text_dataset_from_directory(
        texts, shuffle=False, batch_size=None, verbose=False
    )
    wanted = {x.numpy().decode(): int(y) for x, y in read}
    assert whole(ks.datasets.text(texts, validation=2, test=2)) == wanted
    lines = [f'"{text.strip()}, ""quoted""",{("bad", "good")[y]}' for text, y in wanted.items()]
    file = tmp_path / "some reviews.csv"
    file.write_text("\n".join(["review,stars", *lines]), encoding="utf-8")
    data = ks.datasets.text(file, text="review", target="stars", validation=2, test=2)
    assert whole(data) == {f'{text.strip()}, "quoted"': y for text, y in wanted.items()}
    assert data.name == "some reviews"
    assert data.load().preparation.class_names == ("bad", "good")


def test_parts_may_be_folders_of_their_own(images: Path, texts: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    for part in ("Train", "val"):
        shutil.copytree(images, parts / part)
    data = ks.datasets.images(parts, image_size=(8, 8), test=None)
    assert data.load().sizes == {"train": 18, "validation": 18}
    assert data.load().preparation.class_names == ("class a", "class b")
    found = ks.check_data(data)
    assert "images of 8 × 8 × 3" in found.inputs["x"]
    assert found.findings[0].check == "leaks" and found.findings[0].severity == "problem"
    # A part without a folder is drawn from those to train on.
    assert ks.datasets.images(parts, image_size=(8, 8), test=4).load().sizes["train"] == 14
    shutil.copytree(texts / "neg", tmp_path / "texts" / "training" / "neg")
    shutil.copytree(texts, tmp_path / "texts" / "test")
    other = ks.datasets.text(tmp_path / "texts", validation=2)
    with pytest.raises(DataError, match=r"has the classes neg, pos, and .* has neg"):
        other.load()


def test_what_can_be_wrong(images: Path, tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        (lambda: ks.datasets.images(tmp_path / "nowhere").load(), "does not exist"),
        (lambda: ks.datasets.images(tmp_path).load(), r"has no images .* in subfolders"),
        (lambda: ks.datasets.images(images, image_size=8), "image_size must be height and width"),
        (lambda: ks.datasets.images(images, color_mode="grey").load(), "Received: color_mode=grey"),
        (lambda: ks.datasets.images(images.parent, validation=2.5), "a share between"),
        (lambda: ks.datasets.text(tmp_path / "no.csv").load(), "does not exist"),
        (lambda: ks.datasets.text(tmp_path, text="a", target="a"), "Name two columns"),
    ]
    for make, told in cases:
        with pytest.raises(DataError, match=told):
            make()
    (tmp_path / "empty" / "rose").mkdir(parents=True)
    with pytest.raises(DataError, match=r"can't be read as images.* No images found"):
        ks.datasets.images(tmp_path / "empty").load()
    # Parts without one to train on, parts among classes, a part twice.
    for names in (("val", "test"), ("train", "val", "rose"), ("train", "val", "valid")):
        for name in names:
            (tmp_path / str(len(names)) / "-".join(names) / name / "a").mkdir(parents=True)
        with pytest.raises(DataError, match="holds parts and other folders, or no part to train"):
            ks.datasets.images(tmp_path / str(len(names)) / "-".join(names)).load()
    shutil.copytree(images, tmp_path / "flaws")
    (tmp_path / "flaws" / "class b" / "05damaged.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(DataError, match=r"05damaged\.png' can't be read as an image: [A-Z]"):
        ks.datasets.images(tmp_path / "flaws").load()
    (tmp_path / "words" / "a").mkdir(parents=True)
    (tmp_path / "words" / "a" / "1.txt").write_bytes("süß".encode("latin-1"))
    with pytest.raises(DataError, match="no text in UTF-8, such as the one that begins with"):
        ks.datasets.text(tmp_path / "words").load()
    (tmp_path / "table.csv").write_text("text,target\na,1\nb,\n")
    with pytest.raises(DataError, match="in 1 of 2 rows, the first in row 3, counting the header"):
        ks.datasets.text(tmp_path / "table.csv").load()


def test_a_folder_in_place_of_a_study_s_own(images: Path, texts: Path, tmp_path: Path) -> None:
    own = ks.datasets.images("nowhere", image_size=(6, 5), validation=0.25, test=None, seed=2)
    like = ks.datasets.images(images, image_size=(6, 5), validation=0.25, test=None, seed=2)
    assert replaced_data(str(images), own).load().digest == like.load().digest
    # Parts, each in a folder of its own.
    for part in ("Train", "val", "test"):
        shutil.copytree(images, tmp_path / "parts" / part)
    assert replaced_data(str(tmp_path / "parts"), own).load().sizes == {
        "train": 18,
        "validation": 18,
        "test": 18,
    }
    like = ks.datasets.text(texts)
    assert replaced_data(str(texts), ks.datasets.digits()).load().digest == like.load().digest
    with pytest.raises(DataError, match="is a folder, and the study's own data is no folder of"):
        replaced_data(str(images), ks.datasets.digits())
    rows = "".join(f"a film {number};{number % 2}\n" for number in range(20))
    (tmp_path / "other.csv").write_text(f"review;liked\n{rows}", encoding="utf-8")
    csv = ks.datasets.text("nowhere.csv", text="review", target="stars")
    other = replaced_data(spelled(str(tmp_path / "other.csv"), "liked"), csv).load()
    assert str(other.train.x[0]).startswith("a film") and other.classes == 2


def test_a_layer_is_adapted_to_the_training_part_of_the_present_model() -> None:
    x = np.array([f"word{number} again" for number in range(30)])
    data = ks.datasets.arrays(x, np.arange(30) % 2, test=None)
    for splits in (None, *(data.load_folds(ks.splits.k_fold(3)).of(fold) for fold in range(3))):
        with building_for(splits):
            layer = ks.preprocessing.adapted(keras.layers.TextVectorization(), data)
        train = (splits or data.load()).train.x
        words = {str(text).partition(" ")[0] for text in train}
        assert set(layer.get_vocabulary()) == {"", "[UNK]", "again", *words}
    several = ks.datasets.arrays({"a": np.arange(30.0), "b": x}, np.arange(30) % 2)
    normalized = ks.preprocessing.adapted(keras.layers.Normalization(axis=None), several, of="a")
    train_a = several.load().train.x
    assert isinstance(train_a, dict)
    assert np.asarray(normalized.mean).item() == pytest.approx(train_a["a"].mean())
    for layer, of, told in (
        (keras.layers.Dense(1), None, "layer must be one with adapt"),
        (keras.layers.Normalization(), None, "needs of='a', for the data has the inputs"),
    ):
        with pytest.raises(DataError, match=told):
            ks.preprocessing.adapted(layer, several, of=of)
