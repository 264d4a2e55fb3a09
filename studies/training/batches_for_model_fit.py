"""Data for `model.fit`: training data in the order of each epoch, and validation data.

`model.fit` on arrays builds new pipelines for each epoch. The `tf.data` pipelines here are built
once, and give the same batches. Measured on digits (1,078 samples of 64 features, batches of 32),
an epoch takes 17 ms, or 59 ms if TensorFlow gathers the rows of each batch separately. A validation
takes 4 ms here, and 70 ms in `model.fit` on arrays.

Data that comes in batches is read again for each epoch. Keras takes a `DataAdapter` as data, and
asks the adapter for a new iterator when an epoch begins. So one call of `model.fit` trains all
epochs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DataError
from studies.data import (
    PROFILE_SEED,
    Arrays,
    LoadedData,
    Part,
    Reading,
    Splits,
    Stream,
    file_of,
    is_text,
    map_arrays,
)
from studies.definition import epoch_seed, permutation
from studies.library_internals import adapter_class
from studies.training.random_states_and_user_objects import (
    global_random_states,
    set_global_random_states,
)

if TYPE_CHECKING:
    import tensorflow as tf


# The largest data, in bytes, whose rows are put into an epoch's order all at once. For larger data,
# the rows of each batch are gathered separately.
_LARGEST_WHOLE_EPOCH = 64 * 2**20


class Batches:
    """Batches of arrays: training data in each epoch's order, and validation data.

    Several trials can use the same object, as its batches depend only on the last `set_epoch`. By
    default, the training pipeline is endless, and both pipelines hide their length: if Keras knows
    the length, it makes two new iterators per epoch (10 ms). So pass `training_steps` and
    `validation_steps` to `fit`.

    Args:
        splits: The data.
        batch_size: Samples per batch, at least 1. The last batch may be smaller.
        ends: Whether the training pipeline ends with the epoch, and both pipelines have a known
            length. This is needed with `steps_per_execution`: Keras then runs several steps at
            once, and fewer may be left at the end of an epoch.
    """

    def __init__(self, splits: Splits, batch_size: int, *, ends: bool = False) -> None:
        import tensorflow as tf

        samples, validation_samples = len(splits.train), len(splits.validation)
        steps = -(-samples // batch_size)
        self.training_steps = None if ends else steps
        self.validation_steps = None if ends else -(-validation_samples // batch_size)
        order = tf.Variable(np.arange(samples), dtype=tf.int64, trainable=False)
        self._samples, self._order = samples, order
        data = packed(splits.train)
        # Texts are tensors, which have no `nbytes`.
        data_size = sum(getattr(array, "nbytes", 0) for array in tf.nest.flatten(data))
        at_once = data_size <= _LARGEST_WHOLE_EPOCH
        with tf.device("CPU"):
            tensors = tf.nest.map_structure(as_tensor, data)
            epochs = tf.data.Dataset.range(1) if ends else tf.data.Dataset.counter()
            training = epochs.flat_map(
                lambda _: _epoch(tensors, samples, order, batch_size, at_once)
            )
            if ends:
                training = training.apply(tf.data.experimental.assert_cardinality(steps))
            self.training = _plain(training)
            validation = tf.nest.map_structure(as_tensor, packed(splits.validation))
            size = known_size(validation_samples, batch_size)
            in_order = in_batches(validation, validation_samples, batch_size, size)
            # `flat_map` hides the dataset's length from Keras.
            hidden = tf.data.Dataset.range(1).flat_map(lambda _: in_order)
            self.validation = _plain(in_order if ends else hidden)

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Puts the training data in the order of a trial's epoch, counted from 1."""
        self._order.assign(permutation(seed, epoch, self._samples))

    def ended(self, step: int) -> bool:
        """Returns False, as Keras itself ends an epoch after the right number of steps."""
        return False

    def correct(self, params: dict[str, Any]) -> None:
        """Does nothing, as Keras has put the right number of steps into `params`."""

    def close(self) -> None:
        """Does nothing, as no thread reads the data."""


