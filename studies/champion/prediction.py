"""Predicts the samples of a file by a registered model.

Pickled objects in the file are not loaded, because loading them could run code.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from search_spaces.errors import DataError, StudyError
from search_spaces.texts import listed, quoted
from studies.data import ENDINGS, is_table, read_images, read_table
from studies.error_texts import describe
from studies.library_internals.quiet_imports import import_quietly
from studies.results.model_loading import (
    columns_for,
    load_champion,
    registered_folder,
    sizes_agree,
)
from studies.terminal_text import as_csv
from tracking.history.study_history import StudyHistory, existing_store, read_study
from tracking.store.atomic_writing import followed, replacing

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from mlflow.models import Model


Alias = Literal["champion", "refit"]


@dataclass(frozen=True)
class Predictions:
    """Predictions for the samples of a file.

    Attributes:
        columns: The predictions by column name, such as "class" or "prediction".
        files: The names of image or text files, in the samples' order; empty for other samples.
        notes: Sentences for the user, such as a warning of samples with NaN.
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

    For arrays in memory use `StudyResults.predict`: ``ks.read_study("digits").predict(x)``.

    Args:
        study: The study's name.
        samples: An npz, npy, csv or parquet file, an image, a txt file, or a folder of images or
            txt files. The samples must be like those that were passed to the study, before
            preprocessing. A model with several inputs needs an npz file that has, for each input,
            an array with the input's name.
        probabilities: Whether to add the probability of each class.
        alias: Which registered model: ``"champion"``, or ``"refit"`` for the model that was trained
            on training and validation data together.
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
    notes: list[str] = []
    if "table" in metadata:
        model = load_champion(history, trust=trust, alias=alias)
        samples: Any
        samples, notes = columns_for(model, _read_columns(path, metadata), repr(str(path)))
    else:
        inputs = Inputs.of(saved)
        arrays, files = read_inputs(path, inputs)
        model = load_champion(history, trust=trust, alias=alias)
        samples = _as_the_model_takes(model, arrays, inputs.arrays)
        notes += _notes_on(arrays)
    if can_not_be_loaded(folder):
        notes.append("the model was built again by the study's code")
    try:
        predicted = model.predict(samples, verbose=0)
    except Exception as error:
        raise StudyError(f"The model can't predict these samples: {describe(error)}.") from error
    class_names = metadata.get("class_names") or ()
    columns = predictions_table(model, predicted, class_names, probabilities=probabilities)
    return Predictions(columns, files, notes)


def _read_columns(path: Path, metadata: Mapping[str, Any]) -> Any:
    """Returns the columns of a file by name."""
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".npy":
        raise DataError(
            f"{str(path)!r} is no table. The model takes the columns of one: give a csv or parquet "
            "file, or an npz file with an array for each column."
        )
    if suffix != ".npz":
        texts = [column["name"] for column in metadata["table"] if column["kind"] == "category"]
        return read_table(path, texts=texts, missing=metadata["missing"])
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} can't be read: {' '.join(str(error).split())}") from None


def _notes_on(arrays: Mapping[str, np.ndarray]) -> list[str]:
    floats = [array for array in arrays.values() if array.dtype.kind == "f"]
    odd = [~np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in floats]
    count, samples = int(np.any(odd, axis=0).sum()), len(next(iter(arrays.values())))
    if not count:
        return []
    return [f"{count} of {samples} samples have values that are NaN or infinite: don't trust these"]


def _as_the_model_takes(
    model: keras.Model, arrays: Mapping[str, np.ndarray], expected: Sequence[Input]
) -> Any:
    import tensorflow as tf

    read = {
        name: tf.constant(array) if array.dtype.kind == "U" else array
        for name, array in arrays.items()
    }
    if len(expected) == 1:
        return read[expected[0].name]
    names = {tensor.name for tensor in getattr(model, "inputs", None) or ()}
    if set(read) <= names or not all(name.startswith("input_") for name in read):
        return read
    return tuple(read[single.name] for single in expected)


