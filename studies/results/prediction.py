"""Predicts the samples of a file by a registered model."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError, StudyError
from studies.error_texts import describe
from studies.library_internals.tensorflow_internals import import_quietly
from studies.results.model_loading import load_champion, registered_folder
from studies.results.samples import (
    Input,
    Inputs,
    columns_for,
    read_inputs,
    read_table_columns,
    texts_as_tensor,
)
from tracking.history.study_history import StudyHistory, read_study
from tracking.store.locks_and_atomic_writing import followed, replacing
from tracking.store.store_folder_and_json import existing_store

if TYPE_CHECKING:
    import keras
    import pandas as pd

ClassNames = Sequence[str] | Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Predictions:
    """Predictions for the samples of a file.

    Attributes:
        columns: The columns of a table with a row for each sample, by name: "file" for images and
            texts, "class", "probability_NAME" and "prediction". A prediction may be an array.
        notes: Sentences for the user, such as a warning of unknown categories.
    """

    columns: Mapping[str, np.ndarray]
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(next(iter(self.columns.values())))

    def to_dataframe(self) -> pd.DataFrame:
        """Returns a table with a row for each sample.

        Raises DataError if the prediction for a sample is a matrix or a larger array.
        """
        import pandas as pd

        flat: dict[str, np.ndarray] = {}
        for name, values in self.columns.items():
            if values.ndim > 2:
                raise DataError(
                    f"The model predicts arrays of shape {values.shape[1:]}, which don't fit into "
                    "the cells of a table. Call kerastudy.read_study(NAME).predict(x)."
                )
            if values.ndim == 2:
                flat |= {f"{name}_{place}": values[:, place] for place in range(values.shape[1])}
            else:
                flat[name] = values
        return pd.DataFrame(flat)

    def write(self, path: Path) -> None:
        """Writes the predictions into a CSV file, atomically."""
        text = self.to_dataframe().to_csv(index=False)
        try:
            with replacing(followed(path)) as partial:
                partial.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DataError(f"{str(path)!r} can't be written: {error.strerror or error}.") from None


def check_output(path: Path) -> None:
    """Checks that predictions can be written to a path."""
    if path.suffix.lower() != ".csv":
        hint = "Name a file that ends with .csv."
        raise DataError(f"Predictions can't be written into {str(path)!r}", hint=hint)
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")


def predict(
    study: str,
    samples: str | Path,
    *,
    probabilities: bool = False,
    store: str | Path | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """Predicts the samples of a file by a study's registered model.

    For arrays in memory use `StudyResults.predict`: ``ks.read_study("digits").predict(x)``.

    Args:
        study: The study's name.
        samples: An npz, npy, csv or parquet file, an image, or a folder of images or txt files.
            The samples must be like those that were passed to the study, before preprocessing. A
            csv or parquet file has the study's columns, by their names. A model with several inputs
            needs an npz file that has, for each input, an array with the input's name.
        probabilities: Whether to add the probability of each class.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        trust: Whether to run the code in a store that this user did not make.

    Returns:
        A table with a row for each sample: the name of its class, or the predicted values.

    Raises:
        DataError: If the file can't be read, or its samples don't fit the model.
        StudyError: If there is no such model, if it can't be loaded, or if it is in another user's
            store and ``trust`` is False.
        TrackingError: If there is no such store or study.
    """
    if not isinstance(samples, str | Path):
        raise DataError(
            "kerastudy.predict reads a file. For samples in memory: "
            f"kerastudy.read_study({study!r}).predict(x)"
        )
    history = read_study(existing_store(store), study)
    return predict_file(history, Path(samples), probabilities, trust=trust).to_dataframe()


def predict_file(
    history: StudyHistory,
    path: Path,
    probabilities: bool = False,
    *,
    trust: bool = False,
) -> Predictions:
    """Predicts the samples of a file."""
    path = path.expanduser()
    if not path.exists():
        raise DataError(f"There is no file {str(path)!r}.")
    import_quietly()
    from mlflow.models import Model

    saved = Model.load(str(registered_folder(history)))
    metadata: Mapping[str, Any] = saved.metadata or {}
    columns, notes = dict[str, np.ndarray](), list[str]()
    samples: Any
    # A wrong file is refused before the model is loaded, which takes seconds.
    if "table" in metadata:
        table = read_table_columns(path, metadata)
        model = load_champion(history, trust=trust)
        samples, notes = columns_for(model, table, repr(str(path)))
    else:
        inputs = Inputs.of(saved)
        arrays, files = read_inputs(path, inputs)
        model = load_champion(history, trust=trust)
        samples = _as_the_model_takes(model, arrays, inputs.arrays)
        if files:
            columns["file"] = np.array(files)
    try:
        predicted = model.predict(samples, verbose=0)
    except Exception as error:
        raise StudyError(f"The model can't predict these samples: {describe(error)}.") from error
    class_names = metadata.get("class_names") or ()
    columns |= predictions_table(model, predicted, class_names, probabilities=probabilities)
    return Predictions(columns, notes)


def _as_the_model_takes(
    model: keras.Model, arrays: Mapping[str, np.ndarray], expected: Sequence[Input]
) -> Any:
    """Returns the samples as `model.predict` takes them: an array, a dict or a tuple of arrays."""
    by_name = {name: texts_as_tensor(array) for name, array in arrays.items()}
    if len(expected) == 1:
        return by_name[expected[0].name]
    names = {tensor.name for tensor in getattr(model, "inputs", None) or ()}
    if set(by_name) <= names or not all(name.startswith("input_") for name in by_name):
        return by_name
    return tuple(by_name[single.name] for single in expected)


def predictions_table(
    model: keras.Model, predicted: Any, class_names: ClassNames, *, probabilities: bool
) -> dict[str, np.ndarray]:
    """Returns predictions as columns named "class", "probability_NAME", or "prediction".

    If the model has several outputs, a column's name begins with the output's name. If
    `class_names` is empty, classes are named by their numbers.
    """
    from studies.training import loss_of

    outputs = _named(model, predicted)
    columns: dict[str, np.ndarray] = {}
    for name, array in outputs.items():
        of_output = class_names.get(name, ()) if isinstance(class_names, Mapping) else class_names
        prefix = "" if len(outputs) == 1 else f"{name} "
        loss = loss_of(model, name if len(outputs) > 1 else "")
        for column, values in _columns(array, of_output, loss, probabilities).items():
            columns[f"{prefix}{column}"] = values
    return columns


def _named(model: keras.Model, predicted: Any) -> dict[str, np.ndarray]:
    """Returns the predicted arrays by the names of the model's outputs."""
    if isinstance(predicted, list | tuple):
        names = list(getattr(model, "output_names", ()))
        if len(set(names)) != len(predicted):
            names = [f"output_{place}" for place in range(len(predicted))]
        predicted = dict(zip(names, predicted, strict=True))
    elif not isinstance(predicted, Mapping):
        predicted = {"": predicted}
    return {str(name): np.asarray(array) for name, array in predicted.items()}


