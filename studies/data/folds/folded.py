"""The data of a cross-validated study: a training and a validation part for each fold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from search_spaces.errors import DataError, InternalError
from studies.data.arrays.classes import (
    check_several_classes,
)
from studies.data.arrays.digests import combined_digest
from studies.data.arrays.large import file_of, shared
from studies.data.arrays.partition import (
    Contents,
    Divided,
    check_weights,
    divide,
    labels_of,
    rows_of,
)
from studies.data.arrays.splits import Part, Splits, joined
from studies.data.arrays.structures import named_arrays
from studies.data.folds.cross_validation import CrossValidation, Drawn, Forward, Indices
from studies.data.options import Options
from tracking.records import ALL_FOLDS

if TYPE_CHECKING:
    from studies.data.streams.streamed_dataset import Stream

Make = Callable[[int], Splits]
"""Makes the data of a fold, or of `ALL_FOLDS`."""
Written = Callable[[Make], Make]
"""Makes what makes a fold write it too, to files that processes share."""

# Of folds in memory, for a process that shares none; larger arrays are in files.
_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class FoldedSplits:
    """The data of a cross-validated study, described as `LoadedData` is; `of` makes a fold.

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
    make: Make
    _kept: OrderedDict[int, Splits] = field(default_factory=OrderedDict, init=False)
    batch_size: ClassVar[None] = None
    streams: ClassVar[Mapping[str, Stream]] = MappingProxyType({})

    def describe(self) -> dict[str, Any]:
        """Returns the description in records, ready for JSON."""
        return dict(self.details)

    def __getstate__(self) -> dict[str, object]:
        """Returns the state to pickle: the description without folds."""
        return {name: each for name, each in vars(self).items() if name not in ("make", "_kept")}

    def of(self, fold: int | None) -> Splits:
        """Returns the data of a fold, counted from 0: its training and its validation part.

        For `ALL_FOLDS` all samples to train on, with the test part; the validation part is the
        first of them, since there must be one.
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
    """Makes each fold once, and returns the data; `validated` samples are in validation parts."""
    digests: dict[str, str] = {}
    described_folds = []
    for fold in range(count):
        splits = make(fold)
        digests[f"fold {fold + 1}"] = splits.digest
        described_folds.append({**splits.sizes, "digest": splits.digest})
    whole = make(ALL_FOLDS)
    combined = {"train": whole.digests["train"], "validation": combined_digest(digests)}
    sizes = {"train": len(whole.train), "validation": validated}
    if "test" in whole.digests:
        combined["test"], sizes["test"] = whole.digests["test"], whole.sizes["test"]
    details = {name: whole.describe()[name] for name in ("classes", "preprocessing")}
    for name in ("shapes", "dtypes"):
        described: Any = whole.describe()[name]
        details[name] = {part: each for part, each in described.items() if part != "validation"}
    details["folds"] = described_folds
    return FoldedSplits(count, combined, combined_digest(combined), sizes, details, make)


def shared_folds(load: Callable[[Written], FoldedSplits], folder: Path) -> FoldedSplits:
    """Makes folds in the first process that needs them, and maps them to memory in all."""

    def written(make: Make) -> Make:
        return lambda fold: shared(lambda: make(fold), _folder_of(folder, fold))

    return replace(shared(lambda: load(written), folder), make=written(_never))


def _folder_of(folder: Path, fold: int) -> Path:
    place = folder / ("all-folds" if fold == ALL_FOLDS else f"fold-{fold}")
    place.mkdir(exist_ok=True)
    return place


def _never(fold: int) -> Splits:
    raise InternalError(f"Fold {fold} of the data is gone from the temporary folder.")


def _bytes_of(splits: Splits) -> int:
    """Returns the size of the arrays in memory; others are mapped from files."""

    def size(part: Part) -> int:
        arrays = {**named_arrays(part.x, "x"), **named_arrays(part.y, "y")}
        return sum(array.nbytes for array in arrays.values() if file_of(array) is None)

    return size(splits.train) + size(splits.validation)


def _as_it_is(make: Make) -> Make:
    return make


def make_folds(
    contents: Contents,
    options: Options,
    how: CrossValidation,
    written: Written = _as_it_is,
) -> FoldedSplits:
    """Splits all samples but the test part into folds; the arrays are copies.

    The share for validation is not drawn. A ready-made validation part follows the other samples.
    The test part is that of the data without folds. `written` makes what makes a fold write it to
    files too. Raises DataError if no study can be run on the data.
    """
    in_time = contents.pool.in_time
    if in_time and isinstance(how, Drawn) and how.by_class is None and how.times == 1:
        # A number of folds, and not how they are drawn.
        how = Forward(how.folds)
    drawn = "test" not in contents.ready and isinstance(options.test, int | float)
    if drawn and how.drawn_test and not (in_time and isinstance(how, Forward)):
        raise DataError(
            f"The test part can't be drawn from samples that are split by {how!r}: "
            f"{how.drawn_test}. Pass a ready-made test part, such as test=(x_test, y_test), or "
            "test=None."
        )
    divided = divide(contents, options, folds=True)
    pool, part = divided.pool, divided.parts["train"]
    if "validation" in divided.parts:
        part = joined(part, divided.parts["validation"])
    part = replace(part, groups=how.groups_of(len(part))).grouped
    again = replace(pool, x=part.x, y=part.y, sample_weight=part.sample_weight)
    labels, strata = labels_of(again, options)
    if labels is not None:
        check_several_classes(labels, pool.y_name)
    folds = how.indices(len(part), strata, pool.y_name)
    for number, (train, _) in enumerate(folds, start=1):
        if labels is not None:
            check_several_classes(
                labels[train], f"The training part of fold {number}, {pool.y_name}"
            )
    validated = np.unique(np.concatenate([validation for _, validation in folds]))
    return folded(len(folds), len(validated), written(partial(_made, divided, part, folds)))


def _made(divided: Divided, part: Part, folds: tuple[Indices, ...], fold: int) -> Splits:
    """Returns the data of a fold, or of all folds."""
    if fold == ALL_FOLDS:
        test = {name: each for name, each in divided.parts.items() if name == "test"}
        return divided.sealed({"train": part, **test})
    parts = {
        name: _rows(part, chosen)
        for name, chosen in zip(("train", "validation"), folds[fold], strict=True)
    }
    for name, each in parts.items():
        check_weights(each, f"the {name} part of fold {fold + 1}")
    return divided.sealed(parts)


def _rows(part: Part, chosen: np.ndarray) -> Part:
    weights = None if part.sample_weight is None else part.sample_weight[chosen]
    groups = None if part.groups is None else part.groups[chosen]
    return Part(rows_of(part.x, chosen), rows_of(part.y, chosen), weights, part.alone, groups)
