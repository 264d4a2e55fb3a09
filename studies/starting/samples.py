"""What a study file must know of the user's data: how it is read, inputs, targets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.errors import DataError
from search_spaces.suggestions import suggestion

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["classification", "binary", "regression"]
TABLES = (".csv", ".parquet")
_FILES = "a .csv, .parquet or .npz file"
# Whole numbers with more different values are quantities.
_MOST_CLASSES = 20
_TWO = 2
_IMAGE = 3


@dataclass(frozen=True)
class Samples:
    """Samples and targets, as a study file describes them.

    Attributes:
        call: The expression that describes the data, such as ``ks.datasets.digits()``.
        first: The layers that a model begins with, as lines of Python.
        kind: What the targets are.
        classes: How many classes there are; 0 for a regression.
    """

    call: str
    first: tuple[str, ...]
    kind: Kind
    classes: int


DIGITS = Samples("ks.datasets.digits()", ("keras.layers.Input((64,))",), "classification", 10)


def columns(file: Path) -> list[str]:
    """Returns the names of a table's columns.

    Raises:
        DataError: It can't be read.
    """
    return [str(name) for name in _table(file).columns]


def read_samples(file: Path, target: str | None, kind: Kind | None) -> Samples:
    """Reads what a study file must know of a data file.

    Args:
        file: A .csv, .parquet or .npz file, as the study file will name it.
        target: The column to predict; None for .npz, whose targets are ``y_train``.
        kind: What the targets are; None: as they look.

    Raises:
        DataError: The file can't be read, or has no such targets.
    """
    if file.suffix == ".npz":
        if target is not None:
            raise DataError(f"--target is for tables. The targets of {file} are y_train.")
        return _of_arrays(file, kind)
    table = _table(file)
    names = [str(name) for name in table.columns]
    if table.empty:
        raise DataError(f"{file} has columns, but no rows: there is nothing to learn.")
    if target is None:
        raise DataError(f"Say which column of {file} to predict: --target {names[-1]}")
    if target not in names:
        raise DataError(f"{file} has no column {target!r}. {suggestion(target, names)}")
    found = guessed(table[target]) if kind is None else kind
    count = 0 if found == "regression" else _classes(table[target], found, file)
    call = (
        f"ks.datasets.{file.suffix[1:]}({quoted(file.as_posix())}, target={quoted(target)}, "
        f"classes={found != 'regression'})"
    )
    return Samples(call, ("ks.preprocessing.tabular(data)",), found, count)


def guessed(targets: Any) -> Kind:
    """Returns what targets look like: two values, some classes, or numbers."""
    import pandas as pd

    series = pd.Series(targets).dropna()
    if series.nunique() == _TWO:
        return "binary"
    if not pd.api.types.is_numeric_dtype(series.dtype):
        return "classification"
    whole = bool((series == series.round()).all())
    return "classification" if whole and series.nunique() <= _MOST_CLASSES else "regression"


def quoted(text: str) -> str:
    """Returns a text as Python with double quotes, which formatters prefer."""
    return json.dumps(text, ensure_ascii=False)


def _of_arrays(file: Path, kind: Kind | None) -> Samples:
    import numpy as np

    with _explained(file), np.load(file, allow_pickle=False) as arrays:
        missing = {"x_train", "y_train"} - set(arrays.files)
        if missing:
            raise DataError(
                f"{file} needs the arrays x_train and y_train. It has: {', '.join(arrays.files)}."
            )
        x, y = arrays["x_train"], arrays["y_train"]
    found = guessed(y.reshape(len(y), -1)[:, 0]) if kind is None else kind
    count = 0 if found == "regression" else _classes(y.reshape(-1), found, file)
    shape = f"({', '.join(map(str, x.shape[1:]))}{',' if x.ndim == _TWO else ''})"
    first = [f"keras.layers.Input({shape})"]
    options = ""
    if x.dtype == np.uint8:
        first.append("keras.layers.Rescaling(1 / 255)")
    elif x.ndim == _TWO and x.dtype.kind in "fiu":
        options = ', preprocess="standardize"'
    if x.ndim >= _IMAGE:
        first.append("keras.layers.Flatten()")
    return Samples(
        f"ks.datasets.npz({quoted(file.as_posix())}{options})", tuple(first), found, count
    )


def _table(file: Path) -> pd.DataFrame:
    import pandas as pd

    if file.suffix not in TABLES:
        raise DataError(f"--data takes {_FILES}. Received: {str(file)!r}.")
    with _explained(file):
        return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"There is no file {str(file)!r}. --data takes {_FILES}.") from None
    except Exception as error:
        raise DataError(f"{file} can't be read: {error}") from None


def _classes(targets: Any, kind: Kind, file: Path) -> int:
    import pandas as pd

    count = int(pd.Series(targets).nunique())
    if kind == "binary" and count != _TWO:
        raise DataError(
            f"--kind binary needs targets of two values; those of {file} have {count}. Take "
            "--kind classification or regression."
        )
    if count < _TWO:
        raise DataError(
            f"The targets of {file} all have the same value: there is nothing to learn."
        )
    return count
