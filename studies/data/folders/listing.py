"""The files of a folder, with their classes."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from search_spaces.errors import DataError

# Names of folders, in small letters, and the part that each holds.
_PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


class Listed(NamedTuple):
    """Files in the order of classes and names, the class of each, and the classes' names."""

    files: list[Path]
    labels: np.ndarray
    classes: tuple[str, ...]


def listed(folder: Path, endings: Collection[str], what: str) -> Listed:
    """Lists the files in the subfolders of a folder, each of which is a class.

    Classes and files are sorted by name; files further down count too. Hidden ones don't.

    Args:
        folder: The folder.
        endings: Of the files' names, in small letters.
        what: What the files are, for messages.

    Raises:
        DataError: If there is no such folder, or no such files in it.
    """
    if not folder.is_dir():
        kind = "is a file" if folder.is_file() else "does not exist"
        raise DataError(
            f"The folder {str(folder)!r} {kind}. Pass a folder with a subfolder of {what} for each "
            "class."
        )
    classes = sorted(each.name for each in _folders(folder))
    if classes and set(map(str.lower, classes)) <= set(_PARTS):
        inner = str(folder / classes[0])
        raise DataError(
            f"{str(folder)!r} holds parts ({', '.join(classes)}), not classes. Name each part by "
            f"itself: the one to train on ({inner!r} or its like) first, the others by validation= "
            "and test=."
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _files(folder / name, endings)
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(
            f"{str(folder)!r} has no {what} ({', '.join(sorted(endings))}) in subfolders. Put "
            "those of each class into a folder with the name of the class."
        )
    return Listed(files, np.array(labels, np.int64), tuple(classes))


def parts_in(folder: Path) -> dict[str, Path]:
    """Returns the folders of the parts "train", "validation" and "test" in a folder.

    Empty if it holds other folders too, or no training part.
    """
    if not folder.is_dir():
        return {}
    found = {each.name.lower(): each for each in _folders(folder)}
    parts = {_PARTS[name]: place for name, place in sorted(found.items()) if name in _PARTS}
    return parts if len(parts) == len(found) and "train" in parts else {}


def _folders(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]


def _files(folder: Path, endings: Collection[str]) -> list[Path]:
    return sorted(
        Path(place) / name
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if Path(name).suffix.lower() in endings and not name.startswith(".")
    )
