"""Descriptions of tables: CSV and Parquet files, DataFrames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from search_spaces.errors import DataError
from studies.data.arrays.numbers import is_frame
from studies.data.dataset import Dataset, call_text
from studies.data.npz_files import absolute_path
from studies.data.options import DEFAULT_SHARE, Options, check_options
from studies.data.tables.files import read_csv, read_parquet
from studies.data.tables.table import Table
from studies.data.tables.targets import checked_target

_DEFAULTS: dict[str, object] = {
    "drop": (),
    "categories": (),
    "classes": None,
    "validation": DEFAULT_SHARE,
    "test": DEFAULT_SHARE,
    "stratify": None,
    "seed": 0,
    "separator": ",",
    "missing": (),
    "name": None,
}


def csv(
    path: str | PathLike[str],
    *,
    target: str,
    drop: Collection[str] = (),
    categories: Collection[str] = (),
    classes: bool | None = None,
    validation: float | int | str | PathLike[str] = DEFAULT_SHARE,
    test: float | int | str | PathLike[str] | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    separator: str | None = ",",
    missing: Collection[str] = (),
    name: str | None = None,
) -> Dataset:
    """Describes a CSV file: columns of numbers, booleans and categories, and one to predict.

    The first line names the columns. Values may be missing, except in the target. Dates and free
    text are refused, with what to do. Builders begin with `preprocessing.tabular`, which makes
    numbers of categories; for a table without categories they need not.

    Args:
        path: The file, in UTF-8. A relative path starts from the current folder; `~` is the home
            folder.
        target: The column to predict. Texts and booleans are classes, numbered in their order, with
            their names kept; so are whole numbers 0, 1, 2 and so on without a gap; all others are
            quantities.
        drop: Columns to leave out, such as identifiers.
        categories: Columns that are categories though they hold numbers, such as postal codes.
        classes: Whether the target is classes; None: see there.
        validation: Share in (0, 1) of all rows, count of rows, or another file of the same columns.
        test: Likewise; None or 0: no test part.
        stratify: Whether each part gets the classes in equal proportions; None: if there are some.
        seed: What the splits are drawn with; from 0 to 2**32 - 1.
        separator: Between columns; None: what the first line has most of: ,;| or tabs.
        missing: Further texts that stand for missing values, such as "?". Empty cells, "NA",
            "NaN", "null" and "None" do anyway.
        name: Name in records; None: the file's name without its ending.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the file.

    Example:
        >>> ks.datasets.csv("houses.csv", target="price").name
        'houses'
    """
    if separator is not None and (not isinstance(separator, str) or not separator):
        raise DataError(f"separator must be a text such as ';', or None, not {separator!r}.")
    texts, absent = _names("categories", categories), _names("missing", missing)
    file = absolute_path(path)
    return _described(
        "csv",
        file,
        str(path),
        file.stem if name is None else name,
        partial(read_csv, separator=separator, missing=absent, texts=texts),
        _path_of,
        {
            "target": target,
            "drop": drop,
            "categories": categories,
            "classes": classes,
            "validation": validation,
            "test": test,
            "stratify": stratify,
            "seed": seed,
            "separator": separator,
            "missing": absent,
            "name": name,
        },
    )


def parquet(
    path: str | PathLike[str],
    *,
    target: str,
    drop: Collection[str] = (),
    categories: Collection[str] = (),
    classes: bool | None = None,
    validation: float | int | str | PathLike[str] = DEFAULT_SHARE,
    test: float | int | str | PathLike[str] | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a Parquet file, which pandas reads by pyarrow; see `csv`.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the file.

    Example:
        >>> ks.datasets.parquet("houses.parquet", target="price").name
        'houses'
    """
    file = absolute_path(path)
    return _described(
        "parquet",
        file,
        str(path),
        file.stem if name is None else name,
        read_parquet,
        _path_of,
        {
            "target": target,
            "drop": drop,
            "categories": categories,
            "classes": classes,
            "validation": validation,
            "test": test,
            "stratify": stratify,
            "seed": seed,
            "name": name,
        },
    )


