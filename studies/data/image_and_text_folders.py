"""Images and texts in folders: a file for each sample, a subfolder for each class.

Keras's `image_dataset_from_directory` and `text_dataset_from_directory` read the files. Texts may
also be a column of a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError
from studies.data.arrays.memory_mapping import empty_array
from studies.data.arrays.splitting_into_parts import DEFAULT_SHARE, Contents
from studies.data.arrays.user_samples import Samples, check_samples
from studies.data.dataset_base import Dataset, Reader, options_of
from studies.data.npz_csv_parquet import absolute_path, is_table, name_of, read_table
from studies.data.tables.column_kinds import check_complete, check_names
from studies.error_texts import describe

Kind = Literal["images", "texts"]
ENDINGS: Final = {"images": (".bmp", ".gif", ".jpeg", ".jpg", ".png"), "texts": (".txt",)}
# The part that is in a folder, for each name of a folder in lower case.
_PARTS: Final = {
    **{"train": "train", "training": "train", "test": "test"},
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
# Files are not shuffled, but a seed is passed all the same. Without it, Keras would draw a seed
# from numpy's global random generator, and so change the generator's state.
_IN_ORDER: Final[dict[str, Any]] = dict(
    batch_size=None, shuffle=False, seed=0, follow_links=True, verbose=False
)


def images(
    folder: str | PathLike[str],
    *,
    image_size: tuple[int, int] = (256, 256),
    color_mode: str = "rgb",
    interpolation: str = "bilinear",
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a folder of images, with a subfolder for each class, or for each part.

    `keras.utils.image_dataset_from_directory` reads bmp, gif, jpeg and png files, also in deeper
    folders, resizes them, and orders the classes by name. The loaded x is uint8 of shape
    (n, height, width, channels), from 0 to 255. Let the model scale x, by
    `keras.layers.Rescaling(1 / 255)`. y is int64 of shape (n,). Arrays of 256 MiB and more are in
    files that are mapped to memory, so images may take more bytes than the memory has.

    Args:
        folder: The folder. A relative path starts from the current folder. Subfolders called train,
            validation and test are parts, with a subfolder for each class.
        image_size: Height and width to resize to.
        color_mode: "grayscale", "rgb" or "rgba": 1, 3 or 4 channels.
        interpolation: How to resize, such as "bilinear" or "nearest".
        validation: How many images to validate on: a share in (0, 1), or a count. This is ignored
            if there is a validation folder.
        test: As `validation`; None or 0: no test part.
        stratify: Whether all parts have the classes in the same proportions. None: yes.
        seed: The seed of the splits, from 0 to 2**32 - 1.
        name: Name in records; None: the folder's name.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the images.

    Example:
        >>> ks.datasets.images("flowers", image_size=(64, 64)).name
        'flowers'
    """
    options = options_of(locals())
    sides = tuple(image_size) if isinstance(image_size, tuple | list) else ()
    if len(sides) != 2 or not all(checks.is_whole(side) and side > 0 for side in sides):
        raise DataError.of_setting("image_size", "height and width, such as (64, 64)", image_size)
    size, place = tuple(map(int, sides)), absolute_path(folder)
    reader_options = {"image_size": size, "color_mode": color_mode, "interpolation": interpolation}
    return Dataset(name or place.name, str(place), options, Folder("images", place, reader_options))


