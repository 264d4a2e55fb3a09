"""Data sets: descriptions of data that are read when a worker first needs them.

datasets.digits()
datasets.arrays(x, y, validation=0.2, test=(x_test, y_test), preprocess="standardize")
datasets.npz("mnist.npz", validation=0.1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studies.data.checks import Samples, check_samples
from studies.data.errors import DataError
from studies.data.npz_files import absolute_path, read_arrays
from studies.data.options import DEFAULT_SHARE, Options, check_options
from studies.data.partition import Contents, make_splits
from studies.data.preprocessing import preprocessing_name
from studies.data.splits import Splits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Pair = tuple[ArrayLike, ArrayLike]

# What `repr` leaves out.
_DEFAULTS: dict[str, object] = {"stratify": None, "preprocess": None, "seed": 0}


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A description of data. Make one by `digits`, `arrays` or `npz`.

    Nothing is read before `load`.

    Attributes:
        name: what records and reports call it.
        source: where the data comes from: "scikit-learn digits", "arrays in memory", or the
            absolute path of a file.
        text: the call that describes it, as `repr` shows it.
        options: how it is split and preprocessed.
        read: reads what is to be split.
    """

    name: str
    source: str
    text: str
    options: Options
    read: Callable[[], Contents]

    def load(self) -> Splits:
        """Reads, checks, splits and preprocesses the data; the first time only.

        Returns:
            The splits: the same object at every call.

        Raises:
            DataError: the data can't be read, or no study can be run on it.
        """
        return self._splits

    @cached_property
    def _splits(self) -> Splits:
        return make_splits(self.read(), self.options)

    def __repr__(self) -> str:
        """Returns the call that describes this data, arrays by dtype and shape."""
        return self.text


def digits(
    *,
    validation: float | int = DEFAULT_SHARE,
    test: float | int | None = DEFAULT_SHARE,
    seed: int = 0,
) -> Dataset:
    """Describes scikit-learn's digits: 1,797 images of handwritten digits, of 8 by 8 pixels.

    Source: https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits,
    as `sklearn.datasets.load_digits` brings it along (nothing is downloaded).

    The loaded x is float32 of shape (n, 64), from 0 to 1 (16 shades of gray; the factor is a
    constant, so nothing is fitted); y is int64 of shape (n,), from 0 to 9. Splits are stratified.

    Args:
        validation: share in (0, 1), or count, of samples to validate on.
        test: share or count of samples to seal for the test; None or 0: no test part.
        seed: what the splits are drawn with.

    Returns:
        The description.

    Raises:
        DataError: a share, count or seed out of range.
    """
    options = check_options(validation=validation, test=test, seed=seed)
    text = _call("digits", validation=validation, test=test, **_unless({"seed": 0}, seed=seed))
    return Dataset("digits", "scikit-learn digits", text, options, _read_digits)


def arrays(
    x: ArrayLike,
    y: ArrayLike,
    *,
    validation: float | int | Pair = DEFAULT_SHARE,
    test: float | int | Pair | None = DEFAULT_SHARE,
    stratify: bool | None = None,
    preprocess: object = None,
    seed: int = 0,
    name: str = "arrays",
) -> Dataset:
    """Describes arrays that are in memory.

    They are looked at when the data is loaded, and copied then: don't change them before. Dtypes
    stay as they are (uint8 images stay uint8) unless `preprocess` changes them.

    Args:
        x: samples, of shape (n, ...): a numpy array, a pandas DataFrame, nested lists: what
            `np.asarray` makes an array of numbers of.
        y: targets, of shape (n, ...). They are classes if they are booleans, integers from 0 up,
            floats that are all 0 or 1, or one-hot rows; anything else is a regression's.
        validation: share in (0, 1) of all samples, count of samples, or a ready-made (x, y) pair.
        test: likewise; None or 0: no test part.
        stratify: whether each part gets the classes in equal proportions; None: if y is classes.
        preprocess: None, "standardize", "minmax", or a scikit-learn transformer; fitted on the
            training part's x alone (a clone is), applied to all parts. Samples of rank 3 and more
            are flattened for it, and the outcome is float32; see `preprocessing.fit_and_apply`.
        seed: what the splits are drawn with; from 0 to 2**32 - 1.
        name: what records call the data.

    Returns:
        The description.

    Raises:
        DataError: an option that can't be; what is wrong with the data, `load` says.
    """
    options = check_options(
        validation=validation, test=test, stratify=stratify, preprocess=preprocess, seed=seed
    )
    text = _call(
        "arrays",
        x,
        y,
        validation=validation,
        test=test,
        **_unless(_DEFAULTS, stratify=stratify, preprocess=preprocess, seed=seed),
        **_unless({"name": "arrays"}, name=name),
    )
    return Dataset(name, "arrays in memory", text, options, partial(_read_memory, x, y))


