"""Reading texts, from files or from a column of a csv file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from search_spaces.errors import DataError
from search_spaces.suggestions import suggestion
from studies.data.tables.files import read_csv
from studies.data.tables.targets import check_complete

ENDINGS: Final = (".txt",)


def read_texts(files: Sequence[Path]) -> np.ndarray:
    """Returns the contents of files, read as UTF-8, of shape (n,).

    Raises:
        DataError: If one can't be read.
    """
    texts = np.empty(len(files), dtype=object)
    for place, file in enumerate(files):
        try:
            texts[place] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"{str(file)!r} can't be read as text in UTF-8: {reason}. Save it as such."
            ) from None
    return texts


def read_columns(file: Path, text: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns a column of texts, and the targets, of a csv file.

    Raises:
        DataError: If it can't be read, lacks a column, or lacks targets.
    """
    table = read_csv(file, texts=[text], keep_default_na=False, na_values={target: [""]})
    for name in (text, target):
        if name not in table.columns:
            known = [str(each) for each in table.columns]
            raise DataError(f"{str(file)!r} has no column {name!r}. {suggestion(name, known)}")
    check_complete(table[target], repr(str(file)), header=True)
    targets = table[target]
    y = targets.to_numpy() if targets.dtype.kind in "biuf" else targets.to_numpy(dtype=object)
    return table[text].to_numpy(dtype=object), y
