"""Reads npz, CSV and Parquet files, and the value of ``--data``, such as "houses.csv"."""

from __future__ import annotations

import csv
import os
import re
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import DataError

if TYPE_CHECKING:
    import numpy as np

TARGET: Final = "?target="
_SAVE = (
    "Write it with numpy.savez(path, x_train=..., y_train=...), and perhaps x_validation, "
    "y_validation, x_test, y_test, sample_weight_train and so on."
)
# A number with a decimal comma between semicolons, as in "1,5;20". In countries where 0,5 means a
# half, spreadsheets write such CSV files.
_DECIMAL_COMMA: Final = r"(?:^|;)[-+]?\d+,\d+(?:;|$)"
_FIRST_LINES: Final = 100
_TABLE: Final = re.compile(r"\.(parquet|[ct]sv(\.(gz|zip|bz2|xz))?)$", re.IGNORECASE)


def is_data(path: str) -> bool:
    """Returns whether a path is a folder, or ends like an npz, CSV or Parquet file."""
    return is_table(path) or path.lower().endswith(".npz") or Path(path).is_dir()


def is_table(path: str | Path) -> bool:
    """Returns whether a path ends like a CSV or Parquet file, such as .csv.gz, and is no folder."""
    return _TABLE.search(str(path)) is not None and not Path(path).is_dir()


def name_of(path: Path) -> str:
    """Returns a file's name without the ending of a table: "houses" for houses.csv.gz."""
    return _TABLE.sub("", path.name)


def is_csv(source: object) -> bool:
    """Returns whether a table is a CSV file, not a Parquet file or a DataFrame."""
    return isinstance(source, Path) and source.suffix.lower() != ".parquet"


def spelled(path: str, target: str = "", recorded: str = "") -> str:
    """Returns a path and a target as one text for records, such as "houses.csv?target=price".

    `recorded` is an earlier text of this form. If `path` is empty, `recorded` is returned. If only
    `target` is empty, the target in `recorded` is used.
    """
    if not path:
        return recorded
    target = target or recorded.partition(TARGET)[2]
    return f"{path}{TARGET}{target}" if target and is_table(path) else path


def path_in(text: str) -> str:
    """Returns "houses.csv" for "houses.csv?target=price"."""
    return text.partition(TARGET)[0]


def absolute_path(path: object) -> Path:
    """Returns an absolute path, with `~` expanded, without touching the disk."""
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes) or not path:
        raise DataError.of_setting("path", "a str or a Path that is not empty", path)
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise DataError(f"The home folder in {os.fspath(path)!r} is unknown: {error}") from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        wrong = "is a folder" if path.is_dir() else "does not exist"
        hint = "Give its path, or pass --data if it has moved."
        raise DataError(f"The data file {str(path)!r} {wrong}", hint=hint)


def read_arrays(
    path: Path, *, required: Collection[str], optional: Collection[str]
) -> dict[str, np.ndarray]:
    """Reads the required arrays of an npz file, and the optional ones that the file has."""
    import numpy as np

    _check_file(path)
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path} is not an npz file", hint=_SAVE)
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive.files]
            if missing:
                lacks = f"{path} lacks {', '.join(missing)}"
                raise DataError(lacks, received=archive.files, hint=_SAVE)
            names = [name for name in (*required, *optional) if name in archive.files]
            return {name: _read_array(archive, name, path) for name in names}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} can't be read: {error}") from error


def _read_array(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    import numpy as np

    from studies.data.arrays.memory_mapping import mapped_member

    assert archive.zip is not None, "the file is open"
    try:
        array = mapped_member(archive.zip, f"{name}.npy")
        array = archive[name] if array is None else array
        if not isinstance(array, np.ndarray):
            # For a member of the archive that is no array, numpy returns the raw bytes.
            raise ValueError("it is no array.")
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        # numpy refuses pickled Python objects, because they may run code.
        hint = "Save it as an array of numbers or texts."
        raise DataError(f"{name} in {path} can't be read: {error}", hint=hint) from error
    return array


def read_table(
    path: Path, *, missing: Collection[str] = (), texts: Collection[str] = (), **options: Any
) -> Any:
    """Reads a Parquet file, or a CSV file with columns separated by commas, semicolons, | or tabs.

    Texts in `missing`, such as "?", are read as missing values. Columns in `texts` are read as
    texts, so that "007" stays "007".
    """
    import pandas as pd

    _check_file(path)
    try:
        if not is_csv(path):
            return pd.read_parquet(path)
        one_cell: dict[str, Any] = {"sep": "\x01", "quoting": csv.QUOTE_NONE}
        lines = pd.read_csv(path, header=None, nrows=_FIRST_LINES, dtype=str, **one_cell)[0]
        header = lines[0]
        separator = max(",;\t|", key=header.count)
        if separator == ";" and lines.str.contains(_DECIMAL_COMMA).any():
            options = {"decimal": ","} | options
        options = {"na_values": list(missing) or None, "dtype": dict.fromkeys(texts, str)} | options
        # With low_memory, pandas may give the rows of one column different types.
        table = pd.read_csv(path, sep=separator, low_memory=False, **options)
    except ImportError:
        hint = "Install it by pip install pyarrow, or save the file as CSV."
        raise DataError(
            f"pandas needs pyarrow to read the Parquet file {str(path)!r}", hint=hint
        ) from None
    except (OSError, ValueError, EOFError) as error:
        # pandas's ParserError is a ValueError.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        hint = "A CSV file is in UTF-8, with quotes around texts that contain the separator."
        if not is_csv(path):
            hint = ""
        elif isinstance(error, pd.errors.EmptyDataError):
            hint, reason = "", "it is empty"
        elif isinstance(error, UnicodeDecodeError):
            hint = "Save it as UTF-8, or read it by pandas, with its encoding, into a DataFrame."
        raise DataError(f"{str(path)!r} can't be read: {reason:.300}", hint=hint) from None
    names = [name for name in next(csv.reader([header], delimiter=separator)) if name]
    if repeated := [name for name in names if names.count(name) > 1]:
        # pandas would rename a second "area" to "area.1".
        raise DataError(f"{str(path)!r} has several columns named {repeated[0]!r}. Rename them.")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(
            f"{str(path)!r} has more values in a row than names in its first line",
            received=list(table.columns),
        )
    return table