_SUFFIXES: Final = (".csv", ".parquet", ".npz")
ClassNames = Sequence[str] | Mapping[str, Sequence[str]]


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
    if isinstance(predicted, Mapping):
        return {str(name): np.asarray(array) for name, array in predicted.items()}
    if isinstance(predicted, list | tuple):
        names = list(getattr(model, "output_names", ()))
        unique = len(set(names)) == len(predicted)
        return {
            (names[i] if unique else f"output_{i}"): np.asarray(a) for i, a in enumerate(predicted)
        }
    return {"": np.asarray(predicted)}


def _columns(
    predicted: np.ndarray, names: Sequence[str], loss: Any, probabilities: bool
) -> dict[str, np.ndarray]:
    text = _name_of(loss)
    crossentropy, logits = "crossentropy" in text, bool(getattr(loss, "from_logits", False))
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    if predicted.ndim == 1 and ("binary" in text or (crossentropy and len(names) == 2)):
        odds = 1 / (1 + np.exp(-predicted.astype(np.float64))) if logits else predicted
        predicted = np.stack([1 - odds, odds], axis=1)
    elif predicted.ndim == 2 and (crossentropy and "binary" not in text):
        if logits:
            odds = np.exp(predicted.astype(np.float64) - predicted.max(axis=1, keepdims=True))
            predicted = odds / odds.sum(axis=1, keepdims=True)
    else:
        return {"prediction": predicted}
    classes = predicted.shape[1]
    named = np.array([str(name) for name in (names if len(names) >= classes else range(classes))])
    named = named[:classes]
    columns = {"class": named[predicted.argmax(axis=1)]}
    if probabilities:
        columns |= {f"probability_{name}": predicted[:, i] for i, name in enumerate(named)}
    return columns


def _name_of(loss: Any) -> str:
    """Returns a loss's name in lower case, such as "binary_crossentropy" for "bce"."""
    import keras

    if isinstance(loss, str):
        with contextlib.suppress(ValueError):
            loss = keras.losses.get(loss)
    return str(getattr(loss, "name", "") or getattr(loss, "__name__", "") or loss).lower()


def as_frame(columns: Mapping[str, np.ndarray], files: Sequence[str] = ()) -> pd.DataFrame:
    """Returns predictions as a table with a row for each sample.

    Raises DataError if the prediction for a sample is a matrix or a larger array.
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
    """Writes predictions into an npz, csv or parquet file, atomically."""
    suffix = check_output(path)
    try:
        with replacing(followed(path)) as partial:
            if suffix == ".npz":
                _write_archive(partial, {**({"file": np.array(files)} if files else {}), **columns})
            elif suffix == ".csv":
                partial.write_text(as_csv(as_frame(columns, files)), encoding="utf-8")
            else:
                as_frame(columns, files).to_parquet(partial, index=False)
    except OSError as error:
        raise DataError(f"{str(path)!r} can't be written: {error.strerror or error}.") from None


def _write_archive(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            # `np.savez_compressed` can't write an array with the name "file", as it has a parameter
            # of this name.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def check_output(path: Path) -> str:
    """Checks that predictions can be written to a path; returns its suffix."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        hint = f"Give one that ends with {listed(_SUFFIXES, 'or')}."
        raise DataError(f"{str(path)!r} has an ending of no known kind of file", hint=hint)
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    return suffix


_IMAGES: Final = ENDINGS["images"]
_TABLES: Final = (".csv", ".parquet")
_SHOWN = 6


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Attributes:
        name: The input's name; empty if the model has one input.
        dtype: The type of the values; `str` for texts.
        shape: The shape of a sample. None stands for any size.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """Returns a description of the input for messages."""
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        comma = "," if len(self.shape) == 1 else ""
        kind = "texts" if self.dtype.kind in "US" else self.dtype.name
        return f"{self.name + ': ' if self.name else ''}{kind} of shape ({sizes}{comma})"