def as_keras_reads(arrays: Arrays) -> Any:
    """Returns arrays with the types in which `model.fit` passes them to a step.

    Keras converts floats to `keras.config.floatx()`, and leaves other numbers alone. Texts become
    tensors, as Keras takes no arrays of texts.
    """
    import keras

    floatx = keras.config.floatx()

    def read(array: np.ndarray) -> Any:
        if is_text(array):
            return as_tensor(array)
        floats = array.dtype.kind == "f" and array.dtype.name != floatx
        return array.astype(floatx) if floats else array

    return map_arrays(read, arrays)


def packed(part: Part) -> Any:
    """Returns all samples of a part as one batch, as `model.fit` passes it to a step.

    A part with targets becomes (x, y) or (x, y, sample_weight). Each output gets the same weights.
    A part without targets becomes x if `part.alone` is true, or else (x,).
    """
    if not part.has_targets:
        x = as_keras_reads(part.x)
        return x if part.alone else (x,)
    arrays = as_keras_reads(part.x), as_keras_reads(part.y)
    if part.sample_weight is None:
        return arrays
    weights = as_keras_reads(part.sample_weight)
    return (*arrays, map_arrays(lambda _: weights, part.y))


def samples_between(part: Part, start: int, end: int) -> Part:
    """Returns the samples of a part with the indices from `start` to `end - 1`."""

    def cut(array: np.ndarray) -> np.ndarray:
        return array[start:end]

    weights = None if part.sample_weight is None else cut(part.sample_weight)
    return Part(map_arrays(cut, part.x), map_arrays(cut, part.y), weights, part.alone)


def known_size(samples: int, batch_size: int) -> int | None:
    """Returns the batch size, or None if the last batch of an epoch is smaller.

    If all batches of `model.fit` on arrays have the same size, TensorFlow knows this size when it
    traces a step. If it knows the size, TensorFlow chooses other instructions, and the last bits
    of the results differ. So it must know the batch size of our pipelines in the same cases.
    """
    return None if samples % batch_size else batch_size


def _epoch(data: Any, samples: int, order: Any, batch_size: int, at_once: bool) -> tf.data.Dataset:
    """Returns the batches of an epoch, in the epoch's order."""
    import tensorflow as tf

    def rows(indices: Any) -> Any:
        return tf.nest.map_structure(lambda a: tf.gather(a, indices), data)

    def batch(start: Any) -> Any:
        indices = order[start : tf.minimum(start + batch_size, samples)]
        return rows(tf.ensure_shape(indices, [size]))

    size = known_size(samples, batch_size)
    if at_once:
        return in_batches(rows(order), samples, batch_size, size)
    return tf.data.Dataset.range(0, samples, batch_size).map(batch)


def in_batches(arrays: Any, samples: int, batch_size: int, size: int | None) -> tf.data.Dataset:
    """Cuts arrays into batches. `size` is the result of `known_size`."""
    import tensorflow as tf

    batches = samples // batch_size
    full = batches * batch_size
    shaped = tf.nest.map_structure(
        lambda a: tf.reshape(a[:full], (batches, batch_size, *a.shape[1:])), arrays
    )
    dataset = tf.data.Dataset.from_tensor_slices(shaped)
    if size is not None:
        return dataset
    rest = tf.data.Dataset.from_tensors(tf.nest.map_structure(lambda a: a[full:], arrays))
    # TensorFlow does not know the batch size of this dataset, because the last batch is smaller.
    # The same is true in `fit` on arrays.
    return dataset.concatenate(rest)


