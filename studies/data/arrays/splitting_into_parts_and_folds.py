"""Splits samples into a training, a validation and a test part, or into folds.

For cross-validation, ``kerastudy.splits`` has functions that make folds:

splits.grouped(patients, 5)
splits.forward(5, gap=7)

scikit-learn draws the parts, and makes the folds.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError
from search_spaces.texts import counted, listed
from studies.data.arrays.digests_and_equal_samples import combined_digest
from studies.data.arrays.loaded_parts_and_folds import FoldedSplits, Part, Splits, folder_of
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
    number_labels,
)
from studies.data.preprocessing import Preparation, examples_of, preprocessed_parts
from tracking.records import ALL_FOLDS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from studies.data.dataset_base import Options

__all__ = ["forward", "grouped"]
Indices = tuple[np.ndarray, np.ndarray]
"""The indices of a fold's training samples, then of its validation samples."""
# The keys are functions that make folds. Each value says why a test part can't be drawn at random.
_TEST_NOT_DRAWN = {
    "grouped": "some groups would be in the test part and in folds",
    "forward": "some test samples would be earlier than training samples",
}


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
    return Divided(parts, pool, options, class_names)


def _part(samples: Samples, chosen: np.ndarray | None = None) -> Part:
    # Without targets, a model's training step gets `x` itself. But a tuple `x` is passed as (x,),
    # because Keras would mistake a tuple of two inputs for (x, y).
    alone = isinstance(samples.y, tuple) and not samples.y and not isinstance(samples.x, tuple)
    return Part(samples.x, samples.y, samples.sample_weight, alone).rows(chosen)


def _split_indices(
    samples: Samples, sizes: Mapping[str, float | int], labels: np.ndarray | None, seed: int
) -> dict[str, np.ndarray]:
    """Splits samples into "train" and the parts of `sizes`. Returns the indices of each part.

    A size is a number of samples, or a share of all samples. Parts are drawn at random. If there
    are `labels`, all parts have the classes in the same proportions. Samples that are in the order
    of time are not drawn at random: the first part in `sizes` gets the latest samples, and the next
    part gets the samples before these.

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
                rest, indices[name] = _draw(rest, count, labels, seed)
            except ValueError as error:
                raise DataError(
                    f"The {name} part can't be drawn with the classes of {samples.y_name} in equal "
                    f"proportions: {error}",
                    hint="Pass stratify=False, ready-made parts, or larger sizes. If the targets "
                    "are quantities and not classes, pass them as floats.",
                ) from None
    return {"train": rest, **indices}


def _draw(
    rest: np.ndarray, count: int, labels: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a part from `rest`. Returns the indices that remain, and the indices of the part.

    Raises ValueError if the part, or a class, has too few samples to stratify.
    """
    # Imported late, because scikit-learn is slow to import.
    from sklearn.model_selection import train_test_split

    strata = None if labels is None else labels[rest]
    rest, part = train_test_split(
        rest, train_size=len(rest) - count, test_size=count, random_state=seed, stratify=strata
    )
    return (rest, part) if labels is None else _holding_each_class(rest, part, labels, seed)


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
            example, prepared, self.pool.columns, self.class_names, fitted, self.pool.files
        )
        train = transformed["train"]
        validation = transformed.get("validation") or train.first(1)
        return seal(train, validation, transformed.get("test"), name, preparation)


