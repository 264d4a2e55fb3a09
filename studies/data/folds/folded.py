"""The data of a cross-validated study: a training and a validation part for each fold."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from filelock import FileLock

from search_spaces.errors import DataError, InternalError
from studies.data.arrays.checks import Samples, check_same_shape, check_some_weight
from studies.data.arrays.classes import (
    ClassNames,
    check_several_classes,
    class_labels,
    numbered,
    stratification_labels,
)
from studies.data.arrays.digests import combined_digest
from studies.data.arrays.large import file_of, shared
from studies.data.arrays.partition import Contents, classes_of, rows_of, sorted_out, split_indices
from studies.data.arrays.preprocessing import Given, examples_of, preprocessed_parts
from studies.data.arrays.splits import Part, Splits, joined, seal
from studies.data.arrays.structures import entry_name, named_arrays
from studies.data.folds.cross_validation import CrossValidation, Drawn, Forward, Indices
from studies.data.options import Options
from studies.data.tables.columns import TableColumns
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


@dataclass(frozen=True, eq=False)
class _Pool:
    """All samples that are split, before preprocessing, and what else the folds are made of."""

    part: Part
    test: Part | None
    folds: tuple[Indices, ...]
    options: Options
    classes: int | None
    columns: Mapping[str, Any] = field(default_factory=dict)
    class_names: ClassNames = ()
    table: TableColumns | None = None
    files: Mapping[str, object] = field(default_factory=dict)


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
    The test part is that of the data without folds.

    Args:
        contents: The samples.
        options: Of the data.
        how: How to split.
        written: Makes what makes a fold write it to files too.

    Raises:
        DataError: If no study can be run on the data.
    """
    pool = _pool(contents, options, how)
    validated = np.unique(np.concatenate([validation for _, validation in pool.folds]))
    return folded(len(pool.folds), len(validated), written(partial(_made, pool)))


def _pool(contents: Contents, options: Options, how: CrossValidation) -> _Pool:
    pool = contents.pool
    ready, sizes = sorted_out(contents, options)
    sizes.pop("validation", None)
    if pool.in_time and isinstance(how, Drawn) and how.by_class is None and how.times == 1:
        # A number of folds, and not how they are drawn.
        how = Forward(how.folds)
    if "test" in sizes and how.drawn_test and not (pool.in_time and isinstance(how, Forward)):
        raise DataError(
            f"The test part can't be drawn from samples that are split by {how!r}: "
            f"{how.drawn_test}. Pass a ready-made test part, such as test=(x_test, y_test), or "
            "test=None."
        )
    for part in ready.values():
        check_same_shape(part, pool)
    pool, ready, class_names = numbered(pool, ready, options.class_names)
    named = pool
    if isinstance(options.stratify, str):
        named = replace(pool, y_name=entry_name(pool.y_name, options.stratify))
    labels, strata = _labels(pool, options)
    classes = None if labels is None else classes_of(pool, labels, ready)
    indices = split_indices(named, sizes, strata, options.seed)
    validation = ready.pop("validation", None)
    merged = _part(pool, indices["train"])
    if validation is not None:
        merged = joined(merged, _part(validation))
    merged = replace(merged, groups=how.groups_of(len(merged))).grouped
    again = replace(named, x=merged.x, y=merged.y, sample_weight=merged.sample_weight)
    labels, strata = _labels(again, options)
    if labels is not None:
        check_several_classes(labels, pool.y_name)
    folds = how.indices(len(merged), strata, named.y_name)
    for number, (train, _) in enumerate(folds, start=1):
        if labels is not None:
            check_several_classes(
                labels[train], f"The training part of fold {number}, {named.y_name}"
            )
    test = None
    if "test" in ready:
        test = _part(ready["test"])
    elif "test" in indices:
        test = _part(pool, indices["test"])
    return _Pool(
        merged, test, folds, options, classes, pool.columns, class_names, pool.table, pool.files
    )


def _labels(samples: Samples, options: Options) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns the classes of samples, and what their splits are stratified by; or None."""
    # Several targets make no classes together.
    labels = class_labels(samples.y) if isinstance(samples.y, np.ndarray) else None
    return labels, stratification_labels(samples, labels, options.stratify)


def _part(samples: Samples, chosen: np.ndarray | None = None) -> Part:
    """Returns a copy of some samples, or of all."""
    chosen = np.arange(len(samples)) if chosen is None else chosen
    weights = None if samples.sample_weight is None else samples.sample_weight[chosen]
    return Part(rows_of(samples.x, chosen), rows_of(samples.y, chosen), weights, _alone(samples))


def _alone(samples: Samples) -> bool:
    # As Keras passes on arrays without targets: it would take a tuple for (x, y).
    return isinstance(samples.y, tuple) and not samples.y and not isinstance(samples.x, tuple)


def _made(pool: _Pool, fold: int) -> Splits:
    """Returns the data of a fold, or of all folds; see `FoldedSplits.of`."""
    part, options = pool.part, pool.options
    if fold == ALL_FOLDS:
        parts = {"train": part}
        if pool.test is not None:
            parts["test"] = pool.test
    else:
        train, validation = pool.folds[fold]
        parts = {"train": _rows(part, train), "validation": _rows(part, validation)}
        for name, each in parts.items():
            if each.sample_weight is not None:
                what = f"sample_weight of the {name} part of fold {fold + 1}"
                check_some_weight(each.sample_weight, what)
    example = examples_of(parts["train"].x)
    preprocessing, x, prepared, table = preprocessed_parts(
        pool.table, {name: each.x for name, each in parts.items()}, options
    )
    made = {name: replace(each, x=x[name]) for name, each in parts.items()}
    return seal(
        made["train"],
        made["validation"] if "validation" in made else made["train"].first(1),
        made.get("test"),
        classes=pool.classes,
        preprocessing=preprocessing,
        given=Given(example, prepared, pool.columns, pool.class_names, table, pool.files),
    )


def _rows(part: Part, chosen: np.ndarray) -> Part:
    weights = None if part.sample_weight is None else part.sample_weight[chosen]
    groups = None if part.groups is None else part.groups[chosen]
    return Part(rows_of(part.x, chosen), rows_of(part.y, chosen), weights, part.alone, groups)
