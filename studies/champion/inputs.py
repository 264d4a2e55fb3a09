"""Samples of a user's file, as a registered model takes them. No pickle is read."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import listed, quoted
from studies.data import ENDINGS, is_table, read_images, read_table
from studies.results.models import sizes_agree

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model


_IMAGES: Final = ENDINGS["images"]
_TABLES: Final = (".csv", ".parquet")
_SHOWN = 6


@dataclass(frozen=True)
class Taken:
    """An input of a model."""

    # Empty if there is one alone.
    name: str
    dtype: np.dtype
    # Of a sample; None for any size.
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """Returns it for messages."""
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        comma = "," if len(self.shape) == 1 else ""
        kind = "texts" if self.dtype.kind in "US" else self.dtype.name
        return f"{self.name + ': ' if self.name else ''}{kind} of shape ({sizes}{comma})"


@dataclass(frozen=True)
class Inputs:
    """What a registered model takes."""

    # Names of a table's columns, in their order; empty if it takes arrays.
    columns: tuple[str, ...]
    # Of a table the one array of its columns.
    arrays: tuple[Taken, ...]
    # Whether its samples are numbers from 0 to 1, as far as the example shows.
    scaled: bool = False
    # How the study's data was read from files, as `Given.files` says; empty if from none.
    files: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, saved: Model, folder: Path) -> Inputs:
        """Returns what a model takes, by its signature."""
        signature = saved.signature.inputs
        if not signature.is_tensor_spec():
            columns = tuple(signature.input_names())
            dtype = np.result_type(*(spec.type.to_numpy() for spec in signature.inputs))
            return cls(columns, (Taken("", dtype, (len(columns),)),))
        named = len(signature.inputs) > 1
        arrays = tuple(
            Taken(
                (spec.name or "") if named else "",
                _dtype(spec.type),
                tuple(None if size < 0 else size for size in spec.shape[1:]),
            )
            for spec in signature.inputs
        )
        known = [tuple(str(each) for each in pair) for pair in _columns_of(saved)]
        columns = tuple(name for name, _ in known) if len(arrays) == 1 else ()
        files = (saved.metadata or {}).get("files") or {}
        return cls(columns, arrays, _is_scaled(saved, folder), files)

    def __str__(self) -> str:
        """Returns it for messages."""
        if self.columns:
            return f"the columns {listed(self.columns, most=_SHOWN)}"
        return " and ".join(map(str, self.arrays))

    @property
    def divides(self) -> bool:
        """Whether the pixels of images are divided by 255: they were no files of the study's."""
        return self.scaled and "image_size" not in self.files

    def refused(self, path: Path, what: str) -> DataError:
        """Returns the error for a file that does not suit the model."""
        return DataError(f"{str(path)!r} {what}. The model takes {self}.")


def read_inputs(path: Path, inputs: Inputs) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads samples from a file, or a folder of images or texts.

    Returns arrays by the names of the inputs, and the names of images and texts. Raises DataError
    if it can't be read, or the model takes something else.
    """
    read = _read_as_trained(path, inputs)
    if read is not None:
        return {inputs.arrays[0].name: read[0]}, read[1]
    suffix = path.suffix.lower()
    names: list[str] = []
    try:
        if path.is_dir() or suffix in _IMAGES:
            arrays, names = _images(path, inputs)
        elif suffix in _TABLES:
            arrays = _of_table(_table(path, inputs), path, inputs)
        elif suffix == ".npy":
            if len(inputs.arrays) > 1:
                raise inputs.refused(path, "has one array: give an npz file")
            with path.open("rb") as file:
                arrays = {"": np.lib.format.read_array(file, allow_pickle=False)}
        elif suffix == ".npz":
            arrays = _of_archive(path, inputs)
        else:
            raise DataError(
                f"{str(path)!r} is no file that predict reads: npz, npy, csv, parquet, an image "
                f"({', '.join(_IMAGES)}), or a folder of images."
            )
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{str(path)!r} can't be read: {reason:.300}") from None
    samples = {
        taken.name: _fitting(arrays[taken.name], taken, path, inputs) for taken in inputs.arrays
    }
    lengths = {len(array) for array in samples.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise inputs.refused(path, f"has arrays of {sorted(lengths)} samples")
    return samples, names


def _read_as_trained(path: Path, inputs: Inputs) -> tuple[np.ndarray, list[str]] | None:
    """Returns images or texts, read as the study's data was, and their names; None for others."""
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
    # Keras reads folders.
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


def _fitting(array: np.ndarray, taken: Taken, path: Path, inputs: Inputs) -> np.ndarray:
    """Returns an array in the type that the model takes; refuses another shape or type."""
    of = f" {taken.name!r}" if taken.name else ""
    if array.ndim == len(taken.shape) and taken.shape[-1:] == (1,):
        array = array[..., None]
    shape = array.shape[1:]
    fits = len(shape) == len(taken.shape) and sizes_agree(shape, taken.shape)
    if array.ndim == 0 or not fits:
        advice = ""
        if array.ndim == len(taken.shape) and sizes_agree(array.shape, taken.shape):
            advice = ": it is one sample, not a row of samples; save x[None]"
        raise inputs.refused(path, f"has samples{of} of shape {shape}{advice}")
    texts = taken.dtype.kind in "US"
    if texts != (array.dtype.kind in "UO") or (not texts and array.dtype.kind not in "biuf"):
        raise inputs.refused(path, f"has values{of} of type {array.dtype}")
    if texts:
        return array.astype(str)
    # As a user passes them to the model: Keras converts.
    return array


