"""Predictions of a registered model for samples in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from search_spaces.errors import DataError, StudyError
from studies.champion.inputs import Inputs, Taken, read_inputs
from studies.champion.outputs import as_frame, predictions_table
from studies.data.tables.files import read_table
from studies.error_texts import describe
from studies.libraries.silence import import_quietly
from studies.results.models import existing_store, load_champion, registered_folder
from studies.results.samples import columns_for
from tracking.history.study_history import StudyHistory, read_study

if TYPE_CHECKING:
    import keras
    import pandas as pd

Alias = Literal["champion", "refit"]


@dataclass(frozen=True)
class Predictions:
    """Predictions for the samples of a file.

    Attributes:
        columns: See `predictions_table`.
        files: Names of images and texts, in the same order; none for other samples.
        notes: What a person should know.
    """

    columns: Mapping[str, np.ndarray]
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
    found = predict_file(history, Path(samples), probabilities, alias, trust=trust)
    return as_frame(found.columns, found.files)


def predict_file(
    history: StudyHistory,
    path: Path,
    probabilities: bool = False,
    alias: Alias = "champion",
    *,
    trust: bool = False,
) -> Predictions:
    """Predicts the samples of a file; see `predict`."""
    from studies.training.champion.champion_loader import can_not_be_loaded

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
        given: Any = columns_for(model, _columns_in(path, metadata["table"]), repr(str(path)))
    else:
        inputs = Inputs.of(saved, folder)
        arrays, files = read_inputs(path, inputs)
        model = load_champion(history, trust=trust, alias=alias)
        given = _as_given(model, arrays, inputs.arrays)
        notes += _unusual(arrays)
        if files and inputs.scaled and not inputs.described:
            notes.append("pixels are divided by 255: the model's example has numbers from 0 to 1")
    if can_not_be_loaded(folder):
        notes.append("the model was built again by the study's code")
    try:
        made = model.predict(given, verbose=0)
    except Exception as error:
        raise StudyError(f"The model can't predict these samples: {describe(error)}.") from error
    class_names = metadata.get("class_names") or ()
    columns = predictions_table(model, made, class_names, probabilities=probabilities)
    return Predictions(columns, files, notes)


def _columns_in(path: Path, described: Sequence[Mapping[str, Any]]) -> Any:
    """Returns the columns of a file.

    Args:
        path: A csv or parquet file, or an npz file with an array for each column.
        described: The columns that the model takes, as `FittedTable.describe` describes them.

    Raises:
        DataError: It can't be read.
    """
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


def _as_given(model: keras.Model, arrays: Mapping[str, np.ndarray], taken: Sequence[Taken]) -> Any:
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
