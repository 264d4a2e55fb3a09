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

TARGET: Final = "?target="
_SHOWN = 5
_OPENED: Final[Mapping[str, Callable[..., Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_ENDING: Final = re.compile(r"\.(parquet|[ct]sv(\.(gz|zip|bz2|xz))?)$", re.IGNORECASE)


def is_table(path: str | Path) -> bool:
    """Returns whether a path names a file that is a table, by its ending."""
    return _ENDING.search(str(path)) is not None and not Path(path).is_dir()


def spelled(path: str, target: str = "", recorded: str = "") -> str:
    """Returns a file, and the column to predict if it is a table, as one text for records.

    Without a path it is the recorded text; with one, the recorded column if none is named.
    """
    if not path:
        return recorded
    target = target or (recorded.rpartition(TARGET)[2] if TARGET in recorded else "")
    return f"{path}{TARGET}{target}" if target and is_table(path) else path


def path_in(text: str) -> str:
    """Returns the file in a text that `spelled` returned."""
    return text.partition(TARGET)[0]


def name_of(path: Path) -> str:
    """Returns a file's name without the ending of tables."""
    return _ENDING.sub("", path.name)


def has_header(source: object) -> bool:
    """Returns whether a source is a file whose first row names the columns, which people count."""
    return isinstance(source, Path) and source.suffix.lower() != ".parquet"


def read_table(
    path: Path, *, missing: Collection[str] = (), texts: Collection[str] = (), **options: Any
) -> Any:
    """Reads a Parquet file, or a CSV file, whatever is between its columns: ,;| or tabs.

    A CSV file is compressed if its name ends with .gz, .zip, .bz2 or .xz. `missing` are further
    texts that stand for missing values, `texts` its columns to read as texts: "007" stays so.
    """
    import pandas as pd

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(
            f"The data file {str(path)!r} {what}. A relative path is taken from the current folder."
        )
    if not has_header(path):
        return _read_parquet(path)
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


def _unreadable(path: Path, error: Exception, hint: str = "") -> DataError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    if isinstance(error, UnicodeDecodeError):
        reason = "it is not in UTF-8"
        hint = "Save it as UTF-8, or read it by pandas and pass datasets.table(df, target=...)."
    elif "tokenizing" in reason:
        hint = "A text that contains the separator, or a quote, needs quotes around it."
    return DataError(f"{str(path)!r} can't be read: {reason.rstrip('.'):.300}. {hint}".rstrip())
