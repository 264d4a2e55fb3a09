"""Splits read data into folds: merge what is no test part, split, preprocess each fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples, check_same_shape, check_some_weight
from studies.data.arrays.given import Given, examples_of
from studies.data.folds.cross_validation import CrossValidation, Drawn, Forward, Indices
from studies.data.folds.folded_splits import FoldedSplits, Make, Written, folded
from studies.data.options import Options
from studies.data.parts.classes import (
    ClassNames,
    check_several_classes,
    class_labels,
    numbered,
    stratification_labels,
)
from studies.data.parts.part import Part, joined
from studies.data.parts.partition import Contents, classes_of, rows_of, sorted_out
from studies.data.parts.preprocessing import preprocessed_parts
from studies.data.parts.splits import Splits, seal
from studies.data.parts.splitting import split_indices
from studies.data.structures import entry_name
from studies.data.tables.columns import TableColumns
from tracking.records import ALL_FOLDS


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
