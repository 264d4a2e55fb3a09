"""Predictions of a registered model for samples in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from search_spaces.errors import DataError, StudyError
from studies.champion.inputs import Inputs, Taken, read_inputs
from studies.data import read_table
from studies.error_texts import describe
from studies.libraries.importing import import_quietly
from studies.lines import as_csv
from studies.results.models import columns_for, existing_store, load_champion, registered_folder
from tracking.history.study_history import StudyHistory, read_study
from tracking.store.files import followed, replacing

if TYPE_CHECKING:
    import keras
    import pandas as pd


Alias = Literal["champion", "refit"]


@dataclass(frozen=True)
class Predictions:
    """Predictions for the samples of a file, by column."""

    columns: Mapping[str, np.ndarray]
    # Names of images and texts, in the same order; none for other samples.
    files: Sequence[str] = ()
    notes: Sequence[str] = ()


def predict(
    study: str,
    samples: str | Path,
    *,
    probabilities: bool = False,
    alias: Alias = "champion",
    store: str | Path | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """Predicts the samples of a file by a study's registered model.

    Arrays in memory: `StudyResults.predict`, as in ``ks.read_study("digits").predict(x)``.

    Args:
        study: The study's name.
        samples: An npz, npy, csv or parquet file, an image or a txt file, or a folder of such:
            samples as they were passed to the study, before preprocessing. Several inputs: an npz
            file with their names.
        probabilities: Whether to add the probability of each class.
        alias: ``"refit"``: the model that was trained on validation data too.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        trust: Whether to run the code in a store that this user did not make.

    Returns:
        A row for each sample: its class by name, or what is predicted.

    Raises:
        DataError: If the file can't be read, or the model takes something else.
        StudyError: If there is no such model, it can't be loaded, or the store is not trusted.
        TrackingError: If there is no such store or study.
    """
    if not isinstance(samples, str | Path):
        raise DataError(
            "kerastudy.predict reads a file. For samples in memory: "
            f"kerastudy.read_study({study!r}).predict(x)"
        )
    history = read_study(existing_store(store), study)
    predictions = predict_file(history, Path(samples), probabilities, alias, trust=trust)
    return as_frame(predictions.columns, predictions.files)


def predict_file(
    history: StudyHistory,
    path: Path,
    probabilities: bool = False,
    alias: Alias = "champion",
    *,
    trust: bool = False,
) -> Predictions:
    """Predicts the samples of a file."""
    from studies.training import can_not_be_loaded

    path = path.expanduser()
    if not path.exists():
        raise DataError(f"There is no file {str(path)!r}.")
    folder = registered_folder(history, alias)
    import_quietly()
    from mlflow.models import Model

    saved = Model.load(str(folder))
    metadata: Mapping[str, Any] = saved.metadata or {}
    files: Sequence[str] = ()
    notes = []
    if "table" in metadata:
        model = load_champion(history, trust=trust, alias=alias)
        samples: Any = columns_for(model, _columns_in(path, metadata["table"]), repr(str(path)))
    else:
        inputs = Inputs.of(saved, folder)
        arrays, files = read_inputs(path, inputs)
        model = load_champion(history, trust=trust, alias=alias)
        samples = _as_taken(model, arrays, inputs.arrays)
        notes += _unusual(arrays)
        if files and inputs.divides:
            notes.append("pixels are divided by 255: the model's example has numbers from 0 to 1")
    if can_not_be_loaded(folder):
        notes.append("the model was built again by the study's code")
    try:
        made = model.predict(samples, verbose=0)
    except Exception as error:
        raise StudyError(f"The model can't predict these samples: {describe(error)}.") from error
    class_names = metadata.get("class_names") or ()
    columns = predictions_table(model, made, class_names, probabilities=probabilities)
    return Predictions(columns, files, notes)


def _columns_in(path: Path, described: Sequence[Mapping[str, Any]]) -> Any:
    """Returns the columns of a csv or parquet file, or an npz file with an array for each."""
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".npy":
        raise DataError(
            f"{str(path)!r} is no table. The model takes the columns of one: give a csv or parquet "
            "file, or an npz file with an array for each column."
        )
    if suffix != ".npz":
        texts = [each["name"] for each in described if each["kind"] == "category"]
        return read_table(path, texts=texts)
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} can't be read: {' '.join(str(error).split())}") from None


def _unusual(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Returns a note on samples that hold what is no number, if there are such."""
    odd: Any = False
    for array in arrays.values():
        if array.dtype.kind == "f":
            odd = odd | ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    count, samples = int(np.sum(odd)), len(next(iter(arrays.values())))
    if not count:
        return []
    return [f"{count} of {samples} samples have values that are NaN or infinite: don't trust these"]


def _as_taken(model: keras.Model, arrays: Mapping[str, np.ndarray], taken: Sequence[Taken]) -> Any:
    """Returns samples as the model takes them: an array, a dict or a tuple."""
    import tensorflow as tf

    read = {
        name: tf.constant(array) if array.dtype.kind == "U" else array
        for name, array in arrays.items()
    }
    if len(taken) == 1:
        return read[taken[0].name]
    names = {tensor.name for tensor in getattr(model, "inputs", None) or ()}
    if set(read) <= names or not all(name.startswith("input_") for name in read):
        return read
    return tuple(read[each.name] for each in taken)


_SUFFIXES: Final = (".csv", ".parquet", ".npz")
ClassNames = Sequence[str] | Mapping[str, Sequence[str]]


def predictions_table(
    model: keras.Model, made: Any, class_names: ClassNames, *, probabilities: bool
) -> dict[str, np.ndarray]:
    """Returns what `predict` returned as columns: "class", "probability_NAME", or "prediction".

    For several outputs with their names before. `class_names` may be empty.
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
    """Returns predictions as a table; refuses those of more than one dimension."""
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
    """Writes predictions into a csv, parquet or npz file, by its suffix, whole or not at all."""
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
    """Returns the suffix of a file for predictions that can be written."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise DataError(
            f"{str(path)!r} does not say the kind of file by its ending. Give one that ends with "
            f"{', '.join(_SUFFIXES)}."
        )
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    return suffix
