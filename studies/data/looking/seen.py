"""The samples that are looked at, by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from studies.data.arrays.given import Given
from studies.data.arrays.images import image_of
from studies.data.arrays.texts import is_text
from studies.data.folds.folded_splits import FoldedSplits
from studies.data.parts.classes import class_labels
from studies.data.parts.part import Part
from studies.data.parts.splits import Splits
from studies.data.streams.samples import first_samples
from studies.data.streams.streamed_dataset import StreamedSplits
from studies.data.structures import entry_name, named_arrays

ByName = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Seen:
    """The samples that are looked at.

    Attributes:
        x: The inputs of each part by their names.
        y: The targets of each part but the test part.
        sizes: Samples of each part, as far as they are known.
        given: The samples before preprocessing.
        partial: Whether there are more samples than are looked at.
        folds: How many folds the training part is split into; 0: none.
        notes: What is not looked at, in sentences.
        table: Whether the inputs are columns of a table.
    """

    x: Mapping[str, ByName]
    y: Mapping[str, ByName]
    sizes: Mapping[str, int]
    given: Given = field(default_factory=Given)
    partial: bool = False
    folds: int = 0
    notes: tuple[str, ...] = ()
    table: bool = False

    def count(self, part: str) -> int:
        """Returns how many samples of a part are looked at."""
        return len(next(iter(self.x[part].values())))

    @property
    def bytes(self) -> int:
        """The size of all inputs in memory."""
        return sum(array.nbytes for arrays in self.x.values() for array in arrays.values())

    def kinds(self) -> dict[str, str]:
        """Returns the kind of each input by name: images, texts, columns or arrays."""
        return {name: self.kind(name) for name in self.x["train"]}

    def kind(self, name: str) -> str:
        """Returns the kind of an input: ``"images"``, ``"texts"``, ``"columns"``, ``"arrays"``."""
        array = self.x["train"][name]
        if is_text(array):
            return "texts"
        first = self.original(name, array[:1])[0]
        image = None if name in self.given.columns else image_of(first)
        # Numbers below 0 are no pixels, but measurements by time, for example.
        if image is not None and image.min() >= 0:
            return "images"
        return "columns" if array.ndim <= 2 else "arrays"

    def original(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Returns samples of an input as they were before preprocessing, as far as it scales."""
        prepared = self.given.prepared.get(name)
        return rows if prepared is None else prepared.undone(rows)

    def labels(self, part: str) -> np.ndarray | None:
        """Returns the class of each sample of a part, if there is one array of classes."""
        y = self.y.get(part, {})
        if len(y) != 1:
            return None
        return class_labels(next(iter(y.values())))


def seen_of(splits: Splits | StreamedSplits | FoldedSplits, *, by_column: bool = True) -> Seen:
    """Returns what is looked at of a study's data.

    ``by_column`` takes tables apart, which copies them.

    The targets of a test part are never read: only its inputs, to see whether they are in another
    part too, and whether they come from the same distribution.
    """
    if isinstance(splits, StreamedSplits):
        return _of_streams(splits)
    if isinstance(splits, FoldedSplits):
        whole = splits.whole
        parts = {"train": whole.train}
        sizes = {name: n for name, n in splits.facts.sizes.items() if name != "validation"}
        note = (
            f"The data is split into {splits.facts.count} folds: all samples that are split are "
            "looked at together, as the training part."
        )
        seen = _of_parts(parts, whole, sizes, splits.facts.count, (note,))
    else:
        parts = {"train": splits.train, "validation": splits.validation}
        seen = _of_parts(parts, splits, splits.sizes)
    table = seen.given.table
    if not by_column or table is None:
        return seen
    x = {
        part: {entry_name("x", name): c for name, c in table.columns_in(arrays["x"]).items()}
        for part, arrays in seen.x.items()
    }
    return replace(seen, x=x, table=True)


def _of_parts(
    parts: Mapping[str, Part],
    splits: Splits,
    sizes: Mapping[str, int],
    folds: int = 0,
    notes: tuple[str, ...] = (),
) -> Seen:
    x = {name: named_arrays(part.x, "x") for name, part in parts.items()}
    y = {name: named_arrays(part.y, "y") for name, part in parts.items() if part.has_targets}
    if (test := splits.unseal_test_inputs()) is not None:
        x["test"] = named_arrays(test, "x")
    return Seen(x, y, sizes, splits.given, folds=folds, notes=notes)


def _of_streams(splits: StreamedSplits) -> Seen:
    x: dict[str, ByName] = {}
    y: dict[str, ByName] = {}
    notes, partial = [], False
    for name, stream in splits.streams.items():
        part, whole = first_samples(stream)
        x[name] = named_arrays(part.x, "x")
        if part.has_targets and name != "test":
            y[name] = named_arrays(part.y, "y")
        if not whole:
            partial = True
            notes.append(f"The data comes in batches: the first {len(part):,} {name} samples.")
    return Seen(x, y, splits.sizes, partial=partial, notes=tuple(notes))