def _of_archive(path: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is no npz file")
        arrays = {name: file[name] for name in file.files}
    if len(inputs.arrays) > 1:
        missing = [taken.name for taken in inputs.arrays if taken.name not in arrays]
        if missing:
            raise inputs.refused(path, f"lacks {', '.join(map(repr, missing))}")
        return arrays
    if inputs.columns and set(inputs.columns) <= set(arrays):
        return {"": np.column_stack([arrays[name] for name in inputs.columns])}
    if len(arrays) == 1 or "x" in arrays:
        return {"": arrays["x"] if "x" in arrays else next(iter(arrays.values()))}
    named = ", ".join(sorted(arrays)[:_SHOWN]) or "none"
    raise inputs.refused(path, f"has the arrays {named}: name the samples 'x'")


def _table(path: Path, inputs: Inputs) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path)
    first = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].dropna().tolist()
    # Numbers alone are a sample: all but names that are numbers, and those that pandas gives.
    named = not all(map(_is_number, first)) or set(inputs.columns) & set(first)
    counted = len(first) > 2 and first == [str(place) for place in range(len(first))]
    return pd.read_csv(path, header=0 if named or counted else None)


def _of_table(table: pd.DataFrame, path: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    if len(inputs.arrays) > 1:
        return _of_columns(table, path, inputs)
    (taken,) = inputs.arrays
    if inputs.columns:
        missing = [name for name in inputs.columns if name not in table.columns]
        if missing:
            raise inputs.refused(path, f"lacks the columns {quoted(missing, most=_SHOWN)}")
        table = table[list(inputs.columns)]
    texts = taken.dtype.kind in "US"
    others = [str(n) for n, d in zip(table.columns, table.dtypes, strict=True) if not _numeric(d)]
    if others and not texts:
        raise inputs.refused(path, f"has texts in the columns {', '.join(others[:_SHOWN])}")
    if not texts and table.isna().to_numpy().any():
        raise inputs.refused(path, "has empty cells")
    array = table.to_numpy(dtype=str if texts else None)
    if len(taken.shape) == 0 and array.shape[1] == 1:
        array = array[:, 0]
    return {"": array if texts else array.astype(np.result_type(*_types(table)))}


def _of_columns(table: pd.DataFrame, path: Path, inputs: Inputs) -> dict[str, np.ndarray]:
    arrays = {}
    for taken in inputs.arrays:
        if taken.name not in table.columns or len(taken.shape) > 1:
            raise inputs.refused(path, f"has no column {taken.name!r}: give an npz file")
        arrays[taken.name] = table[taken.name].to_numpy()
    return arrays


def _types(table: pd.DataFrame) -> Sequence[Any]:
    return [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]


def _numeric(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "biuf"


def _images(path: Path, inputs: Inputs) -> tuple[dict[str, np.ndarray], list[str]]:
    import tensorflow as tf

    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix.lower() in _IMAGES)
    if not files:
        raise inputs.refused(path, f"has no images ({', '.join(_IMAGES)})")
    (taken, *others) = inputs.arrays
    if others or len(taken.shape) not in (2, 3) or taken.dtype.kind in "US":
        raise inputs.refused(path, "has images")
    channels = 1 if len(taken.shape) == 2 else taken.shape[2] or 0
    read = []
    for file in files:
        try:
            image = tf.io.decode_image(file.read_bytes(), channels, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            raise DataError(f"{str(file)!r} is no image that can be read.") from None
        pixels = image.numpy()
        pixels = pixels[..., 0] if len(taken.shape) == 2 else pixels
        for wanted, size in zip(taken.shape, pixels.shape, strict=True):
            if wanted not in (None, size):
                raise inputs.refused(file, f"is an image of shape {pixels.shape}")
        read.append(pixels)
    if len({pixels.shape for pixels in read}) > 1:
        raise inputs.refused(path, "has images of several sizes")
    stacked = np.stack(read)
    if inputs.scaled and taken.dtype.kind == "f":
        stacked = (stacked / 255).astype(taken.dtype)
    return {"": stacked}, [file.name for file in files]


def _dtype(kind: Any) -> np.dtype:
    # Texts from files are Python objects.
    dtype = np.dtype(kind)
    return np.dtype(str) if dtype.kind == "O" else dtype


def _columns_of(saved: Model) -> Sequence[Sequence[str]]:
    columns: Mapping[str, Any] = (saved.metadata or {}).get("columns") or {}
    of_x: Sequence[Sequence[str]] = columns.get("x", ())
    return of_x


def _is_scaled(saved: Model, folder: Path) -> bool:
    """Returns whether a model's input example has numbers from 0 to 1."""
    try:
        example = np.asarray(saved.load_input_example(str(folder)))
        return bool(example.dtype.kind == "f" and example.min() >= 0 and example.max() <= 1)
    except Exception:
        # It has none, or several inputs.
        return False


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
