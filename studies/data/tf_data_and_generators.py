"""Data that comes in batches from tf.data, a PyDataset or a generator, for `datasets.batches`.

For each part, a user passes a function that returns a `tf.data.Dataset`, a
`keras.utils.PyDataset` or an iterable of batches. The function is called whenever the part is read,
e.g. in each epoch. Instead of a function, the user may pass a `tf.data.Dataset` or a `PyDataset`.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import itertools
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from search_spaces.errors import DataError
from search_spaces.texts import counted, shown
from studies.data.arrays.digests_and_equal_samples import array_digest, combined_digest
from studies.data.arrays.loaded_parts_and_folds import (
    PART_NAMES,
    LoadedData,
    Part,
)
from studies.data.arrays.users_samples_and_labels import (
    Arrays,
    check_finite,
    length_of,
    named_arrays,
)
from studies.data.dataset_base import DescribedData
from studies.error_texts import describe
from studies.library_internals import adapter_of, is_batches, is_dataset, seeded

TF_DATA = "tf.data.Dataset"
PY_DATASET = "keras.utils.PyDataset"
GENERATOR = "Python generator"
# The seed with which batches are read for a `Profile`. This happens before the first trial, so no
# trial's seed can be used.
PROFILE_SEED = 0

Batch = tuple[Arrays, ...]
"""(x,), (x, y) or (x, y, sample_weight)."""

# The advice for a part that has no end.
_ENDS = {
    "train": "pass steps_per_epoch",
    "validation": "pass validation_steps",
    "test": "end it, by take()",
}
# Batches may be slow to make, so a profile is made of at most this many batches or bytes.
_MOST_BATCHES, _MOST_BYTES = 128, 32 * 2**20
# This many batches are read twice, to see whether they are the same.
_BATCHES_READ_AGAIN = 3
_NAMES = ("x", "y", "sample_weight")
_HINT = (
    "Each call of the function returns a new iterable of batches. A batch is (x, y), of arrays "
    "whose first axis counts samples; several inputs are a tuple or a dict."
)


@dataclass(frozen=True, eq=False, repr=False)
class StreamedDataset(DescribedData):
    """A description of data in batches. `datasets.batches` makes this object."""

    sources: Mapping[str, Source]
    in_batches: ClassVar[bool] = True

    if TYPE_CHECKING:

        def load(self) -> StreamedSplits: ...

    def _read(self) -> dict[str, Profile]:
        profiles = {name: _profile_of(source) for name, source in self.sources.items()}
        dimensions = {
            name: {n: a.ndim for n, a in profile.at_hand.named.items() if n != "sample_weight"}
            for name, profile in profiles.items()
        }
        for name, profile in profiles.items():
            if dimensions[name] != dimensions["train"]:
                unlike = f"{profile.at_hand!r} and {profiles['train'].at_hand!r}"
                raise DataError(f"The {name} and the training data have unlike arrays: {unlike}.")
        return profiles

    def _with(self, facts: Mapping[str, Profile]) -> StreamedSplits:
        streams = {
            name: Stream(**vars(facts[name]), source=source)
            for name, source in self.sources.items()
        }
        digests = {name: profile.digest for name, profile in facts.items()}
        return StreamedSplits(streams["train"], streams["validation"], streams.get("test"), digests)


@dataclass(frozen=True, eq=False, repr=False)
class StreamedSplits(LoadedData):
    """The parts of data in batches."""

    train: Stream
    validation: Stream
    _test: Stream | None

    if TYPE_CHECKING:

        def unseal_test(self) -> Stream: ...

    @property
    def unfit(self) -> str:
        article = "" if self.train.kind == PY_DATASET else "a "
        return f"the data comes as {article}{self.train.kind}"

    @property
    def batch_size(self) -> int:
        return len(self.train.at_hand)

    @property
    def warnings(self) -> list[str]:
        return [text for stream in self.streams.values() for text in stream.warnings]

    @property
    def streams(self) -> dict[str, Stream]:
        """All parts by name, including the test part.

        The targets of the test part must be read only from the result of `unseal_test`.
        """
        return self._parts()

    def describe(self) -> dict[str, Any]:
        streams = {name: stream.describe() for name, stream in self.streams.items()}
        return {**super().describe(), "streams": streams}


@dataclass(frozen=True, eq=False)
class Profile:
    """Facts about a part, from its first batches, which are read before training.

    Attributes:
        kind: `TF_DATA`, `PY_DATASET` or `GENERATOR`.
        at_hand: The first batch.
        digest: SHA-256 of the batches that were read or, if they differ at a second reading, of
            the types and shapes in the first batch.
        repeatable: Whether a second reading gave the same batches.
        batches: The number of batches that were read.
        samples: The number of all samples; None if not all were read.
        known_batches: The number of all batches, if the user or Keras gives it. Otherwise None.
    """

    kind: str
    at_hand: Part
    digest: str
    repeatable: bool
    batches: int
    samples: int | None
    known_batches: int | None

    def describe(self) -> dict[str, object]:
        count = counted(self.batches, "batch")
        read = f"all {count}" if self.samples is not None else f"the first {count}"
        return {
            "kind": self.kind,
            "batches": self.known_batches if self.samples is None else self.batches,
            "batch_size": len(self.at_hand),
            "digest_of": read if self.repeatable else "types and shapes alone",
            "same_each_time": self.repeatable,
        }


@dataclass(frozen=True, eq=False)
class Stream(Profile):
    """A part that is read batch by batch."""

    source: Source
    # Groups are unknown, because only the first batch is in memory.
    groups: ClassVar[None] = None

    def first(self, count: int) -> Part:
        """Returns the first `count` samples, or the whole first batch if it has fewer."""
        return self.at_hand.first(count)

    @property
    def warnings(self) -> list[str]:
        source, title, warnings = self.source, self.source.title, []
        if not self.repeatable:
            advice = "Make its random operations depend on the parameter seed alone."
            if not source.is_function:
                advice = f"Pass the function that makes it: {source.part}=lambda: ..."
            elif source.part != "train":
                advice = "Use no random operations in it."
            warnings.append(
                f"{title} is not the same each time that it is read, so trials may not be "
                f"reproduced. {advice}"
            )
        if self.known_batches is None and self.samples is None:
            warnings.append(
                f"{title} has no known length, and more than {self.batches} batches. If it has no "
                f"end, {_ENDS[source.part]}."
            )
        return warnings


@dataclass(frozen=True, eq=False)
class Source:
    """The user's argument for a part. `open` is called whenever the part is read.

    Attributes:
        part: "train", "validation" or "test".
        origin: The argument: a function, a `tf.data.Dataset` or a `PyDataset`.
        steps: The number of batches to read each time, at least 1. None: all batches.
        seeded: Whether the function has a parameter `seed`, which gets a new seed in each epoch.
        targets: Whether batches have targets; None: batches that are tuples have targets.
    """

    part: str
    origin: Any
    steps: int | None
    seeded: bool
    targets: bool | None = None

    @property
    def title(self) -> str:
        return f"The {PART_NAMES[self.part]} data"

    @property
    def is_function(self) -> bool:
        return not _is_read_itself(self.origin)

    def open(self, seed: int) -> Any:
        """Returns batches to read once: a `tf.data.Dataset`, a `PyDataset` or a generator.

        Python's, numpy's and TensorFlow's global random generators are seeded with `seed`.
        """
        with _drawing_with(seed), _quiet_keras():
            if not self.is_function:
                opened = self.origin
            else:
                opened = self.origin(seed=seed) if self.seeded else self.origin()
            if batches_kind(opened) == TF_DATA:
                return opened if self.steps is None else opened.take(self.steps)
        if batches_kind(opened) == PY_DATASET:
            return opened
        if not isinstance(opened, Iterable) or hasattr(opened, "shape") or _is_a_batch(opened):
            expected = f"a function that returns a {TF_DATA}, a {PY_DATASET} or an iterable"
            raise DataError.of_setting(self.part, f"{expected} of batches (x, y)", opened)
        return _as_generator(opened, self.steps)


def check_source(part: str, source: object, steps: int | None, targets: bool | None) -> Source:
    """Returns the source of a part. Checks the user's argument, but reads nothing."""
    if _is_read_itself(source):
        return Source(part, source, steps, seeded=False, targets=targets)
    if not callable(source):
        raise DataError.of_setting(
            part,
            f"a {TF_DATA}, a {PY_DATASET}, or a function that returns one of these or another "
            "iterable of batches",
            source,
            "Each epoch calls the function: pass make_batches, not make_batches(). Arrays go to "
            "datasets.arrays(x, y).",
        )
    return Source(part, source, steps, _takes_seed(part, source), targets)


