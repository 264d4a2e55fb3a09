"""The option ``--data``: files and folders in place of a study's data, or without a study."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from search_spaces.errors import DataError

if TYPE_CHECKING:
    from studies.data.dataset_base import Dataset
    from studies.data.tables import Table

_TARGET: Final = "?target="
_TABLE: Final = re.compile(r"\.(parquet|[ct]sv(\.(gz|zip|bz2|xz))?)$", re.IGNORECASE)
# Images that are checked without a study are resized to this size.
_IMAGE_SIZE: Final = (64, 64)


def is_data(path: str) -> bool:
    """Returns whether a path is a folder, or ends like an npz, CSV or Parquet file."""
    return is_table(path) or path.lower().endswith(".npz") or Path(path).is_dir()


def is_table(path: str | Path) -> bool:
    """Returns whether a path ends like a CSV or Parquet file, such as .csv.gz, and is no folder."""
    return _TABLE.search(str(path)) is not None and not Path(path).is_dir()


def name_of(path: Path) -> str:
    """Returns a file's name without the ending of a table: "houses" for houses.csv.gz."""
    return _TABLE.sub("", path.name)


def spelled(path: str, target: str = "", recorded: str = "") -> str:
    """Returns a path and a target as one text for records, such as "houses.csv?target=price".

    `recorded` is an earlier text of this form. If `path` is empty, `recorded` is returned. If only
    `target` is empty, the target in `recorded` is used.
    """
    if not path:
        return recorded
    target = target or recorded.partition(_TARGET)[2]
    return f"{path}{_TARGET}{target}" if target and is_table(path) else path


def path_in(text: str) -> str:
    """Returns "houses.csv" for "houses.csv?target=price"."""
    return text.partition(_TARGET)[0]


def replaced_data(spelled: str, study_data: object) -> Dataset:
    """Describes the file or folder of ``--data``, which replaces a study's data.

    If `study_data` is of the same kind (table, images or texts), the new data is read and split in
    the same way. `spelled` is a text such as "houses.csv?target=price".
    """
    # Imported late, here and below, because most commands need only the functions above, and no
    # numpy.
    from studies.data import datasets
    from studies.data.files_and_folders import absolute_path, folder_kind

    path, _, target = spelled.partition(_TARGET)
    place = absolute_path(path)
    replaced = study_data.at(place, target) if isinstance(study_data, datasets.Dataset) else None
    if replaced is not None:
        return replaced
    if place.is_dir():
        if folder_kind(place) == "texts":
            return datasets.text(path)
        raise DataError(
            f"{path!r} is a folder, but the study's data is no folder of images, so the size of "
            "images is unknown",
            hint="Describe it in the study file, by ks.datasets.images(folder, image_size=(8, 8)).",
        )
    if not is_table(path):
        return datasets.npz(path)
    if not target:
        raise DataError(
            f"{path!r} is a table, but the study's data is no table",
            hint="Name the column to predict: --data houses.csv --target price.",
        )
    return datasets.table(path, target=target)


def data_alone(spelled: str, options: Mapping[str, Any] = {}) -> Dataset:
    """Describes a file or folder that belongs to no study. `options` are arguments of `table`."""
    from studies.data import datasets
    from studies.data.files_and_folders import folder_kind

    name, _, target = spelled.partition(_TARGET)
    path = Path(name)
    if options and target:
        return table_alone(path, target, options)
    if path.is_dir() and folder_kind(path) == "images":
        return datasets.images(path, image_size=_IMAGE_SIZE)
    if not path.exists():
        raise DataError(f"There is no file {str(path)!r}.")
    if is_table(path) and not target:
        raise no_target(path)
    return replaced_data(spelled, None)


def table_alone(path: Path, target: str, options: Mapping[str, Any]) -> Dataset:
    """Describes a table that belongs to no study. `options` are arguments of `table`.

    In `table`, the options `drop` and `missing` switch rules off. Here they don't: the rules may
    leave out more columns, and may find more texts that stand for missing values.
    """
    from studies.data import datasets

    given = ("merge", "dates", "time", "groups")
    named = {name: value for name, value in options.items() if name in given}
    dataset = datasets.table(path, target=target, **named)
    more: dict[str, Any] = {name: tuple(options.get(name, ())) for name in ("drop", "missing")}
    return replace(dataset, read=replace(cast("Table", dataset.read), **more))


def no_target(table: Path) -> DataError:
    """Returns the error for a table without a column to predict. It proposes the last column."""
    from studies.data.files_and_folders import absolute_path, read_table

    last = shlex.quote(str(read_table(absolute_path(table)).columns[-1]))
    return DataError(f"Say which column of {table.name!r} to predict: --target {last}")
