"""Class weights: how much the samples of each class count in training, as in `model.fit`.

As in Keras, class weights become sample weights of the training part. They can't be combined with
sample weights that the data already has, and the model must have a single output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError
from search_spaces.texts import listed
from studies.data import LoadedData, Part, Splits, class_labels, described
from tracking.records import ClassWeight

BALANCED = "balanced"
_OTHERWISE = "Leave class_weight out, or give the data sample_weight."

# Trainers prepare the arrays of a `Splits` object once, and reuse them for the same object. So all
# trials with the same class weights must get the same object. If class weights depend on
# hyperparameters, there are many objects, and only the latest are kept.
_MOST_WEIGHTS = 4
_weighted: WeakKeyDictionary[Splits, dict[tuple[tuple[int, float], ...], Splits]]
_weighted = WeakKeyDictionary()


def check_class_weight(value: object) -> Mapping[int, float] | str | None:
    """Checks the user's `class_weight`. Returns "balanced", None, or a dict sorted by class."""
    if value is None or (isinstance(value, str) and value == BALANCED):
        return value
    if not isinstance(value, Mapping) or not value:
        raise StudyError.of_setting(
            "class_weight", "weights by class, such as {0: 1.0, 1: 5.0}, or 'balanced'", value
        )
    for label, weight in value.items():
        hint = "Classes are labels, or the columns of one-hot rows."
        checks.whole_number("A class in class_weight", label, StudyError, least=0, hint=hint)
        checks.finite_number(f"The weight of class {label}", weight, StudyError, least=0)
    return {int(label): float(value[label]) for label in sorted(value)}


def resolve_class_weight(
    class_weight: Mapping[int, float] | str | None, splits: LoadedData
) -> dict[int, float] | None:
    """Returns the weight of each class, and checks that the data has these classes.

    For "balanced", weights are computed from the training part as in scikit-learn: a class's weight
    is the number of samples, divided by the number of classes and by the class's number of samples.
    """
    if class_weight is None:
        return None
    if splits.streams:
        raise StudyError(
            f"class_weight={class_weight!r:.200} can't be used with data in batches",
            hint="Give batches (x, y, sample_weight), with the weight of each sample's class.",
        )
    train = splits.arrays.train
    labels = _labels(train)
    if train.sample_weight is not None:
        raise StudyError(
            f"class_weight={class_weight!r:.200} and the data's sample_weight can't be used "
            "together, as in Keras",
            hint="Multiply the class's weight into sample_weight, and leave class_weight out.",
        )
    if isinstance(class_weight, str):
        from sklearn.utils.class_weight import compute_class_weight

        classes = np.unique(labels)
        weights = compute_class_weight(BALANCED, classes=classes, y=labels)
        return {int(label): float(weight) for label, weight in zip(classes, weights, strict=True)}
    present = _classes_of(splits.arrays, labels)
    unknown = sorted(set(class_weight) - present)
    if unknown:
        raise StudyError(
            f"class_weight has weights for classes that the data lacks: "
            f"{listed(unknown, most=10)}. The data has the classes "
            f"{listed(sorted(present), most=10)}",
            hint="Give weights for these classes only. A class without a weight gets the weight 1.",
        )
    if all(class_weight.get(label, 1.0) == 0 for label in map(int, np.unique(labels))):
        raise StudyError(
            f"class_weight={class_weight!r:.200} gives all training samples the weight 0",
            hint="Give at least one class a weight above 0.",
        )
    return dict(class_weight)


def with_class_weight(splits: LoadedData, class_weight: Mapping[int, float] | None) -> LoadedData:
    """Returns data in which each training sample has the weight of its class.

    The digests do not depend on these weights. A second call with the same arguments returns the
    same object.
    """
    if class_weight is None:
        return splits
    arrays = splits.arrays
    by_weights, key = _weighted.setdefault(arrays, {}), tuple(class_weight.items())
    if key not in by_weights:
        while len(by_weights) >= _MOST_WEIGHTS:
            del by_weights[next(iter(by_weights))]
        train = arrays.train
        classes, positions = np.unique(_labels(train), return_inverse=True)
        by_class = np.array([class_weight.get(int(label), 1.0) for label in classes])
        by_weights[key] = replace(arrays, train=Part(train.x, train.y, by_class[positions]))
    return by_weights[key]


def without_class_weight(probabilities: np.ndarray, class_weight: ClassWeight | None) -> np.ndarray:
    """Returns the probabilities of a model that was trained with class weights, corrected for them.

    Such a model gives a class a probability in proportion to w p, where p is the class's
    probability and w its weight. So each probability is divided by the weight, and then by the sum
    over all classes. `probabilities` and the result have shape (n, classes).

    Returns the same array if there is nothing to correct. That is also so if a class has the weight
    0, because the model has not learned it.
    """
    weights = [(class_weight or {}).get(label, 1.0) for label in range(probabilities.shape[1])]
    if not all(weights) or set(weights) == {1.0}:
        return probabilities
    shares = probabilities / np.array(weights)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _labels(part: Part) -> np.ndarray:
    if not isinstance(part.y, np.ndarray):
        raise StudyError(
            f"class_weight is for a single output, as in Keras, but the targets are "
            f"{described(part.y)}",
            hint=_OTHERWISE,
        )
    labels = class_labels(part.y)
    if labels is None:
        raise StudyError(
            "class_weight needs targets that are classes: whole numbers from 0 up, or one-hot "
            f"rows. The targets have type {part.y.dtype} and shape {part.y.shape}, as in a "
            "regression",
            hint=_OTHERWISE,
        )
    return labels


def _classes_of(splits: Splits, labels: np.ndarray) -> set[int]:
    y, y_validation = splits.train.y, splits.validation.y
    assert isinstance(y, np.ndarray) and isinstance(y_validation, np.ndarray), "checked before"
    if y.ndim == 2 and y.shape[1] > 1:
        return set(range(y.shape[1]))
    # A rare class may be in the validation part only, so that part is read, too. The targets of the
    # test part are sealed, so they are not read.
    of_validation = class_labels(y_validation)
    everywhere = labels if of_validation is None else np.concatenate([labels, of_validation])
    return set(map(int, np.unique(everywhere)))
