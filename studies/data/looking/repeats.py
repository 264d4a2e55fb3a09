"""Samples that occur twice, in one part or in two."""

from __future__ import annotations

import itertools

import numpy as np

from studies.data.arrays.copies import marks
from studies.data.looking.seen import Seen
from tracking.records.data_findings import Repeated


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


def _contradicted(found: np.ndarray, labels: np.ndarray | None) -> int:
    """Returns how many samples have a twin of another class."""
    if labels is None or len(labels) != len(found):
        return 0
    _, kinds = np.unique(found, return_inverse=True)
    pairs = np.unique(np.stack([kinds, np.unique(labels, return_inverse=True)[1]]), axis=1)
    classes = np.bincount(pairs[0], minlength=int(kinds.max()) + 1)
    return int((classes[kinds] > 1).sum())
