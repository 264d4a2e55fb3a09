"""Readings: a source read from its beginning, as `model.fit` reads the data of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.errors import DataError
from search_spaces.library_parts import MissingPartError
from studies.data.streams.sources import PY_DATASET, TF_DATA, Source, kind_of
from studies.libraries.keras_parts import adapter_of

_MORE_CLASSES = 2**12


class Reading:
    """One reading of a source, by the adapter that `model.fit` takes for such data.

    Once: begin, iterate, end. It raises whatever the user's function, or Keras, raises.
    It knows the number of batches, and whether they have no end, if the data does.
    """

    def __init__(
        self, source: Source, seed: int, class_weight: Mapping[int, float] | None = None
    ) -> None:
        opened = source.open(seed)
        self.kind = kind_of(opened)
        self._steps = source.steps
        try:
            self._adapter = adapter_of(opened, self._weights(class_weight))
        except MissingPartError as error:
            raise DataError(
                f"Data in batches can't be read with this version of Keras: {error}. Use another "
                "version, or data in arrays."
            ) from None
        self._dataset: Any = None
        known = self._adapter.num_batches
        if self.kind == PY_DATASET:
            self.endless = known is None and source.steps is None
            known = source.steps if known is None else min(known, source.steps or known)
        else:
            self.endless = _is_infinite(opened)
        self.batches: int | None = known

    def begin(self) -> None:
        """Calls the data's hook for the beginning of an epoch, as `fit` does."""
        # This reads the first batches of some data.
        self._dataset = self._adapter.get_tf_dataset()
        self._adapter.on_epoch_end()
        self._adapter.on_epoch_begin()

    def end(self) -> None:
        """Calls the data's hook for the end of an epoch."""
        self._adapter.on_epoch_end()

    def __iter__(self) -> Iterator[Any]:
        """Returns TensorFlow's iterator over the batches, for a training step to take."""
        if self.kind == PY_DATASET and self._steps is not None:
            return iter(self._dataset.take(self._steps))
        return iter(self._dataset)

    def _weights(self, given: Mapping[int, float] | None) -> dict[int, float] | None:
        if given is None or self.kind != TF_DATA:
            return None if given is None else dict(given)
        # For a tf.data.Dataset, Keras has none for classes above the largest that is given, and
        # not all classes need have been in the batches that were read ahead.
        return {**dict.fromkeys(range(max(given) + _MORE_CLASSES), 1.0), **given}


def _is_infinite(opened: Any) -> bool:
    import tensorflow as tf

    if not isinstance(opened, tf.data.Dataset):
        return False
    return bool(opened.cardinality() == tf.data.INFINITE_CARDINALITY)
