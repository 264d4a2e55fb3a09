"""Cross-validation: splits a study's data into folds, and makes the data of each fold."""

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
from studies.data.arrays.class_labels import check_several_classes, labels_of
from studies.data.arrays.digests import combined_digest
from studies.data.arrays.loaded_data import Part, Splits, joined
from studies.data.arrays.memory_mapping import file_of, shared
from studies.data.arrays.sample_checks import check_some_weight
from studies.data.arrays.train_test_split import Contents, Divided, Options, divide
from studies.data.splits import CrossValidation, Indices, forward
from tracking.records import ALL_FOLDS

if TYPE_CHECKING:
    from studies.data.tf_data_and_generators import Stream

Make = Callable[[int], Splits]
"""Makes the data of a fold, or of `ALL_FOLDS`."""

# Why a test part can't be drawn at random. The keys are the functions in `splits` that make folds.
_TEST_NOT_DRAWN = {
    "grouped": "some groups would be in both",
    "forward": "some of its samples would be earlier than those trained on",
}
# A process keeps the folds that it used last, up to this many bytes. Arrays that are mapped from
# files don't count.
_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class FoldedSplits:
    """The data of a cross-validated study. `of` makes the data of a fold.

    Attributes:
        folds: The number of folds.
        digests: The SHA-256 of all samples outside the test part ("train"), of the digests of all
            folds ("validation"), and of the test part ("test").
        sizes: The number of samples outside the test part ("train"), of samples that are in the
            validation part of at least one fold ("validation"), and of samples in the test part
            ("test").
        details: The facts about the data that `describe` returns for the record.
        make: The function that makes the data of a fold.
    """

    folds: int
    digests: Mapping[str, str]
    sizes: Mapping[str, int]
    details: Mapping[str, Any]
    make: Make
    _kept: OrderedDict[int, Splits] = field(default_factory=OrderedDict, init=False)
    batch_size: ClassVar[None] = None
    streams: ClassVar[Mapping[str, Stream]] = MappingProxyType({})

    @property
    def digest(self) -> str:
        return combined_digest(self.digests)

    def describe(self) -> dict[str, Any]:
        return dict(self.details)

    def __getstate__(self) -> dict[str, object]:
        """Leaves the folds, and the function that makes them, out of the pickle."""
        return {k: v for k, v in vars(self).items() if k not in ("make", "_kept")}

    def of(self, fold: int | None) -> Splits:
        """Returns the training and the validation part of a fold, counted from 0.

        For `ALL_FOLDS`, the training part is all samples outside the test part. The validation part
        is then the first training sample, because `Splits` can't be without a validation part.
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
        return self.of(ALL_FOLDS)


def _bytes_of(splits: Splits) -> int:
    arrays = [*splits.train.named.values(), *splits.validation.named.values()]
    return sum(array.nbytes for array in arrays if file_of(array) is None)


def make_folds(
    read: Callable[[], Contents], options: Options, how: CrossValidation, folder: Path | None
) -> FoldedSplits:
    """Splits all samples outside the test part into folds.

    If `options.validation` is a share or a number of samples, it is ignored. A ready-made
    validation part is appended to the samples that are split. The test part is the same as without
    folds. If several processes pass the same `folder`, only one of them makes each fold, and all of
    them map the fold's arrays to memory.

    Raises DataError if no study can be run on the data.
    """
    if folder is None:
        return _folded(*_folds_of(read(), options, how))
    place: Path = folder

    def in_folder(make: Make) -> Make:
        def shared_fold(fold: int) -> Splits:
            fold_folder = place / ("all-folds" if fold == ALL_FOLDS else f"fold-{fold}")
            fold_folder.mkdir(exist_ok=True)
            return shared(lambda: make(fold), fold_folder)

        return shared_fold

    def load() -> FoldedSplits:
        count, validated, make = _folds_of(read(), options, how)
        return _folded(count, validated, in_folder(make))

    return replace(shared(load, place), make=in_folder(_gone))


def _gone(fold: int) -> Splits:
    raise InternalError(f"Fold {fold} of the data is gone from the temporary folder.")


def _folded(count: int, validated: int, make: Make) -> FoldedSplits:
    """Returns the data of all folds. Makes each fold once to compute its digest.

    `validated` is the number of samples that are in the validation part of at least one fold.
    """
    folds = [{**splits.sizes, "digest": splits.digest} for splits in map(make, range(count))]
    whole = make(ALL_FOLDS)
    fold_digests = {f"fold {n}": str(fold["digest"]) for n, fold in enumerate(folds, start=1)}
    description = whole.describe()
    for name in ("shapes", "dtypes"):
        del description[name]["validation"]
    details = {n: description[n] for n in ("classes", "preprocessing", "shapes", "dtypes")}
    return FoldedSplits(
        count,
        digests={**whole.digests, "validation": combined_digest(fold_digests)},
        sizes={**whole.sizes, "validation": validated},
        details={**details, "folds": folds},
        make=make,
    )


def _folds_of(contents: Contents, options: Options, how: CrossValidation) -> tuple[int, int, Make]:
    """Draws the folds. Returns the arguments of `_folded`: `count`, `validated` and `make`."""
    in_time = contents.pool.in_time
    if in_time and not how.name:
        how = forward(how.folds)
    to_draw = "test" not in contents.ready and isinstance(options.test, int | float)
    reason = _TEST_NOT_DRAWN.get(how.name)
    if to_draw and reason and not (in_time and how.name == "forward"):
        raise DataError(
            f"The test part can't be drawn from samples that are split by {how!r}: {reason}",
            hint="Pass a ready-made test part, such as test=(x_test, y_test), or test=None.",
        )
    divided = divide(contents, options, folds=True)
    part, y_name = divided.parts["train"], divided.pool.y_name
    if "validation" in divided.parts:
        part = joined(part, divided.parts["validation"])
    part = replace(part, groups=how.groups_of(len(part))).grouped
    samples = replace(divided.pool, x=part.x, y=part.y, sample_weight=part.sample_weight)
    labels, strata = labels_of(samples, options.stratify)
    check_several_classes(labels, y_name)
    folds = how.indices(len(part), strata, y_name)
    for number, (train, _) in enumerate(folds, start=1):
        if labels is not None:
            check_several_classes(labels[train], f"The training part of fold {number}, {y_name}")
    validated = np.unique(np.concatenate([validation for _, validation in folds]))
    return len(folds), len(validated), partial(_made, divided, part, folds)


def _made(divided: Divided, part: Part, folds: tuple[Indices, ...], fold: int) -> Splits:
    if fold == ALL_FOLDS:
        whole = {**divided.parts, "train": part}
        whole.pop("validation", None)
        return divided.sealed(whole)
    pairs = zip(("train", "validation"), folds[fold], strict=True)
    parts = {name: part.rows(chosen) for name, chosen in pairs}
    for name, samples in parts.items():
        weights = samples.sample_weight
        check_some_weight(weights, f"sample_weight of the {name} part of fold {fold + 1}")
    return divided.sealed(parts)
