"""One array, or several, for a model with one or several inputs or outputs.

Several arrays are a dict by name, as Keras names inputs and outputs, or a tuple in their order.
A list is one array, as `np.asarray` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = np.ndarray | dict[str, np.ndarray] | tuple[np.ndarray, ...]


def map_arrays(function: Callable[[np.ndarray], Any], arrays: Arrays) -> Any:
    """Applies a function to each array, and returns the results in the same structure."""
    if isinstance(arrays, dict):
        return {name: function(array) for name, array in arrays.items()}
    if isinstance(arrays, tuple):
        return tuple(map(function, arrays))
    return function(arrays)


def named_arrays(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Returns arrays by their names in messages and digests, in their order.

    That is "x" for a single one, else "x['image']" or "x[0]" and so on.
    """
    if isinstance(arrays, dict):
        return {entry_name(name, key): array for key, array in arrays.items()}
    if isinstance(arrays, tuple):
        return {entry_name(name, place): array for place, array in enumerate(arrays)}
    return {name: arrays}


def entry_name(name: str, key: str | int) -> str:
    """Returns the name of one of several arrays: "x['image'] of the training part"."""
    first, of, rest = name.partition(" of ")
    return f"{first}[{key!r}]{of}{rest}"


def length_of(arrays: Arrays) -> int:
    """Returns the number of samples of the first array."""
    return len(next(iter(named_arrays(arrays, "").values())))


def described(arrays: Arrays) -> str:
    """Returns how many arrays there are, and their names, for messages."""
    if isinstance(arrays, tuple) and not arrays:
        return "nothing"
    if isinstance(arrays, dict):
        return f"arrays named {', '.join(map(repr, arrays))}"
    return f"{len(arrays)} arrays in a tuple" if isinstance(arrays, tuple) else "one array"


def several(value: object) -> dict[Any, object] | tuple[object, ...] | None:
    """Returns a user's several arrays, or None if the value makes one array.

    Several are: a dict, and a tuple of which each entry is an array (a numpy array, a pandas
    DataFrame, a tensor). A tuple of numbers, or of lists of them, is data.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and value and all(getattr(v, "ndim", 0) >= 1 for v in value):
        return tuple(value)
    return None
