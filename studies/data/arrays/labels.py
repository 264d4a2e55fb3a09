"""Labels by name: numbered for training; the registered model keeps the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import Samples
from studies.data.arrays.texts import is_text
from studies.data.structures import Arrays

ClassNames = tuple[str, ...] | Mapping[str, tuple[str, ...]]


def numbered(
    pool: Samples, ready: Mapping[str, Samples], class_names: tuple[str, ...]
) -> tuple[Samples, dict[str, Samples], ClassNames]:
    """Numbers the labels that are texts, in all parts, in the order of the names.

    Returns:
        The same samples with labels from 0 up, as scikit-learn's LabelEncoder numbers them; and
        the names of the classes, for several targets by their names.

    Raises:
        DataError: there are fewer names than labels, or labels that have names already.
    """
    parts = {"": pool, **ready}
    found: ClassNames = class_names
    if isinstance(pool.y, dict):
        by_name = {name: _numbered([p.y[name] for p in parts.values()]) for name in pool.y}  # type: ignore[call-overload]
        made: list[Arrays] = [
            {name: coded[place] for name, (coded, _) in by_name.items()}
            for place in range(len(parts))
        ]
        found = {name: names for name, (_, names) in by_name.items() if names} or class_names
    elif isinstance(pool.y, tuple):
        # Targets without names have no names for their classes either.
        columns = [_numbered([p.y[i] for p in parts.values()])[0] for i in range(len(pool.y))]  # type: ignore[index]
        made = [tuple(column[place] for column in columns) for place in range(len(parts))]
    else:
        coded, names = _numbered([part.y for part in parts.values()])  # type: ignore[misc]
        made, found = list(coded), names or class_names
        if class_names:
            _check_names(coded, names, class_names, pool.y_name)
    again = {name: replace(part, y=y) for (name, part), y in zip(parts.items(), made, strict=True)}
    return again.pop(""), again, found


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
