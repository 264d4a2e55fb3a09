"""Reads a file into a DataFrame."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from search_spaces.errors import DataError

_SHOWN = 5
_OPENED: Final[Mapping[str, Callable[..., Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}


def read_table(path: Path, missing: Collection[str] = (), texts: Collection[str] = ()) -> Any:
    """Reads a Parquet file, by its ending, or a CSV file; see `read_csv`."""
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    return read_csv(path, missing=missing, texts=texts)


def read_csv(
    path: Path, *, missing: Collection[str] = (), texts: Collection[str] = (), **options: Any
) -> Any:
    """Reads a CSV file, whatever its first line has most of between columns: ,;| or tabs.

    Args:
        path: The file; compressed if its name ends with .gz, .zip, .bz2 or .xz.
        missing: Further texts that stand for missing values.
        texts: The columns to read as texts, whatever they hold: "007" stays so.
        options: Further ones of `pandas.read_csv`.

    Returns:
        A DataFrame.

    Raises:
        DataError: It can't be read, or its first line does not name its columns.
    """
    import pandas as pd

    _check_file(path)
    given = {"na_values": list(missing) or None, "dtype": dict.fromkeys(texts, str), **options}
    try:
        between = _separator_of(path)
        # Else the type of a column may change within it.
        table = pd.read_csv(path, sep=between, low_memory=False, **given)
        names = pd.read_csv(path, sep=between, header=None, nrows=1, dtype=str).iloc[0].dropna()
    except (OSError, ValueError, EOFError) as error:
        # pandas's own errors of parsing are ValueErrors.
        raise _unreadable(path, error) from None
    twice = sorted(set(names[names.duplicated()]))
    if twice:
        # pandas would name the second one "area.1".
        raise DataError(f"{str(path)!r} has several columns named {twice[0]!r}. Rename them.")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(
            f"{str(path)!r} has more values in a row than names in its first line, which are "
            f"{', '.join(map(str, table.columns[:_SHOWN]))}. Name every column there."
        )
    return table


def _read_parquet(path: Path) -> Any:
    import pandas as pd

    _check_file(path)
    try:
        return pd.read_parquet(path)
    except ImportError:
        raise DataError(
            f"{str(path)!r} is a Parquet file, which pandas reads by pyarrow: pip install pyarrow. "
            "Or save it as CSV."
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, "Is it a Parquet file?") from None


def _separator_of(path: Path) -> str:
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            line = file.readline().decode("utf-8", "replace")
    else:
        opened = _OPENED.get(path.suffix.lower(), open)
        with opened(path, "rt", encoding="utf-8", errors="replace") as file:
            line = file.readline()
    return max(",;\t|", key=line.count)


def _check_file(path: Path) -> None:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(
            f"The data file {str(path)!r} {what}. A relative path is taken from the current folder."
        )


def _unreadable(path: Path, error: Exception, hint: str = "") -> DataError:
    text = " ".join(str(error).split())
    reason = getattr(error, "strerror", None) or text
    counted = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text)
    unclosed = re.search(r"EOF inside string starting at row (\d+)", text)
    if isinstance(error, UnicodeDecodeError):
        reason = f"it is not in UTF-8{_line_of_other(path)}"
        hint = "Save it as UTF-8, or read it by pandas and pass datasets.table(df, target=...)."
    elif text == "No columns to parse from file":
        reason, hint = "it is empty", "Its first line names the columns; then comes a row for each."
    elif counted is not None:
        most, line, found = counted.groups()
        reason = f"line {line} has {found} values, and the first lines have {most}"
        hint = "A text that contains the separator needs quotes around it."
    elif unclosed is not None:
        reason = f"a quote that begins in line {int(unclosed[1]) + 1} does not end"
    return DataError(f"{str(path)!r} can't be read: {reason.rstrip('.'):.300}. {hint}".rstrip())


def _line_of_other(path: Path) -> str:
    """Returns in which line a file is not in UTF-8, if it is not compressed."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f": line {line} has the byte {content[error.start]:#x}"
    return ""
