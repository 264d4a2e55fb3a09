"""Splitting: draws the samples of each part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples
from studies.data.parts.classes import check_class_counts


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

    Raises:
        DataError: too few samples, of all or of a class.
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
