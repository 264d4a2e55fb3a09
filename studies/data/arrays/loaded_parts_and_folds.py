"""The loaded data of a study: a training, a validation and a sealed test part, or folds.

Sealed means that only `unseal_test` returns the targets of the test part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from search_spaces.errors import InternalError, NoTestPartError
from studies.data.arrays.digests_and_equal_samples import array_digest, combined_digest, copies_in
from studies.data.arrays.memory_mapped_files import copy_rows, mapped
from studies.data.arrays.users_samples_and_labels import (
    Arrays,
    is_text,
    length_of,
    map_arrays,
    named_arrays,
)
from studies.data.preprocessing import Preparation
from tracking.records import ALL_FOLDS

if TYPE_CHECKING:
    from studies.data.tf_data_and_generators import Stream

PART_NAMES = {"train": "training", "validation": "validation", "test": "test"}
"""The names of parts in messages."""


@dataclass(frozen=True, eq=False, repr=False)
class LoadedData(ABC):
    """The loaded data of a study: `Splits` for arrays, `StreamedSplits` for batches.

    Attributes:
        train: The samples to train on.
        validation: The samples whose metrics decide which epoch and which trial is best.
        preprocessing: The name of the preprocessing in records, such as "standardize", or None.
        preparation: The fitted preprocessing, and other facts that the registered model needs.
    """

    train: Part | Stream
    validation: Part | Stream
    _test: Part | Stream | None
    _digests: Mapping[str, str]
    preprocessing: str | None = None
    preparation: Preparation = field(default_factory=Preparation)
    # The number of folds. This data has none: `FoldedSplits` is the data of a study with folds.
    folds: ClassVar[int] = 0

    @property
    @abstractmethod
    def unfit(self) -> str:
        """The reason why only `model.fit` can train on this data, such as "the samples are texts".

        The text is empty if the compiled trainer can train on the data, too.
        """

    @property
    def warnings(self) -> list[str]:
        return self.preparation.warnings

    @property
    def batch_size(self) -> int | None:
        """The number of samples in the first batch.

        None for arrays, because the study or the trial then sets the batch size.
        """
        return None

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The parts by name if the data comes in batches; empty for arrays."""
        return MappingProxyType({})

    @property
    def arrays(self) -> Splits:
        """This data, typed as `Splits`. Raises InternalError for data in batches."""
        raise InternalError("The data comes in batches, so it can't be read as arrays.")

    @property
    def digests(self) -> Mapping[str, str]:
        """The SHA-256 of the dtypes, shapes and values of "train", "validation" and "test"."""
        return MappingProxyType(dict(self._digests))

    @property
    def digest(self) -> str:
        """One SHA-256 over `digests`, which identifies the data."""
        return combined_digest(self.digests)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The number of samples of each part. Parts of unknown size are left out."""
        return {n: part.samples for n, part in self._parts().items() if part.samples is not None}

    @property
    def whole(self) -> Self:
        """This data itself, which has no folds. `FoldedSplits.whole` has all folds' samples."""
        return self

    def of(self, fold: int | None) -> Self:
        """Returns this data itself, which has no folds. `FoldedSplits.of` returns a fold."""
        return self

    def unseal_test(self) -> Part | Stream:
        """Returns the test part.

        Only `kerastudy.evaluate` and `kerastudy.confirm` read the test part, and both record it.
        Search, pruning and selection never read it, because a model's scores are too good on the
        data by which the model was chosen.
        """
        if self._test is None:
            raise NoTestPartError(
                "This data has no test part",
                hint="Give it one: a share (test=0.2), a number of samples, or a ready-made part "
                "(test=(x, y)). Data in batches takes a function.",
            )
        return self._test

    def describe(self) -> dict[str, Any]:
        """Returns facts for the record, such as sizes, shapes and digests, in JSON's types.

        The facts contain no samples.
        """
        parts = {name: part.at_hand.describe() for name, part in self._parts().items()}
        groups = self.preparation.groups
        return {
            "sizes": dict(self.sizes),
            "digests": dict(self.digests),
            "digest": self.digest,
            "shapes": {name: part["shapes"] for name, part in parts.items()},
            "dtypes": {name: part["dtypes"] for name, part in parts.items()},
            "preprocessing": self.preprocessing,
            **({"groups": dict(groups)} if groups else {}),
        }

    def __repr__(self) -> str:
        sizes = "".join(f"{name}={size}, " for name, size in self.sizes.items())
        return f"{type(self).__name__}({sizes}digest={self.digest[:12]}…)"

    def _parts(self) -> dict[str, Any]:
        parts = {"train": self.train, "validation": self.validation}
        return parts if self._test is None else {**parts, "test": self._test}