@dataclass(frozen=True)
class Inputs:
    """The inputs of a registered model.

    Attributes:
        columns: The names of the table's columns, in order; empty if the model takes arrays.
        arrays: The inputs. A table is a single input.
        files: How the study read its data files, such as the image size. It is empty if the study
            read no files.
    """

    columns: tuple[str, ...]
    arrays: tuple[Input, ...]
    files: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, saved: Model) -> Inputs:
        """Returns the inputs of a model, by its MLflow signature."""
        signature = saved.signature.inputs
        if not signature.is_tensor_spec():
            columns = tuple(signature.input_names())
            dtype = np.result_type(*(spec.type.to_numpy() for spec in signature.inputs))
            return cls(columns, (Input("", dtype, (len(columns),)),))
        named = len(signature.inputs) > 1
        arrays = tuple(
            Input(
                (spec.name or "") if named else "",
                _dtype(spec.type),
                tuple(None if size < 0 else size for size in spec.shape[1:]),
            )
            for spec in signature.inputs
        )
        metadata: Mapping[str, Any] = saved.metadata or {}
        named_columns = (metadata.get("columns") or {}).get("x", ()) if len(arrays) == 1 else ()
        columns = tuple(str(name) for name, _ in named_columns)
        files = metadata.get("files") or {}
        return cls(columns, arrays, files)

    def __str__(self) -> str:
        """Returns a description of the inputs for messages."""
        if self.columns:
            return f"the columns {listed(self.columns, most=_SHOWN)}"
        return " and ".join(map(str, self.arrays))

    def error(self, path: Path, what: str) -> DataError:
        """Returns the error for a file whose samples don't fit the model."""
        return DataError(f"{str(path)!r} {what}. The model takes {self}.")


