"""Finds out whether targets are classes, numbers their labels, and keeps the classes' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.nested_arrays import entries, is_text, rebuilt
from studies.data.arrays.user_samples import Samples

ClassNames = tuple[str, ...] | Mapping[str, tuple[str, ...]]


def class_labels(y: np.ndarray) -> np.ndarray | None:
    """Returns the class of each sample, of shape (n,), or None if the targets are no classes.

    Classes are:

    * booleans, and integers from 0 up, of shape (n,) or (n, 1);
    * floats of these shapes that are all 0 or 1;
    * one-hot rows of shape (n, k), of any dtype.

    Negative integers are no classes, because Keras's sparse losses need labels from 0 up.
    """
    values = _column(y)
    only_0_and_1 = bool(((values == 0) | (values == 1)).all())
    if values.ndim == 1:
        whole = values.dtype.kind != "f" and (values.dtype.kind in "bu" or values.min() >= 0)
        return values if whole or only_0_and_1 else None
    if values.ndim == 2 and only_0_and_1 and bool((values.sum(axis=1) == 1).all()):
        return np.asarray(values.argmax(axis=1))
    return None


def labels_of(
    samples: Samples, stratify: bool | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns two arrays: the class of each sample, and the labels to stratify by.

    Both are None for a regression, and if each sample has several targets. The labels to stratify
    by are also None if `stratify` is False, or if the samples are in the order of time.
    """
    labels = class_labels(samples.y) if isinstance(samples.y, np.ndarray) else None
    if stratify and labels is None:
        raise DataError(
            f"stratify=True needs one target that holds classes, but {samples.y_name} does not",
            hint="Leave stratify out, or make the parts yourself.",
        )
    return labels, None if stratify is False or samples.in_time else labels


def check_several_classes(labels: np.ndarray | None, y_name: str) -> None:
    """Raises DataError if all samples are of one class."""
    if labels is not None and bool((labels == labels[0]).all()):
        one = f"{labels[0].item()}, in all {len(labels)} samples"
        raise DataError(f"{y_name} holds one class only: {one}. There is nothing to learn.")


def _column(y: np.ndarray) -> np.ndarray:
    """Reshapes targets from (n, 1) to (n,), as Keras treats both alike. Others stay."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def number_labels(
    pool: Samples, ready: Mapping[str, Samples], class_names: tuple[str, ...]
) -> tuple[Samples, dict[str, Samples], ClassNames]:
    """Replaces labels that are texts by numbers, in all parts, as scikit-learn's LabelEncoder does.

    Returns the pool, the ready-made parts and the class names. If the targets are a dict, the class
    names are a dict too, with the names of each target's classes. If the targets are a tuple,
    `class_names` is returned unchanged.
    """
    parts = {"": pool, **ready}
    by_target = {
        target: _number_labels([entries(part.y)[target] for part in parts.values()])
        for target in entries(pool.y)
    }
    numbered_parts = {
        name: replace(part, y=rebuilt(pool.y, [labels[place] for labels, _ in by_target.values()]))
        for place, (name, part) in enumerate(parts.items())
    }
    names: ClassNames = class_names
    if isinstance(pool.y, dict):
        names = {target: texts for target, (_, texts) in by_target.items() if texts} or names
    elif not isinstance(pool.y, tuple):
        labels, texts = by_target[""]
        names = texts or class_names
        if class_names:
            _check_names(labels, texts, class_names, pool.y_name)
    return numbered_parts.pop(""), numbered_parts, names


def _number_labels(labels: list[np.ndarray]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Returns the labels of each part as numbers, and the text that each number stands for.

    Labels that are numbers already are returned unchanged, without texts.
    """
    if not any(map(is_text, labels)):
        return labels, ()
    texts = [np.asarray(part, dtype=object).astype(str) for part in labels]
    names = np.unique(np.concatenate([part.ravel() for part in texts]))
    return [np.searchsorted(names, part).astype(np.int64) for part in texts], tuple(names.tolist())


def _check_names(
    labels: list[np.ndarray], texts: tuple[str, ...], names: tuple[str, ...], y_name: str
) -> None:
    if texts:
        raise DataError(f"{y_name} holds the names of the classes already. Leave class_names out.")
    for part in labels:
        one_hot = part.ndim == 2 and part.shape[1] > 1
        largest = part.shape[1] - 1 if one_hot else float(part.max())
        if largest >= len(names):
            raise DataError(
                f"class_names has {len(names)} name(s), and {y_name} has labels up to {largest:g}."
            )
