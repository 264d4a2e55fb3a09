"""Another file, or folder, in place of a study's own data, as ``--data`` names it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from search_spaces.errors import DataError
from studies.data.dataset import Dataset
from studies.data.datasets import images, npz, table
from studies.data.datasets import text as texts
from studies.data.folders import Folder, folder_kind
from studies.data.npz_files import absolute_path
from studies.data.tables.files import TARGET, is_table
from studies.data.tables.table import Table

# Large enough to look at.
_IMAGE_SIZE: Final = (64, 64)


def replaced_data(text: str, own: object) -> Dataset:
    """Returns the description of a file, or folder, in place of a study's own data.

    Tables, images and texts are read and split as the study's own, if these are such too.
    """
    path, _, target = text.partition(TARGET)
    place = absolute_path(path)
    reads = own.read if isinstance(own, Dataset) else None
    if isinstance(own, Dataset) and isinstance(reads, Folder | Table) and reads.takes(place):
        shown = f"{own.text} from {str(place)!r}"
        return replace(own, source=str(place), text=shown, read=reads.at(place, target))
    if place.is_dir():
        if folder_kind(place) == "texts":
            return texts(path)
        raise DataError(
            f"{path!r} is a folder, and the study's own data is no folder of images, which would "
            "tell their size. Describe it in the study file, by ks.datasets.images(folder, "
            "image_size=(64, 64)), or begin with kerastudy new my_study.py --data FOLDER."
        )
    if not is_table(path):
        return npz(path)
    if not target:
        raise DataError(
            f"{path!r} is a table, and the study's own data is none: name the column to predict, "
            "as in --data houses.csv --target price."
        )
    return table(path, target=target)


def is_data(path: str) -> bool:
    """Returns whether a path names a data file that can be read, or a folder, by its name."""
    return is_table(path) or path.lower().endswith(".npz") or Path(path).is_dir()


def data_alone(text: str) -> Dataset:
    """Returns the description of a file, or folder, that belongs to no study."""
    path, _, target = text.partition(TARGET)
    if Path(path).is_dir() and folder_kind(Path(path)) == "images":
        return images(path, image_size=_IMAGE_SIZE)
    if not Path(path).exists():
        raise DataError(f"There is no file {path!r}.")
    if is_table(path) and not target:
        raise DataError(f"{path!r} is a table: name the column to predict, as in --target price.")
    return replaced_data(text, None)
