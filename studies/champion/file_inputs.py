"""Images and texts in files, for a registered model whose study read such files too."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.champion.inputs import Inputs
from studies.data.folders import ENDINGS, read_images
from studies.data.tables.files import is_table, read_table


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
    if "image_size" in described and (path.is_dir() or suffix in ENDINGS["images"]):
        return _images(path, described)
    column = described.get("text", "")
    if column and is_table(path):
        table = read_table(path, texts=[column], keep_default_na=False)
        if column in table.columns:
            return table[column].to_numpy(str), []
    takes_texts = len(inputs.arrays) == 1 and inputs.arrays[0].dtype.kind in "US"
    if takes_texts and (path.is_dir() or suffix in ENDINGS["texts"]):
        return _texts(path)
    return None


def _images(path: Path, described: Mapping[str, Any]) -> tuple[np.ndarray, list[str]]:
    if path.is_dir():
        images, _, files = read_images(path, described, labelled=False)
        return images, [str(file.relative_to(path)) for file in files]
    # Keras reads folders.
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, folder)
        try:
            images, *_ = read_images(Path(folder), described, labelled=False)
        except DataError as error:
            raise DataError(str(error).replace(folder, str(path.parent))) from None
    return images, [path.name]


def _texts(path: Path) -> tuple[np.ndarray, list[str]]:
    files = [path]
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.suffix.lower() in ENDINGS["texts"])
    if not files:
        raise DataError(f"{str(path)!r} has no texts (.txt).")
    try:
        texts = [file.read_text(encoding="utf-8") for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r} can't be read as texts in UTF-8: {error}.") from None
    return np.array(texts), [str(f.relative_to(path)) if path.is_dir() else f.name for f in files]
