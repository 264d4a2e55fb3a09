"""Splits samples into a training, a validation and a test part, or into folds.

For cross-validation in time, ``kerastudy.splits.forward(5, gap=7)`` makes the folds.

scikit-learn draws the parts, and makes the folds. If samples have groups, all samples of a group
are in one part, and in one fold.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError
from search_spaces.texts import counted, listed
from studies.data.arrays.digests_and_equal_samples import combined_digest
from studies.data.arrays.loaded_parts_and_folds import (
    PART_NAMES,
    FoldedSplits,
    Part,
    Splits,
    folder_of,
)
from studies.data.arrays.memory_mapped_files import new_folder, shared
from studies.data.arrays.users_samples_and_labels import (
    ClassNames,
    Contents,
    Samples,
    check_same_shape,
    check_samples,
    check_several_classes,
    check_some_weight,
    labels_of,
    number_groups,
    number_labels,
)
from studies.data.preprocessing import Preparation, examples_of, preprocessed_parts
from tracking.records import ALL_FOLDS

if TYPE_CHECKING:
    from studies.data.dataset_base import Options

__all__ = ["forward"]
Indices = tuple[np.ndarray, np.ndarray]
"""The indices of a fold's training samples, then of its validation samples."""
# A part is drawn as some of at most this many folds of groups.
_MOST_FOLDS = 20
# A part that is drawn by groups is told if it has so much more or fewer samples than asked for.
_FAR_OFF = 0.1


def __dir__() -> list[str]:
    return __all__


def divide(contents: Contents, options: Options, *, folds: bool = False) -> Divided:
    """Splits samples into parts. With `folds`, only a test part is drawn, and no validation part.

    Raises DataError if the data can't be used in a study.
    """
    pool, ready = contents.pool, dict(contents.ready)
    sizes: dict[str, float | int] = {}
    # The test part is drawn first, so that it is the same with and without folds.
    for name, size in (("test", options.test), ("validation", options.validation)):
        if name in ready or size is None:
            continue
        if isinstance(size, tuple):
            names = f"{{}} of the ready-made {name} part"
            ready[name] = check_samples(*size, names=names)
        elif not (folds and name == "validation"):
            sizes[name] = size
    for samples in ready.values():
        check_same_shape(samples, pool)
    pool, ready, class_names = number_labels(pool, ready, options.class_names)
    pool, ready = number_groups(pool, ready)
    labels, strata = labels_of(pool, options.stratify)
    if not folds:
        check_several_classes(labels, pool.y_name)
    indices = _split_indices(pool, sizes, strata, options.seed)
    if labels is not None and not folds:
        # The samples have several classes, but the training part may have got only one of them.
        how = ", split in time (time=False draws it at random)," if pool.in_time else ""
        check_several_classes(labels[indices["train"]], f"The training part{how} of {pool.y_name}")
    # Parts are copies, because the user may change the arrays later.
    parts = {name: _part(pool, chosen) for name, chosen in indices.items()}
    for name, part in parts.items():
        check_some_weight(part.sample_weight, f"sample_weight of the {name} part")
    parts |= {name: _part(samples) for name, samples in ready.items()}
    return Divided(parts, pool, options, class_names, _remarks(indices, sizes, pool))


def _part(samples: Samples, chosen: np.ndarray | None = None) -> Part:
    # Without targets, a model's training step gets `x` itself. But a tuple `x` is passed as (x,),
    # because Keras would mistake a tuple of two inputs for (x, y).
    alone = isinstance(samples.y, tuple) and not samples.y and not isinstance(samples.x, tuple)
    return Part(samples.x, samples.y, samples.sample_weight, alone, samples.groups).rows(chosen)


