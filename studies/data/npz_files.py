"""Reads numpy's `.npz` files, without running any code in a file."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays import large
from studies.data.arrays.checks import Samples, check_samples
from studies.data.arrays.partition import Contents
from studies.data.options import Options

# The arrays of a part; the last is optional.
_ARRAYS = ("x", "y", "sample_weight")


def absolute_path(path: object) -> Path:
    """Returns an absolute path, with `~` expanded, without touching the disk."""
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes) or not path:
        raise DataError(
            f"path must be a str or a Path that is not empty, not {path!r}. "
            "Pass for instance datasets.npz('mnist.npz')."
        )
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise DataError(f"The path {os.fspath(path)!r} has no home folder: {error}") from error


def read_parts(path: Path, asked: Mapping[str, bool], options: Options) -> Contents:
    """Reads the parts of a data set from a file.

    `asked` says whether the user wants the part "validation", or "test", from elsewhere. Without a
    test part in the options, the file's own is not read. Raises DataError if the file can't be
    read, lacks an array, or has a part that the user wants from elsewhere.
    """
    wanted = ["validation"] if options.test is None else ["validation", "test"]
    optional = [f"{array}_{part}" for part in wanted for array in _ARRAYS]
    optional.append("sample_weight_train")
    arrays = read_arrays(path, required=("x_train", "y_train"), optional=optional)
    ready: dict[str, Samples] = {}
    for part in wanted:
        names = [f"{array}_{part}" for array in _ARRAYS if f"{array}_{part}" in arrays]
        if names and not {f"x_{part}", f"y_{part}"} <= set(names):
            raise DataError(
                f"{path} holds {' and '.join(names)} but not its counterpart. "
                f"Save both x_{part} and y_{part}, or neither."
            )
        if names and asked[part]:
            without = ", or test=0 for no test part" if part == "test" else ""
            raise DataError(
                f"{path} holds a {part} part of its own ({', '.join(names)}), and {part}= asks "
                f"for another. Leave {part}= out{without}, or save the file without it."
            )
        if names:
            ready[part] = _part(arrays, part)
    return Contents(_part(arrays, "train"), ready)


def _part(arrays: Mapping[str, np.ndarray], part: str) -> Samples:
    x, y, weight = (f"{array}_{part}" for array in _ARRAYS)
    return check_samples(arrays[x], arrays[y], x, y, arrays.get(weight), weight)


def read_arrays(
    path: Path, *, required: Collection[str], optional: Collection[str]
) -> dict[str, np.ndarray]:
    """Reads named arrays of a file, and no others: the optional ones if the file has them."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(
            f"The data file {path} {what}. Pass the path of an .npz file; a relative one is taken "
            "from the current folder."
        )
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(
                f"{path} is not an npz file (a zip archive of arrays), whatever its name. "
                "Write it with numpy.savez(path, x_train=..., y_train=...)."
            )
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive.files]
            if missing:
                raise DataError(
                    f"{path} lacks {', '.join(missing)}; it holds "
                    f"{', '.join(archive.files) or 'nothing'}. Save it with the names x_train and "
                    "y_train, and as wanted x_validation, y_validation, x_test, y_test, and "
                    "sample_weight_train and so on."
                )
            names = [name for name in (*required, *optional) if name in archive.files]
            return {name: _read(archive, name, path) for name in names}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} can't be read: {error} Check its permissions, or make it again."
        ) from error


def _read(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        assert archive.zip is not None, "the file is open"
        array = large.member(archive.zip, f"{name}.npy")
        if array is None:
            array = archive[name]
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{name} in {path} holds Python objects, which only unpickling could read, and "
                "unpickling runs code of the file's choice. Save it as an array of numbers."
            ) from error
        raise DataError(f"{name} in {path} is damaged: {error} Make the file again.") from error
    # numpy returns raw bytes for members that are no arrays.
    if not isinstance(array, np.ndarray):
        raise DataError(
            f"{name} in {path} is not a numpy array. "
            "Write the file with numpy.savez(path, x_train=..., y_train=...)."
        )
    return array