@dataclass(frozen=True, eq=False, repr=False)
class Splits(LoadedData):
    """The parts of data in arrays. `seal` makes this object."""

    train: Part
    validation: Part
    _test: Part | None

    if TYPE_CHECKING:

        def unseal_test(self) -> Part: ...

    @property
    def arrays(self) -> Splits:
        return self

    @property
    def unfit(self) -> str:
        texts = any(is_text(array) for array in named_arrays(self.train.x, "x").values())
        return "the samples are texts" if texts else ""

    def unseal_test_inputs(self) -> Part | None:
        """Returns the test part without targets, for `kerastudy.check_data`. Targets stay sealed.

        See docs/decisions/0044-looking-at-data.md.
        """
        return None if self._test is None else replace(self._test, y=(), sample_weight=None)


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Samples and their targets, in read-only arrays. Dicts of arrays are sorted by name.

    Attributes:
        x: Samples: an array of shape (n, ...). For a model of several inputs, a dict of arrays by
            name, or a tuple of arrays.
        y: Targets, in the same forms as `x`; an empty tuple if there are none.
        sample_weight: A weight for each sample, of shape (n,), or for each step of each sequence,
            of shape (n, steps). None if all samples count alike.
        alone: For data without targets, whether a model's training step gets `x` itself. Otherwise
            it gets the tuple `(x,)`.
        groups: Whole numbers of shape (n,), equal for samples that depend on each other, such as
            copies, or samples of one patient; None if all samples are independent.
    """

    x: Arrays
    y: Arrays
    sample_weight: np.ndarray | None = None
    alone: bool = False
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, value in self._arrays().items():
            arrays = dict(sorted(value.items())) if isinstance(value, dict) else value
            object.__setattr__(self, name, map_arrays(_closed, arrays))

    def __len__(self) -> int:
        return length_of(self.x)

    def __repr__(self) -> str:
        arrays = (f"{name}={a.dtype}{tuple(a.shape)}" for name, a in self.named.items())
        return f"Part({', '.join(arrays)})"

    def __reduce__(self) -> tuple[object, ...]:
        """Makes pickle call `__init__`, so that the arrays are read-only again."""
        return Part, (self.x, self.y, self.sample_weight, self.alone, self.groups)

    @property
    def has_targets(self) -> bool:
        return not isinstance(self.y, tuple) or bool(self.y)

    @property
    def at_hand(self) -> Part:
        """The samples in memory: all of a `Part`, but only the first batch of a `Stream`."""
        return self

    @property
    def samples(self) -> int:
        return len(self)

    @property
    def grouped(self) -> Part:
        """This part with groups. If `groups` is None, copies of the same sample become a group."""
        if self.groups is not None:
            return self
        arrays = {name: a for name, a in self.named.items() if name != "sample_weight"}
        return replace(self, groups=copies_in(arrays))

    def first(self, count: int) -> Part:
        """Returns the first `count` samples, or all if there are fewer."""
        return self._of_each(lambda array: array[:count])

    def rows(self, chosen: np.ndarray | None) -> Part:
        """Copies the samples with the indices `chosen` into a new part. None means all samples.

        Large copies are in files that are mapped to memory.
        """
        return self._of_each(lambda array: copy_rows(array, chosen))

    def _of_each(self, function: Callable[[np.ndarray], np.ndarray]) -> Part:
        """Applies a function to each array, and returns a `Part` with the resulting arrays."""
        arrays = {name: map_arrays(function, value) for name, value in self._arrays().items()}
        groups = None if self.groups is None else function(self.groups)
        return Part(**arrays, alone=self.alone, groups=groups)

    @property
    def digest(self) -> str:
        """SHA-256 of the names, dtypes, shapes and values of all arrays."""
        return combined_digest({name: array_digest(a) for name, a in self.named.items()})

    def describe(self) -> dict[str, dict[str, object]]:
        """Returns the "shapes" and "dtypes" of the arrays, ready for JSON."""
        arrays = self._arrays().items()
        return {
            "shapes": {name: map_arrays(lambda a: list(a.shape), value) for name, value in arrays},
            "dtypes": {name: map_arrays(lambda a: str(a.dtype), value) for name, value in arrays},
        }

    def _arrays(self) -> dict[str, Arrays]:
        weights = {} if self.sample_weight is None else {"sample_weight": self.sample_weight}
        return {"x": self.x, "y": self.y, **weights}

    @property
    def named(self) -> dict[str, np.ndarray]:
        """All arrays by name, such as "x" or "y['price']"."""
        parts = [named_arrays(arrays, name) for name, arrays in self._arrays().items()]
        return {name: array for part in parts for name, array in part.items()}


@dataclass(frozen=True, eq=False)
class FoldedSplits:
    """The data of a cross-validated study. `of` returns the data of a fold.

    Attributes:
        folds: The number of folds.
        digests: Three SHA-256. "train" is of all samples outside the test part, "validation" is of
            the digests of all folds, and "test" is of the test part.
        sizes: Three numbers of samples. "train" counts all samples outside the test part,
            "validation" the samples that are in the validation part of at least one fold, and
            "test" the samples in the test part.
        details: The facts about the data that `describe` returns for the record.
        folder: The folder with the files of all folds. Their arrays are mapped to memory.
    """

    folds: int
    digests: Mapping[str, str]
    sizes: Mapping[str, int]
    details: Mapping[str, Any]
    folder: Path
    # Trainers prepare the arrays of a `Splits` object once, and reuse them for the same object. So
    # all trials must get the same object for a fold.
    _by_fold: dict[int, Splits] = field(default_factory=dict, init=False)
    batch_size: ClassVar[None] = None
    streams: ClassVar[Mapping[str, Stream]] = MappingProxyType({})

    @property
    def digest(self) -> str:
        return combined_digest(self.digests)

    def describe(self) -> dict[str, Any]:
        return dict(self.details)

    def of(self, fold: int | None) -> Splits:
        """Returns the training and the validation part of a fold, counted from 0.

        For `ALL_FOLDS`, the training part is all samples outside the test part. The validation part
        is then the first training sample, because `Splits` can't be without a validation part.
        """
        assert fold is not None, "each training of a cross-validated study names its fold"
        if fold not in self._by_fold:
            self._by_fold[fold] = mapped(folder_of(fold, self.folder))
        return self._by_fold[fold]

    @property
    def whole(self) -> Splits:
        return self.of(ALL_FOLDS)


def folder_of(fold: int, folder: Path) -> Path:
    """Returns the folder of a fold, or of `ALL_FOLDS`, in the folder of all folds."""
    return folder / ("all-folds" if fold == ALL_FOLDS else f"fold-{fold}")


def _closed(array: np.ndarray) -> np.ndarray:
    """Returns a read-only view of an array, so that the caller's array itself stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view
