"""What every kind of data has: a description, and when it is loaded, parts with digests and sizes.

A kind implements `DescribedData` and `LoadedData`; nothing else asks of which kind data is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from search_spaces.errors import DataError
from studies.data.arrays.large import shared

if TYPE_CHECKING:
    import numpy as np

    from studies.data.arrays.preprocessing import Given
    from studies.data.arrays.splits import Part, Splits
    from studies.data.folds.cross_validation import CrossValidation
    from studies.data.folds.folded import FoldedSplits
    from studies.data.streams.streamed_dataset import Stream


class LoadedPart(Protocol):
    """The training, the validation or the test part."""

    @property
    def at_hand(self) -> Part:
        """The samples in memory: all, or the first batch."""

    @property
    def groups(self) -> np.ndarray | None:
        """The group of each sample; None: all are independent, or not known."""

    @property
    def targets_digest(self) -> str:
        """Equal for parts on which the values of trials can be compared."""

    def first(self, count: int) -> Part:
        """Returns a part of its first samples, at most those at hand."""


class LoadedData(Protocol):
    """Loaded data of any kind."""

    @property
    def train(self) -> LoadedPart:
        """The samples to train on."""

    @property
    def validation(self) -> LoadedPart:
        """The samples by which epochs and trials are compared."""

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of "train", "validation" and, where there is one, "test"."""

    @property
    def digest(self) -> str:
        """One SHA-256 over `digests`: the identity of the data."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Samples of each part whose number is known."""

    @property
    def given(self) -> Given:
        """The samples before preprocessing."""

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user."""

    @property
    def unfit(self) -> str:
        """Why the compiled trainer can't train on this data, or empty."""

    @property
    def batch_size(self) -> int | None:
        """Samples of a batch, if the data has its own batches; else None."""

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The parts that are read batch by batch; empty if they are arrays."""

    @property
    def arrays(self) -> Splits:
        """The same data, if it is arrays."""

    @property
    def folds(self) -> int:
        """How many folds there are; 0: the data is not split into folds."""

    @property
    def whole(self) -> LoadedData:
        """All samples but the test part, to train on; without folds, the data itself."""

    def of(self, fold: int | None) -> LoadedData:
        """Returns the data of a fold, or of `ALL_FOLDS`; without folds, itself."""

    def unseal_test(self) -> LoadedPart:
        """Returns the test part. Only `evaluate` may call this, and it records that it did."""

    def describe(self) -> dict[str, Any]:
        """Returns the description in records, ready for JSON, without values of the data."""


@dataclass(frozen=True, eq=False, repr=False)
class DescribedData(ABC):
    """A description of data. Nothing is read before `load`.

    Attributes:
        name: its name in records and reports.
        source: where the data comes from: "scikit-learn digits", "arrays in memory",
            "keras.datasets.mnist", or the absolute path of a file.
        text: the call that describes it, as `repr` shows it.
        in_batches: whether it has its own batches, which may draw random numbers when it is loaded.
    """

    name: str
    source: str
    text: str
    in_batches: ClassVar[bool] = False

    def load(self) -> LoadedData:
        """Reads and checks the data, the first time only: all of it, or its first batches.

        Returns:
            The data: the same object at every call.

        Raises:
            DataError: the data can't be read, or no study can be run on it.
        """
        return self._loaded

    def load_shared(self, folder: Path) -> LoadedData:
        """Loads the data once for all processes that share a folder, theirs alone.

        Returns:
            The data, arrays in memory that the processes share: the same object at every call of
            `load`.

        Raises:
            DataError: the data can't be read, or no study can be run on it.
            OSError: the folder can't be written to.
        """
        facts = shared(lambda: self._facts, folder)
        # Replaces data that was loaded before, so that memory holds it once.
        self.__dict__.update(_facts=facts, _loaded=self._with(facts))
        return self._loaded

    def load_folds(self, how: CrossValidation, folder: Path | None = None) -> FoldedSplits:
        """Reads the data, and splits all but the test part into folds.

        Args:
            how: How to split.
            folder: A folder of processes that share the data, theirs alone; None: they share none.

        Raises:
            DataError: The data can't be read, or can't be split so.
            OSError: The folder can't be written to.
        """
        raise DataError(f"{self!r} can't be split into folds. Take data from datasets.arrays.")

    @abstractmethod
    def _read(self) -> Any:
        """Reads what other processes may get pickled."""

    def _with(self, facts: Any) -> LoadedData:
        """Returns the data of what `_read` returned in some process."""
        loaded: LoadedData = facts
        return loaded

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
        """Returns the call that describes this data, arrays by dtype and shape."""
        return self.text
