"""Classes: whether targets are labels, and labels by name, numbered for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples
from studies.data.arrays.structures import Arrays, described, entry_name, is_text

ClassNames = tuple[str, ...] | Mapping[str, tuple[str, ...]]


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

    None for a split at random, or in time. Raises DataError if there are no such labels, or several
    for each sample.
    """
    if stratify is False or samples.in_time:
        return None
    if stratify is None:
        return labels
    y, name = _target(samples, stratify)
    classes = labels if y is samples.y else class_labels(y)
    if classes is not None:
        return classes
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


def numbered(
    pool: Samples, ready: Mapping[str, Samples], class_names: tuple[str, ...]
) -> tuple[Samples, dict[str, Samples], ClassNames]:
    """Numbers the labels that are texts, in all parts, as scikit-learn's LabelEncoder does.

    Returns the samples, and the names of the classes, for several targets by their names.
    """
    parts = {"": pool, **ready}
    all_names: ClassNames = class_names
    if isinstance(pool.y, dict):
        by_name = {name: _numbered([p.y[name] for p in parts.values()]) for name in pool.y}  # type: ignore[call-overload]
        made: list[Arrays] = [
            {name: coded[place] for name, (coded, _) in by_name.items()}
            for place in range(len(parts))
        ]
        all_names = {name: names for name, (_, names) in by_name.items() if names} or class_names
    elif isinstance(pool.y, tuple):
        # Targets without names have no names for their classes either.
        columns = [_numbered([p.y[i] for p in parts.values()])[0] for i in range(len(pool.y))]  # type: ignore[index]
        made = [tuple(column[place] for column in columns) for place in range(len(parts))]
    else:
        coded, names = _numbered([part.y for part in parts.values()])  # type: ignore[misc]
        made, all_names = list(coded), names or class_names
        if class_names:
            _check_names(coded, names, class_names, pool.y_name)
    again = {name: replace(part, y=y) for (name, part), y in zip(parts.items(), made, strict=True)}
    return again.pop(""), again, all_names


def _numbered(labels: list[np.ndarray]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    if not any(map(is_text, labels)):
        return labels, ()
    flat = [np.asarray(part, dtype=object).ravel().tolist() for part in labels]
    names = sorted({str(name) for part in flat for name in part})
    numbers = {name: number for number, name in enumerate(names)}
    coded = [
        np.array([numbers[str(name)] for name in part], np.int64).reshape(given.shape)
        for part, given in zip(flat, labels, strict=True)
    ]
    return coded, tuple(names)


def _check_names(
    labels: list[np.ndarray], names: tuple[str, ...], given: tuple[str, ...], y_name: str
) -> None:
    if names:
        raise DataError(
            f"{y_name} holds labels by name already ({', '.join(names[:5])}). Leave class_names "
            "out."
        )
    for part in labels:
        one_hot = part.ndim == 2 and part.shape[1] > 1
        largest = part.shape[1] - 1 if one_hot else float(part.max())
        if largest >= len(given):
            raise DataError(
                f"class_names has {len(given)} name(s), and {y_name} has labels up to "
                f"{largest:g}. Give a name for each label from 0 up."
            )
