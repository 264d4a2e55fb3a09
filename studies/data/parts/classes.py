"""Classes: whether targets are labels."""

from __future__ import annotations

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples
from studies.data.structures import described, entry_name


def class_labels(y: np.ndarray) -> np.ndarray | None:
    """Returns the class of each sample, of shape (n,), if the targets look like classes; else None.

    Classes are: booleans and integers from 0 up, of shape (n,) or (n, 1); floats of those shapes
    that are all 0 or 1; rows of shape (n, k) that are one-hot, of any dtype. Negative integers are
    not (Keras's sparse losses need labels from 0 up): they count as targets of a regression.
    So are integers in (n, k) that are not one-hot: several values for each sample.
    """
    values = _column(y)
    if values.ndim == 1:
        if values.dtype.kind == "f":
            return values if _zeros_and_ones(values) else None
        return values if values.dtype.kind in "bu" or values.min() >= 0 else None
    if values.ndim == 2 and _zeros_and_ones(values) and bool((values.sum(axis=1) == 1).all()):
        return np.asarray(values.argmax(axis=1))
    return None


def count_classes(y: np.ndarray, labels: np.ndarray) -> int:
    """Returns the number of classes: the columns of one-hot rows, else the distinct labels.

    Labels with gaps (1, 2, 5) count as so many classes as occur.
    """
    values = _column(y)
    return int(values.shape[1]) if values.ndim == 2 else len(np.unique(labels))


def stratification_labels(
    samples: Samples, labels: np.ndarray | None, stratify: bool | str | None
) -> np.ndarray | None:
    """Returns the labels to stratify a split by: the classes, or those of the named targets.

    None for a split at random.

    Raises:
        DataError: there are no such labels, or several for each sample.
    """
    if stratify is False or stratify is None:
        return None if stratify is False else labels
    y, name = _target(samples, stratify)
    found = labels if y is samples.y else class_labels(y)
    if found is not None:
        return found
    values = _column(y)
    if values.ndim != 1:
        raise DataError(
            f"stratify={stratify!r} needs one class for each sample, but {name} has shape "
            f"{y.shape} and its rows are not one-hot. Pass stratify=False, or ready-made "
            "parts."
        )
    return values


def _target(samples: Samples, stratify: bool | str) -> tuple[np.ndarray, str]:
    """Returns the targets to stratify by, and their name."""
    y, name = samples.y, samples.y_name
    if isinstance(y, dict) and isinstance(stratify, str) and stratify in y:
        return y[stratify], entry_name(name, stratify)
    if isinstance(y, np.ndarray) and stratify is True:
        return y, name
    what = f"stratify={stratify!r}"
    raise DataError(
        f"{what} does not say which targets to stratify by: {name} holds {described(y)}. "
        + (
            "Pass stratify=True or False."
            if isinstance(y, np.ndarray)
            else "Pass the name of an output as stratify, where y is a dict, or stratify=False."
        )
    )


def check_several_classes(labels: np.ndarray, y_name: str) -> None:
    """Refuses targets of a single class: any model predicts it."""
    first = labels[0]
    if bool((labels == first).all()):
        raise DataError(
            f"{y_name} holds one class only: {first.item()}, in all {len(labels)} samples. "
            "There is nothing to learn: pass samples of at least two classes."
        )


def check_class_counts(labels: np.ndarray, parts: int, y_name: str) -> None:
    """Refuses classes with fewer members than there are parts to split them into."""
    classes, counts = np.unique(labels, return_counts=True)
    rarest = int(counts.argmin())
    if counts[rarest] < parts:
        few = int((counts < parts).sum())
        others = f" ({few} classes have too few)" if few > 1 else ""
        raise DataError(
            f"Class {classes[rarest].item()} of {y_name} has {counts[rarest]} sample(s), fewer "
            f"than the {parts} parts to split by class{others}. Pass stratify=False, ready-made "
            "parts, or more samples of it; targets that are quantities, not classes, pass as "
            "floats."
        )


def _column(y: np.ndarray) -> np.ndarray:
    """Returns (n, 1) as (n,): Keras treats both as one value for each sample."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _zeros_and_ones(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())
