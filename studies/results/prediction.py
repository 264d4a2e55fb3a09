"""Predicts samples by a registered model: reads them from a file, and checks that they fit.

Pickled objects in a file are not loaded, because loading them could run code.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError, StudyError
from search_spaces.texts import listed, quoted
from studies.data import ENDINGS, is_table, model_columns, read_images, read_table, takes_columns
from studies.definition import without_class_weight
from studies.error_texts import describe
from studies.library_internals import import_quietly
from studies.results.model_loading import load_champion, registered_folder
from tracking.history import StudyHistory, read_study
from tracking.records import ClassWeight
from tracking.store import existing_store, followed, replacing
from tracking.study_summary import weights_text

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from mlflow.models import Model

_SHOWN: Final = 6
# In messages, samples in memory are called by the name of the argument.
_X: Final = Path("x")
_CORRECTED: Final = "probabilities are corrected for class weights of the training, "
ClassNames = Sequence[str] | Mapping[str, Sequence[str]]


def predict(
    study: str,
    samples: str | Path,
    *,
    probabilities: bool = False,
    threshold: float | None = None,
    keep: Sequence[str] = (),
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
        probabilities: Whether to add the probability of each class. Probabilities are corrected
            for class weights of the training.
        threshold: For two classes: the probability, 0 to 1, from which on a sample is of the second
            class. Without it, a sample is of the class that the model chooses.
        keep: The columns of a csv or parquet file to keep beside the predictions, as they are in
            the file. Without names, those that the study left out as identifiers are kept.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        trust: Whether to run the code in a store that this user did not make.

    Returns:
        A table with a row for each sample: the name of its class, or the predicted values. For a
        study on a table, the column has the target's name, otherwise "class" or "prediction".

    Raises:
        DataError: If the file can't be read, lacks a column, or its samples don't fit the model.
        StudyError: If there is no such model, if it can't be loaded, if it is in another user's
            store and ``trust`` is False, or if ``threshold`` is given without two classes.
        TrackingError: If there is no such store or study.
    """
    if not isinstance(samples, str | Path):
        raise DataError(
            "kerastudy.predict reads a file",
            hint=f"For samples in memory: kerastudy.read_study({study!r}).predict(x)",
        )
    history = read_study(existing_store(store), study)
    predictions = predict_file(history, Path(samples), probabilities, threshold, keep, trust=trust)
    for note in predictions.notes:
        warnings.warn(note, stacklevel=2)
    return predictions.to_dataframe()


@dataclass(frozen=True)
class Predictions:
    """Predictions for the samples of a file.

    Attributes:
        columns: The columns of a table with a row for each sample, by name: "file" for images and
            texts, columns of the file that are kept, and those of `predictions_table`. A prediction
            may be an array.
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
                    f"Predicted arrays of shape {values.shape[1:]} don't fit into a table's cells",
                    hint="Call kerastudy.read_study(NAME).predict(x).",
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
    """Checks that a path is of a CSV file, the only kind that predictions are written into."""
    if path.suffix.lower() != ".csv":
        hint = "Name a file that ends with .csv."
        raise DataError(f"Predictions can't be written into {str(path)!r}", hint=hint)


def predict_file(
    history: StudyHistory,
    path: Path,
    probabilities: bool = False,
    threshold: float | None = None,
    keep: Sequence[str] = (),
    *,
    trust: bool = False,
) -> Predictions:
    """Predicts the samples of a file, as `predict` describes."""
    path, keep = path.expanduser(), checks.names("keep", keep, DataError)
    if not path.exists():
        raise DataError(f"There is no file {str(path)!r}.")
    import_quietly()
    from mlflow.models import Model

    saved = Model.load(str(registered_folder(history)))
    metadata: Mapping[str, Any] = saved.metadata or {}
    columns, notes = _kept(path, keep, metadata.get("identifiers") or ()), list[str]()
    samples: Any
    # A wrong file is refused before the model is loaded, which takes seconds.
    if "table" in metadata:
        table = _read_table_columns(path, metadata)
        model = load_champion(history, trust=trust)
        samples, notes = _columns_for(model, table, repr(str(path)), registered_folder(history))
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
    class_weight = None if history.champion is None else history.champion.class_weight
    made = predictions_table(
        model,
        predicted,
        metadata.get("class_names") or (),
        probabilities=probabilities,
        class_weight=class_weight,
        threshold=threshold,
        target=metadata.get("target", ""),
    )
    if twice := columns.keys() & made.keys():
        raise DataError(f"{quoted(twice)} can't be kept: a column of predictions has this name.")
    if class_weight and all(class_weight.values()) and (threshold is not None or len(made) > 1):
        weights = weights_text(class_weight)
        notes.append(f"{_CORRECTED}{weights}; without a threshold, the model chooses the class")
    return Predictions(columns | made, notes)


def _kept(path: Path, keep: Sequence[str], identifiers: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the columns `keep` of a file, or without such those of `identifiers` that it has."""
    names = keep or identifiers
    table = read_table(path, texts=names, keep_default_na=False) if is_table(path) and names else {}
    if missing := [name for name in keep if name not in table]:
        raise DataError(f"{str(path)!r} lacks columns to keep: {quoted(missing, most=_SHOWN)}.")
    return {name: table[name].to_numpy() for name in names if name in table}