def _remarks(
    indices: Mapping[str, np.ndarray], sizes: Mapping[str, float | int], samples: Samples
) -> tuple[str, ...]:
    """Returns a sentence for each part whose size is far off, because groups stay whole."""
    if samples.groups is None:
        return ()
    asked = {name: _count(name, size, len(samples)) for name, size in sizes.items()}
    largest = np.bincount(samples.groups).max()
    return tuple(
        f"the {name} part has {len(indices[name]):,} samples, where {count:,} were asked for: "
        f"groups stay whole, and the largest has {largest:,}"
        for name, count in asked.items()
        if abs(len(indices[name]) - count) > _FAR_OFF * count
    )


def _split_indices(
    samples: Samples, sizes: Mapping[str, float | int], labels: np.ndarray | None, seed: int
) -> dict[str, np.ndarray]:
    """Splits samples into "train" and the parts of `sizes`. Returns the indices of each part.

    A size is a number of samples, or a share of all samples. Parts are drawn at random. If there
    are `labels`, all parts have the classes in the same proportions. Samples that are in the order
    of time are not drawn at random: the first part in `sizes` gets the latest samples, and the next
    part gets the samples before these. If samples have groups, all samples of a group are in one
    part, and sizes and classes are met as nearly as groups allow.

    The result depends on the arguments alone. scikit-learn's `train_test_split` draws with numpy's
    RandomState, whose numbers are the same on every platform and in every version:
    https://numpy.org/doc/stable/reference/random/legacy.html
    """
    counts = {name: _count(name, size, len(samples)) for name, size in sizes.items()}
    remaining = len(samples) - sum(counts.values())
    if remaining <= 0:
        parts = listed(f"{name}={size}" for name, size in sizes.items())
        raise DataError(f"{parts} of {len(samples)} samples leave none to train on.")
    rest, indices = np.arange(len(samples)), {}
    for name, count in counts.items():
        if samples.in_time:
            rest, indices[name] = rest[:-count], rest[-count:]
        else:
            try:
                rest, indices[name] = _draw(rest, count, labels, seed, samples.groups)
            except ValueError as error:
                raise DataError(
                    f"The {name} part can't be drawn with the classes of {samples.y_name} in equal "
                    f"proportions: {error}",
                    hint="Pass stratify=False, ready-made parts, or larger sizes. If the targets "
                    "are quantities and not classes, pass them as floats.",
                ) from None
    return {"train": rest, **indices}


