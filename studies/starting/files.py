"""Looks into a user's data file, or folder, for a study file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.errors import DataError
from studies.data.folders import classes_in, folders_of_parts, kind_of, read_columns
from studies.data.npz_files import absolute_path, read_arrays
from studies.data.tables.columns import check_names, columns_of
from studies.data.tables.files import is_table, read_table
from studies.data.tables.table import Table, table
from studies.starting.samples import (
    WORDS,
    Kind,
    Samples,
    check_values,
    guessed,
    output_for,
    quoted,
    quoted_path,
)

if TYPE_CHECKING:
    import pandas as pd

_WHAT = "a csv, parquet or npz file, or a folder with images or texts of each class in a subfolder"
_TWO, _IMAGE = 2, 3
_SIDE = 64
_PIXELS = (
    f"keras.layers.Input(({_SIDE}, {_SIDE}, 3))",
    "keras.layers.Rescaling(1 / 255)",
    'keras.layers.Conv2D(16, 3, activation="relu")',
    "keras.layers.MaxPooling2D()",
    'keras.layers.Conv2D(32, 3, activation="relu")',
    "keras.layers.GlobalMaxPooling2D()",
)


def columns(file: Path) -> list[str]:
    """Returns the names of a table's columns.

    Raises:
        DataError: It can't be read.
    """
    return [str(name) for name in _frame(file).columns]


def read_samples(file: Path, target: str | None, kind: Kind | None) -> Samples:
    """Reads what a study file must know of the user's data.

    Args:
        file: A table, an npz file or a folder, as the study file will name it.
        target: The column to predict; None for all but tables.
        kind: What the targets are; None: as they look.

    Raises:
        DataError: It can't be read, or has no such targets: what a launch would say.
    """
    if not file.expanduser().exists():
        raise DataError(f"There is no file {str(file)!r}. --data takes {_WHAT}.")
    if is_table(file):
        return _of_table(file, target, kind)
    if target is not None:
        raise DataError(f"--target is for tables, and {str(file)!r} is none.")
    if file.is_dir():
        return _of_folder(file, kind)
    if file.suffix.lower() != ".npz":
        raise DataError(f"--data takes {_WHAT}. Received: {str(file)!r}.")
    return _of_arrays(file, kind)


def _frame(file: Path) -> pd.DataFrame:
    return read_table(absolute_path(file))


def _of_table(file: Path, target: str | None, kind: Kind | None) -> Samples:
    frame, called = _frame(file), repr(str(file))
    names = [str(name) for name in frame.columns]
    if target is None:
        raise DataError(f"Say which column of {str(file)!r} to predict: --target {names[-1]}")
    check_names(frame, {"target": [target]}, called)
    columns, refused = columns_of(frame.drop(columns=target)) if len(frame) else ([], {})
    usable = any(column.kind != "dates" for column in columns)
    texts = [name for name in refused if _are_texts(frame[name].dropna())]
    if not usable and len(texts) == 1:
        return _of_texts(file, texts[0], target, kind)
    found = guessed(frame[target]) if kind is None else kind
    left_out = tuple(refused) if usable else ()
    # As a launch would read it, so that it says the same now.
    described = table(file, target=target, classes=found != "regression", drop=left_out).read
    assert isinstance(described, Table), "it reads a table"
    read = described.contents_of(frame).pool
    if found != "regression":
        check_values(len(set(read.y)), found, str(file))
    options = f", drop=[{', '.join(map(quoted, left_out))}]" if left_out else ""
    call = (
        f"ks.datasets.table({quoted_path(file)}, target={quoted(target)}, "
        f"classes={found != 'regression'}{options})"
    )
    output = {"binary": "binary()", "regression": "regression()"}.get(found)
    return Samples(
        call,
        (),
        output or f"classes({len(set(read.y))})",
        (read.table.notes if read.table else ())
        + tuple(
            f"The column {name!r} is left out: it {refused[name]}."
            + (" For a model that reads it, see ks.datasets.text." if name in texts else "")
            for name in left_out
        ),
        "new_samples.csv",
    )


def _are_texts(values: pd.Series) -> bool:
    return len(values) > 0 and bool(values.map(type).eq(str).all())


def _of_texts(file: Path, text: str, target: str, kind: Kind | None) -> Samples:
    _, y = read_columns(absolute_path(file), text, target)
    call = f"ks.datasets.text({quoted_path(file)}, text={quoted(text)}, target={quoted(target)})"
    return Samples(call, WORDS, output_for(y, kind, str(file)), (), "new_samples.csv")


def _of_folder(folder: Path, kind: Kind | None) -> Samples:
    place = absolute_path(folder)
    texts = kind_of(place) == "texts"
    classes = classes_in(folders_of_parts(place)["train"])
    output = output_for(np.arange(len(classes)), kind, str(folder))
    if texts:
        return Samples(f"ks.datasets.text({quoted_path(folder)})", WORDS, output, (), "new.txt")
    call = f"ks.datasets.images({quoted_path(folder)}, image_size=({_SIDE}, {_SIDE}))"
    note = f"All images are resized to {_SIDE} × {_SIDE}: larger ones show more and take longer."
    return Samples(call, _PIXELS, output, (note,), "new_images")


def _of_arrays(file: Path, kind: Kind | None) -> Samples:
    read = read_arrays(absolute_path(file), required=("x_train", "y_train"), optional=())
    x, y = read["x_train"], read["y_train"]
    output = output_for(y, kind, str(file))
    if x.dtype.kind in "US":
        return Samples(f"ks.datasets.npz({quoted_path(file)})", WORDS, output)
    shape = f"({', '.join(map(str, x.shape[1:]))}{',' if x.ndim == _TWO else ''})"
    first = [f"keras.layers.Input({shape})"]
    options = ""
    if x.dtype == "uint8":
        first.append("keras.layers.Rescaling(1 / 255)")
    elif x.ndim == _TWO and x.dtype.kind in "fiu":
        options = ', preprocess="standardize"'
    if x.ndim < _TWO:
        first.append("keras.layers.Reshape((1,))")
    if x.ndim >= _IMAGE:
        first.append("keras.layers.Flatten()")
    return Samples(f"ks.datasets.npz({quoted_path(file)}{options})", tuple(first), output)
