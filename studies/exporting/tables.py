"""A study's trials as a CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from studies.exporting.asked import written
from studies.lines import as_csv
from tracking.history.study_history import StudyHistory
from tracking.history.trials import trials_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableExport:
    """An exported table.

    Attributes:
        study: The study's name.
        file: The file.
        rows: Its rows, one for each trial.
    """

    study: str
    file: Path
    rows: int


def export_table(
    histories: Sequence[StudyHistory],
    format_: Literal["csv", "parquet"],
    output: str | Path | None = None,
    *,
    force: bool = False,
) -> TableExport:
    """Writes a study's trials into a file, a row for each.

    Columns are those of `ks.read_study(…).to_dataframe()`, after one for the engine. In CSV, a text
    that a spreadsheet would take for a formula begins with an apostrophe.

    Args:
        histories: The study under each of its engines, or some of them.
        format_: "csv" or "parquet".
        output: The file; None: ``STUDY.csv`` or ``STUDY.parquet`` in this folder.
        force: Whether to replace a file.

    Raises:
        StudyError: If the file exists, or can't be written.
    """
    whole = table_of(histories)
    name = histories[0].description.name
    with written(output, f"{name}.{format_}", force) as (file, partial):
        if format_ == "csv":
            partial.write_text(as_csv(whole), encoding="utf-8")
        else:
            _of_one_type(whole).to_parquet(partial, index=False)
    return TableExport(name, file, len(whole))


def table_of(histories: Sequence[StudyHistory]) -> pd.DataFrame:
    """Returns a study's trials under some of its engines, a row for each; see `export_table`."""
    import pandas as pd

    tables = []
    for history in histories:
        table = trials_table(history)
        table.insert(0, "engine", history.description.engine)
        tables.append(table)
    # Without columns that are empty in one table, whose types pandas would have to guess.
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def _of_one_type(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table in which columns of mixed types are texts: Parquet takes one type each."""
    for column in _of_objects(table):
        given = table[column].dropna()
        types = set(map(type, given))
        if len(types) > 1 or types & {list, tuple, dict}:
            table[column] = given.map(str).reindex(table.index)
    return table


def _of_objects(table: pd.DataFrame) -> list[str]:
    """Returns the columns that are neither numbers nor times."""
    return [name for name, kind in table.dtypes.items() if kind.kind in "OUST"]
