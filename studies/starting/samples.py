"""What a study file must know of the user's data: how it is read, inputs, targets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from search_spaces.errors import DataError

Kind = Literal["classification", "binary", "regression"]
# Whole numbers with more different values are quantities.
_MOST_CLASSES = 20
_TWO = 2


@dataclass(frozen=True)
class Samples:
    """Samples and targets, as a study file describes them.

    Attributes:
        call: The expression that describes the data, such as ``ks.datasets.digits()``.
        first: The layers that a model begins with, as lines of Python.
        output: The call of `ks.outputs` that fits the targets, such as ``classes(10)``.
        notes: What the user should know, a sentence or two each.
        new: New samples in a file or folder, for the command that predicts them.
    """

    call: str
    first: tuple[str, ...]
    output: str
    notes: tuple[str, ...] = ()
    new: str = "new_samples.npy"

    @property
    def kind(self) -> Kind:
        """What the targets are."""
        function = self.output.partition("(")[0]
        if function == "binary":
            return "binary"
        return "regression" if function == "regression" else "classification"


DIGITS = Samples("ks.datasets.digits()", ("keras.layers.Input((64,))",), "classes(10)")

WORDS = (
    'keras.layers.Input((), dtype="string")',
    "ks.preprocessing.adapted(\n"
    "        keras.layers.TextVectorization(max_tokens=5_000, output_sequence_length=100), data\n"
    "    )",
    "keras.layers.Embedding(5_000, 16)",
    "keras.layers.GlobalAveragePooling1D()",
)
"""The layers that make numbers of texts."""


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


def output_for(y: np.ndarray, kind: Kind | None, of: str) -> str:
    """Returns the call of `ks.outputs` that fits targets.

    Args:
        y: Of shape (n,), or (n, k): one-hot rows, or several numbers for each sample.
        kind: What the user says they are; None: as they look.
        of: Where they are from, for messages.

    Raises:
        DataError: They are something else than `kind`, or no output fits.
    """
    if y.ndim > _TWO:
        raise DataError(
            f"The targets of {of} have the shape {y.shape}. kerastudy new writes studies for one "
            "target for each sample, or a row of them: change the output of one by hand."
        )
    if y.ndim == _TWO and y.shape[1] > 1:
        return _output_for_rows(y, kind, of)
    y = y.reshape(-1)
    found = guessed(y) if kind is None else kind
    if found == "regression":
        return "regression()"
    values = np.unique(y)
    check_values(len(values), found, of)
    if y.dtype.kind not in "biuf":
        # Texts get numbers in their order.
        return "binary()" if found == "binary" else f"classes({len(values)})"
    if values[0] < 0 or (values != np.round(values)).any():
        raise DataError(
            f"The targets of {of} are numbers such as {values[0]:g}, and classes are whole numbers "
            "from 0 up. Number the classes 0, 1, 2 and so on, or pass --kind regression."
        )
    if found == "binary" and values[-1] != 1:
        raise DataError(
            f"--kind binary needs the targets 0 and 1; those of {of} are {values[0]:g} and "
            f"{values[-1]:g}. Make them 0 and 1, or take --kind classification."
        )
    return "binary()" if found == "binary" else f"classes({int(values[-1]) + 1})"


def check_values(count: int, kind: Kind, of: str) -> None:
    """Checks how many different targets there are. Raises DataError if too few, or too many."""
    if kind == "binary" and count != _TWO:
        raise DataError(
            f"--kind binary needs targets of two values; those of {of} have {count}. Take "
            "--kind classification or regression."
        )
    if count < _TWO:
        raise DataError(f"The targets of {of} all have the same value: there is nothing to learn.")


def quoted(text: str) -> str:
    """Returns a text as Python with double quotes, which formatters prefer."""
    return json.dumps(text, ensure_ascii=False)


def quoted_path(file: Path) -> str:
    """Returns a path as Python."""
    return quoted(file.as_posix())


def _output_for_rows(y: np.ndarray, kind: Kind | None, of: str) -> str:
    zeros_and_ones = bool(((y == 0) | (y == 1)).all())
    one_hot = zeros_and_ones and bool((y.sum(axis=1) == 1).all())
    if kind == "regression" or (kind is None and not zeros_and_ones):
        return f"regression({y.shape[1]})"
    if one_hot and kind != "binary":
        check_values(len(np.unique(y.argmax(axis=1))), "classification", of)
        return f"one_hot({y.shape[1]})"
    if one_hot:
        raise DataError(
            f"--kind binary needs the targets 0 and 1; those of {of} are one-hot rows of "
            f"{y.shape[1]}. Take --kind classification."
        )
    raise DataError(
        f"The targets of {of} are rows of {y.shape[1]} that are not one-hot, such as several "
        "labels for each sample. Pass --kind regression, and change the output of the study file: "
        f'Dense({y.shape[1]}, "sigmoid") and "binary_crossentropy" for labels.'
    )
