"""Base classes of data sets: descriptions that read their data when `load` is called.

A `Dataset` describes data in arrays, which is loaded as `Splits`. A `StreamedDataset` describes
data in batches, which is loaded as `StreamedSplits`. The options of splitting and preprocessing are
checked when the description is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError
from studies.data.arrays.loaded_parts_and_folds import FoldedSplits, LoadedData, Splits
from studies.data.arrays.memory_mapped_files import shared
from studies.data.arrays.splitting_into_parts_and_folds import (
    CrossValidation,
    divide,
    make_folds,
)
from studies.data.arrays.users_samples_and_labels import Contents

DEFAULT_SHARE = 0.2
_PREPROCESSING_NAMES = ("standardize", "minmax")
Size = float | int | tuple[object, ...]
"""The size of a part: a share of all samples, or a number of samples.

A tuple is a ready-made part (x, y), which is checked when the data is read.
"""


@dataclass(frozen=True, eq=False, repr=False)
class DescribedData(ABC):
    """A description of data. Nothing is read before `load`.

    Attributes:
        name: The name of the data in records and reports.
        source: Where the data comes from, such as "scikit-learn digits", "arrays in memory",
            "keras.datasets.mnist", or the absolute path of a file.
        in_batches: Whether the data comes in batches. `load` may then draw random numbers.
    """

    name: str
    source: str
    in_batches: ClassVar[bool] = False

    def load(self) -> LoadedData:
        """Reads and checks the data or, if it comes in batches, the first batches.

        Later calls return the same object.

        Raises:
            DataError: The data can't be read, or can't be used in a study.
        """
        return self._loaded

    def load_shared(self, folder: Path) -> LoadedData:
        """Loads the data once for all processes that pass the same folder.

        One process writes the arrays into the folder, which must be empty before. All processes map
        them to memory. Later calls of `load` return the same object.

        Raises:
            DataError: The data can't be read, or can't be used in a study.
            OSError: The folder can't be written to.
        """
        facts = shared(lambda: self._facts, folder)
        # Data that was loaded before is dropped, so that it is not in memory twice.
        self.__dict__.update(_facts=facts, _loaded=self._with(facts))
        return self._loaded

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        """Reads the data, and splits all samples but the test part into folds.

        Args:
            how: How to split.
            folder: As in `load_shared`. None: a temporary folder of this process.

        Raises:
            DataError: The data can't be read, or can't be split in this way.
            OSError: The folder can't be written to.
        """
        raise DataError(f"{self!r} can't be split into folds. Take data from datasets.arrays.")

    @abstractmethod
    def _read(self) -> Any:
        """Reads the data as `Splits` or, if it comes in batches, as a `Profile` of each part.

        The result can be pickled, so that only one process needs to read the data.
        """

    def _with(self, facts: Any) -> Any:
        """Makes the loaded data from the result of `_read`, which may be from another process."""
        return facts

    @cached_property
    def _facts(self) -> Any:
        return self._read()

    @cached_property
    def _loaded(self) -> LoadedData:
        loaded: LoadedData = self._with(self._facts)
        return loaded

    def __getstate__(self) -> dict[str, object]:
        """Leaves loaded data out of the pickle."""
        return {k: v for k, v in vars(self).items() if k not in ("_facts", "_loaded")}

    def __repr__(self) -> str:
        return f"<data {self.name!r} of {self.source}>"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(DescribedData):
    """A description of data in arrays. Make one by a function of `datasets`.

    Attributes:
        options: The options of splitting and preprocessing.
        read: The function that reads the samples.
    """

    options: Options
    read: Callable[[], Contents]

    if TYPE_CHECKING:

        def load(self) -> Splits: ...

        def load_shared(self, folder: Path) -> Splits: ...

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        return make_folds(self.read, self.options, how, folder)

    def at(self, place: Path, target: str) -> Dataset | None:
        """Returns a description of another file or folder with the same options.

        `target` is the column to predict. If it is empty, the column stays the same. Returns None
        if the file or folder is of another kind, e.g. a folder of images in place of a table.
        """
        read = self.read.at(place, target) if isinstance(self.read, Reader) else None
        return None if read is None else replace(self, source=str(place), read=read)

    def _read(self) -> Splits:
        divided = divide(self.read(), self.options)
        return divided.sealed(divided.parts)


class Reader(ABC):
    """Reads a file or folder when it is called. `at` makes a reader of another file or folder."""

    @abstractmethod
    def __call__(self) -> Contents:
        """Reads the samples, and the ready-made parts, e.g. a subfolder ``test``."""

    @abstractmethod
    def at(self, place: Path, target: str) -> Self | None:
        """Returns the reader of another file or folder, with the same options.

        `target` is the column to predict. If it is empty, the column stays the same. Returns None
        if this kind of reader can't read the file or folder.
        """


@dataclass(frozen=True, eq=False)
class Options:
    """The checked options of `datasets.arrays`."""

    validation: Size
    test: Size | None
    stratify: bool | None
    preprocess: object
    seed: int
    class_names: tuple[str, ...] = ()


def options_of(arguments: Mapping[str, Any], **changes: object) -> Options:
    """Returns the checked options that are among the arguments of a function.

    The options are the parameters of `_check_options`. `changes` replace arguments of the same
    names. Raises DataError for a wrong option.
    """
    names = signature(_check_options).parameters
    options = {name: value for name, value in arguments.items() if name in names}
    return _check_options(**options | changes)


def _check_options(
    *,
    validation: object,
    test: object,
    seed: object,
    stratify: object = None,
    preprocess: object = None,
    class_names: object = None,
) -> Options:
    """Checks the options of `datasets.arrays`, before the data is read.

    Raises DataError for a wrong option.
    """
    no_test = test is None or (checks.is_real(test) and test == 0)
    return Options(
        _check_size("validation", validation),
        None if no_test else _check_size("test", test),
        None if stratify is None else checks.truth("stratify", stratify, DataError),
        _check_preprocess(preprocess),
        checks.seed("seed", seed, DataError),
        _check_class_names(class_names),
    )


def _check_size(name: str, value: object) -> Size:
    if isinstance(value, tuple | list) and len(value) in (2, 3, 4):
        return tuple(value)
    # `is_whole` is False for booleans, so validation=True is an error, and not taken for 1 sample.
    if checks.is_whole(value) and value > 0:
        return int(value)
    if checks.is_real(value) and 0 < value < 1:
        return float(value)
    part = "a ready-made part (x, y), (x, y, sample_weight) or (x, y, sample_weight, groups)"
    expected = f"a share between 0 and 1, a count of samples above 0, or {part}"
    raise DataError.of_setting(name, expected, value)


def _check_preprocess(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _check_preprocessing_name(name) for key, name in value.items()}
    return _check_preprocessing_name(value)


def _check_preprocessing_name(value: object) -> str | None:
    if isinstance(value, str):
        return checks.choice("preprocess", value, _PREPROCESSING_NAMES, DataError)
    if value is None:
        return None
    raise DataError.of_setting(
        "preprocess",
        "'standardize' or 'minmax'",
        value,
        hint="For another transformation, put layers such as ks.preprocessing.adapted("
        "keras.layers.Normalization(), data) into the model, or transform the samples yourself, "
        "and pass ready-made parts: validation=(x, y), test=(x, y).",
    )


def _check_class_names(value: object) -> tuple[str, ...]:
    # A fitted LabelEncoder has the names in `classes_`.
    value = getattr(value, "classes_", value)
    if value is None:
        return ()
    # A set has no order, and a dict is no list of names, so both are refused.
    ordered = isinstance(value, Iterable) and not isinstance(value, str | Set | Mapping)
    names = list(cast(Iterable[Any], value)) if ordered else []
    if not names or len(set(map(str, names))) != len(names):
        expected = "a list of different names, such as ['cat', 'dog'], or a fitted LabelEncoder"
        raise DataError.of_setting("class_names", expected, value)
    return tuple(map(str, names))
