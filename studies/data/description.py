"""Descriptions of data: nothing is read before it is loaded.

Each kind of data implements `DescribedData` and `LoadedData`; no other code asks for the kind.
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
from studies.data.arrays.mapped import shared
from studies.data.arrays.partition import Contents, Options, check_options, make_splits
from studies.data.arrays.parts import LoadedData, Splits
from studies.data.arrays.samples import by_rule
from studies.data.splits import CrossValidation, FoldedSplits, make_folds


@dataclass(frozen=True, eq=False, repr=False)
class DescribedData(ABC):
    """A description of data. Nothing is read before `load`.

    Attributes:
        name: Its name in records and reports.
        source: Where the data comes from: "scikit-learn digits", "arrays in memory",
            "keras.datasets.mnist", or the absolute path of a file.
        in_batches: Whether the data comes in batches; loading such data may draw random numbers.
    """

    name: str
    source: str
    in_batches: ClassVar[bool] = False

    def load(self) -> LoadedData:
        """Reads and checks the data at the first call: all of it, or its first batches.

        Returns:
            The data: the same object at every call.

        Raises:
            DataError: The data can't be read, or no study can be run on it.
        """
        return self._loaded

    def load_shared(self, folder: Path) -> LoadedData:
        """Loads the data once for all processes that share a folder, which no others use.

        Returns:
            The data, with arrays in memory that the processes share. From now on, `load` returns
            the same object.

        Raises:
            DataError: The data can't be read, or no study can be run on it.
            OSError: The folder can't be written to.
        """
        facts = shared(lambda: self._facts, folder)
        # Replaces data that was loaded before, so that memory holds it once.
        self.__dict__.update(_facts=facts, _loaded=self._with(facts))
        return self._loaded

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        """Reads the data, and splits all but the test part into folds.

        Args:
            how: How to split.
            folder: The folder of the processes that share the data, which no others use; None: no
                processes share the data.

        Raises:
            DataError: The data can't be read, or can't be split so.
            OSError: The folder can't be written to.
        """
        raise DataError(f"{self!r} can't be split into folds. Take data from datasets.arrays.")

    @abstractmethod
    def _read(self) -> Any:
        """Reads the data and returns its facts, which may be pickled for other processes."""

    @abstractmethod
    def _with(self, facts: Any) -> LoadedData:
        """Returns the data that belongs to facts, which `_read` of any process returned."""

    @cached_property
    def _facts(self) -> Any:
        return self._read()

    @cached_property
    def _loaded(self) -> LoadedData:
        return self._with(self._facts)

    def __getstate__(self) -> dict[str, object]:
        """Returns the state to pickle: the description without loaded data."""
        return {k: v for k, v in vars(self).items() if k not in ("_facts", "_loaded")}

    def __repr__(self) -> str:
        """Returns the name and the source, never values."""
        return f"<data {self.name!r} of {self.source}>"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(DescribedData):
    """A description of data in arrays. Make one by a function of `datasets`.

    Attributes:
        rule: The function that made the targets, for reports.
    """

    options: Options
    read: Callable[[], Contents]
    rule: Callable[[Any], Any] | None = None

    if TYPE_CHECKING:

        def load(self) -> Splits: ...

        def load_shared(self, folder: Path) -> Splits: ...

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        """Reads the data, and splits all but the test part into folds."""
        return make_folds(self.read, self.options, how, folder)

    def at(self, place: Path, target: str) -> Dataset | None:
        """Returns the description of another file or folder; None if that is of another kind."""
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
    """Reads a file or folder of some kind, and others of that kind in the same way."""

    @abstractmethod
    def __call__(self) -> Contents:
        """Reads all samples, and the parts that the files have."""

    @abstractmethod
    def takes(self, place: Path) -> bool:
        """Returns whether another file or folder can be read in the same way."""

    @abstractmethod
    def at(self, place: Path, target: str) -> Self:
        """Returns the reader of another place, with another column to predict if one is named."""


def options_of(arguments: Mapping[str, Any], **changes: object) -> Options:
    """Returns the checked options of splits among the arguments of a `datasets` function.

    `changes` replace some options. Raises DataError if an option is wrong.
    """
    names = signature(check_options).parameters
    options = {name: value for name, value in arguments.items() if name in names}
    return check_options(**options | changes)
