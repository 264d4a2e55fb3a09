"""The kind of each column of a table; dates, free text and other things are refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from search_spaces.errors import DataError
from search_spaces.suggestions import suggestion
from studies.data.tables.kinds import kind_of, no_category, no_numbers
from studies.data.tables.values import levels_of, numbers_of

Kind = Literal["number", "boolean", "category"]

# Of a value by float32, in standard deviations.
_LARGEST_LOSS: Final = 1e-3
_SHOWN: Final = 5


@dataclass(frozen=True)
class Column:
    """A column that a model learns from.

    Attributes:
        name: Its name in the table.
        kind: "number"; "boolean" for true and false, and numbers that are 0 and 1 alone;
            "category" for texts.
        dtype: Its type in the table, by pandas's name.
        levels: The different texts of a category, sorted.
    """

    name: str
    kind: Kind
    dtype: str
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table.

    Attributes:
        columns: In the order of the table.
        warnings: For the user.
    """

    columns: tuple[Column, ...]
    warnings: tuple[str, ...] = ()


def read_columns(
    table: Any, categories: Collection[str], source: str
) -> tuple[TableColumns, np.ndarray]:
    """Finds the kinds of columns, and reads their values.

    Args:
        table: A DataFrame without the target.
        categories: The columns that are categories whatever they hold.
        source: Where the table is from, for messages.

    Returns:
        The columns; and rows: float32 of shape (n, columns), with numbers, 0 and 1, and the places
        of texts in `levels`; NaN where a value is missing.

    Raises:
        DataError: Some columns are nothing that a model takes; names all of them.
    """
    import pandas as pd

    found: list[Column] = []
    rows = np.empty((len(table), table.shape[1]), np.float32)
    refused: dict[str, str] = {}
    warnings: list[str] = []
    for place, name in enumerate(table.columns):
        series = table[name]
        dtype = str(series.dtype)
        kind = "category" if name in categories else kind_of(series)
        if isinstance(series.dtype, pd.CategoricalDtype):
            # By its values: a model takes texts.
            series = series.astype(object)
        if kind not in ("number", "boolean", "category"):
            refused[name] = kind
        elif kind == "category":
            places, levels = levels_of(series)
            reason = no_category(levels, len(series), name in categories)
            if reason:
                refused[name] = reason
                continue
            rows[:, place] = np.where(places < 0, np.nan, places)
            found.append(Column(name, "category", dtype, tuple(levels)))
        else:
            values = numbers_of(series)
            strange = no_numbers(name, values)
            if strange:
                refused |= strange
                continue
            rows[:, place] = values
            warnings += _loss(name, values)
            found.append(Column(name, "number" if kind == "number" else "boolean", dtype))
    if refused:
        raise _refusal(source, refused)
    return TableColumns(tuple(found), tuple(warnings)), rows


def same_columns(table: Any, columns: tuple[Column, ...], source: str) -> np.ndarray:
    """Returns the values of another table with the same columns, such as a test part's.

    Texts that `columns` lack get places after theirs, as no model knows them.

    Raises:
        DataError: It lacks a column, or one holds something else.
    """
    missing = [column.name for column in columns if column.name not in table.columns]
    if missing:
        raise DataError(f"{source} lacks the columns {_listed(missing)}, which the training has.")
    rows = np.empty((len(table), len(columns)), np.float32)
    for place, column in enumerate(columns):
        series = table[column.name]
        if column.kind == "category":
            places, levels = levels_of(series.astype(object))
            known = {text: number for number, text in enumerate(column.levels)}
            by_place = np.array([*(known.get(t, len(known)) for t in levels), np.nan])
            rows[:, place] = by_place[places]
            continue
        try:
            values = numbers_of(series)
        except (TypeError, ValueError):
            raise DataError(
                f"{source} has something else than numbers in the column {column.name!r}, which "
                "has numbers in training."
            ) from None
        refused = no_numbers(column.name, values, missing_too=False)
        if refused:
            raise _refusal(source, refused)
        rows[:, place] = values
    return rows


def check_names(table: Any, named: Mapping[str, Collection[str]], source: str) -> None:
    """Checks that a table has named columns, and names for all of its own.

    Args:
        table: A DataFrame.
        named: The columns that options name, by the option.
        source: Where the table is from, for messages.

    Raises:
        DataError: It has not.
    """
    names = list(table.columns)
    strange = [name for name in names if not isinstance(name, str) or not name]
    if strange:
        raise DataError(
            f"{source} has columns without a name, or named by numbers: {_listed(strange)}. Name "
            "them: df.columns = ['age', ...]."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source} has several columns named {_listed(twice)}. Rename them.")
    for option, wanted in named.items():
        for name in wanted:
            if name not in names:
                raise DataError(
                    f"{source} has no column {name!r} ({option}). " + _near(name, names)
                )


def _near(name: str, names: list[str]) -> str:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        mark = next(mark for mark in ";\t|" if mark in names[0])
        return f"It has one column, named {names[0]!r:.60}: pass separator={mark!r}."
    return suggestion(name, names)


def _loss(name: str, values: np.ndarray) -> Iterator[str]:
    """Yields a warning if float32, as which Keras reads numbers, loses differences."""
    known = values[~np.isnan(values)]
    if not known.size:
        return
    with np.errstate(over="ignore"):
        moved, spread = np.abs(known - known.astype(np.float32)).max(), known.std()
    if spread > 0 and moved / spread > _LARGEST_LOSS:
        yield (
            f"Keras reads numbers as float32, which moves values of the column {name!r} by up to "
            f"{moved / spread:.2g} standard deviations. Subtract an offset from its large numbers."
        )


def _refusal(source: str, refused: dict[str, str]) -> DataError:
    listed = [f"{name!r} {why}" for name, why in refused.items()]
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    shown = list(refused)[: 2 * _SHOWN]
    return DataError(
        f"{source} has columns that are neither numbers nor categories: "
        f"{', '.join(listed[:_SHOWN])}{more}. Leave them out by drop={shown}, or change them in "
        "pandas and pass datasets.dataframe(df, target=...)."
    )


def _listed(names: Collection[object]) -> str:
    listed = [repr(name) for name in names]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