def _as_the_model_takes(
    model: keras.Model, arrays: Mapping[str, np.ndarray], expected: Sequence[Input]
) -> Any:
    """Returns the samples as `model.predict` takes them: an array, a dict or a tuple of arrays."""
    import tensorflow as tf

    # Keras takes texts only as tensors.
    by_name = {n: tf.constant(a) if a.dtype.kind == "U" else a for n, a in arrays.items()}
    if len(expected) == 1:
        return by_name[expected[0].name]
    names = {tensor.name for tensor in getattr(model, "inputs", None) or ()}
    if set(by_name) <= names or not all(name.startswith("input_") for name in by_name):
        return by_name
    return tuple(by_name[single.name] for single in expected)


def predictions_table(
    model: keras.Model,
    predicted: Any,
    class_names: ClassNames,
    *,
    probabilities: bool,
    class_weight: ClassWeight | None = None,
    threshold: float | None = None,
    target: str = "",
) -> dict[str, np.ndarray]:
    """Returns predictions as columns named `target` and "probability_NAME".

    Without a target's name, the column is named "class" or "prediction". If the model has several
    outputs, a column's name begins with the output's name. If `class_names` is empty, classes are
    named by their numbers.

    Probabilities are corrected for the `class_weight` of the training. A class is the one that the
    model chooses, or by the corrected probability if there is a `threshold`.
    """
    from studies.training import class_probabilities, loss_of

    outputs = _named(model, predicted)
    columns: dict[str, np.ndarray] = {}
    for name, array in outputs.items():
        names = class_names.get(name, ()) if isinstance(class_names, Mapping) else class_names
        prefix = "" if len(outputs) == 1 else f"{name} "
        loss = loss_of(model, name if len(outputs) > 1 else "")
        given = class_probabilities(loss, array, len(names))
        two = given is not None and given.shape[1] == 2 and not prefix
        if threshold is not None and not (two and 0 <= threshold <= 1):
            expected = "left out, or a probability from 0 to 1 for a model of two classes"
            raise StudyError.of_setting("threshold", expected, threshold)
        if given is None:
            values = array.squeeze(1) if array.shape[1:] == (1,) else array
            columns[f"{prefix}{target or 'prediction'}"] = values
            continue
        # Without this rounding, a csv file would have 17 digits.
        odds = without_class_weight(given, class_weight).astype(np.float32)
        count = given.shape[1]
        classes = [str(name) for name in (names if len(names) >= count else range(count))][:count]
        chosen = given.argmax(axis=1) if threshold is None else 1 * (odds[:, 1] >= threshold)
        columns[f"{prefix}{target or 'class'}"] = np.array(classes)[chosen]
        if probabilities:
            columns |= {f"{prefix}probability_{c}": odds[:, i] for i, c in enumerate(classes)}
    return columns


