"""Reads npz, CSV and Parquet files, and folders of images and texts.

In a folder, each sample is a file, and each class is a subfolder. Keras's
`image_dataset_from_directory` and `text_dataset_from_directory` read the files. Texts may also be a
column of a table.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import suggestion
from studies.data.arrays.memory_mapped_files import empty_array, mapped_member
from studies.data.arrays.users_samples_and_labels import Contents, Samples, check_samples, is_frame
from studies.data.data_option import is_table
from studies.data.dataset_base import Reader
from studies.data.numbers_texts_and_dates import MISSING, read_csv, with_gaps
from studies.error_texts import describe

Kind = Literal["images", "texts"]
ENDINGS: Final = {"images": (".bmp", ".gif", ".jpeg", ".jpg", ".png"), "texts": (".txt",)}
# The arrays of a part in an npz file. In the file, the part's name follows, as in x_train. Weights
# are optional.
_ARRAYS: Final = ("x", "y", "sample_weight", "groups")
_SAVE = (
    "Write it with numpy.savez(path, x_train=..., y_train=...), and perhaps x_validation, "
    "y_validation, x_test, y_test, sample_weight_train and so on."
)
# Names of folders, in lower case, and the part that a folder with this name holds.
_PARTS: Final = {
    **{"train": "train", "training": "train", "test": "test"},
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
# Files are not shuffled, but a seed is passed all the same. Without it, Keras would draw a seed
# from numpy's global random generator, and so change the generator's state.
_IN_ORDER: Final[dict[str, Any]] = dict(
    batch_size=None, shuffle=False, seed=0, follow_links=True, verbose=False
)


def read_npz(path: Path, parts: Collection[str]) -> Contents:
    """Reads the "train" part of an npz file, and each of the other `parts` that the file has."""
    names = [f"{array}_{part}" for part in ("train", *parts) for array in _ARRAYS]
    arrays = _read_arrays(path, required=("x_train", "y_train"), optional=names[2:])
    ready: dict[str, Samples] = {}
    for part in parts:
        names = [name for array in _ARRAYS if (name := f"{array}_{part}") in arrays]
        if names and not {f"x_{part}", f"y_{part}"} <= set(names):
            raise DataError(f"{path} holds {' and '.join(names)}, but needs x_{part} and y_{part}.")
        if names:
            ready[part] = _part_in(arrays, part)
    return Contents(_part_in(arrays, "train"), ready)


def _part_in(arrays: Mapping[str, np.ndarray], part: str) -> Samples:
    x, y, weight, groups = (arrays.get(f"{array}_{part}") for array in _ARRAYS)
    return check_samples(x, y, weight, groups, names=f"{{}}_{part}")


def _read_arrays(
    path: Path, *, required: Collection[str], optional: Collection[str]
) -> dict[str, np.ndarray]:
    """Reads the required arrays of an npz file, and the optional ones that the file has."""
    _check_file(path)
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path} is not an npz file", hint=_SAVE)
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive.files]
            if missing:
                lacks = f"{path} lacks {', '.join(missing)}"
                raise DataError(lacks, received=archive.files, hint=_SAVE)
            names = [name for name in (*required, *optional) if name in archive.files]
            return {name: _read_array(archive, name, path) for name in names}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} can't be read: {error}") from error


def _read_array(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    assert archive.zip is not None, "the file is open"
    try:
        array = mapped_member(archive.zip, f"{name}.npy")
        array = archive[name] if array is None else array
        if not isinstance(array, np.ndarray):
            # For a member of the archive that is no array, numpy returns the raw bytes.
            raise ValueError("it is no array.")
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        # numpy refuses pickled Python objects, because they may run code.
        hint = "Save it as an array of numbers or texts."
        raise DataError(f"{name} in {path} can't be read: {error}", hint=hint) from error
    return array


def read_table(
    path: Path, *, missing: Collection[str] = (), texts: Collection[str] = (), **options: Any
) -> Any:
    """Reads a Parquet file, or a CSV file with columns separated by commas, semicolons, | or tabs.

    Texts in `missing`, such as "?", are read as missing values. In a CSV file, columns in `texts`
    are read as texts, so that "007" stays "007".
    """
    import pandas as pd

    _check_file(path)
    try:
        if not is_csv(path):
            return without_words(pd.read_parquet(path), missing)
        table, names = read_csv(path, missing=missing, texts=texts, **options)
    except ImportError:
        hint = "Install it by pip install pyarrow, or save the file as CSV."
        raise DataError(
            f"pandas needs pyarrow to read the Parquet file {str(path)!r}", hint=hint
        ) from None
    except (OSError, ValueError, EOFError) as error:
        # pandas's ParserError is a ValueError.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        hint = "A CSV file is in UTF-8, with quotes around texts that contain the separator."
        if not is_csv(path):
            hint = ""
        elif isinstance(error, pd.errors.EmptyDataError):
            hint, reason = "", "it is empty"
        elif isinstance(error, UnicodeDecodeError):
            hint = "Save it as UTF-8, or read it by pandas, with its encoding, into a DataFrame."
        raise DataError(f"{str(path)!r} can't be read: {reason:.300}", hint=hint) from None
    if repeated := [name for name in names if names.count(name) > 1]:
        # pandas would rename a second "area" to "area.1".
        raise DataError(f"{str(path)!r} has several columns {repeated[0]!r}", hint="Rename them.")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(
            f"{str(path)!r} has more values in a row than names in its first line",
            received=list(table.columns),
        )
    return table


def without_words(frame: Any, words: Collection[str]) -> Any:
    """Replaces words that stand for missing values, such as "?", by missing values."""
    if not words:
        return frame
    return frame.assign(**{name: with_gaps(frame[name], words) for name in frame})


def check_names(table: Any, named: Mapping[str, Collection[str]], source: str) -> None:
    """Checks that the columns of a table have unique names, and that options name existing columns.

    `named` maps each option to the names in it. Raises DataError if a check fails.
    """
    names = list(table.columns)
    for name in names:
        if not isinstance(name, str) or not name or names.count(name) > 1:
            raise DataError(
                f"{source} has several columns named {name!r}, or one without a name",
                hint="Give each column a name of its own: df.columns = ['age', ...].",
            )
    for option, columns in named.items():
        for name in columns:
            if name not in names:
                raise DataError(
                    f"{source} has no column {name!r} ({option})", hint=suggestion(name, names)
                )


def check_complete(series: Any, name: str, source: str) -> None:
    """Raises DataError if a value of a column is missing."""
    missing = (series.isna() | (series == MISSING)).to_numpy(dtype=bool)
    if missing.any():
        first = f"the first in row {missing.argmax() + 1} after the header"
        raise DataError(
            f"{source} lacks {name} in {missing.sum()} of {len(series)} rows, {first}",
            hint=f"Remove these rows, such as by df.dropna(subset=[{series.name!r}]).",
        )


def read_columns(file: Path, text: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns two columns of a table: the texts and the targets."""
    source = repr(str(file))
    table = read_table(file, texts=[text], keep_default_na=False, na_values={target: [""]})
    check_names(table, {"text": [text], "target": [target]}, source)
    targets = table[target]
    check_complete(targets, f"the target {target!r}", source)
    y = targets.to_numpy(dtype=None if targets.dtype.kind in "biuf" else object)
    return table[text].to_numpy(dtype=object), y


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


def _check_file(path: Path) -> None:
    if not path.is_file():
        wrong = "is a folder" if path.is_dir() else "does not exist"
        hint = "Give its path, or pass --data if it has moved."
        raise DataError(f"The data file {str(path)!r} {wrong}", hint=hint)


def is_csv(source: object) -> bool:
    """Returns whether a table is a CSV file, not a Parquet file or a DataFrame."""
    return isinstance(source, Path) and source.suffix.lower() != ".parquet"


def absolute_path(path: object) -> Path:
    """Returns an absolute path, with `~` expanded, without touching the disk."""
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes) or not path:
        raise DataError.of_setting("path", "a str or a Path that is not empty", path)
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise DataError(f"The home folder in {os.fspath(path)!r} is unknown: {error}") from error


def place_of_table(setting: str, source: Any) -> Any:
    """Returns a frame as it is, or a file's absolute path."""
    if is_frame(source):
        return source
    if isinstance(source, str | PathLike):
        return absolute_path(source)
    raise DataError.of_setting(
        setting,
        "a CSV or Parquet file, or a DataFrame of pandas, with the target in a column",
        source,
        "Arrays go to datasets.arrays(x, y).",
    )
