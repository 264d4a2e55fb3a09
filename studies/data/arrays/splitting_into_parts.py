"""Splits samples into a training, a validation and a test part, and preprocesses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from search_spaces import argument_checks as checks
from search_spaces.errors import DataError
from studies.data.arrays.class_labels import (
    ClassNames,
    check_several_classes,
    labels_of,
    number_labels,
)
from studies.data.arrays.loaded_data import Part, Splits, seal
from studies.data.arrays.user_samples import (
    Samples,
    check_same_shape,
    check_samples,
    check_some_weight,
)
from studies.data.preprocessing import Preparation, examples_of, preprocessed_parts

DEFAULT_SHARE = 0.2
PREPROCESSING_NAMES = ("standardize", "minmax")


Size = float | int | tuple[object, ...]
"""The size of a part: a share of all samples, or a number of samples.

A tuple is a ready-made part (x, y), which is checked when the data is read.
"""


@dataclass(frozen=True, eq=False)
class Options:
    """The checked options of `datasets.arrays`."""

    validation: Size
    test: Size | None
    stratify: bool | None
    preprocess: object
    seed: int
    class_names: tuple[str, ...] = ()


def check_options(
    *,
    validation: object,
    test: object,
    seed: object,
    stratify: object = None,
    preprocess: object = None,
    class_names: object = None,
) -> Options:
    """Checks the options of `datasets.arrays`, before the data is read.

    Raises DataError for a wrong option.
    """
    no_test = test is None or (checks.is_real(test) and test == 0)
    return Options(
        _check_size("validation", validation),
        None if no_test else _check_size("test", test),
        None if stratify is None else checks.truth("stratify", stratify, DataError),
        _check_preprocess(preprocess),
        checks.seed("seed", seed, DataError),
        _check_class_names(class_names),
    )


def _check_size(name: str, value: object) -> Size:
    if isinstance(value, tuple | list) and len(value) in (2, 3):
        return tuple(value)
    # `is_whole` is False for booleans, so validation=True is an error, and not taken for 1 sample.
    if checks.is_whole(value) and value > 0:
        return int(value)
    if checks.is_real(value) and 0 < value < 1:
        return float(value)
    part = "a ready-made part (x, y) or (x, y, sample_weight)"
    expected = f"a share between 0 and 1, a count of samples above 0, or {part}"
    raise DataError.of_setting(name, expected, value)


def _check_preprocess(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _check_preprocessing_name(name) for key, name in value.items()}
    return _check_preprocessing_name(value)


def _check_preprocessing_name(value: object) -> str | None:
    if isinstance(value, str):
        return checks.choice("preprocess", value, PREPROCESSING_NAMES, DataError)
    if value is None:
        return None
    raise DataError.of_setting(
        "preprocess",
        "'standardize' or 'minmax'",
        value,
        hint="For another transformation, put layers such as ks.preprocessing.adapted("
        "keras.layers.Normalization(), data) into the model, or transform the samples yourself, "
        "and pass ready-made parts: validation=(x, y), test=(x, y).",
    )


def _check_class_names(value: object) -> tuple[str, ...]:
    # A fitted LabelEncoder has the names in `classes_`.
    value = getattr(value, "classes_", value)
    if value is None:
        return ()
    # A set has no order, and a dict is no list of names, so both are refused.
    ordered = isinstance(value, Iterable) and not isinstance(value, str | Set | Mapping)
    names = list(cast(Iterable[Any], value)) if ordered else []
    if not names or len(set(map(str, names))) != len(names):
        expected = "a list of different names, such as ['cat', 'dog'], or a fitted LabelEncoder"
        raise DataError.of_setting("class_names", expected, value)
    return tuple(map(str, names))


@dataclass(frozen=True, eq=False)
class Contents:
    """The samples in a source, such as a file.

    Attributes:
        pool: The samples to split.
        ready: The "validation" and "test" parts that the source already has.
    """

    pool: Samples
    ready: Mapping[str, Samples] = field(default_factory=dict)


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
    indices = split_indices(pool, sizes, strata, options.seed)
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


def split_indices(
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
        parts = " and ".join(f"{name}={size}" for name, size in sizes.items())
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