def _columns(
    predicted: np.ndarray, names: Sequence[str], loss: Any, probabilities: bool
) -> dict[str, np.ndarray]:
    from scipy.special import expit, softmax

    text = _name_of(loss)
    crossentropy, logits = "crossentropy" in text, bool(getattr(loss, "from_logits", False))
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    if predicted.ndim == 1 and ("binary" in text or (crossentropy and len(names) == 2)):
        odds = expit(predicted.astype(np.float64)) if logits else predicted
        predicted = np.stack([1 - odds, odds], axis=1)
    elif predicted.ndim == 2 and crossentropy and "binary" not in text:
        predicted = softmax(predicted.astype(np.float64), axis=1) if logits else predicted
    else:
        return {"prediction": predicted}
    count = predicted.shape[1]
    classes = [str(name) for name in (names if len(names) >= count else range(count))][:count]
    columns = {"class": np.array(classes)[predicted.argmax(axis=1)]}
    if probabilities:
        columns |= {f"probability_{name}": predicted[:, i] for i, name in enumerate(classes)}
    return columns


def _name_of(loss: Any) -> str:
    """Returns a loss's name in lower case, such as "binary_crossentropy" for "bce"."""
    import keras

    if isinstance(loss, str):
        with contextlib.suppress(ValueError):
            loss = keras.losses.get(loss)
    return str(getattr(loss, "name", "") or getattr(loss, "__name__", "") or loss).lower()
