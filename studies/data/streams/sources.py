"""Sources: they give the batches of a part, again and again.

A function that returns a `tf.data.Dataset`, a `keras.utils.PyDataset` or an iterable of batches;
or one of the first two itself.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from search_spaces.library_parts import MissingPartError
from studies.libraries.keras_parts import adapter_of, is_batches
from studies.libraries.tensorflow_parts import is_dataset, seeded

TF_DATA = "tf.data.Dataset"
PY_DATASET = "keras.utils.PyDataset"
GENERATOR = "Python generator"

ENDS = {
    "train": "pass steps_per_epoch",
    "validation": "pass validation_steps",
    "test": "end it, by take()",
}
"""How to end data that has no end."""
PART_NAMES = {"train": "training", "validation": "validation", "test": "test"}

_MORE_CLASSES = 2**12


@dataclass(frozen=True, eq=False)
class Source:
    """The source of a part's batches.

    Attributes:
        part: "train", "validation" or "test".
        given: the function, or the object itself.
        steps: batches of a reading, at least 1; None: all.
        seeded: whether the function takes the seed of each reading.
        targets: whether batches have targets; None: inferred.
    """

    part: str
    given: Any
    steps: int | None
    seeded: bool
    targets: bool | None = None

    @property
    def called(self) -> str:
        """The part's name in messages."""
        return f"the {PART_NAMES[self.part]} data"

    @property
    def is_function(self) -> bool:
        """Whether each reading gets a new object."""
        return not _is_read_itself(self.given)

    def open(self, seed: int) -> Any:
        """Returns a `tf.data.Dataset`, a `PyDataset`, or a generator of batches, for a reading.

        Python's, numpy's and TensorFlow's global generators get the seed too.
        """
        with drawing_with(seed), _quiet_keras():
            if not self.is_function:
                opened = self.given
            else:
                opened = self.given(seed=seed) if self.seeded else self.given()
            if batches_kind(opened) == TF_DATA:
                return opened if self.steps is None else opened.take(self.steps)
        if batches_kind(opened) == PY_DATASET:
            return opened
        if not isinstance(opened, Iterable) or hasattr(opened, "shape") or _is_a_batch(opened):
            raise DataError(
                f"The function that gives {self.called} returned {shown(opened)}. It must return "
                f"a {TF_DATA}, a {PY_DATASET}, or an iterable of batches (x, y)."
            )
        return _as_generator(opened, self.steps)

    def __getstate__(self) -> dict[str, object]:
        """Returns the state to pickle; a `tf.data.Dataset` has none."""
        if batches_kind(self.given) == TF_DATA:
            raise DataError(
                f"{self.part} is a {TF_DATA} itself, which can't be sent to another process. Pass "
                "a function that makes it"
            )
        return dict(vars(self))


def check_source(part: str, given: object, steps: int | None) -> Source:
    """Checks the source of a part, without reading it."""
    if _is_read_itself(given):
        return Source(part, given, steps, seeded=False)
    if hasattr(given, "__next__"):
        raise DataError(
            f"{part} is {shown(given)}, which can be read only once, but each epoch reads it. "
            f"Pass the function that makes it: {part}=batches, not {part}=batches()."
        )
    if not callable(given):
        raise DataError(
            f"{part} must be a function that returns a {TF_DATA}, a {PY_DATASET} or an iterable "
            f"of batches; or one of the first two itself. Received: {shown(given)}. Arrays go to "
            "datasets.arrays(x, y)."
        )
    return Source(part, given, steps, _takes_seed(part, given))


def check_steps(option: str, value: object) -> None:
    """Refuses a number of batches that is neither None nor a whole number of at least 1."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and value >= 1):  # type: ignore[operator]
        raise DataError(
            f"{option} must be a whole number of at least 1, or None to read all batches. "
            f"Received: {value!r:.200}"
        )


def batches_kind(thing: object) -> str:
    """Returns the kind of a source."""
    for parent in type(thing).__mro__:
        # By name, as Keras does: describing data must not import TensorFlow.
        if is_dataset(parent):
            return TF_DATA
        if is_batches(parent):
            return PY_DATASET
    return GENERATOR


def shown(thing: object) -> str:
    """Returns a short form of a thing for a message, never its values."""
    name = getattr(thing, "__qualname__", "")
    if name and callable(thing):
        return f"the function {name}" if inspect.isroutine(thing) else f"the class {name}"
    return "None" if thing is None else f"an object of type {type(thing).__name__}"


@contextlib.contextmanager
def drawing_with(seed: int) -> Iterator[None]:
    """Seeds the global generators as `keras.utils.set_random_seed` does.

    So a shuffle without a seed, or a generator that draws from numpy, depends on the seed too. They
    keep their new state, as batches are drawn later. Only TensorFlow's global seed is restored, as
    models are traced with it.
    """
    random.seed(seed)
    np.random.seed(seed)
    with seeded(seed):
        yield


@contextlib.contextmanager
def _quiet_keras() -> Iterator[None]:
    """Keeps Keras from printing how many files of a folder it found, once for each epoch."""
    import keras

    before = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        if before:
            keras.config.enable_interactive_logging()


def _is_read_itself(thing: object) -> bool:
    return not isinstance(thing, type) and batches_kind(thing) != GENERATOR


def _is_a_batch(thing: object) -> bool:
    """Returns whether a thing is a single batch instead of many."""
    return isinstance(thing, dict | str) or (
        isinstance(thing, tuple) and len(thing) in (2, 3) and hasattr(thing[0], "shape")
    )


def _as_generator(batches: Iterable[Any], steps: int | None) -> Iterator[Any]:
    # Cut here, not later: batches read ahead would draw from global generators.
    for batch in itertools.islice(batches, steps):
        yield tuple(batch) if isinstance(batch, list) else batch


def _takes_seed(part: str, function: Callable[..., Any]) -> bool:
    """Returns whether a function takes the seed of the epoch; refuses one that needs more."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some functions written in C have no signature.
        return False
    # Keep a seed that was given.
    own = isinstance(function, partial) and "seed" in function.keywords
    seeded = part == "train" and "seed" in signature.parameters and not own
    try:
        signature.bind(**({"seed": 0} if seeded else {}))
    except TypeError as error:
        raise DataError(
            f"{part} is {shown(function)}, which can't be called: {error}. It gets nothing but, as "
            "training data, the seed of the epoch: other data must be the same each time. Give the "
            "rest a default, or use functools.partial."
        ) from None
    return seeded


class Reading:
    """One reading of a source, by the adapter that `model.fit` takes for such data.

    Once: begin, iterate, end. It raises whatever the user's function, or Keras, raises.
    It knows the number of batches, and whether they have no end, if the data does.
    """

    def __init__(
        self, source: Source, seed: int, class_weight: Mapping[int, float] | None = None
    ) -> None:
        opened = source.open(seed)
        self.kind = batches_kind(opened)
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