def _takes_seed(part: str, function: Callable[..., Any]) -> bool:
    """Returns whether a function gets a seed. Raises DataError if it needs other arguments."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        # Some functions of extension modules have no signature, so they get no seed.
        return False
    # In functools.partial(make_batches, seed=1), the user has fixed the seed, so it stays 1.
    fixed = isinstance(function, partial) and "seed" in function.keywords
    seeded = part == "train" and "seed" in signature.parameters and not fixed
    try:
        signature.bind(**({"seed": 0} if seeded else {}))
    except TypeError as error:
        raise DataError(
            f"{part} is {shown(function)}, which can't be called: {error}",
            hint="It is called without arguments. Only train may have a parameter: seed.",
        ) from None
    return seeded


def batches_kind(thing: object) -> str:
    """Returns `TF_DATA`, `PY_DATASET` or, for anything else, `GENERATOR`."""
    for parent in type(thing).__mro__:
        # `is_dataset` and `is_batches` compare names of classes, as TensorFlow is slow to import.
        if is_dataset(parent):
            return TF_DATA
        if is_batches(parent):
            return PY_DATASET
    return GENERATOR


def _is_read_itself(thing: object) -> bool:
    return not isinstance(thing, type) and batches_kind(thing) != GENERATOR


def _is_a_batch(thing: object) -> bool:
    """Returns whether a thing is a single batch, which a user's function may return by mistake."""
    return isinstance(thing, dict | str) or (
        isinstance(thing, tuple) and len(thing) in (2, 3) and hasattr(thing[0], "shape")
    )