def npz(
    path: str | PathLike[str],
    *,
    validation: float | int | Pair = DEFAULT_SHARE,
    test: float | int | Pair | None = None,
    stratify: bool | None = None,
    preprocess: object = None,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Describes a file of numpy's `savez`, with arrays x_train and y_train.

    If it holds x_validation and y_validation, or x_test and y_test, those are the parts;
    else they are split from x_train and y_train. Files that need pickles are refused.

    Args:
        path: the file. A relative path is taken from the current folder as it is now; `~` is the
            home folder.
        validation: as in `arrays`. The default gives way to the file's own validation part.
        test: as in `arrays`; None: the file's own test part, else a share of 0.2; 0: no test part,
            whatever the file holds.
        stratify: as in `arrays`.
        preprocess: as in `arrays`.
        seed: as in `arrays`.
        name: what records call the data; None: the file's name without its ending.

    Returns:
        The description.

    Raises:
        DataError: an option that can't be; what is wrong with the file, `load` says. Both the
            file and `validation` (other than 0.2) or `test` bring such a part.
    """
    file = absolute_path(path)
    options = check_options(
        validation=validation, test=test, stratify=stratify, preprocess=preprocess, seed=seed
    )
    if test is None:
        # Only now: validation=0.9 is fine with a file that has a test part of its own.
        options = replace(options, test=DEFAULT_SHARE)
    defaults = {**_DEFAULTS, "test": None, "name": None}
    given = {"test": test, "stratify": stratify, "preprocess": preprocess, "seed": seed}
    text = _call("npz", str(path), validation=validation, **_unless(defaults, **given, name=name))
    asked = {"validation": not isinstance(validation, float) or validation != DEFAULT_SHARE}
    asked["test"] = test is not None
    read = partial(_read_npz, file, asked, options)
    return Dataset(file.stem if name is None else name, str(file), text, options, read)


def _read_digits() -> Contents:
    # Late: importing scikit-learn takes longer than describing a hundred data sets.
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    # Pixels are whole numbers up to 16, a power of two: the division is exact.
    return Contents(check_samples(x.astype(np.float32) / 16, y.astype(np.int64), "x", "y"))


def _read_memory(x: object, y: object) -> Contents:
    return Contents(check_samples(x, y, "x", "y"))


def _read_npz(path: Path, asked: dict[str, bool], options: Options) -> Contents:
    """Reads a file; `asked` says which parts the user asked to come from elsewhere."""
    wanted = ["validation"] if options.test is None else ["validation", "test"]
    optional = [f"{axis}_{part}" for part in wanted for axis in "xy"]
    found = read_arrays(path, required=("x_train", "y_train"), optional=optional)
    ready: dict[str, Samples] = {}
    for part in wanted:
        names = [f"{axis}_{part}" for axis in "xy" if f"{axis}_{part}" in found]
        if len(names) == 1:
            raise DataError(
                f"{path} holds {names[0]} but not its counterpart. "
                f"Save both x_{part} and y_{part}, or neither."
            )
        if names and asked[part]:
            without = ", or test=0 for no test part" if part == "test" else ""
            raise DataError(
                f"{path} holds a {part} part of its own ({', '.join(names)}), and {part}= asks "
                f"for another. Leave {part}= out{without}, or save the file without it."
            )
        if names:
            ready[part] = check_samples(found[names[0]], found[names[1]], names[0], names[1])
    pool = check_samples(found["x_train"], found["y_train"], "x_train", "y_train")
    return Contents(pool, ready)


def _unless(defaults: dict[str, object], **given: object) -> dict[str, object]:
    """Returns the options that are not their defaults, for `repr`."""
    return {
        option: value
        for option, value in given.items()
        if type(value) is not type(defaults[option]) or value != defaults[option]
    }


def _call(function: str, *positional: object, **options: object) -> str:
    shown = [_shown(value) for value in positional]
    shown += [f"{option}={_shown(value)}" for option, value in options.items()]
    return f"datasets.{function}({', '.join(shown)})"


def _shown(value: object) -> str:
    if isinstance(value, tuple | list) and len(value) == 2 and hasattr(value[0], "shape"):
        return f"({_shown(value[0])}, {_shown(value[1])})"
    if hasattr(value, "shape"):
        dtype = f" {value.dtype}" if hasattr(value, "dtype") else ""
        return f"<{type(value).__name__}{dtype} {tuple(value.shape)}>"
    if isinstance(value, list | tuple):
        return f"<{type(value).__name__} of {len(value)}>"
    if value is None or isinstance(value, str | bool | int | float | np.number):
        return repr(value.item() if isinstance(value, np.number) else value)
    return str(preprocessing_name(value))
