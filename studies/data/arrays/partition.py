"""Turns read data into splits: take parts, check, preprocess, seal, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples, check_same_shape, check_samples, check_some_weight
from studies.data.arrays.classes import (
    ClassNames,
    check_class_counts,
    check_several_classes,
    class_labels,
    count_classes,
    numbered,
    stratification_labels,
)
from studies.data.arrays.large import taken
from studies.data.arrays.preprocessing import Given, examples_of, preprocessed_parts
from studies.data.arrays.splits import Part, Splits, seal
from studies.data.arrays.structures import Arrays, entry_name, map_arrays
from studies.data.options import Options, ReadyMade


@dataclass(frozen=True, eq=False)
class Contents:
    """The samples of a source to train on and to split, and its own "validation" and "test"."""

    pool: Samples
    ready: Mapping[str, Samples] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Divided:
    """Parts before preprocessing, with what else splits are made of; the arrays are copies."""

    parts: Mapping[str, Part]
    pool: Samples
    options: Options
    classes: int | None
    class_names: ClassNames

    def sealed(self, parts: Mapping[str, Part]) -> Splits:
        """Preprocesses parts, fitted on their "train", and seals them.

        Without a validation part the first training sample is one, as there must be one.
        """
        table = self.pool.table
        x: dict[str, Any] = {name: part.x for name, part in parts.items()}
        if table is not None:
            # In the order of the table.
            x["train"] = {column.name: x["train"][column.name] for column in table.columns}
        example = examples_of(x["train"])
        name, x, prepared, fitted = preprocessed_parts(table, x, self.options)
        made = {part: replace(each, x=x[part]) for part, each in parts.items()}
        given = Given(
            example, prepared, self.pool.columns, self.class_names, fitted, self.pool.files
        )
        validation = made["validation"] if "validation" in made else made["train"].first(1)
        return seal(made["train"], validation, made.get("test"), self.classes, name, given)


def make_splits(contents: Contents, options: Options) -> Splits:
    """Splits, preprocesses and seals. Raises DataError if no study can be run on the data."""
    divided = divide(contents, options)
    return divided.sealed(divided.parts)


def divide(contents: Contents, options: Options, *, folds: bool = False) -> Divided:
    """Takes the parts: of the contents, else of the options, else drawn.

    For folds no validation part is drawn, and the classes of the training part are not checked.
    """
    pool = contents.pool
    ready, sizes = _sorted_out(contents, options)
    if folds:
        sizes.pop("validation", None)
    for samples in ready.values():
        check_same_shape(samples, pool)
    pool, ready, class_names = numbered(pool, ready, options.class_names)
    labels, strata = labels_of(pool, options)
    if labels is not None and not folds:
        check_several_classes(labels, pool.y_name)
    indices = split_indices(_named(pool, options), sizes, strata, options.seed)
    if labels is not None and not folds:
        # A random split, or one of small classes, may leave the training part without a class.
        how = ", split in time (time=False draws it at random)," if pool.in_time else ""
        check_several_classes(labels[indices["train"]], f"The training part{how} of {pool.y_name}")
    # Copies: the user may change the arrays later.
    parts = {name: _part(pool, chosen) for name, chosen in indices.items()}
    for name, part in parts.items():
        check_weights(part, f"the {name} part")
    parts |= {name: _part(each) for name, each in ready.items()}
    classes = None if labels is None else _classes_of(pool, labels, ready)
    return Divided(parts, _named(pool, options), options, classes, class_names)


def labels_of(samples: Samples, options: Options) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns the classes of samples, and what their splits are stratified by; or None."""
    # Several targets make no classes together.
    labels = class_labels(samples.y) if isinstance(samples.y, np.ndarray) else None
    return labels, stratification_labels(samples, labels, options.stratify)


def _named(pool: Samples, options: Options) -> Samples:
    """Returns samples whose targets have the name, in messages, of those to stratify by."""
    if not isinstance(options.stratify, str):
        return pool
    return replace(pool, y_name=entry_name(pool.y_name, options.stratify))


def _part(samples: Samples, chosen: np.ndarray | None = None) -> Part:
    """Returns a copy of some samples, or of all."""
    # As Keras passes on arrays without targets: it would take a tuple for (x, y).
    alone = isinstance(samples.y, tuple) and not samples.y and not isinstance(samples.x, tuple)
    weights = samples.sample_weight
    if weights is not None:
        weights = weights.copy() if chosen is None else weights[chosen]
    return Part(rows_of(samples.x, chosen), rows_of(samples.y, chosen), weights, alone)


def check_weights(part: Part, called: str) -> None:
    """Refuses a part whose samples all have the weight 0."""
    if part.sample_weight is not None:
        check_some_weight(part.sample_weight, f"sample_weight of {called}")


def _sorted_out(
    contents: Contents, options: Options
) -> tuple[dict[str, Samples], dict[str, float | int]]:
    """Returns the ready-made parts, and the sizes of those to split off, test first."""
    ready = dict(contents.ready)
    sizes: dict[str, float | int] = {}
    for name, size in (("test", options.test), ("validation", options.validation)):
        if name in ready or size is None:
            continue
        if isinstance(size, ReadyMade):
            ready[name] = check_samples(
                size.x,
                size.y,
                f"x of the ready-made {name} part",
                f"y of the ready-made {name} part",
                size.sample_weight,
                f"sample_weight of the ready-made {name} part",
            )
        else:
            sizes[name] = size
    return ready, sizes


