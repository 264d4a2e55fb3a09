"""Descriptions of data: nothing is read before it is loaded.

Each kind of data implements `DescribedData` and `LoadedData`; no other code asks for the kind.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from search_spaces.errors import DataError, shown
from studies.data.arrays.mapped import shared
from studies.data.arrays.partition import Contents, Options, check_options, make_splits
from studies.data.arrays.parts import LoadedData, Splits
from studies.data.arrays.samples import by_rule
from studies.data.preprocessing import preprocessing_name
from studies.data.splits import CrossValidation, FoldedSplits, make_folds

# The most values, or arrays, in a tuple or list that `repr` shows one by one.
_FEW = 8


@dataclass(frozen=True, eq=False, repr=False)
class DescribedData(ABC):
    """A description of data. Nothing is read before `load`.

    Attributes:
        name: Its name in records and reports.
        source: Where the data comes from: "scikit-learn digits", "arrays in memory",
            "keras.datasets.mnist", or the absolute path of a file.
        text: The call that describes it, as `repr` shows it.
        in_batches: Whether the data comes in batches; loading such data may draw random numbers.
    """

    name: str
    source: str
    text: str
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
        """Returns the call that describes this data, with arrays as dtype and shape."""
        return self.text


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
        text, read = f"{self.text} from {str(place)!r}", self.read.at(place, target)
        return replace(self, source=str(place), text=text, read=read)

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


def call_and_options(
    function: Callable[..., object], arguments: Mapping[str, Any], **changes: object
) -> tuple[str, Options]:
    """Returns the text of a call of a `datasets` function, and the checked options of its splits.

    `changes` replace some options. Raises DataError if an option is wrong.
    """
    names = signature(check_options).parameters
    options = {name: value for name, value in arguments.items() if name in names}
    return call_text(function, arguments), check_options(**options | changes)


def call_text(function: Callable[..., object], arguments: Mapping[str, object]) -> str:
    """Returns the text of a call of a `datasets` function, arrays as dtype and shape, for `repr`.

    Arguments that equal their defaults are left out.
    """
    texts = []
    for name, parameter in signature(function).parameters.items():
        value, default = arguments[name], parameter.default
        if type(value) is type(default) and not hasattr(value, "shape") and value == default:
            continue
        named = parameter.kind is Parameter.KEYWORD_ONLY
        texts.append(f"{name}={_text_of(value)}" if named else _text_of(value))
    return f"datasets.{function.__name__}({', '.join(texts)})"


def _text_of(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name!r}: {_text_of(each)}' for name, each in value.items())}}}"
    if hasattr(value, "shape"):
        dtype = f" {value.dtype}" if hasattr(value, "dtype") else ""
        return f"<{type(value).__name__}{dtype} {tuple(value.shape)}>"
    if isinstance(value, list | tuple):
        # A list of anything but texts is one array.
        apart = isinstance(value, tuple) or all(isinstance(each, str) for each in value)
        if not apart or not 0 < len(value) <= _FEW:
            return f"<{type(value).__name__} of {len(value)}>"
        texts = ", ".join(map(_text_of, value))
        return f"({texts})" if isinstance(value, tuple) else f"[{texts}]"
    if isinstance(value, np.number):
        return repr(value.item())
    if value is None or isinstance(value, str | bool | int | float):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(str(value))
    return str(preprocessing_name(value)) if hasattr(value, "fit") else f"<{shown(value)}>"