def _plain(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Turns off options of `tf.data`, such as autotuning, that cost more time than they save."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.threading.private_threadpool_size = 1
    return dataset.with_options(options)


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """Returns an array as a tensor.

    On a CPU, an array of numbers is not copied if it is a memory map of a whole .npy file.
    """
    import tensorflow as tf

    file = file_of(array)
    # TensorFlow stores texts in another form, and so copies them.
    if file is None or is_text(array):
        return tf.constant(array)
    # TensorFlow takes no read-only array, so map the file again as a writable array. Nothing writes
    # to the new array.
    writable = np.asarray(np.load(file, mmap_mode="c"))
    # `identity` moves the tensor to TensorFlow's default device. On a CPU it copies nothing.
    return tf.identity(tf.experimental.dlpack.from_dlpack(writable.__dlpack__()))


# An adapter returns this number of batches if the real number is not known. If it returned None,
# Keras would use the first epoch's number of batches for all epochs. Keras never reaches this
# number, because an epoch ends with its data.
_UNTIL_THE_END = 2**62


class StreamedBatches:
    """Data that comes in batches, with the methods of `Batches`.

    An epoch ends with its data, so Keras needs no numbers of steps.
    """

    training_steps = None
    validation_steps = None

    def __init__(self, splits: LoadedData) -> None:
        self._seed = PROFILE_SEED
        train, validation = splits.streams["train"], splits.streams["validation"]
        self._steps = train.known_batches
        self.training = _adapter(train, lambda: self._seed)
        self.validation = _adapter(validation, lambda: PROFILE_SEED)

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Sets the seed for reading the data in a trial's epoch. Epochs count from 1."""
        self._seed = epoch_seed(seed, epoch)

    def ended(self, step: int) -> bool:
        """Returns whether the epoch has no batch for a step. Steps are counted from 0.

        Without this check, Keras notices the end of the data only within one more step. TensorFlow
        then runs the parts of that step that need no data: a `Mean`, for example, counts one more
        value. Keras also assumes that all epochs have as many batches as the first.
        """
        batches: int | None = self.training.batches
        return batches is not None and step >= batches

    def correct(self, params: dict[str, Any]) -> None:
        """Sets the number of steps in the callbacks' `params`, or None if it is not known."""
        params["steps"] = self._steps

    def close(self) -> None:
        """Stops reading the data, and ends the threads that read it."""
        for adapter in (self.training, self.validation):
            # An error here would hide the training's error.
            with contextlib.suppress(Exception):
                adapter.on_epoch_end()


def validation_batches(splits: LoadedData) -> Iterator[Any]:
    """Yields the batches of the validation part."""
    with contextlib.closing(StreamedBatches(splits)) as batches:
        batches.validation.on_epoch_begin()
        yield from islice(batches.validation, splits.streams["validation"].known_batches)


def _adapter(stream: Stream, seed: Callable[[], int]) -> Any:
    source, known_batches = stream.source, stream.known_batches
    # If the user gives no number of steps, epochs may have different numbers of training batches.
    varies = source.part == "train" and source.steps is None

    class StreamAdapter(adapter_class()):  # type: ignore[misc]
        def __init__(self) -> None:
            self._reading: Reading | None = None
            self._within_epoch = self._unread = False
            # The number of batches that `_reading` yields, or None if it is not known.
            self.batches: int | None = None
            self._states: tuple[Any, ...] = ()

        @property
        def num_batches(self) -> int:
            return _UNTIL_THE_END if varies else known_batches or _UNTIL_THE_END

        @property
        def batch_size(self) -> None:
            return None

        def on_epoch_begin(self) -> None:
            if source.part != "train":
                # Before the data is read, the seeds of Python's, numpy's and Keras's global
                # generators are set. Callbacks may draw from these generators, so they get
                # their former states back after a validation.
                self._states = global_random_states()
            self._reading = Reading(source, seed())
            self.batches = self._reading.batches
            if (
                known_batches is not None
                and not varies
                and self.batches not in (None, known_batches)
            ):
                raise DataError(
                    f"{source.title} of this epoch has {self.batches} batches, not {known_batches}",
                    hint=f"Give every epoch {known_batches} batches, or pass a smaller number as "
                    "steps_per_epoch or validation_steps.",
                )
            # Set `_within_epoch` first: if `begin` raises an error, `on_epoch_end` must still end
            # the threads.
            self._within_epoch = self._unread = True
            self._reading.begin()

        def on_epoch_end(self) -> None:
            # Keras also calls this method before the first epoch and before each validation, when
            # there is nothing to end.
            if self._reading is None or not self._within_epoch:
                return
            self._within_epoch = False
            self._reading.end()
            if self._states:
                set_global_random_states(self._states)
                self._states = ()

        def get_tf_dataset(self) -> Any:
            return self

        def __iter__(self) -> Iterator[Any]:
            if self._reading is None or not self._unread:
                # At the end of an epoch, Keras makes one more iterator and does not read it.
                return iter(())
            self._unread = False
            return iter(self._reading)

    return StreamAdapter()