def corrected_outputs(model: keras.Model, outputs: Any, class_weight: ClassWeight | None) -> Any:
    """Returns a model's outputs. Probabilities of classes are corrected, and a warning says so."""
    from studies.training import class_probabilities, loss_of

    loss = loss_of(model)
    array = isinstance(outputs, np.ndarray) and not getattr(loss, "from_logits", False)
    given = class_probabilities(loss, outputs) if array else None
    if given is None or not class_weight or not all(class_weight.values()):
        return outputs
    warnings.warn(_CORRECTED + weights_text(class_weight), stacklevel=3)
    odds = without_class_weight(given, class_weight)
    # A single output is the probability of the second class.
    odds = odds if odds.shape == outputs.shape else odds[:, 1].reshape(outputs.shape)
    return odds.astype(outputs.dtype)


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

    @property
    def texts(self) -> bool:
        """Whether the input takes texts."""
        return self.dtype.kind in "US"

    def __str__(self) -> str:
        """Returns a description of the input for messages."""
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        comma = "," if len(self.shape) == 1 else ""
        kind = "texts" if self.texts else self.dtype.name
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
        """Returns the inputs of a model, read from its MLflow signature."""
        signature, metadata = saved.signature.inputs, saved.metadata or {}
        if not signature.is_tensor_spec():
            columns = tuple(signature.input_names())
            dtype = np.result_type(*(spec.type.to_numpy() for spec in signature.inputs))
            return cls(columns, (Input("", dtype, (len(columns),)),))
        named = len(signature.inputs) > 1
        arrays = tuple(
            Input(
                (spec.name or "") if named else "",
                # If the study's texts were Python objects, the signature has the type `object`.
                np.dtype(str) if spec.type.kind == "O" else np.dtype(spec.type),
                tuple(None if size < 0 else size for size in spec.shape[1:]),
            )
            for spec in signature.inputs
        )
        named_columns = () if named else (metadata.get("columns") or {}).get("x", ())
        columns = tuple(str(name) for name, _ in named_columns)
        return cls(columns, arrays, metadata.get("files") or {})

    @classmethod
    def of_model(cls, model: keras.Model) -> Inputs:
        """Returns the inputs of a Keras model; none for a model of a subclass without a graph."""
        tensors, inputs = getattr(model, "inputs", None) or (), getattr(model, "input", None)
        names = inputs if isinstance(inputs, Mapping) else [tensor.name for tensor in tensors]
        types = [np.dtype(str if t.dtype == "string" else t.dtype) for t in tensors]
        shapes = [tuple(tensor.shape[1:]) for tensor in tensors]
        return cls((), tuple(map(Input, names if len(shapes) > 1 else [""], types, shapes)))

    def __str__(self) -> str:
        """Returns a description of the inputs for messages."""
        if self.columns:
            return f"the columns {listed(self.columns, most=_SHOWN)}"
        return listed(self.arrays)

    def error(self, path: Path, fault: str) -> DataError:
        """Returns the error for samples that don't fit the model."""
        return DataError(f"{str(path)!r} {fault}", hint=f"The model takes {self}.")

    def all_fitted(self, arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
        """Returns the samples for all inputs, by name, as `fitted` does for one."""
        samples = {
            expected.name: self.fitted(arrays[expected.name], expected, path)
            for expected in self.arrays
        }
        lengths = sorted({len(array) for array in samples.values()})
        if len(lengths) > 1:
            raise self.error(path, f"has arrays with different numbers of samples: {lengths}")
        return samples

    def fitted(self, array: np.ndarray, expected: Input, path: Path) -> np.ndarray:
        """Returns the samples for one input with the type and the axes that the input takes.

        Raises DataError if the samples don't fit the input.
        """
        of = f" {expected.name!r}" if expected.name else ""
        # Keras adds a last axis of size 1 if it is missing, and removes one that is too many.
        lacks_axis = array.ndim == len(expected.shape) and expected.shape[-1:] == (1,)
        samples = array[..., None] if lacks_axis else array
        samples = array[..., 0] if _same_sizes(array.shape[1:], (*expected.shape, 1)) else samples
        if array.ndim and not len(array):
            raise self.error(path, f"has no samples{of}")
        if array.ndim == 0 or not _same_sizes(samples.shape[1:], expected.shape):
            advice = ""
            if _same_sizes(array.shape, expected.shape):
                advice = ": it is one sample, not an array of samples; make it x[None]"
            raise self.error(path, f"has samples{of} of shape {array.shape[1:]}{advice}")
        if array.dtype.kind not in ("UO" if expected.texts else "biuf"):
            raise self.error(path, f"has values{of} of type {array.dtype}")
        return samples.astype(str) if expected.texts else samples


def _same_sizes(shape: Sequence[int], input_shape: Sequence[int | None]) -> bool:
    """Returns whether a sample of this shape fits an input. None in `input_shape` is any size."""
    return len(shape) == len(input_shape) and all(
        expected in (None, size) for size, expected in zip(shape, input_shape, strict=True)
    )


def samples_for(model: keras.Model, x: Any, study: str, folder: Path) -> Any:
    """Returns samples in memory in the form that the model takes. `folder` is the model's folder.

    Raises DataError for a file, and for samples that don't fit the model. Tensors, streams of
    batches, and samples for a model of a subclass without a graph are checked by Keras only.
    """
    if isinstance(x, str | Path):
        hint = f"For a file: kerastudy.predict({study!r}, {x!r})"
        raise DataError("predict takes samples", hint=hint)
    if takes_columns(model) and (hasattr(x, "columns") or isinstance(x, Mapping)):
        columns, notes = _columns_for(model, x, "The table", folder)
        for note in notes:
            warnings.warn(note, stacklevel=3)
        return columns
    inputs = Inputs.of_model(model)
    in_memory = isinstance(x, Mapping | Sequence | np.ndarray) or hasattr(x, "iloc")
    if not inputs.arrays or not (in_memory or x is None or np.isscalar(x)):
        return x
    if takes_columns(model):
        hint = "Pass a DataFrame, or a dict of columns."
        raise DataError("The model takes the columns of a table", hint=hint)
    if isinstance(x, list | tuple) and len(inputs.arrays) == len(x) > 1:
        x = {expected.name: array for expected, array in zip(inputs.arrays, x, strict=True)}
    by_name = x if isinstance(x, Mapping) else {"x": [] if x is None else x}
    with _readable(_X):
        arrays = {name: np.asarray(array) for name, array in by_name.items()}
        samples = inputs.all_fitted(_for_inputs(arrays, _X, inputs), _X)
    return _as_the_model_takes(model, samples, inputs.arrays)


def _columns_for(
    model: keras.Model, table: Any, called: str, folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """Returns those columns of a table that are inputs of a model, by name, and notes.

    A note tells which categories the model does not know. `called` is the table's name in messages,
    e.g. "The table".
    """
    from studies.training import reading_of

    try:
        columns = model_columns(model, table, **reading_of(folder))
        if (lengths := {len(column) for column in columns.values()}) == {0} or len(lengths) > 1:
            raise ValueError(f"its columns have {listed(sorted(lengths))} rows")
        return columns, list(_unknown_categories(model, columns))
    except KeyError as error:
        raise DataError(
            f"{called} lacks columns: {quoted(error.args, most=8)}",
            hint="The model takes the columns it was trained on, by their names.",
        ) from None
    except ValueError as error:
        raise DataError(f"{called} can't be predicted: {error}.") from None


def _unknown_categories(model: keras.Model, columns: Mapping[str, Any]) -> Iterator[str]:
    """Yields a note for each column with categories that the model does not know."""
    import keras

    names = {id(tensor): name for name, tensor in model.input.items()}
    for layer in model.layers:
        if isinstance(layer, keras.layers.StringLookup) and id(layer.input) in names:
            name = names[id(layer.input)]
            texts = {text.decode() for text in columns[name].numpy().ravel().tolist()}
            if unknown := sorted(texts - {*layer.get_vocabulary()}):
                words = listed((repr(t) if t else "missing values" for t in unknown), most=_SHOWN)
                yield f"{words} in {name}: not or rarely seen in training, so unknown to the model"


def _read_table_columns(path: Path, metadata: Mapping[str, Any]) -> Any:
    """Returns the columns of a file by name, for a model of a study on a table.

    `metadata` is the metadata of the MLflow model.
    """
    if not is_table(path):
        raise DataError(
            f"{str(path)!r} is no table, as the model needs", hint="Give a csv or parquet file."
        )
    texts = [column["name"] for column in metadata["table"] if column["kind"] == "category"]
    return read_table(path, texts=texts, missing=metadata["missing"])


def read_inputs(path: Path, inputs: Inputs) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads samples from a file, or from a folder of images or texts.

    Returns the arrays by the names of the model's inputs, and a list with the names of the image or
    text files. The list is empty for other samples. Raises DataError if the samples can't be read,
    or don't fit the model.
    """
    with _readable(path):
        as_trained = _read_as_trained(path, inputs)
        if as_trained is not None:
            array, files = as_trained
            return {inputs.arrays[0].name: array}, files
        arrays = _read_arrays(path, inputs)
    return inputs.all_fitted(arrays, path), []


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns the errors of numpy and the operating system into a DataError of one line."""
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{str(path)!r} can't be read: {reason:.300}") from None


def _read_as_trained(path: Path, inputs: Inputs) -> tuple[np.ndarray, list[str]] | None:
    """Reads images or texts as the study read its data; returns None for other samples.

    The result has the samples, and the names of their files.
    """
    described = inputs.files
    if "image_size" in described and (path.is_dir() or path.suffix.lower() in ENDINGS["images"]):
        return _read_images(path, described)
    column = described.get("text", "")
    if column and is_table(path):
        table = read_table(path, texts=[column], keep_default_na=False)
        if column not in table.columns:
            raise inputs.error(path, f"lacks columns: {column!r}")
        return table[column].to_numpy(str), []
    takes_texts = len(inputs.arrays) == 1 and inputs.arrays[0].texts
    if takes_texts and path.is_dir():
        return _read_texts(path)
    return None


def _read_images(path: Path, described: Mapping[str, Any]) -> tuple[np.ndarray, list[str]]:
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


def _read_texts(path: Path) -> tuple[np.ndarray, list[str]]:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS["texts"])
    if not files:
        raise DataError(f"{str(path)!r} has no texts (.txt).")
    texts = [file.read_text(encoding="utf-8") for file in files]
    return np.array(texts), [str(file.relative_to(path)) for file in files]


def _read_arrays(path: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    """Reads the arrays of an npz, npy, csv or parquet file, by the names of the model's inputs."""
    suffix = path.suffix.lower()
    if is_table(path):
        return {"": _read_rows(path, inputs)}
    if suffix == ".npz":
        return _for_inputs(_read_archive(path), path, inputs)
    if suffix != ".npy":
        raise inputs.error(
            path,
            "is no npz, npy, csv or parquet file, and no folder of the kind that the study reads",
        )
    if len(inputs.arrays) > 1:
        raise inputs.error(path, "has one array: give an npz file with an array for each input")
    with path.open("rb") as file:
        return {"": np.lib.format.read_array(file, allow_pickle=False)}


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is no npz file")
        return dict(file)


def _for_inputs(arrays: dict[str, np.ndarray], path: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    """Returns the arrays of an npz file by the names of the model's inputs."""
    if len(inputs.arrays) > 1:
        missing = [expected.name for expected in inputs.arrays if expected.name not in arrays]
        if missing:
            raise inputs.error(path, f"lacks {quoted(missing)}")
        return arrays
    if len(arrays) == 1 or "x" in arrays:
        return {"": arrays["x"] if "x" in arrays else next(iter(arrays.values()))}
    names = listed(sorted(arrays), most=_SHOWN) or "none"
    raise inputs.error(path, f"has the arrays {names}: name the samples 'x'")


def _read_rows(path: Path, inputs: Inputs) -> np.ndarray:
    """Reads the samples of a CSV or Parquet file, each a row of the study's columns."""
    if not inputs.columns:
        kind = "npz" if len(inputs.arrays) > 1 else "npz or npy"
        raise inputs.error(
            path, f"is a table, but the study's data has no column names: give an {kind} file"
        )
    texts = inputs.arrays[0].texts
    table = read_table(path, texts=inputs.columns if texts else ())
    missing = [name for name in inputs.columns if name not in table.columns]
    if missing:
        raise inputs.error(path, f"lacks columns: {quoted(missing, most=_SHOWN)}")
    table = table[list(inputs.columns)]
    if table.isna().to_numpy().any():
        raise inputs.error(path, "has empty cells")
    if texts:
        return np.asarray(table.to_numpy(str))
    # The kinds of numbers are named here, because pandas counts durations as numbers, too.
    kinds = {str(name): getattr(dtype, "kind", "O") for name, dtype in table.dtypes.items()}
    others = [name for name, kind in kinds.items() if kind not in "biuf"]
    if others:
        raise inputs.error(path, f"has texts in the columns {listed(others, most=_SHOWN)}")
    types = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]
    array: np.ndarray = table.to_numpy().astype(np.result_type(*types))
    return array