def _draw(
    rest: np.ndarray,
    count: int,
    labels: np.ndarray | None,
    seed: int,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a part from `rest`. Returns the indices that remain, and the indices of the part.

    Raises ValueError if the part, or a class, has too few samples to stratify. Raises DataError if
    there are too few groups.
    """
    if groups is not None:
        return _draw_groups(rest, count, labels, seed, groups)
    # Imported late, because scikit-learn is slow to import.
    from sklearn.model_selection import train_test_split

    strata = None if labels is None else labels[rest]
    rest, part = train_test_split(
        rest, train_size=len(rest) - count, test_size=count, random_state=seed, stratify=strata
    )
    return (rest, part) if labels is None else _holding_each_class(rest, part, labels, seed)


def _draw_groups(
    rest: np.ndarray, count: int, labels: np.ndarray | None, seed: int, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draws whole groups, as `_draw` draws samples.

    The part is one fold of five for a share of 0.2, and three folds of twenty for 0.15. Folds have
    nearly the same number of samples, which the groups of `GroupShuffleSplit` don't.
    """
    left = len(np.unique(groups[rest]))
    if left < 2:
        raise DataError(
            f"{counted(left, 'group')} can't be split into several parts",
            hint="Pass more groups, or fewer parts: test=None.",
        )
    share, most = count / len(rest), min(_MOST_FOLDS, left)
    of_folds = min(Fraction(share).limit_denominator(most), Fraction(most - 1, most))
    if of_folds == 0:
        # The part is smaller than one of 20 folds.
        of_folds = Fraction(1, min(left, round(1 / share)))
    strata = None if labels is None else labels[rest]
    folds = _folds_of_groups(groups[rest], strata, of_folds.denominator, seed)
    chosen = np.sort(np.concatenate([fold for _, fold in folds[: of_folds.numerator]]))
    return np.delete(rest, chosen), rest[chosen]


def _folds_of_groups(
    groups: np.ndarray, labels: np.ndarray | None, folds: int, seed: int
) -> tuple[Indices, ...]:
    """Splits samples into folds with all samples of a group in one fold.

    Folds have nearly the same number of samples. If there are `labels`, folds have the classes in
    nearly the same proportions. Raises ValueError if each class has fewer samples than `folds`.
    """
    # Imported late, because scikit-learn is slow to import.
    from sklearn.model_selection import StratifiedGroupKFold

    if labels is None:
        # With one class, scikit-learn balances the numbers of samples alone.
        labels = np.zeros(len(groups), np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # scikit-learn warns of a class with fewer samples than folds.
        warnings.simplefilter("ignore", UserWarning)
        return tuple(splitter.split(groups, labels, groups))


def _holding_each_class(
    rest: np.ndarray, part: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Changes a split so that both sides have a sample of each class.

    scikit-learn may give all samples of a rare class to one side. The other side then swaps a
    sample of its most frequent class for a sample of the rare class.
    """
    random = np.random.RandomState(seed)
    sides = [rest.copy(), part.copy()]
    for here, there in ((sides[0], sides[1]), (sides[1], sides[0])):
        for missing in np.setdiff1d(labels[there], labels[here]):
            classes, counts = np.unique(labels[here], return_counts=True)
            usual = random.choice(np.flatnonzero(labels[here] == classes[counts.argmax()]))
            rare = random.choice(np.flatnonzero(labels[there] == missing))
            here[usual], there[rare] = there[rare], here[usual]
    return sides[0], sides[1]


def _count(name: str, size: float | int, total: int) -> int:
    count = size if isinstance(size, int) else round(size * total)
    if count == 0:
        raise DataError(f"{name}={size} of {total} samples is less than one sample.")
    return count


@dataclass(frozen=True, eq=False)
class Divided:
    """The parts before preprocessing, as copies of the user's arrays."""

    parts: Mapping[str, Part]
    pool: Samples
    options: Options
    class_names: ClassNames
    remarks: tuple[str, ...] = ()

    def sealed(self, parts: Mapping[str, Part]) -> Splits:
        """Fits the preprocessing on the "train" part, and makes `Splits` of the preprocessed parts.

        If there is no "validation" part, the first training sample becomes the validation part,
        because `Splits` can't be without one.
        """
        table = self.pool.table
        x: dict[str, Any] = {name: part.x for name, part in parts.items()}
        if table is not None:
            # `Part` has sorted the columns by name. This restores their order in the table.
            x["train"] = {column.name: x["train"][column.name] for column in table.columns}
        example = examples_of(x["train"])
        options = self.options
        name, x, prepared, fitted = preprocessed_parts(table, x, options.preprocess)
        transformed = {key: replace(part, x=x[key]) for key, part in parts.items()}
        preparation = Preparation(
            example,
            prepared,
            self.pool.columns,
            self.class_names,
            fitted,
            self.pool.files,
            self._group_counts(parts),
            self.remarks,
        )
        train = transformed["train"]
        validation = transformed.get("validation") or train.first(1)
        return seal(train, validation, transformed.get("test"), name, preparation)

    def _group_counts(self, parts: Mapping[str, Part]) -> dict[str, int]:
        """Returns the number of groups of each part; empty without groups."""
        groups = {name: parts[name].groups for name in PART_NAMES if name in parts}
        return {
            name: len(np.unique(of_part))
            for name, of_part in groups.items()
            if self.pool.groups is not None and of_part is not None
        }


def seal(
    train: Part,
    validation: Part,
    test: Part | None,
    preprocessing: str | None = None,
    preparation: Preparation | None = None,
) -> Splits:
    """Makes `Splits` of parts. Computes the digests of the parts, and finds copies of samples.

    In the validation and the test part, copies of the same sample become a group, unless the
    samples have groups already.

    Raises DataError for an array that has no digest.
    """
    parts = {"train": train, "validation": validation} | ({} if test is None else {"test": test})
    return Splits(
        train,
        validation.grouped,
        None if test is None else test.grouped,
        {name: part.digest for name, part in parts.items()},
        preprocessing,
        preparation or Preparation(),
    )


def forward(folds: int = 5, *, gap: int = 0) -> CrossValidation:
    """Makes folds of a time series: in each fold, the validation samples are the latest.

    scikit-learn makes them: ``TimeSeriesSplit(folds, gap=gap)``. The samples must be in the order
    of time. A test part must be ready-made, e.g. the last samples. Only tables that are split in
    time need no ready-made test part.

    Args:
        folds: At least 2.
        gap: The number of samples left out between the training and the validation part.
    """
    return CrossValidation("forward", folds, gap=gap)


def check_cross_validation(setting: str, value: object, error: checks.Error) -> CrossValidation:
    """Checks a study's `cross_validation`. Turns a number of folds into a `CrossValidation`."""
    if isinstance(value, CrossValidation):
        return value
    if checks.is_whole(value):
        return CrossValidation("", checks.whole_number(setting, value, error, least=2))
    expected = "a number of folds, or how to split, such as kerastudy.splits.forward(5)"
    raise error.of_setting(setting, expected, value)


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """A way to split samples into folds. The functions above make such objects.

    Attributes:
        name: The name of the function; empty if the user passed only a number of folds.
        folds: The number of folds, at least 2.
        gap: The `gap` of `forward`.
    """

    name: str
    folds: int
    gap: int = 0

    def __post_init__(self) -> None:
        checks.whole_number("folds", self.folds, DataError, least=2)
        checks.whole_number("gap", self.gap, DataError, least=0)

    def __repr__(self) -> str:
        """Returns the call that makes such an object, e.g. "splits.forward(5)"."""
        if not self.name:
            return str(self.folds)
        gap = f", gap={self.gap}" if self.gap else ""
        return f"splits.{self.name}({self.folds}{gap})"

    def indices(
        self,
        samples: int,
        labels: np.ndarray | None,
        y_name: str = "y",
        groups: np.ndarray | None = None,
    ) -> tuple[Indices, ...]:
        """Returns the `Indices` of each fold.

        `labels` are the samples' classes, and `groups` their groups, or None.
        """
        if groups is not None and self.name == "forward":
            raise DataError(
                f"Samples with groups can't be split by {self!r}: training samples would be of the "
                "same groups as later samples",
                hint=f"Pass a number of folds ({self.folds}), or leave groups out.",
            )
        strata = None if self.name == "forward" else labels
        units = np.arange(samples) if groups is None else groups
        rarest = min(
            len(np.unique(units if strata is None else units[strata == label]))
            for label in ([None] if strata is None else np.unique(strata))
        )
        if rarest < self.folds:
            # scikit-learn would only warn that some folds lack the class.
            of = "The data" if strata is None else f"The rarest class of {y_name}"
            unit = "sample" if groups is None else "group"
            raise DataError(
                f"{of} has {counted(rarest, unit)}, fewer than {self.folds} folds",
                hint=f"Pass fewer folds, more {unit}s, or stratify=False to the data.",
            )
        if groups is not None:
            return _folds_of_groups(groups, strata, self.folds, 0)
        try:
            return tuple(self._splitter(strata is not None).split(np.zeros(samples), strata))
        except ValueError as error:
            raise DataError(f"{samples} samples can't be split by {self!r}: {error}") from None

    def _splitter(self, by_class: bool) -> Any:
        # Imported late, because scikit-learn is slow to import.
        from sklearn import model_selection

        if self.name == "forward":
            return model_selection.TimeSeriesSplit(self.folds, gap=self.gap)
        kind = model_selection.StratifiedKFold if by_class else model_selection.KFold
        return kind(self.folds, shuffle=True, random_state=0)


def make_folds(
    read: Callable[[], Contents], options: Options, how: CrossValidation, folder: Path | None
) -> FoldedSplits:
    """Splits all samples outside the test part into folds, and writes each fold into files.

    If `options.validation` is a share or a number of samples, it is ignored. The test part is the
    same as without folds. If several processes pass the same `folder`, only one of them makes the
    folds. Without a folder, the files are in a temporary folder. It is removed when the returned
    object is deleted.

    Raises DataError if no study can be run on the data.
    """
    if folder is not None:
        return shared(lambda: _written_folds(folder, read(), options, how), folder)
    with ExitStack() as stack:
        folds = make_folds(read, options, how, Path(stack.enter_context(new_folder())))
        # Arrays that are in use stay mapped to memory, even after their files are removed.
        weakref.finalize(folds, stack.pop_all().close)
    return folds


def _written_folds(
    folder: Path, contents: Contents, options: Options, how: CrossValidation
) -> FoldedSplits:
    in_time = contents.pool.in_time
    if in_time and not how.name:
        how = forward(how.folds)
    to_draw = "test" not in contents.ready and isinstance(options.test, int | float)
    if to_draw and how.name == "forward" and not in_time:
        raise DataError(
            f"The test part can't be drawn from samples that are split by {how!r}: some test "
            "samples would be earlier than training samples",
            hint="Pass a ready-made test part, such as test=(x_test, y_test), or test=None.",
        )
    divided = divide(contents, options, folds=True)
    parts, y_name = dict(divided.parts), divided.pool.y_name
    if "validation" in parts:
        raise DataError(
            "Cross-validation takes its validation samples from the folds, but the data has a "
            "ready-made validation part",
            hint="Put these samples among the training samples, or study without folds.",
        )
    groups = parts["train"].groups
    pool = parts["train"] = parts["train"].grouped
    labels, strata = labels_of(replace(divided.pool, y=pool.y), options.stratify)
    check_several_classes(labels, y_name)
    folds = how.indices(len(pool), strata, y_name, groups)
    for number, (train, _) in enumerate(folds, start=1):
        if labels is not None:
            check_several_classes(labels[train], f"The training part of fold {number}, {y_name}")
    by_fold = [
        _written(fold, folder, partial(_drawn, divided, pool, indices, fold))
        for fold, indices in enumerate(folds)
    ]
    whole = _written(ALL_FOLDS, folder, partial(divided.sealed, parts))
    return _folded(folder, folds, by_fold, whole)


def _folded(
    folder: Path, folds: Sequence[Indices], by_fold: Sequence[Splits], whole: Splits
) -> FoldedSplits:
    description = whole.describe()
    for name in ("shapes", "dtypes"):
        del description[name]["validation"]
    names = ("preprocessing", "shapes", "dtypes", "groups")
    details = {name: description[name] for name in names if name in description}
    details["folds"] = [{**splits.sizes, "digest": splits.digest} for splits in by_fold]
    fold_digests = {f"fold {n}": splits.digest for n, splits in enumerate(by_fold, start=1)}
    validated = sum(len(validation) for _, validation in folds)
    return FoldedSplits(
        len(folds),
        {**whole.digests, "validation": combined_digest(fold_digests)},
        {**whole.sizes, "validation": validated},
        details,
        folder,
    )


def _written(fold: int, folder: Path, make: Callable[[], Splits]) -> Splits:
    place = folder_of(fold, folder)
    place.mkdir(exist_ok=True)
    return shared(make, place)


def _drawn(divided: Divided, pool: Part, indices: Indices, fold: int) -> Splits:
    pairs = zip(("train", "validation"), indices, strict=True)
    parts = {name: pool.rows(chosen) for name, chosen in pairs}
    for name, part in parts.items():
        weights = f"sample_weight of the {name} part of fold {fold + 1}"
        check_some_weight(part.sample_weight, weights)
    return divided.sealed(parts)
