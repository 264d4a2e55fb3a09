"""Images or texts in files: where they are, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples, check_samples
from studies.data.dataset import Dataset
from studies.data.folders.images import ENDINGS, read_images
from studies.data.folders.listing import listed, parts_in
from studies.data.folders.texts import ENDINGS as TEXT_ENDINGS
from studies.data.folders.texts import read_columns, read_texts
from studies.data.npz_files import absolute_path
from studies.data.parts.partition import Contents


@dataclass(frozen=True, eq=False)
class Folder:
    """Images or texts, in a folder with a subfolder for each class; or texts in a csv file.

    Attributes:
        kind: What they are.
        place: The folder, or the file.
        options: How they are read, for records: `image_size`, `color_mode` and `interpolation` of
            images; `text` and `target`, the columns of a csv file.
        others: Ready-made parts by name: "validation", "test".
    """

    kind: Literal["images", "texts"]
    place: Path
    options: Mapping[str, Any]
    others: Mapping[str, Path] = field(default_factory=dict)

    def contents(self) -> Contents:
        """Reads all samples.

        Raises:
            DataError: One can't be read, or a part has other classes.
        """
        pool, classes = self._samples(self.place, "")
        ready = {}
        for part, other in self.others.items():
            ready[part], found = self._samples(other, f" of the {part} part")
            if found != classes:
                raise DataError(
                    f"{str(other)!r} has the classes {', '.join(found)}, and {str(self.place)!r} "
                    f"has {', '.join(classes)}. Give both the same subfolders; they may be empty."
                )
        return Contents(replace(pool, files=self.options), ready)

    def _samples(self, place: Path, of: str) -> tuple[Samples, tuple[str, ...]]:
        x, y, classes = self._read(place)
        if classes:
            # Texts, which get numbers in the order of the names, as here.
            y = np.array(classes, dtype=object)[y]
        return check_samples(x, y, f"x{of}", f"y{of}"), classes

    def _read(self, place: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        if self.kind == "images":
            found = listed(place, ENDINGS, "images")
            return read_images(found.files, **self.options), found.labels, found.classes
        if place.suffix.lower() == ".csv" and not place.is_dir():
            return (*read_columns(place, self.options["text"], self.options["target"]), ())
        found = listed(place, TEXT_ENDINGS, "texts")
        return read_texts(found.files), found.labels, found.classes


def with_files(data: Dataset, folder: Folder, path: str, target: str = "") -> Dataset:
    """Returns the description of other images or texts that are read and split in the same way.

    Args:
        data: The description of the present ones.
        folder: Those.
        path: The other folder, or csv file; or a folder of the folders of parts.
        target: Of a csv file, another column of targets, or empty.
    """
    place = absolute_path(path)
    options = {**folder.options, **({"target": target} if target else {})}
    parts = {"train": place, **parts_in(place)}
    others = {**folder.others, **parts}
    other = replace(folder, place=others.pop("train"), options=options, others=others)
    text = f"{data.text} from {str(place)!r}"
    return replace(data, source=str(place), text=text, read=other.contents)


def folder_of(data: object) -> Folder | None:
    """Returns the images or texts that data is described by, if it is such."""
    found = getattr(getattr(data, "read", None), "__self__", None)
    return found if isinstance(found, Folder) else None


def has_texts(folder: Path) -> bool:
    """Returns whether a folder has txt files, and no images, further down."""
    found = {
        file.suffix.lower()
        for inner in folder.iterdir()
        if inner.is_dir()
        for file in inner.rglob("*.*")
    }
    return bool(found.intersection(TEXT_ENDINGS)) and not found.intersection(ENDINGS)
