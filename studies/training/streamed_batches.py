"""Data in batches for `model.fit`: an adapter that reads it again for each epoch.

Keras accepts a `DataAdapter` as its data (`get_data_adapter`), and gets an iterator from it at the
beginning of each epoch. This one returns the iterator of that epoch's data, so that a single call
of `fit` trains on the data of every epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from search_spaces.errors import DataError
from studies.data import PROFILE_SEED, LoadedData, Reading, Stream
from studies.definition.seeds import epoch_seed
from studies.libraries.keras_parts import adapter_class
from studies.training.process.determinism import global_random_states, set_global_random_states

# Keras uses the first epoch's number of batches for all later ones, unless it gets a number. It
# never reaches this one: an epoch ends with its data.
_UNTIL_THE_END = 2**62


class StreamedBatches:
    """Training and validation data for `model.fit`, as `Batches` are for arrays.

    An epoch ends with its data: no numbers of steps are needed.
    """

    training_steps = None
    validation_steps = None

    def __init__(self, splits: LoadedData, class_weight: Mapping[int, float] | None = None) -> None:
        self._seed = PROFILE_SEED
        train, validation = splits.streams["train"], splits.streams["validation"]
        self._steps = train.profile.known_batches
        self.training = _adapter(train, lambda: self._seed, class_weight)
        self.validation = _adapter(validation, lambda: PROFILE_SEED, None)

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Sets the epoch of the next reading, counted from 1, and the trial's seed."""
        self._seed = epoch_seed(seed, epoch)

    def ended(self, step: int) -> bool:
        """Returns whether the present epoch has no batch of this number, counted from 0.

        Keras uses the first epoch's number of batches for all later ones. And it notices the end of
        data by running one more step, in which TensorFlow runs whatever needs no data, such as the
        count of a mean.
        """
        batches: int | None = self.training.batches
        return batches is not None and step >= batches

    def correct(self, params: dict[str, Any]) -> None:
        """Sets the number of steps for callbacks to Keras's number."""
        params["steps"] = self._steps

    def close(self) -> None:
        """Ends readings that a training left unfinished, and their threads."""
        for adapter in (self.training, self.validation):
            # The training's own error says more.
            with contextlib.suppress(Exception):
                adapter.on_epoch_end()


def validation_batches(splits: LoadedData) -> Iterator[Any]:
    """Yields the batches of a validation part that is read batch by batch."""
    with contextlib.closing(StreamedBatches(splits)) as batches:
        batches.validation.on_epoch_begin()
        yield from islice(batches.validation, splits.streams["validation"].profile.known_batches)


def _adapter(
    stream: Stream, seed: Callable[[], int], class_weight: Mapping[int, float] | None
) -> Any:
    source, known = stream.source, stream.profile.known_batches

    class StreamAdapter(adapter_class()):  # type: ignore[misc]
        """Reads a stream again for each epoch."""

        def __init__(self) -> None:
            self._reading: Reading | None = None
            self._within_epoch = self._unread = False
            # The present reading's number of batches, if known.
            self.batches: int | None = None
            self._states: tuple[Any, ...] = ()

        @property
        def num_batches(self) -> int:
            # A training epoch may have a batch more or less than another.
            some = source.part == "train" and source.steps is None
            return _UNTIL_THE_END if some else known or _UNTIL_THE_END

        @property
        def batch_size(self) -> None:
            return None

        def on_epoch_begin(self) -> None:
            if source.part != "train":
                # Validation must not reset the generators that callbacks draw from.
                self._states = global_random_states()
            self._reading = Reading(source, seed(), class_weight)
            self.batches = self._reading.batches
            fixed = source.part != "train" or source.steps is not None
            if fixed and known is not None and self.batches not in (None, known):
                raise DataError(
                    f"{source.called} of this epoch has {self.batches} batches, and {known} must "
                    "be read. Give each epoch as many, or pass a smaller number as "
                    "steps_per_epoch or validation_steps."
                )
            # Before it begins: an error after that would leave threads.
            self._within_epoch = self._unread = True
            self._reading.begin()

        def on_epoch_end(self) -> None:
            # Keras calls it before the first epoch too, and before each validation.
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
                # Keras makes one more at the end of an epoch, and does not read it.
                return iter(())
            self._unread = False
            return iter(self._reading)

    return StreamAdapter()