def _as_generator(batches: Iterable[Any], steps: int | None) -> Iterator[Any]:
    # `islice` makes no batch after the last step. Making another batch could draw from the global
    # random generators, and so change later random numbers.
    for batch in itertools.islice(batches, steps):
        yield tuple(batch) if isinstance(batch, list) else batch


@contextlib.contextmanager
def _drawing_with(seed: int) -> Iterator[None]:
    """Seeds the global random generators of Python, numpy and TensorFlow.

    So the order in e.g. `dataset.shuffle(100)` depends on the seed. On exit, TensorFlow's seed is
    restored, because the tracing of models uses it. Python's and numpy's generators are not
    restored, because a user's generator draws from them when its batches are read, after the exit.
    """
    random.seed(seed)
    np.random.seed(seed)
    with seeded(seed):
        yield


@contextlib.contextmanager
def _quiet_keras() -> Iterator[None]:
    """Hides Keras's "Found 100 files", which a user's function may print for each epoch."""
    import keras

    before = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        if before:
            keras.config.enable_interactive_logging()


class Reading:
    """Reads a source once, through the adapter by which `model.fit` reads data.

    The caller calls `begin`, iterates over this object, and calls `end`.

    Attributes:
        kind: `TF_DATA`, `PY_DATASET` or `GENERATOR`.
        batches: The number of batches; None: unknown.
        endless: Whether the data is known to have no end.
    """

    def __init__(self, source: Source, seed: int) -> None:
        opened = source.open(seed)
        self.kind = batches_kind(opened)
        self._steps = source.steps
        self._adapter = adapter_of(opened)
        self._dataset: Any = None
        self.batches: int | None = self._adapter.num_batches
        self.endless = False
        if self.kind == PY_DATASET:
            self.endless = self.batches is None and source.steps is None
            if source.steps is not None:
                self.batches = min(self.batches or source.steps, source.steps)
        elif self.kind == TF_DATA:
            import tensorflow as tf

            self.endless = bool(opened.cardinality() == tf.data.INFINITE_CARDINALITY)

    def begin(self) -> None:
        """Calls the adapter as `fit` does before an epoch."""
        # Some adapters already read the first batches in `get_tf_dataset`, so call it only now.
        self._dataset = self._adapter.get_tf_dataset()
        self._adapter.on_epoch_end()
        self._adapter.on_epoch_begin()

    def end(self) -> None:
        self._adapter.on_epoch_end()

    def __iter__(self) -> Iterator[Any]:
        if self.kind == PY_DATASET and self._steps is not None:
            return iter(self._dataset.take(self._steps))
        return iter(self._dataset)


def _profile_of(source: Source) -> Profile:
    try:
        return _profiled(source)
    except DataError:
        raise
    except Exception as error:
        wrong = f"{source.title} can't be read: {describe(error)}"
        raise DataError(wrong, hint=_HINT) from error


