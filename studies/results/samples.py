"""Reads samples to predict, from files or from memory, and checks that they fit the model.

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

from search_spaces.errors import DataError
from search_spaces.texts import listed, quoted
from studies.data import (
    ENDINGS,
    is_table,
    model_columns,
    read_images,
    read_table,
    takes_columns,
)

if TYPE_CHECKING:
    import keras
    from mlflow.models import Model

_SHOWN: Final = 6


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
        """Returns the inputs of a model, by its MLflow signature."""
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

    def __str__(self) -> str:
        """Returns a description of the inputs for messages."""
        if self.columns:
            return f"the columns {listed(self.columns, most=_SHOWN)}"
        return " and ".join(map(str, self.arrays))

    def error(self, path: Path, fault: str) -> DataError:
        """Returns the error for a file whose samples don't fit the model."""
        return DataError(f"{str(path)!r} {fault}. The model takes {self}.")

    def fitted(self, array: np.ndarray, expected: Input, path: Path) -> np.ndarray:
        """Returns the samples for one input with the type and the axes that the input takes.

        Raises DataError if the samples don't fit the input.
        """
        of = f" {expected.name!r}" if expected.name else ""
        # Keras adds a last axis of size 1 if it is missing.
        lacks_axis = array.ndim == len(expected.shape) and expected.shape[-1:] == (1,)
        samples = array[..., None] if lacks_axis else array
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


def _same_sizes(shape: Sequence[int], taken: Sequence[int | None]) -> bool:
    """Returns whether a model takes a shape. In `taken`, None stands for any size."""
    return len(shape) == len(taken) and all(
        expected in (None, size) for size, expected in zip(shape, taken, strict=True)
    )


def samples_for(model: keras.Model, x: Any, study: str) -> Any:
    """Returns samples in memory in the form that the model takes.

    Raises DataError for a file, or for rows that lack columns of the model's table.
    """
    if isinstance(x, str | Path):
        raise DataError(
            f"predict takes samples, not a file. For a file: kerastudy.predict({study!r}, {x!r})"
        )
    if takes_columns(model) and isinstance(x, np.ndarray):
        raise DataError(
            "The model takes the columns of a table: pass a DataFrame, or a dict of columns."
        )
    if takes_columns(model) and (hasattr(x, "columns") or isinstance(x, Mapping)):
        columns, notes = columns_for(model, x, "The table")
        for note in notes:
            warnings.warn(note, stacklevel=3)
        return columns
    if isinstance(x, list | np.ndarray) and len(getattr(model, "inputs", None) or ()) == 1:
        return texts_as_tensor(np.asarray(x))
    return x


def texts_as_tensor(array: np.ndarray) -> Any:
    """Returns an array of texts as a tensor, because Keras takes texts only as tensors."""
    import tensorflow as tf

    return tf.constant(array) if array.dtype.kind == "U" else array


def columns_for(model: keras.Model, table: Any, called: str) -> tuple[dict[str, Any], list[str]]:
    """Returns those columns of a table that are inputs of a model, by name, and notes.

    A note tells which categories the model does not know. `called` is the table's name in messages,
    e.g. "The table".
    """
    if not all(np.ndim(table[name]) and len(table[name]) for name in table):
        raise DataError(f"{called} has no rows.")
    try:
        columns = model_columns(model, table)
        return columns, list(_unknown_categories(model, columns))
    except KeyError as error:
        raise DataError(
            f"{called} lacks columns: {quoted(error.args, most=8)}. The model takes the "
            "columns it was trained on, by their names."
        ) from None
    except ValueError as error:
        raise DataError(f"{called} can't be predicted: {error}.") from None


def _unknown_categories(model: keras.Model, columns: Mapping[str, Any]) -> Iterator[str]:
    """Yields a note for each column with categories that have no input in the model."""
    import keras

    names = {id(tensor): name for name, tensor in model.input.items()}
    for layer in model.layers:
        if isinstance(layer, keras.layers.StringLookup) and id(layer.input) in names:
            name = names[id(layer.input)]
            texts = {text.decode() for text in columns[name].numpy().ravel().tolist()}
            if unknown := sorted(texts - {*layer.get_vocabulary()}):
                shown = listed((repr(t) if t else "missing values" for t in unknown), most=_SHOWN)
                yield f"{shown} in {name}: not or rarely seen in training, so unknown to the model"


def read_table_columns(path: Path, metadata: Mapping[str, Any]) -> Any:
    """Returns the columns of a file by name, for a model of a study on a table.

    `metadata` is the metadata of the MLflow model.
    """
    if not is_table(path):
        raise DataError(
            f"{str(path)!r} is no table, but the model takes columns: give a csv or parquet file."
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
    samples = {each.name: inputs.fitted(arrays[each.name], each, path) for each in inputs.arrays}
    lengths = {len(array) for array in samples.values()}
    if len(lengths) > 1:
        raise inputs.error(path, f"has arrays of {sorted(lengths)} samples")
    return samples, []


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
            path, "is no npz, npy, csv or parquet file, and no folder as the study reads it"
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
        raise inputs.error(
            path, "is a table, but the study's data has no names of columns: give an npz file"
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
    # pandas also counts durations as numbers.
    kinds = {str(name): getattr(dtype, "kind", "O") for name, dtype in table.dtypes.items()}
    others = [name for name, kind in kinds.items() if kind not in "biuf"]
    if others:
        raise inputs.error(path, f"has texts in the columns {listed(others, most=_SHOWN)}")
    types = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]
    array: np.ndarray = table.to_numpy().astype(np.result_type(*types))
    return array
