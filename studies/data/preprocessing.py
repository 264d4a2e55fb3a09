"""Layers of Keras that are fitted on the training part of the model that is being built.

words = ks.preprocessing.adapted(keras.layers.TextVectorization(max_tokens=5_000), data)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from search_spaces.errors import DataError
from studies.data.arrays.splits import Splits
from studies.data.protocol import DescribedData, LoadedData

if TYPE_CHECKING:
    import keras

    from studies.data.dataset import Dataset

__all__ = ["adapted"]

_present: ContextVar[LoadedData | None] = ContextVar("kerastudy_building", default=None)


def __dir__() -> list[str]:
    return __all__


@contextlib.contextmanager
def building_for(splits: LoadedData | None) -> Iterator[None]:
    """Lets builders that are called within get what depends on the data of their trial."""
    token = _present.set(splits)
    try:
        yield
    finally:
        _present.reset(token)


def adapted(
    layer: keras.layers.Layer, data: Dataset | Splits, *, of: str | int | None = None
) -> keras.layers.Layer:
    """Returns a layer of Keras after `adapt` on samples of the training part.

    It is for `TextVectorization`, `Normalization`, `StringLookup` and the like. The samples are
    those of the training part of the trial that the model is built for: in cross-validation of its
    fold, and of the file that replaces the study's data.

    Args:
        layer: A layer with a method `adapt`.
        data: The study's data.
        of: Which of several inputs: its name, or its place.

    Returns:
        The same layer.

    Raises:
        DataError: The layer has no `adapt`, or the data has no such input.

    Example:
        ```python
        def build(hp):
            words = ks.preprocessing.adapted(keras.layers.TextVectorization(), data)
            model = keras.Sequential([keras.Input((), dtype="string"), words, ...])
        ```
    """
    if not callable(getattr(layer, "adapt", None)):
        raise DataError(
            "preprocessing.adapted takes a layer with adapt, such as TextVectorization(). "
            f"Received: {layer!r:.200}"
        )
    splits: Any = _present.get()
    if splits is None:
        splits = data.load() if isinstance(data, DescribedData) else data
    if not isinstance(splits, Splits):
        raise DataError(
            f"preprocessing.adapted takes data of kerastudy.datasets in arrays, not {data!r:.150}"
        )
    x: Any = splits.train.x
    several = isinstance(x, Mapping | tuple)
    if several != (of is not None) or (of is not None and of not in _names_of(x)):
        known = f"of={_names_of(x)[0]!r}" if several else "no of="
        raise DataError(f"The data has the inputs {_names_of(x)}: pass {known}. Received: {of!r}.")
    layer.adapt(x if of is None else x[of])
    return layer


def _names_of(x: Any) -> list[Any]:
    if isinstance(x, Mapping):
        return list(x)
    return list(range(len(x))) if isinstance(x, tuple) else ["x"]
