"""Profiles: a digest and the first batch of a source, read before training."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.errors import DataError
from studies.data.arrays.checks import check_finite
from studies.data.arrays.digests import array_digest, combined_digest
from studies.data.arrays.splits import Part, concatenated
from studies.data.arrays.structures import Arrays, length_of, named_arrays
from studies.data.streams.sources import ENDS, Reading, Source
from studies.error_texts import describe

Batch = tuple[Arrays, ...]
"""x, and y and weights if there are any."""

# The most to read ahead, as a data set may be large, or slow to make.
_MOST_BATCHES = 128
_MOST_BYTES = 32 * 2**20
# The most to look at.
_MOST_SAMPLES, _MOST_SEEN_BYTES = 5_000, 64 * 2**20
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
    """A source's digest and first batch, and how far it was read for them.

    Attributes:
        kind: the kind of source, such as "tf.data.Dataset".
        head: the first batch.
        digest: SHA-256 over the batches that were read; over the first one's types and shapes if a
            second reading gave others.
        repeatable: whether a second reading gave the same.
        batches: batches that were read.
        samples: samples of a reading; None if not all were read.
        known_batches: batches of a reading, if known before it is read, else None.
    """

    kind: str
    head: Part
    digest: str
    repeatable: bool
    batches: int
    samples: int | None
    known_batches: int | None

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
    head: Part | None = None
    digests: list[str] = []
    samples = size = 0
    ended = True
    with epoch_of(reading):
        for batch, alone in checked_batches(reading, source):
            head = head or part_of(batch, alone)
            digests.append(_digest(batch))
            samples += length_of(batch[0])
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
    first = digests[:_BATCHES_READ_AGAIN]
    repeatable = _digests_again(source, len(first)) == first
    texts = digests if repeatable else [_types_and_shapes(head)]
    return Profile(
        kind=reading.kind,
        head=head,
        digest=hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        repeatable=repeatable,
        batches=len(digests),
        samples=samples if ended else None,
        known_batches=source.steps or reading.batches,
    )


def _digests_again(source: Source, count: int) -> list[str]:
    try:
        reading = Reading(source, PROFILE_SEED)
    except ValueError as error:
        # Keras's message for a generator that is at its end.
        if isinstance(error, DataError) or "empty generator" not in str(error):
            raise
        raise DataError(
            f"The function that gives {source.called} gives nothing when it is called again. It "
            "must return a new iterable each time: each epoch reads one."
        ) from None
    with epoch_of(reading):
        batches = itertools.islice(checked_batches(reading, source), count)
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
    named: dict[str, np.ndarray] = {}
    for name, arrays in zip(_NAMES, batch, strict=False):
        named |= named_arrays(arrays, name)
    return named


def part_of(batch: Batch, alone: bool) -> Part:
    """Returns a batch as a part, without weights by outputs."""
    x, y, weights, *_ = (*batch, (), ())
    return Part(x, y, weights if isinstance(weights, np.ndarray) else None, alone)


def _digest(batch: Batch) -> str:
    return combined_digest({name: array_digest(array) for name, array in _named(batch).items()})


def _types_and_shapes(part: Part) -> str:
    arrays = part.named.items()
    return ", ".join(f"{name}={array.dtype}{array.shape[1:]}" for name, array in arrays)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def first_samples(source: Source, known: int | None) -> tuple[Part, bool]:
    """Reads the first samples of a part, `known` of which there are if that is known, to look at.

    Without weights: at least a batch, at most about 5,000 or 64 MiB; and whether these are all.
    """
    parts: list[Part] = []
    samples = size = 0
    ended = True
    reading = Reading(source, PROFILE_SEED)
    with epoch_of(reading):
        for batch, alone in checked_batches(reading, source):
            parts.append(part_of(batch[:2], alone))
            samples += len(parts[-1])
            size += sum(array.nbytes for array in named_arrays(parts[-1].x, "x").values())
            if samples >= _MOST_SAMPLES or size >= _MOST_SEEN_BYTES:
                ended = samples == known
                break
    try:
        x, y = (concatenated([getattr(part, name) for part in parts]) for name in ("x", "y"))
        return Part(x, y, alone=parts[0].alone), ended
    except ValueError as error:
        raise DataError(
            f"Batches of {source.called} differ in shape, so their samples can't be looked "
            f"at side by side: {error}."
        ) from None
