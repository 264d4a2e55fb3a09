"""Profiles: facts about a source from its first batches, before training."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.digests import array_digest, combined_digest, is_portable
from studies.data.arrays.numbers import check_finite
from studies.data.parts.classes import class_labels
from studies.data.parts.part import Part
from studies.data.streams.readings import Reading
from studies.data.streams.sources import ENDS, Source
from studies.data.structures import Arrays, length_of, named_arrays
from studies.error_texts import describe

Batch = tuple[Arrays, ...]
"""x, and y and weights if there are any."""

# The most to read ahead, as a data set may be large, or slow to make.
_MOST_BATCHES = 128
_MOST_BYTES = 32 * 2**20
# Read twice, to see whether they are the same.
_BATCHES_READ_AGAIN = 3
_NAMES = ("x", "y", "sample_weight")
_BATCH_IT = (
    "It seems to come sample by sample. Put samples together into batches: by batch(32) of a "
    "tf.data.Dataset; a generator yields arrays whose first axis counts samples."
)
# By the messages of Keras and TensorFlow for generators.
_HINTS = {
    "must be at least rank 1": _BATCH_IT,
    "`output_signature` must contain": "A generator gives several inputs as a tuple or a dict of "
    "arrays, not as a list.",
}
_NO_HINT = "Read a batch of it by itself to see why."
# The data of a training depends on the trial; these first batches do not.
PROFILE_SEED = 0


@dataclass(frozen=True, eq=False)
class Profile:
    """Facts about a source, from its first batches.

    Attributes:
        kind: the kind of source, such as "tf.data.Dataset".
        head: the first batch, without weights unless there is one for each sample.
        weighted: whether batches have weights.
        largest_class: in the batches that were read; None if their targets are no classes.
        known_batches: batches of a reading, if known before it is read, else None.
        batches: batches that were read.
        samples: samples of a reading; None if not all were read.
        repeatable: whether a second reading gave the same.
        digest: SHA-256 over the batches that were read; over the first one's types and shapes if a
            second reading gave others.
    """

    kind: str
    head: Part
    weighted: bool
    largest_class: int | None
    known_batches: int | None
    batches: int
    samples: int | None
    repeatable: bool
    digest: str

    def describe(self) -> dict[str, object]:
        """Returns its description in records, ready for JSON."""
        return {
            "kind": self.kind,
            "batches": self.known_batches if self.samples is None else self.batches,
            "batch_size": len(self.head),
            "digest_of": self.digest_of,
            "same_each_time": self.repeatable,
        }

    @property
    def digest_of(self) -> str:
        """The coverage of the digest, for people to read."""
        if not self.repeatable:
            return "types and shapes alone"
        batches = f"{self.batches} batch{'' if self.batches == 1 else 'es'}"
        return f"all {batches}" if self.samples is not None else f"the first {batches}"


def profile_of(source: Source) -> Profile:
    """Reads the first batches of a source, and the very first ones twice.

    Raises DataError if it raises, gives unusable batches, or has no end.
    """
    try:
        return _profile_of(source)
    except DataError:
        raise
    except Exception as error:
        hint = next((hint for part, hint in _HINTS.items() if part in str(error)), _NO_HINT)
        raise DataError(
            f"{_capital(source.called)} can't be read: {describe(error).removesuffix('.')}. {hint}"
        ) from error


def _profile_of(source: Source) -> Profile:
    reading = Reading(source, PROFILE_SEED)
    if reading.endless:
        raise DataError(f"{_capital(source.called)} has no end. {_capital(ENDS[source.part])}.")
    head: Batch | None = None
    alone = False
    digests: list[str] = []
    samples = size = 0
    classes: int | None = -1
    ended = True
    with epoch_of(reading):
        for batch, samples_alone in checked_batches(reading, source):
            head, alone = head or batch, samples_alone
            digests.append(_digest(batch))
            samples += length_of(batch[0])
            classes = _larger_class(classes, batch[1] if len(batch) > 1 else ())
            size += sum(array.nbytes for array in _named(batch).values())
            if len(digests) >= _MOST_BATCHES or size >= _MOST_BYTES:
                ended = len(digests) == (source.steps or reading.batches)
                break
    if head is None:
        raise DataError(f"{_capital(source.called)} has no batches.")
    if ended and source.steps is not None and len(digests) < source.steps:
        raise DataError(
            f"{_capital(source.called)} has {len(digests)} batches, but an epoch must read "
            f"{source.steps}. Pass a smaller number, or none to read all."
        )
    repeatable = _digests_again(source, len(digests)) == digests[:_BATCHES_READ_AGAIN]
    return Profile(
        kind=reading.kind,
        head=part_of(head, alone),
        weighted=len(head) > 2,
        largest_class=classes,
        known_batches=source.steps or reading.batches,
        batches=len(digests),
        samples=samples if ended else None,
        repeatable=repeatable,
        digest=_combined(digests if repeatable else [_types_and_shapes(head)]),
    )


def _again(source: Source) -> Reading:
    try:
        return Reading(source, PROFILE_SEED)
    except ValueError as error:
        # Keras's message for a generator that is at its end.
        if isinstance(error, DataError) or "empty generator" not in str(error):
            raise
        raise DataError(
            f"The function that gives {source.called} gives nothing when it is called again. It "
            "must return a new iterable each time: each epoch reads one."
        ) from None


def _digests_again(source: Source, most: int) -> list[str]:
    reading = _again(source)
    with epoch_of(reading):
        batches = itertools.islice(checked_batches(reading, source), min(most, _BATCHES_READ_AGAIN))
        return [_digest(batch) for batch, _ in batches]


@contextlib.contextmanager
def epoch_of(reading: Reading) -> Iterator[None]:
    """Begins and ends an epoch of a reading, whatever happens in it."""
    try:
        reading.begin()
        yield
    except BaseException:
        # Ends its threads. The first error says more than one raised here.
        with contextlib.suppress(Exception):
            reading.end()
        raise
    reading.end()


def checked_batches(reading: Reading, source: Source) -> Iterator[tuple[Batch, bool]]:
    """Yields the checked arrays of each batch, and whether it has only samples."""
    for number, given in enumerate(reading, start=1):
        alone = not isinstance(given, tuple) or source.targets is False
        if isinstance(given, tuple) and source.targets is None:
            alone = _is_triplet(given)
        batch = (given,) if alone else given
        yield _checked(batch, f"of batch {number} of {source.called}"), alone


def _is_triplet(given: tuple[Any, ...]) -> bool:
    """Returns whether a batch looks like (anchor, positive, negative): three similar arrays."""
    shapes = {(getattr(each, "dtype", None), str(getattr(each, "shape", ""))) for each in given}
    return len(given) == 3 and len(shapes) == 1 and len(getattr(given[0], "shape", ())) > 1


def _checked(given: tuple[Any, ...], of: str) -> Batch:
    """Returns the arrays that a training step would get; refuses those that none can use."""
    if len(given) not in (1, 2, 3):
        raise DataError(
            "A batch must be (x, y), (x, y, sample_weight) or (x,). Received: "
            f"{len(given)} entries {of}. Give such tuples, or pass targets=False if all entries "
            "are samples."
        )
    batch = tuple(_arrays(each, f"{name} {of}") for name, each in zip(_NAMES, given, strict=False))
    for name, array in _named(batch).items():
        if array.ndim == 0:
            raise DataError(f"{name} {of} is a single value. {_BATCH_IT}")
    samples = length_of(batch[0])
    for name, array in _named(batch).items():
        if len(array) != samples:
            raise DataError(
                f"{name} {of} has shape {array.shape}, and there are {samples} samples. Give one "
                "entry of each array for each sample."
            )
        check_finite(array, f"{name} {of}")
    return batch


def _arrays(given: Any, name: str) -> Arrays:
    if isinstance(given, dict):
        return {key: _array(given[key], name) for key in sorted(given)}
    if isinstance(given, tuple | list):
        return tuple(_array(each, name) for each in given)
    return _array(given, name)


def _array(given: Any, name: str) -> np.ndarray:
    import tensorflow as tf

    if not isinstance(given, tf.Tensor):
        raise DataError(
            f"{name} holds a {type(given).__name__}. Give an array, or a dict or tuple of arrays; "
            "the model can make sparse or ragged tensors of them."
        )
    return np.asarray(given.numpy())


def _named(batch: Batch) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name, arrays in zip(_NAMES, batch, strict=False):
        found |= named_arrays(arrays, name)
    return found


def _larger_class(before: int | None, y: Arrays) -> int | None:
    """Returns the largest class so far; None once targets were no classes, or several."""
    of_numbers = isinstance(y, np.ndarray) and is_portable(y.dtype) and y.size > 0
    labels = class_labels(y) if of_numbers else None  # type: ignore[arg-type]
    if before is None or labels is None:
        return None
    one_hot = y.shape[-1] - 1 if y.ndim == 2 else 0  # type: ignore[union-attr]
    return max(before, one_hot, int(labels.max()))


def part_of(batch: Batch, alone: bool) -> Part:
    """Returns a batch as a part, without weights unless there is one for each sample."""
    if len(batch) == 1:
        return Part(batch[0], (), alone=alone)
    weights = batch[2] if len(batch) > 2 else None
    one_each = isinstance(weights, np.ndarray) and weights.ndim == 1
    return Part(batch[0], batch[1], weights if one_each else None)  # type: ignore[arg-type]


def _digest(batch: Batch) -> str:
    return combined_digest({name: _array_digest(a) for name, a in _named(batch).items()})


def _array_digest(array: np.ndarray) -> str:
    if is_portable(array.dtype):
        return array_digest(array)
    # Texts: arrays of Python's bytes.
    digest = hashlib.sha256(f"{array.dtype.kind} {array.shape}\n".encode("ascii"))
    for value in array.ravel().tolist():
        text = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()


def _types_and_shapes(batch: Batch) -> str:
    arrays = _named(batch).items()
    return ", ".join(f"{name}={array.dtype}{array.shape[1:]}" for name, array in arrays)


def _combined(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode("utf-8")).hexdigest()


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