def text(
    path: str | PathLike[str],
    *,
    text: str = "text",
    target: str = "target",
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes texts: a folder with a subfolder of txt files for each class, or a table.

    The loaded x is texts of shape (n,). The model's first layer is
    `keras.layers.TextVectorization`, adapted to the training part by `ks.preprocessing.adapted`.

    Args:
        path: The folder, or a table: a csv file in UTF-8, compressed or not, or a Parquet file. A
            relative path starts from the current folder. A folder may have the subfolders train,
            validation and test, as for `images`.
        text: The column of the texts, if the file is a table.
        target: The column of the targets, if the file is a table. Texts and whole numbers from 0 up
            are classes. Other numbers make a regression.
        validation: How many texts to validate on: a share in (0, 1), or a count. This is ignored if
            there is a validation folder.
        test: As `validation`; None or 0: no test part.
        stratify: Whether all parts have the classes in the same proportions. None: yes, if the
            targets are classes.
        seed: The seed of the splits, from 0 to 2**32 - 1.
        name: Name in records; None: the folder's or file's name without its ending.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the texts.

    Example:
        >>> ks.datasets.text("reviews.csv", text="review", target="stars").name
        'reviews'
    """
    options = options_of(locals())
    if text == target:
        raise DataError(f"text and target are both {text!r}. Name two columns.")
    place = absolute_path(path)
    reader = Folder("texts", place, {"text": text, "target": target})
    return Dataset(name or name_of(place), str(place), options, reader)


@dataclass(frozen=True, eq=False)
class Folder(Reader):
    """Reads images or texts from a folder with a subfolder for each class, or texts from a table.

    `options` are the arguments of `image_dataset_from_directory`, or the columns `text` and
    `target` of a table.
    """

    kind: Kind
    place: Path
    options: Mapping[str, Any]

    def __call__(self) -> Contents:
        if self.kind == "texts" and is_table(self.place):
            pool = check_samples(*read_columns(self.place, **self.options))
            return Contents(replace(pool, files=self.options))
        places = folders_of_parts(self.place)
        classes = classes_in(places["train"])
        samples: dict[str, Samples] = {}
        for part, place in places.items():
            # In each part, Keras numbers the subfolders as classes. So that a number means the same
            # class everywhere, all parts must have the same subfolders.
            if (subfolders := classes_in(place)) != classes:
                expected = f"the same as in {str(places['train'])!r}: {', '.join(classes)}"
                raise DataError.of_setting(
                    f"The subfolders of {str(place)!r}", expected, subfolders
                )
            images = self.kind == "images"
            x, labels = read_images(place, self.options)[:2] if images else _read_texts(place)
            names = "{}" if part == "train" else f"{{}} of the {part} part"
            # `number_labels` later replaces these names by the numbers in `labels`.
            y = np.array(classes, dtype=object)[labels]
            samples[part] = check_samples(x, y, names=names)
        return Contents(replace(samples.pop("train"), files=self.options), samples)

    def at(self, place: Path, target: str) -> Folder | None:
        if not place.is_dir() and not (self.kind == "texts" and is_table(place)):
            return None
        options = {**self.options, "target": target} if target else self.options
        return replace(self, place=place, options=options)


def folder_kind(folder: Path) -> Kind:
    """Returns "texts" if there are txt files, but no images, below a folder; else "images"."""
    endings = {file.suffix.lower() for file in folder.rglob("*.*")}
    return "texts" if ".txt" in endings and endings.isdisjoint(ENDINGS["images"]) else "images"


def folders_of_parts(folder: Path) -> dict[str, Path]:
    """Returns the folder of each part, which is a subfolder such as "val".

    If there are no such subfolders, the folder itself is returned as the "train" part.
    """
    names = classes_in(folder) if folder.is_dir() else []
    if not names:
        wrong = "has no subfolders" if folder.is_dir() else "does not exist"
        hint = "Pass a folder with a subfolder for each class."
        raise DataError(f"The folder {str(folder)!r} {wrong}", hint=hint)
    parts = {_PARTS[name.lower()]: folder / name for name in names if name.lower() in _PARTS}
    only_parts = len(parts) == len(names)
    if "train" in parts and only_parts:
        return parts
    if "train" in parts or (parts and only_parts):
        expected = "the parts train, validation and test, or a subfolder for each class"
        raise DataError.of_setting(f"The subfolders of {str(folder)!r}", expected, names)
    return {"train": folder}


def classes_in(folder: Path) -> list[str]:
    """Returns the names of a folder's subfolders, in the order in which Keras numbers them."""
    return sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def read_images(
    folder: Path, options: Mapping[str, Any], *, labelled: bool = True
) -> tuple[np.ndarray, np.ndarray, list[Path]]:
    """Reads a folder of images. A large array is mapped to memory.

    Returns the images as uint8 of shape (n, height, width, channels), the class number of each
    image, and the files. With `labelled=False`, subfolders are no classes, and all numbers are 0.
    """
    import tensorflow as tf

    dataset = _read_by_keras("images", folder, "inferred" if labelled else None, **options)
    files = list(map(Path, dataset.file_paths))
    pairs = dataset if labelled else dataset.map(lambda image: (image, 0))
    x = empty_array((len(files), *pairs.element_spec[0].shape), np.dtype(np.uint8))
    labels: list[int] = []
    try:
        for image, label in pairs.as_numpy_iterator():
            # Keras returns floats. As uint8, images take a quarter of the memory.
            x[len(labels)] = image.clip(0, 255).round()
            labels.append(label)
    except tf.errors.OpError as error:
        file = str(files[len(labels)])
        raise DataError(f"{file!r} can't be read as an image: {describe(error)}") from None
    return x, np.array(labels, np.int64), files


def _read_texts(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns a folder's texts, as bytes, and their class numbers. Both have the shape (n,)."""
    dataset = _read_by_keras("texts", folder)
    texts, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.array(texts, dtype=object), np.array(labels, np.int64)


def _read_by_keras(
    kind: Kind, folder: Path, labels: str | None = "inferred", **options: Any
) -> Any:
    import keras

    reader = getattr(keras.utils, f"{kind.removesuffix('s')}_dataset_from_directory")
    try:
        return reader(folder, labels, **options, **_IN_ORDER)
    except ValueError as error:
        raise DataError(f"{str(folder)!r} can't be read as {kind}: {error}") from None


def read_columns(file: Path, text: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns two columns of a table: the texts and the targets."""
    source = repr(str(file))
    table = read_table(file, texts=[text], keep_default_na=False, na_values={target: [""]})
    check_names(table, {"text": [text], "target": [target]}, source)
    targets = table[target]
    check_complete(targets, f"the target {target!r}", source)
    y = targets.to_numpy(dtype=None if targets.dtype.kind in "biuf" else object)
    return table[text].to_numpy(dtype=object), y
