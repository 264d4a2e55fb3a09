"""Samples that occur twice, in one part or in two.

Samples are compared by 64 bits made of all their bytes. Among a million samples, two different ones
share these with a probability of 1 in 30 million.
"""

from __future__ import annotations

import itertools

import numpy as np

from studies.data.arrays.large import blocks
from studies.data.arrays.texts import is_text
from studies.data.looking.seen import ByName, Seen
from tracking.records.data_findings import Repeated

_MASK = 2**64 - 1
_ODD = 0x9E3779B97F4A7C15


def repeats_of(seen: Seen) -> tuple[tuple[Repeated, ...], int]:
    """Counts samples that are in two parts, or twice in the training part.

    Returns:
        The counts: of samples in the training part that are not the first of their kind, and of
        each other part that are in an earlier one. And how many training samples have a twin of
        another class.
    """
    found = {part: marks(arrays) for part, arrays in seen.x.items()}
    repeated = [
        Repeated("train", "train", len(found["train"]) - len(np.unique(found["train"])),
                 len(found["train"]))
    ]  # fmt: skip
    for first, second in itertools.combinations(found, 2):
        both = int(np.isin(found[second], found[first]).sum())
        repeated.append(Repeated(second, first, both, len(found[second])))
    return tuple(repeated), _contradicted(found["train"], seen.labels("train"))


def marks(arrays: ByName) -> np.ndarray:
    """Returns 64 bits for each sample, the same for the same samples.

    Args:
        arrays: The inputs by name; samples that differ in one of them differ.
    """
    total: np.ndarray | None = None
    for place, array in enumerate(arrays.values(), start=1):
        own = _of_texts(array) if is_text(array) else _of_numbers(array)
        mixed = _mixed(own + np.uint64(place * _ODD & _MASK))
        total = mixed if total is None else total + mixed
    assert total is not None, "data has inputs"
    return total


def _of_numbers(array: np.ndarray) -> np.ndarray:
    found = np.empty(len(array), np.uint64)
    for start, end in blocks(array):
        rows = np.ascontiguousarray(array[start:end]).reshape(end - start, -1)
        flat = rows.view(np.uint8)
        missing = -flat.shape[1] % 8
        if missing:
            flat = np.pad(flat, ((0, 0), (0, missing)))
        words = flat.view(np.uint64)
        places = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(_ODD)
        found[start:end] = _mixed(words + places).sum(axis=1, dtype=np.uint64)
    return found


def _of_texts(array: np.ndarray) -> np.ndarray:
    columns = array.reshape(len(array), -1)
    total = np.zeros(len(array), np.uint64)
    for place, column in enumerate(columns.T, start=1):
        # Python's own: the same within a process.
        hashes = np.fromiter((hash(each) & _MASK for each in column.tolist()), np.uint64)
        total += _mixed(hashes + np.uint64(place * _ODD & _MASK))
    return total


def _mixed(words: np.ndarray) -> np.ndarray:
    """Returns 64 bits that all depend on all bits given: the end of SplitMix64.

    https://doi.org/10.1145/2714064.2660195
    """
    mixed: np.ndarray = words ^ (words >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _contradicted(found: np.ndarray, labels: np.ndarray | None) -> int:
    """Returns how many samples have a twin of another class."""
    if labels is None or len(labels) != len(found):
        return 0
    _, kinds = np.unique(found, return_inverse=True)
    pairs = np.unique(np.stack([kinds, np.unique(labels, return_inverse=True)[1]]), axis=1)
    classes = np.bincount(pairs[0], minlength=int(kinds.max()) + 1)
    return int((classes[kinds] > 1).sum())