def rows_of(arrays: Arrays, chosen: np.ndarray | None) -> Any:
    """Returns a copy of some rows of arrays, or of all."""
    return map_arrays(lambda array: taken(array, chosen), arrays)


def _classes_of(pool: Samples, labels: np.ndarray, ready: Mapping[str, Samples]) -> int:
    """Counts the classes of all parts, which must all be classes."""
    everywhere = [labels]
    assert isinstance(pool.y, np.ndarray), "several targets have no labels"
    for part in ready.values():
        assert isinstance(part.y, np.ndarray), "parts hold the same arrays"
        of_part = class_labels(part.y)
        if of_part is None:
            raise DataError(
                f"{pool.y_name} holds classes ({pool.y.dtype}), but {part.y_name} does not "
                f"({part.y.dtype}: negative, fractional, or not one-hot). Encode both alike."
            )
        everywhere.append(of_part)
    return count_classes(pool.y, np.concatenate(everywhere))


def split_indices(
    samples: Samples, sizes: Mapping[str, float | int], labels: np.ndarray | None, seed: int
) -> dict[str, np.ndarray]:
    """Draws parts from samples; returns the indices of "train" and of each part of `sizes`.

    A size is a count, or a share of all samples, rounded to the nearest count. Without sizes all
    samples are the training part, in their own order. With labels, a class for each sample, all
    parts get the same proportions. Of samples in the order of time, the first part of `sizes` gets
    the last ones, and so on.

    The parts are disjoint and make up all samples. They, and the order within them, depend on the
    arguments alone: scikit-learn's `train_test_split` draws with numpy's RandomState, whose numbers
    are the same on every platform and, by numpy's promise, in every version:
    https://numpy.org/doc/stable/reference/random/legacy.html
    """
    counts = {name: _count(name, size, len(samples)) for name, size in sizes.items()}
    left = len(samples) - sum(counts.values())
    if left <= 0:
        asked = " and ".join(f"{name}={sizes[name]}" for name in sizes)
        raise DataError(
            f"{asked} of {len(samples)} samples leave none to train on. "
            "Pass smaller parts or more samples."
        )
    if labels is not None and counts:
        check_class_counts(labels, len(counts) + 1, samples.y_name)
        _check_room(labels, {**counts, "train": left}, samples.y_name)
    if samples.in_time:
        parts = {}
        rest = np.arange(len(samples))
        for name, count in counts.items():
            rest, parts[name] = rest[:-count], rest[-count:]
        return {"train": rest, **parts}
    return _draw(samples, counts, labels, seed)


def _draw(
    samples: Samples, counts: Mapping[str, int], labels: np.ndarray | None, seed: int
) -> dict[str, np.ndarray]:
    rest = np.arange(len(samples))
    parts = {}
    for name, count in counts.items():
        # Late: the import takes half a second.
        from sklearn.model_selection import train_test_split

        strata = None if labels is None else labels[rest]
        if strata is not None:
            # An earlier part may have taken all but one sample of a small class.
            check_class_counts(strata, 2, f"{samples.y_name}, parts drawn before taken off,")
        rest, parts[name] = train_test_split(
            rest, train_size=len(rest) - count, test_size=count, random_state=seed, stratify=strata
        )
        if labels is not None:
            rest, parts[name] = _holding_each_class(rest, parts[name], labels, seed)
    return {"train": rest, **parts}


def _holding_each_class(
    rest: np.ndarray, part: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a split in which either side has a sample of each class.

    scikit-learn may round a rare class's share to none. A side that lacks a class gets a sample of
    it in exchange for one of its largest class. Each side must have room for each class, and each
    class two samples.
    """
    random = np.random.RandomState(seed)
    sides = [rest.copy(), part.copy()]
    for here, there in ((sides[0], sides[1]), (sides[1], sides[0])):
        for missing in np.setdiff1d(labels[there], labels[here]):
            classes, counts = np.unique(labels[here], return_counts=True)
            given = random.choice(np.flatnonzero(labels[here] == classes[counts.argmax()]))
            taken = random.choice(np.flatnonzero(labels[there] == missing))
            here[given], there[taken] = there[taken], here[given]
    return sides[0], sides[1]


def _count(name: str, size: float | int, total: int) -> int:
    count = size if isinstance(size, int) else round(size * total)
    if count == 0:
        raise DataError(
            f"{name}={size} of {total} samples is less than one sample. "
            f"Pass a larger share, a count, a ready-made part, or more samples."
        )
    return count


def _check_room(labels: np.ndarray, counts: Mapping[str, int], y_name: str) -> None:
    """Refuses parts too small to hold one sample of each class."""
    classes = len(np.unique(labels))
    for name, count in counts.items():
        if count < classes:
            raise DataError(
                f"The {name} part would have {count} sample(s), fewer than the {classes} classes "
                f"of {y_name}. Make it larger, or pass stratify=False or ready-made parts; "
                "targets that are quantities, not classes, pass as floats."
            )
