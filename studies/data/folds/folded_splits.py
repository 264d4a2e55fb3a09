"""The data of a cross-validated study: a training and a validation part for each fold."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from filelock import FileLock

from search_spaces.errors import InternalError
from studies.data.arrays.digests import combined_digest
from studies.data.arrays.large import file_of
from studies.data.parts.part import Part
from studies.data.parts.sharing import shared
from studies.data.parts.splits import Splits
from studies.data.structures import named_arrays
from tracking.records import ALL_FOLDS
from tracking.store.atomic import replacing

if TYPE_CHECKING:
    from studies.data.streams.streamed_dataset import Stream

Make = Callable[[int], Splits]
"""Makes the data of a fold, or of `ALL_FOLDS`."""
Written = Callable[[Make], Make]
"""Makes what makes a fold write it too, to files that processes share."""

# Of folds in memory, for a process that shares none; larger arrays are in files.
_KEPT_BYTES = 256 * 2**20
_FACTS = "folds"


@dataclass(frozen=True)
class FoldFacts:
    """The folds of a data set, without their arrays.

    Attributes:
        folds: How many there are.
        digests: "train": of all samples that are split; "validation": of all folds; "test".
        digest: One SHA-256 over `digests`: the identity of the data.
        sizes: Samples that are split, those of them that are validated on, those of the test part.
        details: Shapes, types, classes, preprocessing; sizes and digest of each fold.
    """

    folds: int
    digests: Mapping[str, str]
    digest: str
    sizes: Mapping[str, int]
    details: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class FoldedSplits:
    """The data of a cross-validated study, described as `LoadedData` is; `of` loads a fold."""

    facts: FoldFacts
    make: Make
    _kept: OrderedDict[int, Splits] = field(default_factory=OrderedDict)
    batch_size: ClassVar[None] = None
    streams: ClassVar[Mapping[str, Stream]] = MappingProxyType({})

    @property
    def folds(self) -> int:
        """How many there are."""
        return self.facts.folds

    @property
    def digest(self) -> str:
        """See `FoldFacts`."""
        return self.facts.digest

    @property
    def digests(self) -> Mapping[str, str]:
        """See `FoldFacts`."""
        return self.facts.digests

    @property
    def sizes(self) -> Mapping[str, int]:
        """See `FoldFacts`."""
        return self.facts.sizes

    def describe(self) -> dict[str, Any]:
        """Returns the description in records; see `FoldFacts.details`."""
        return dict(self.facts.details)

    def of(self, fold: int | None) -> Splits:
        """Returns the data of a fold: the training and the validation part that it is for.

        Args:
            fold: Its number, from 0; or `ALL_FOLDS`: all samples to train on, with the test part.
                Then the validation part is the first of them, since there must be one.
        """
        if fold is None or not ALL_FOLDS <= fold < self.folds:
            raise InternalError(f"The data has folds 0 to {self.folds - 1}, and no {fold!r}.")
        if fold not in self._kept:
            self._kept[fold] = self.make(fold)
        self._kept.move_to_end(fold)
        while len(self._kept) > 1 and sum(map(_bytes_of, self._kept.values())) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        return self._kept[fold]

    @property
    def whole(self) -> Splits:
        """All samples to train on, and the test part."""
        return self.of(ALL_FOLDS)


def folded(count: int, validated: int, make: Make) -> FoldedSplits:
    """Makes each fold once, and returns the data.

    Args:
        count: How many folds there are.
        validated: How many different samples are validated on.
        make: Makes the data of a fold; raises DataError if no study can be run on it.
    """
    digests: dict[str, str] = {}
    found = []
    for fold in range(count):
        splits = make(fold)
        digests[f"fold {fold + 1}"] = splits.digest
        found.append({**splits.sizes, "digest": splits.digest})
    whole = make(ALL_FOLDS)
    combined = {"train": whole.digests["train"], "validation": combined_digest(digests)}
    sizes = {"train": len(whole.train), "validation": validated}
    if "test" in whole.digests:
        combined["test"], sizes["test"] = whole.digests["test"], whole.sizes["test"]
    details = {name: whole.describe()[name] for name in ("classes", "preprocessing")}
    for name in ("shapes", "dtypes"):
        described: Any = whole.describe()[name]
        details[name] = {part: each for part, each in described.items() if part != "validation"}
    details["folds"] = found
    facts = FoldFacts(count, combined, combined_digest(combined), sizes, details)
    return FoldedSplits(facts, make)


def shared_folds(load: Callable[[Written], FoldedSplits], folder: Path) -> FoldedSplits:
    """Makes folds in the first process that needs them, and maps them to memory in all.

    Args:
        load: Makes the folds.
        folder: The folder of the processes.

    Raises:
        DataError: If `load` raises it.
        OSError: The folder can't be written to.
    """
    description = folder / _FACTS

    def written(make: Make) -> Make:
        return lambda fold: shared(lambda: make(fold), _folder_of(folder, fold))

    with FileLock(folder / f"{_FACTS}.lock"):
        if not description.exists():
            facts = load(written).facts
            with replacing(description) as file:
                file.write_bytes(pickle.dumps(facts))
    facts = pickle.loads(description.read_bytes())
    return FoldedSplits(facts, written(_never))


def _folder_of(folder: Path, fold: int) -> Path:
    found = folder / ("all-folds" if fold == ALL_FOLDS else f"fold-{fold}")
    found.mkdir(exist_ok=True)
    return found


def _never(fold: int) -> Splits:
    raise InternalError(f"Fold {fold} of the data is gone from the temporary folder.")


def _bytes_of(splits: Splits) -> int:
    """Returns the size of the arrays in memory; others are mapped from files."""

    def size(part: Part) -> int:
        arrays = {**named_arrays(part.x, "x"), **named_arrays(part.y, "y")}
        return sum(array.nbytes for array in arrays.values() if file_of(array) is None)

    return size(splits.train) + size(splits.validation)