def _profiled(source: Source) -> Profile:
    reading = Reading(source, PROFILE_SEED)
    if reading.endless:
        raise DataError(f"{source.title} has no end: {_ENDS[source.part]}.")
    digests: list[str] = []
    parts: list[Part] = []
    samples = size = 0
    batch_count, ended = source.steps or reading.batches, True
    with contextlib.closing(_checked_batches(reading, source)) as batches:
        for batch, alone in batches:
            parts = parts or [_part_of(batch, alone)]
            digests.append(_digest(batch))
            samples += length_of(batch[0])
            size += sum(array.nbytes for array in _named(batch).values())
            if len(digests) >= _MOST_BATCHES or size >= _MOST_BYTES:
                ended = len(digests) == batch_count
                break
    if not parts:
        raise DataError(f"{source.title} has no batches.")
    if ended and source.steps is not None and len(digests) < source.steps:
        too_few = f"{len(digests)} batches, but an epoch must read {source.steps}"
        raise DataError(f"{source.title} has {too_few}.")
    first, (head,) = digests[:_BATCHES_READ_AGAIN], parts
    repeatable = _digests_again(source, len(first)) == first
    types = ", ".join(f"{name}={a.dtype}{a.shape[1:]}" for name, a in head.named.items())
    return Profile(
        kind=reading.kind,
        at_hand=head,
        digest=hashlib.sha256("\n".join(digests if repeatable else [types]).encode()).hexdigest(),
        repeatable=repeatable,
        batches=len(digests),
        samples=samples if ended else None,
        known_batches=batch_count,
    )


def _digests_again(source: Source, count: int) -> list[str]:
    reading = Reading(source, PROFILE_SEED)
    with contextlib.closing(_checked_batches(reading, source)) as batches:
        return [_digest(batch) for batch, _ in itertools.islice(batches, count)]


def _checked_batches(reading: Reading, source: Source) -> Generator[tuple[Batch, bool], None, None]:
    """Yields each batch as checked arrays, and whether the batch is x alone."""
    try:
        reading.begin()
        for number, batch in enumerate(reading, start=1):
            alone = not isinstance(batch, tuple) or source.targets is False
            of = f"of batch {number} of {source.title.lower()}"
            if source.targets is None and _are_alike(batch):
                raise DataError(
                    f"The three arrays {of} have the same shape and type",
                    hint="Pass targets=False if they are samples alone, such as (anchor, positive, "
                    "negative), or targets=True if they are (x, y, sample_weight).",
                )
            yield _checked((batch,) if alone else batch, of), alone
    except BaseException:
        # `end` stops the threads that make batches. If `end` raises, too, its error is ignored,
        # because it would hide the first error.
        with contextlib.suppress(Exception):
            reading.end()
        raise
    reading.end()


def _are_alike(entries: Any) -> bool:
    """Returns whether a batch is three similar arrays, such as (anchor, positive, negative)."""
    if not isinstance(entries, tuple) or len(entries) != 3:
        return False
    shapes = {(getattr(x, "dtype", None), str(getattr(x, "shape", ""))) for x in entries}
    return len(shapes) == 1 and len(getattr(entries[0], "shape", ())) > 1


def _checked(entries: tuple[Any, ...], of: str) -> Batch:
    """Returns a batch as numpy arrays. Raises DataError if no training step can use it."""
    if len(entries) not in (1, 2, 3):
        raise DataError.of_setting(
            "A batch",
            "(x, y), (x, y, sample_weight) or (x,)",
            f"{len(entries)} entries {of}",
            "Pass targets=False if all entries are samples.",
        )
    batch = tuple(_arrays(x, f"{name} {of}") for name, x in zip(_NAMES, entries, strict=False))
    named = _named(batch)
    shapes = {name: array.shape for name, array in named.items()}
    if len({shape[:1] for shape in shapes.values()}) != 1 or () in shapes.values():
        alike = f"The arrays {of} must have one length, the number of samples"
        raise DataError(alike, received=shapes, hint=_HINT)
    for name, array in named.items():
        check_finite(array, f"{name} {of}")
    return batch


def _arrays(entries: Any, name: str) -> Arrays:
    import tensorflow as tf

    if isinstance(entries, dict):
        return {key: _arrays(entries[key], name) for key in sorted(entries)}  # type: ignore[misc]
    if isinstance(entries, tuple | list):
        return tuple(_arrays(entry, name) for entry in entries)  # type: ignore[misc]
    if not isinstance(entries, tf.Tensor):
        expected = "an array, or a dict or tuple of arrays"
        raise DataError.of_setting(name, expected, entries)
    return np.asarray(entries.numpy())


def _named(batch: Batch) -> dict[str, np.ndarray]:
    named: dict[str, np.ndarray] = {}
    for name, arrays in zip(_NAMES, batch, strict=False):
        named |= named_arrays(arrays, name)
    return named


def _part_of(batch: Batch, alone: bool) -> Part:
    # Weights of several outputs are left out, because a part has only one array of weights.
    x, y, weights, *_ = (*batch, (), ())
    return Part(x, y, weights if isinstance(weights, np.ndarray) else None, alone)


def _digest(batch: Batch) -> str:
    return combined_digest({name: array_digest(array) for name, array in _named(batch).items()})
