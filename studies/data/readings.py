"""Readings: a source read from its beginning, as `model.fit` reads the data of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from studies.data.sources import PY_DATASET, Source, kind_of


class Reading:
    """One reading of a source, by the adapter that `model.fit` takes for such data.

    A `tf.data.Dataset` or a `PyDataset` that the user gave itself may be read by one reading again
    and again: begin, iterate, end.

    Args:
        source: what is read.
        seed: see `Source.open`.
        class_weight: weights by class, or None.

    Attributes:
        kind: what is read, see `sources.kind_of`.
        batches: batches that there will be, as far as the data tells; None if it does not.
        endless: whether the data tells that it has no end.

    Raises:
        Exception: whatever the user's function, or Keras, raises.
    """

    def __init__(
        self, source: Source, seed: int, class_weight: Mapping[int, float] | None = None
    ) -> None:
        from keras.src.trainers.data_adapters import get_data_adapter

        opened = source.open(seed)
        self.kind = kind_of(opened)
        self._steps = source.steps
        self._adapter = get_data_adapter(
            x=opened, class_weight=None if class_weight is None else dict(class_weight)
        )
        told = self._adapter.num_batches
        if self.kind == PY_DATASET:
            self.endless = told is None and source.steps is None
            told = source.steps if told is None else min(told, source.steps or told)
        else:
            self.endless = _is_infinite(opened)
        self.batches: int | None = told

    def begin(self) -> None:
        """Tells the data that an epoch begins."""
        self._adapter.on_epoch_begin()

    def end(self) -> None:
        """Tells the data that an epoch has ended."""
        self._adapter.on_epoch_end()

    def __iter__(self) -> Iterator[Any]:
        """Returns TensorFlow's iterator over the batches, for a training step to take."""
        dataset = self._adapter.get_tf_dataset()
        if self.kind == PY_DATASET and self._steps is not None:
            dataset = dataset.take(self._steps)
        return iter(dataset)


def _is_infinite(opened: Any) -> bool:
    import tensorflow as tf

    if not isinstance(opened, tf.data.Dataset):
        return False
    return bool(opened.cardinality() == tf.data.INFINITE_CARDINALITY)
