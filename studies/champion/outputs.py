"""Predictions as a table: classes by name, probabilities, or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces.errors import DataError
from tracking.store.files import followed, replacing

if TYPE_CHECKING:
    import keras
    import pandas as pd

SUFFIXES: Final = (".csv", ".parquet", ".npz")
ClassNames = Sequence[str] | Mapping[str, Sequence[str]]


def predictions_table(
    model: keras.Model, made: Any, class_names: ClassNames, *, probabilities: bool
) -> dict[str, np.ndarray]:
    """Returns predictions as columns.

    Args:
        model: The model that made them.
        made: What `predict` returned: an array, or several.
        class_names: Names of the classes, for several outputs by theirs; may be empty.
        probabilities: Whether to add the probability of each class.

    Returns:
        Arrays by name: "class", "probability_NAME", or "prediction"; for several outputs with
        their names before. Of rank 2 and more for predictions that are no single numbers.
    """
    outputs = _named(model, made)
    columns: dict[str, np.ndarray] = {}
    for name, array in outputs.items():
        of_output = class_names.get(name, ()) if isinstance(class_names, Mapping) else class_names
        prefix = "" if len(outputs) == 1 else f"{name} "
        loss = _loss_of(model, name, len(outputs))
        for column, values in _columns(array, of_output, loss, probabilities).items():
            columns[f"{prefix}{column}"] = values
    return columns


def _named(model: keras.Model, made: Any) -> dict[str, np.ndarray]:
    if isinstance(made, Mapping):
        return {str(name): np.asarray(array) for name, array in made.items()}
    if isinstance(made, list | tuple):
        names = list(getattr(model, "output_names", ()))
        known = len(set(names)) == len(made)
        return {(names[i] if known else f"output_{i}"): np.asarray(a) for i, a in enumerate(made)}
    return {"": np.asarray(made)}


def _loss_of(model: keras.Model, name: str, outputs: int) -> Any:
    loss = getattr(model, "loss", None)
    if isinstance(loss, Mapping):
        return loss.get(name)
    if isinstance(loss, list | tuple):
        return loss[0] if outputs == 1 and loss else None
    return loss


def _columns(
    made: np.ndarray, names: Sequence[str], loss: Any, probabilities: bool
) -> dict[str, np.ndarray]:
    text = loss if isinstance(loss, str) else str(getattr(loss, "name", "") or loss).lower()
    crossentropy, logits = "crossentropy" in text, bool(getattr(loss, "from_logits", False))
    if made.ndim == 2 and made.shape[1] == 1:
        made = made[:, 0]
    if made.ndim == 1 and ("binary" in text or (crossentropy and len(names) == 2)):
        of_one = 1 / (1 + np.exp(-made.astype(np.float64))) if logits else made
        made = np.stack([1 - of_one, of_one], axis=1)
    elif made.ndim == 2 and (crossentropy and "binary" not in text):
        if logits:
            odds = np.exp(made.astype(np.float64) - made.max(axis=1, keepdims=True))
            made = odds / odds.sum(axis=1, keepdims=True)
    else:
        return {"prediction": made}
    named = np.array(
        [str(each) for each in names[: made.shape[1]]]
        if len(names) >= made.shape[1]
        else [str(each) for each in range(made.shape[1])]
    )
    columns = {"class": named[made.argmax(axis=1)]}
    if probabilities:
        columns |= {f"probability_{name}": made[:, i] for i, name in enumerate(named)}
    return columns


def as_frame(columns: Mapping[str, np.ndarray], files: Sequence[str] = ()) -> pd.DataFrame:
    """Returns predictions as a table.

    Args:
        columns: See `predictions_table`.
        files: Names of the images that were predicted, or none.

    Raises:
        DataError: If a prediction is of more than one dimension.
    """
    import pandas as pd

    flat: dict[str, Any] = {"file": list(files)} if files else {}
    for name, values in columns.items():
        if values.ndim > 2:
            raise DataError(
                f"The model predicts arrays of shape {values.shape[1:]}, which are no cells of a "
                "table. Write them into a file: --output predictions.npz"
            )
        if values.ndim == 2:
            flat |= {f"{name}_{place}": values[:, place] for place in range(values.shape[1])}
        else:
            flat[name] = values
    return pd.DataFrame(flat)


def write_predictions(
    path: Path, columns: Mapping[str, np.ndarray], files: Sequence[str] = ()
) -> None:
    """Writes predictions into a csv, parquet or npz file, by its suffix, whole or not at all.

    Raises:
        DataError: If it can't be written, or the file has another suffix.
    """
    suffix = check_output(path)
    try:
        with replacing(followed(path)) as partial:
            if suffix == ".npz":
                more = {"file": np.array(files)} if files else {}
                np.savez_compressed(partial, **more, **columns)  # type: ignore[arg-type]
            elif suffix == ".csv":
                partial.write_text(as_csv(as_frame(columns, files)), encoding="utf-8")
            else:
                as_frame(columns, files).to_parquet(partial, index=False)
    except OSError as error:
        raise DataError(f"{str(path)!r} can't be written: {error.strerror or error}.") from None


def check_output(path: Path) -> str:
    """Returns the suffix of a file for predictions.

    Raises:
        DataError: If it is not one of `SUFFIXES`, or there is no folder to write it into.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"{str(path)!r} does not say the kind of file by its ending. Give one that ends with "
            f"{', '.join(SUFFIXES)}."
        )
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    return suffix


def as_csv(table: pd.DataFrame) -> str:
    """Returns a table as CSV, without texts that a spreadsheet would take for formulas.

    Such a formula may run commands: https://owasp.org/www-community/attacks/CSV_Injection
    """
    escaped = table.rename(columns=_escaped)
    for name, dtype in zip(escaped.columns, escaped.dtypes, strict=True):
        if getattr(dtype, "kind", "O") not in "biufmM":
            escaped[name] = escaped[name].map(_escaped)
    return str(escaped.to_csv(index=False, lineterminator="\n"))


def _escaped(text: Any) -> Any:
    """Returns a text with an apostrophe before it if it begins like a formula."""
    text = str(text) if isinstance(text, list | tuple | dict) else text
    if not isinstance(text, str) or not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
