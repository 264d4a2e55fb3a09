"""Reads a file into a DataFrame."""

from __future__ import annotations

import gzip
from collections.abc import Collection
from pathlib import Path
from typing import Any

from search_spaces.errors import DataError


def read_csv(
    path: Path,
    separator: str | None = ",",
    missing: Collection[str] = (),
    texts: Collection[str] = (),
) -> Any:
    """Reads a CSV file.

    Args:
        path: The file; compressed if its name ends with .gz, .zip, .bz2 or .xz.
        separator: Between columns; None: found by what the file begins with.
        missing: Further texts that stand for missing values.
        texts: The columns to read as texts, whatever they hold: "007" stays so.

    Returns:
        A DataFrame.

    Raises:
        DataError: It can't be read.
    """
    import pandas as pd

    _check_file(path)
    try:
        return pd.read_csv(
            path,
            sep=separator or _separator(path),
            na_values=list(missing) or None,
            dtype=dict.fromkeys(texts, str),
            # Else the type of a column may change within it.
            low_memory=False,
        )
    except (OSError, ValueError, EOFError) as error:
        # pandas's own errors of parsing are ValueErrors.
        raise _unreadable(path, error, "Is it a CSV file in UTF-8?") from None


def read_parquet(path: Path) -> Any:
    """Reads a Parquet file into a DataFrame.

    Raises:
        DataError: It can't be read, or pyarrow is missing.
    """
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


def _separator(path: Path) -> str:
    """Returns what separates the names in the first line of a CSV file."""
    if path.suffix.lower() in (".zip", ".bz2", ".xz"):
        return ","
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as file:
        line = file.readline()
    return max(",;\t|", key=line.count)


def _check_file(path: Path) -> None:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(
            f"The data file {str(path)!r} {what}. A relative path is taken from the current folder."
        )


def _unreadable(path: Path, error: Exception, hint: str) -> DataError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return DataError(f"{str(path)!r} can't be read: {reason.rstrip('.'):.300}. {hint}")
