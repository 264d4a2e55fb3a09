"""Base classes of data sets: descriptions that read their data when `load` is called.

A `Dataset` describes data in arrays, which is loaded as `Splits`. A `StreamedDataset` describes
data in batches, which is loaded as `StreamedSplits`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from search_spaces.errors import DataError
from studies.data.arrays.loaded_data import LoadedData, Splits
from studies.data.arrays.memory_mapping import shared
from studies.data.arrays.splitting_into_parts import Contents, Options, check_options, divide
from studies.data.cross_validation import CrossValidation, FoldedSplits, make_folds


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


def options_of(arguments: Mapping[str, Any], **changes: object) -> Options:
    """Returns the checked options that are among the arguments of a function.

    The options are the parameters of `check_options`. `changes` replace arguments of the same
    names. Raises DataError for a wrong option.
    """
    names = signature(check_options).parameters
    options = {name: value for name, value in arguments.items() if name in names}
    return check_options(**options | changes)