def seal(
    train: Part,
    validation: Part,
    test: Part | None,
    preprocessing: str | None = None,
    preparation: Preparation | None = None,
) -> Splits:
    """Makes `Splits` of parts. Computes the digests of the parts, and finds copies of samples.

    In the validation and the test part, copies of the same sample become a group, unless the part
    has groups already.

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


def grouped(groups: ArrayLike, folds: int = 5) -> CrossValidation:
    """Makes folds so that all samples of a group, e.g. of one patient, are in the same fold.

    If the targets are classes, scikit-learn draws the folds by ``StratifiedGroupKFold(folds,
    shuffle=True, random_state=0)``. Otherwise ``GroupKFold(folds)`` makes them. A test part must
    be ready-made, because a test part drawn at random would share groups with the folds.

    Args:
        groups: The group of each sample of `x`. All are numbers, or all are texts.
        folds: At least 2, and at most the number of groups.
    """
    # Imported late, because pandas is slow to import.
    import pandas as pd

    values = np.asarray(groups, object)
    # `CrossValidation` refuses other shapes.
    missing = np.flatnonzero(pd.isna(values)) if values.ndim == 1 else np.empty(0, int)
    if missing.size:
        raise DataError(
            f"groups has no group for {counted(missing.size, 'sample')}: the entry of sample "
            f"{missing[0]}, counted from 0, is {values[missing[0]]!r}",
            hint="Leave these samples out, or give each a group of its own.",
        )
    return CrossValidation("grouped", folds, np.array(groups))


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
        groups: The group of each sample, for `grouped`; else None.
        gap: The `gap` of `forward`.
    """

    name: str
    folds: int
    groups: np.ndarray | None = None
    gap: int = 0

    def __post_init__(self) -> None:
        checks.whole_number("folds", self.folds, DataError, least=2)
        checks.whole_number("gap", self.gap, DataError, least=0)
        groups = self.groups
        if groups is None:
            return
        valid = groups.ndim == 1 and groups.dtype.kind in "biufUSO"
        if not valid or (groups.dtype == object and len({isinstance(g, str) for g in groups}) > 1):
            expected = "a list with the group of each sample, all numbers or all texts"
            raise DataError.of_setting("groups", expected, groups.tolist())

    def __repr__(self) -> str:
        """Returns the call that makes such an object, e.g. "splits.forward(5)"."""
        if not self.name:
            return str(self.folds)
        groups = "" if self.groups is None else f"<{len(self.groups)} samples>, "
        gap = f", gap={self.gap}" if self.gap else ""
        return f"splits.{self.name}({groups}{self.folds}{gap})"

    def indices(
        self, samples: int, labels: np.ndarray | None, y_name: str = "y"
    ) -> tuple[Indices, ...]:
        """Returns the `Indices` of each fold. `labels` are the samples' classes, or None."""
        strata = None if self.name == "forward" else labels
        rarest = samples if strata is None else np.unique(strata, return_counts=True)[1].min()
        if rarest < self.folds:
            # scikit-learn would only warn that some folds lack the class.
            of = "The data" if strata is None else f"The rarest class of {y_name}"
            raise DataError(
                f"{of} has {counted(rarest, 'sample')}, fewer than {self.folds} folds",
                hint="Pass fewer folds, more samples, or stratify=False to the data.",
            )
        groups, splitter = self.groups_of(samples), self._splitter(strata is not None)
        try:
            return tuple(splitter.split(np.zeros(samples), strata, groups))
        except ValueError as error:
            raise DataError(f"{samples} samples can't be split by {self!r}: {error}") from None

    def _splitter(self, by_class: bool) -> Any:
        # Imported late, because scikit-learn is slow to import.
        from sklearn import model_selection

        if self.name == "forward":
            return model_selection.TimeSeriesSplit(self.folds, gap=self.gap)
        if self.name == "grouped" and not by_class:
            return model_selection.GroupKFold(self.folds)
        group = "Group" if self.name == "grouped" else ""
        splitter = getattr(model_selection, f"Stratified{group}KFold" if by_class else "KFold")
        return splitter(self.folds, shuffle=True, random_state=0)

    def groups_of(self, samples: int) -> np.ndarray | None:
        """Returns the group of each sample, numbered from 0; None if there are no groups."""
        if self.groups is None:
            return None
        if len(self.groups) != samples:
            raise DataError(
                f"groups holds {counted(len(self.groups), 'group')} for {samples} samples",
                hint="Pass a group for each sample that is not in the test part.",
            )
        groups, places = np.unique(self.groups, return_inverse=True)
        if len(groups) < self.folds:
            few = counted(len(groups), "group")
            raise DataError(f"{few} can't be split into {self.folds} folds.")
        return places


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
    reason = _TEST_NOT_DRAWN.get(how.name)
    if to_draw and reason and not (in_time and how.name == "forward"):
        raise DataError(
            f"The test part can't be drawn from samples that are split by {how!r}: {reason}",
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
    pool = parts["train"]
    pool = parts["train"] = replace(pool, groups=how.groups_of(len(pool))).grouped
    labels, strata = labels_of(replace(divided.pool, y=pool.y), options.stratify)
    check_several_classes(labels, y_name)
    folds = how.indices(len(pool), strata, y_name)
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
    details = {name: description[name] for name in ("preprocessing", "shapes", "dtypes")}
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
