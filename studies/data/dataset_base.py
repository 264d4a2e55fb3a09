"""Descriptions of data, which say how to read it. `load` reads it.

Each kind of data, arrays and batches, has a subclass of `DescribedData` and one of `LoadedData`.
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
from studies.data.arrays.cross_validation_folds import FoldedSplits, make_folds
from studies.data.arrays.loaded_data import LoadedData, Splits
from studies.data.arrays.memory_mapping import shared
from studies.data.arrays.sample_checks import by_rule
from studies.data.arrays.train_test_split import Contents, Options, check_options, make_splits
from studies.data.splits import CrossValidation


@dataclass(frozen=True, eq=False, repr=False)
class DescribedData(ABC):
    """A description of data. Nothing is read before `load`.

    Attributes:
        name: The name of the data in records and reports.
        source: Where the data comes from, such as "scikit-learn digits", "arrays in memory",
            "keras.datasets.mnist", or the absolute path of a file.
        in_batches: Whether the data comes in batches. If so, `load` may draw random numbers.
    """

    name: str
    source: str
    in_batches: ClassVar[bool] = False

    def load(self) -> LoadedData:
        """Reads and checks the data. Later calls return the same object.

        Of data in batches, only the first batches are read.

        Raises:
            DataError: The data can't be read, or no study can be run on it.
        """
        return self._loaded

    def load_shared(self, folder: Path) -> LoadedData:
        """Loads the data once for all processes that pass the same folder.

        The folder must hold nothing else. All these processes map the arrays in it to memory. From
        now on, `load` returns the same object.

        Raises:
            DataError: The data can't be read, or no study can be run on it.
            OSError: The folder can't be written to.
        """
        facts = shared(lambda: self._facts, folder)
        # Data that was loaded before is dropped, so that memory holds the data once.
        self.__dict__.update(_facts=facts, _loaded=self._with(facts))
        return self._loaded

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        """Reads the data, and splits all samples but the test part into folds.

        Args:
            how: How to split.
            folder: As in `load_shared`; None: no other process shares the data.

        Raises:
            DataError: The data can't be read, or can't be split so.
            OSError: The folder can't be written to.
        """
        raise DataError(f"{self!r} can't be split into folds. Take data from datasets.arrays.")

    @abstractmethod
    def _read(self) -> Any:
        """Reads the data. The result, the facts, may be pickled for other processes."""

    @abstractmethod
    def _with(self, facts: Any) -> LoadedData:
        """Makes the data from the facts. Another process may have read them."""

    @cached_property
    def _facts(self) -> Any:
        return self._read()

    @cached_property
    def _loaded(self) -> LoadedData:
        return self._with(self._facts)

    def __getstate__(self) -> dict[str, object]:
        """Leaves loaded data out of the pickle."""
        return {k: v for k, v in vars(self).items() if k not in ("_facts", "_loaded")}

    def __repr__(self) -> str:
        return f"<data {self.name!r} of {self.source}>"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(DescribedData):
    """A description of data in arrays. Make one by a function of `datasets`.

    Attributes:
        options: How to split and preprocess the samples.
        read: Reads the samples.
        rule: The `rule` of `datasets.arrays`.
    """

    options: Options
    read: Callable[[], Contents]
    rule: Callable[[Any], Any] | None = None

    if TYPE_CHECKING:

        def load(self) -> Splits: ...

        def load_shared(self, folder: Path) -> Splits: ...

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        return make_folds(self.read, self.options, how, folder)

    def at(self, place: Path, target: str) -> Dataset | None:
        """Returns a description that reads another file or folder in the same way.

        Returns None if `read` can't read it, e.g. a folder of images in place of a table.
        """
        if not isinstance(self.read, Reader) or not self.read.takes(place):
            return None
        return replace(self, source=str(place), read=self.read.at(place, target))

    def _read(self) -> Splits:
        contents = self.read()
        if self.rule is not None:
            by_rule(self.rule, contents.pool.x)
        return make_splits(contents, self.options)

    def _with(self, facts: Splits) -> Splits:
        return facts


class Reader(ABC):
    """Reads a file or folder. `at` makes a reader of another one, with the same options."""

    @abstractmethod
    def __call__(self) -> Contents:
        """Reads the samples, and the parts that the files already have."""

    @abstractmethod
    def takes(self, place: Path) -> bool:
        """Returns whether this kind of reader can read a file or folder."""

    @abstractmethod
    def at(self, place: Path, target: str) -> Self:
        """Returns the reader of another file or folder.

        `target` is the column to predict. If it is empty, the column stays.
        """


def options_of(arguments: Mapping[str, Any], **changes: object) -> Options:
    """Returns the checked `Options` in the arguments of a function of `datasets`.

    `changes` replace arguments. Raises DataError if an option is wrong.
    """
    names = signature(check_options).parameters
    options = {name: value for name, value in arguments.items() if name in names}
    return check_options(**options | changes)
