"""Images and texts in files, for a registered model whose study read such files too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.champion.inputs import Inputs
from studies.data.folders.images import ENDINGS, read_images
from studies.data.folders.texts import ENDINGS as TEXT_ENDINGS
from studies.data.folders.texts import read_texts
from studies.data.tables.files import read_csv


def read_files(
    path: Path, inputs: Inputs, described: Mapping[str, Any]
) -> tuple[np.ndarray, list[str]] | None:
    """Reads images or texts as the study's data was read.

    Args:
        path: An image, a txt or csv file, or a folder of images or txt files.
        inputs: What the model takes.
        described: How the study's data was read, as `Given.files` says; empty if from no files.

    Returns:
        An array of images, or of texts, and the files' names; None if the model takes others.

    Raises:
        DataError: They can't be read, or there are none.
    """
    suffix = path.suffix.lower()
    if "image_size" in described and (path.is_dir() or suffix in ENDINGS):
        files = _files(path, ENDINGS, "images")
        size = (int(described["image_size"][0]), int(described["image_size"][1]))
        images = read_images(files, size, described["color_mode"], described["interpolation"])
        return images, _names(path, files)
    column = described.get("text", "")
    if column and suffix == ".csv" and path.is_file():
        table = read_csv(path, texts=[column], keep_default_na=False)
        if column in table.columns:
            return table[column].to_numpy(str), []
    if _takes_texts(inputs) and (path.is_dir() or suffix in TEXT_ENDINGS):
        files = _files(path, TEXT_ENDINGS, "texts")
        return read_texts(files).astype(str), _names(path, files)
    return None


def _takes_texts(inputs: Inputs) -> bool:
    return len(inputs.arrays) == 1 and inputs.arrays[0].dtype.kind in "US"


def _files(path: Path, endings: Collection[str], what: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in endings)
    if not found:
        raise DataError(f"{str(path)!r} has no {what} ({', '.join(sorted(endings))}).")
    return found


def _names(path: Path, files: list[Path]) -> list[str]:
    return [str(file.relative_to(path)) if path.is_dir() else file.name for file in files]