def dataframe(
    table: Any,
    *,
    target: str,
    drop: Collection[str] = (),
    categories: Collection[str] = (),
    classes: bool | None = None,
    validation: Any = DEFAULT_SHARE,
    test: Any = DEFAULT_SHARE,
    stratify: bool | None = None,
    seed: int = 0,
    name: str = "dataframe",
) -> Dataset:
    """Describes a DataFrame of pandas; see `csv`.

    It is read when the data is loaded: don't change it before. Frames of `pd.get_dummies` are fine.

    Args:
        table: The DataFrame. Its index is ignored.
        target: As in `csv`, like all others.
        drop: Columns to leave out.
        categories: Columns that are categories though they hold numbers.
        classes: Whether the target is classes.
        validation: Share, count, or another DataFrame of the same columns.
        test: Likewise; None or 0: no test part.
        stratify: Whether each part gets the classes in equal proportions.
        seed: What the splits are drawn with.
        name: Name in records.

    Raises:
        DataError: An option is wrong. `load` reports what is wrong with the table.

    Example:
        >>> import pandas as pd
        >>> houses = pd.DataFrame({"area": [50.0, 80.0, 120.0], "price": [1.5, 2.0, 3.5]})
        >>> ks.datasets.dataframe(houses, target="price").load().train.x.shape
        (1, 1)
    """
    if not is_frame(table):
        raise DataError(
            f"dataframe takes a DataFrame of pandas. Received: {type(table).__name__}. Pass "
            "datasets.arrays(x, y) for arrays, or datasets.csv(path, target=...) for a file."
        )
    return _described(
        "dataframe",
        table,
        table,
        name,
        None,
        lambda value: value if is_frame(value) else None,
        {
            "target": target,
            "drop": drop,
            "categories": categories,
            "classes": classes,
            "validation": validation,
            "test": test,
            "stratify": stratify,
            "seed": seed,
            "name": None if name == "dataframe" else name,
        },
    )


def _described(
    function: str,
    source: Any,
    given: object,
    name: str,
    read: Callable[[Path], Any] | None,
    ready_made: Callable[[Any], Any],
    options: dict[str, Any],
) -> Dataset:
    """Returns a description.

    Args:
        function: Of `datasets`.
        source: A path, or a DataFrame.
        given: The same as the user gave it.
        name: The name in records.
        read: See `Table`.
        ready_made: Returns the source of a ready-made part, or None for a size.
        options: The function's other arguments.
    """
    checked, ready = _options(options, ready_made)
    names = {option: _names(option, options[option]) for option in ("drop", "categories")}
    target, classes = checked_target(options["target"]), _flag(options["classes"])
    header = function == "csv"
    table = Table(source, read, target, names["drop"], names["categories"], classes, ready, header)
    shown = {
        option: list(value) if isinstance(value, tuple) else value
        for option, value in {**options, **names}.items()
        if option == "target" or not _is_default(option, value)
    }
    text = call_text(function, given, **shown)
    where = str(source) if isinstance(source, Path) else "table in memory"
    return Dataset(name, where, text, checked, table.contents)


def _options(
    given: dict[str, Any], ready_made: Callable[[Any], Any]
) -> tuple[Options, tuple[tuple[str, Any], ...]]:
    """Returns the checked options, and the sources of ready-made parts."""
    ready: list[tuple[str, Any]] = []
    sizes: dict[str, Any] = {}
    for part in ("validation", "test"):
        value = sizes[part] = given[part]
        if isinstance(value, tuple):
            raise DataError(
                f"{part} is a tuple, and a table has its targets in a column: pass another table."
            )
        found = ready_made(value)
        if found is not None:
            ready.append((part, found))
            # Any size: the ready-made part replaces it.
            sizes[part] = 1
    return check_options(**sizes, stratify=given["stratify"], seed=given["seed"]), tuple(ready)


def _path_of(value: object) -> Path | None:
    return absolute_path(value) if isinstance(value, str | PathLike) else None


def _is_default(option: str, value: object) -> bool:
    if is_frame(value):
        return False
    default = _DEFAULTS[option]
    return type(value) is type(default) and value == default


def _names(option: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    names = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{option} must be a list of texts, such as ['id']. Received: {value!r:.80}"
        )
    return names


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise DataError(f"classes must be True, False or None. Received: {value!r}.")