def read_inputs(path: Path, inputs: Inputs) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads samples from a file, or from a folder of images or texts.

    Returns the arrays by the names of the model's inputs, and a list with the names of the image or
    text files. The list is empty for other samples. Raises DataError if the samples can't be read,
    or don't fit the model.
    """
    read = _read_as_trained(path, inputs)
    if read is not None:
        return {inputs.arrays[0].name: read[0]}, read[1]
    suffix = path.suffix.lower()
    try:
        if suffix in _TABLES:
            arrays = _of_table(_read_samples(path, inputs), path, inputs)
        elif suffix == ".npy":
            if len(inputs.arrays) > 1:
                raise inputs.error(path, "has one array: give an npz file")
            with path.open("rb") as file:
                arrays = {"": np.lib.format.read_array(file, allow_pickle=False)}
        elif suffix == ".npz":
            arrays = _of_archive(path, inputs)
        else:
            raise inputs.error(
                path, "is no npz, npy, csv or parquet file, and the study has read no such samples"
            )
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{str(path)!r} can't be read: {reason:.300}") from None
    samples = {
        expected.name: _fitting(arrays[expected.name], expected, path, inputs)
        for expected in inputs.arrays
    }
    lengths = {len(array) for array in samples.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise inputs.error(path, f"has arrays of {sorted(lengths)} samples")
    return samples, []


def _read_as_trained(path: Path, inputs: Inputs) -> tuple[np.ndarray, list[str]] | None:
    """Reads images or texts as the study read its data; returns None for other samples.

    The result has the samples, and the names of their files.
    """
    suffix, described = path.suffix.lower(), inputs.files
    if "image_size" in described and (path.is_dir() or suffix in _IMAGES):
        return _images_as_trained(path, described)
    column = described.get("text", "")
    if column and is_table(path):
        table = read_table(path, texts=[column], keep_default_na=False)
        if column in table.columns:
            return table[column].to_numpy(str), []
    takes_texts = len(inputs.arrays) == 1 and inputs.arrays[0].dtype.kind in "US"
    if takes_texts and (path.is_dir() or suffix in ENDINGS["texts"]):
        return _texts(path)
    return None


def _images_as_trained(path: Path, described: Mapping[str, Any]) -> tuple[np.ndarray, list[str]]:
    if path.is_dir():
        images, _, files = read_images(path, described, labelled=False)
        return images, [str(file.relative_to(path)) for file in files]
    # Keras reads images from folders only, so a single image is copied into a folder.
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, folder)
        try:
            images, *_ = read_images(Path(folder), described, labelled=False)
        except DataError as error:
            raise DataError(str(error).replace(folder, str(path.parent))) from None
    return images, [path.name]


def _texts(path: Path) -> tuple[np.ndarray, list[str]]:
    files = [path]
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.suffix.lower() in ENDINGS["texts"])
    if not files:
        raise DataError(f"{str(path)!r} has no texts (.txt).")
    try:
        texts = [file.read_text(encoding="utf-8") for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r} can't be read as texts in UTF-8: {error}.") from None
    return np.array(texts), [str(f.relative_to(path)) if path.is_dir() else f.name for f in files]


def _fitting(array: np.ndarray, expected: Input, path: Path, inputs: Inputs) -> np.ndarray:
    of = f" {expected.name!r}" if expected.name else ""
    if array.ndim == len(expected.shape) and expected.shape[-1:] == (1,):
        array = array[..., None]
    shape = array.shape[1:]
    fits = len(shape) == len(expected.shape) and sizes_agree(shape, expected.shape)
    if array.ndim == 0 or not fits:
        advice = ""
        if array.ndim == len(expected.shape) and sizes_agree(array.shape, expected.shape):
            advice = ": it is one sample, not a row of samples; save x[None]"
        raise inputs.error(path, f"has samples{of} of shape {shape}{advice}")
    texts = expected.dtype.kind in "US"
    if texts != (array.dtype.kind in "UO") or (not texts and array.dtype.kind not in "biuf"):
        raise inputs.error(path, f"has values{of} of type {array.dtype}")
    if texts:
        return array.astype(str)
    return array


def _of_archive(path: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is no npz file")
        arrays = {name: file[name] for name in file.files}
    if len(inputs.arrays) > 1:
        missing = [expected.name for expected in inputs.arrays if expected.name not in arrays]
        if missing:
            raise inputs.error(path, f"lacks {', '.join(map(repr, missing))}")
        return arrays
    if inputs.columns and set(inputs.columns) <= set(arrays):
        return {"": np.column_stack([arrays[name] for name in inputs.columns])}
    if len(arrays) == 1 or "x" in arrays:
        return {"": arrays["x"] if "x" in arrays else next(iter(arrays.values()))}
    named = listed(sorted(arrays), most=_SHOWN) or "none"
    raise inputs.error(path, f"has the arrays {named}: name the samples 'x'")


def _read_samples(path: Path, inputs: Inputs) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path)
    first = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].dropna().tolist()
    # If the first line has a text, the line is the table's heading. If it has only numbers, it is a
    # sample, unless the numbers are names: either names of the study's columns, or pandas's default
    # names 0, 1, 2 and so on.
    named = pd.to_numeric(pd.Series(first, dtype=object), errors="coerce").isna().any()
    named |= bool(set(inputs.columns) & set(first))
    named |= len(first) > 2 and first == [str(place) for place in range(len(first))]
    return pd.read_csv(path, header=0 if named else None)


def _of_table(table: pd.DataFrame, path: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    if len(inputs.arrays) > 1:
        raise inputs.error(path, "is a table: give an npz file with an array for each input")
    (expected,) = inputs.arrays
    if inputs.columns:
        missing = [name for name in inputs.columns if name not in table.columns]
        if missing:
            raise inputs.error(path, f"lacks columns: {quoted(missing, most=_SHOWN)}")
        table = table[list(inputs.columns)]
    texts = expected.dtype.kind in "US"
    if texts:
        array = table.to_numpy(dtype=str)
    else:
        kinds = {str(name): getattr(dtype, "kind", "O") for name, dtype in table.dtypes.items()}
        others = [name for name, kind in kinds.items() if kind not in "biuf"]
        if others:
            raise inputs.error(path, f"has texts in the columns {listed(others, most=_SHOWN)}")
        if table.isna().to_numpy().any():
            raise inputs.error(path, "has empty cells")
        types = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]
        array = table.to_numpy().astype(np.result_type(*types))
    if len(expected.shape) == 0 and array.shape[1] == 1:
        array = array[:, 0]
    return {"": array}


def _dtype(kind: Any) -> np.dtype:
    # If the study's texts were Python objects, the MLflow signature has the type `object` for them.
    dtype = np.dtype(kind)
    return np.dtype(str) if dtype.kind == "O" else dtype
