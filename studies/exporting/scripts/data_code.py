"""A study's data as a few lines of numpy and scikit-learn, or as a file of arrays.

Lines are tried out here: only those that make the very arrays, by their digest, are used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from studies.data import Dataset, Splits
from studies.data.npz_files import read_parts
from studies.data.parts.part import Part
from studies.data.structures import Arrays, named_arrays
from studies.lines import printable

_SCALERS = {"standardize": "StandardScaler", "minmax": "MinMaxScaler"}
_READ = {
    "scikit-learn digits": (
        "load_digits",
        '# 16 shades of gray.\nx, y = x.astype("float32") / 16, y.astype("int64")\n',
    ),
    "scikit-learn breast cancer": ("load_breast_cancer", 'y = y.astype("int64")\n'),
    "scikit-learn diabetes": ("load_diabetes", ""),
}


@dataclass(frozen=True)
class DataCode:
    """How a script makes the data.

    Attributes:
        imports: Import statements.
        text: Statements that define ``x_train``, ``y_train``, ``x_validation`` and so on.
        sha256: Digest of the arrays, see `arrays_digest`.
        file: The arrays to write into a file next to the script, by name; empty if it needs none.
        reads: The path of a file that it reads in its place, or empty.
    """

    imports: tuple[str, ...]
    text: str
    sha256: str
    file: Mapping[str, np.ndarray]
    reads: str = ""


def data_code(dataset: Dataset, splits: Splits, file: str) -> DataCode:
    """Returns how a script makes a study's training and validation data.

    Args:
        dataset: Its description.
        splits: Its arrays.
        file: The name of the file next to the script, if it needs one.
    """
    parts = (splits.train, splits.validation)
    sha256 = arrays_digest(each for part in parts for each in _arrays_of(part))
    for code in _candidates(dataset, splits, sha256):
        if _makes("\n".join([*code.imports, code.text]), splits):
            return code
    arrays: dict[str, np.ndarray] = {}
    lines = []
    if splits.preprocessing:
        by = printable(" ".join(splits.preprocessing.split()))
        lines.append(f"# The samples are preprocessed already, by {by}.\n")
    beside = json.dumps(file, ensure_ascii=False)
    lines.append(f"arrays = np.load(pathlib.Path(__file__).with_name({beside}))\n")
    for name, part in zip(("train", "validation"), parts, strict=True):
        weights: dict[str, Any] = {"sample_weight": part.sample_weight}
        for kind, given in {"x": part.x, "y": part.y, **weights}.items():
            if given is not None and (kind != "y" or part.has_targets):
                text, named = _stored(f"{kind}_{name}", given)
                lines.append(text)
                arrays |= named
    imports = ("import pathlib", "import numpy as np")
    return DataCode(imports, "".join(lines), sha256, arrays)


def arrays_digest(arrays: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 over types, shapes and bytes of arrays, as a script computes it.

    Of a model's weights it is the recorded digest (`studies.training.states.best_weights`).
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.name}{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays_of(part: Part) -> list[np.ndarray]:
    """Returns the arrays of a part in the order in which a script takes their digest."""
    given: list[Any] = [part.x, *([part.y] if part.has_targets else [])]
    given += [] if part.sample_weight is None else [part.sample_weight]
    return [array for each in given for array in named_arrays(each, "").values()]


def _stored(name: str, given: Arrays) -> tuple[str, dict[str, np.ndarray]]:
    """Returns the line that reads arrays from the file, and the arrays by their names in it."""
    if isinstance(given, np.ndarray):
        return f'{name} = arrays["{name}"]\n', {name: given}
    if isinstance(given, dict):
        keys = ", ".join(map(repr, given))
        text = f"{name} = {{key: arrays[f'{name}.{{key}}'] for key in ({keys},)}}\n"
        return text, {f"{name}.{key}": array for key, array in given.items()}
    text = f"{name} = tuple(arrays[f'{name}.{{place}}'] for place in range({len(given)}))\n"
    return text, {f"{name}.{place}": array for place, array in enumerate(given)}


def _candidates(dataset: Dataset, splits: Splits, sha256: str) -> Iterator[DataCode]:
    """Yields lines that may make the data, for data that scripts can read themselves."""
    options = dataset.options
    if splits.train.sample_weight is not None or not isinstance(splits.train.x, np.ndarray):
        return
    scaler = _SCALERS.get(options.preprocess) if isinstance(options.preprocess, str) else None
    if options.preprocess is not None and scaler is None:
        return
    read, reads, imports = "", "", {"import numpy as np"}
    drawn = [part for part in ("test", "validation") if part in splits.sizes]
    if dataset.source in _READ:
        function, then = _READ[dataset.source]
        imports.add(f"from sklearn.datasets import {function}")
        read = f"x, y = {function}(return_X_y=True)\n{then}"
    elif dataset.source in ("keras.datasets.mnist", "keras.datasets.fashion_mnist"):
        imports.add("import keras")
        read, drawn = f"(x, y), _ = {dataset.source}.load_data()\n", ["validation"]
    elif isinstance(dataset.read, partial) and dataset.read.func is read_parts:
        reads = str(dataset.read.args[0])
        with np.load(reads, allow_pickle=False) as file:
            drawn = [part for part in drawn if f"x_{part}" not in file.files]
        ready = (
            ""
            if drawn[-1:] == ["validation"]
            else ('x_validation, y_validation = arrays["x_validation"], arrays["y_validation"]\n')
        )
        read = f"arrays = np.load({json.dumps(reads, ensure_ascii=False)})\n"
        read += f'x, y = arrays["x_train"], arrays["y_train"]\n{ready}'
    else:
        return
    if drawn:
        imports.add("from sklearn.model_selection import train_test_split")
    if scaler:
        imports.add(f"from sklearn.preprocessing import {scaler}")
    for stratified in (True, False):
        text = read + _split(splits, drawn, options.seed, stratified) + _scaled(scaler, splits)
        yield DataCode(tuple(sorted(imports)), text, sha256, {}, reads)


def _split(splits: Splits, drawn: list[str], seed: int, stratified: bool) -> str:
    if not drawn:
        return "x_train, y_train = x, y\n"
    lines = ["train = np.arange(len(x))\n"]
    if "test" in drawn:
        lines.insert(0, "# The test part stays unused.\n")
    for part in drawn:
        strata = ", stratify=y[train]" if stratified else ""
        size = f"test_size={splits.sizes[part]}, train_size=len(train) - {splits.sizes[part]}"
        lines.append(
            f"train, {part} = train_test_split(\n"
            f"    train, {size}, random_state={seed}{strata}\n)\n"
        )
    lines.append("x_train, y_train = x[train], y[train]\n")
    if "validation" in drawn:
        lines.append("x_validation, y_validation = x[validation], y[validation]\n")
    return "".join(lines)


def _scaled(scaler: str | None, splits: Splits) -> str:
    """Returns the lines that scale the samples as `studies.data.arrays.scalings` does."""
    if scaler is None:
        return ""
    if scaler == "StandardScaler":
        scale, offset = "1 / scaler.scale_", "-scaler.mean_ * scale"
    else:
        scale, offset = "scaler.scale_", "scaler.min_"
    # The dtype before scaling is unknown here: a conversion of whole numbers is harmless.
    return f'''

def rows_of(x):
    """Floats as Keras reads them, as float32, in float64 for the scaling."""
    rows = x.reshape(len(x), -1)
    return (rows.astype("float32") if rows.dtype.kind == "f" else rows).astype("float64")


# Fitted on the training samples alone.
scaler = {scaler}().fit(rows_of(x_train))
scale = {scale}
offset = {offset}
x_train, x_validation = (
    (rows_of(x) * scale + offset).astype("float32").reshape(x.shape)
    for x in (x_train, x_validation)
)
'''


def _makes(text: str, splits: Splits) -> bool:
    """Returns whether lines make the data."""
    made: dict[str, Any] = {}
    try:
        exec(compile(text, "<data>", "exec"), made)
        parts = [Part(made[f"x_{n}"], made[f"y_{n}"]) for n in ("train", "validation")]
        return [each.digest for each in parts] == [
            splits.digests[n] for n in ("train", "validation")
        ]
    except Exception:
        # Another version of a library, or data that is no longer where it was.
        return False
