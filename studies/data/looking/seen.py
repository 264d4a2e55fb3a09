"""The samples that are looked at, by part, and a picture of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search_spaces.texts import counted
from studies.data.arrays.classes import class_labels
from studies.data.arrays.preprocessing import Given
from studies.data.arrays.structures import image_of, is_text, named_arrays
from studies.data.folds.folded import FoldedSplits
from studies.data.protocol import LoadedData
from studies.data.streams.profiles import first_samples
from studies.data.streams.streamed_dataset import Stream
from tracking.records.studies import Classes

ByName = Mapping[str, np.ndarray]
_LARGEST_SIDE = 48
_ROWS, _COLUMNS, _GAP, _WHITE = 10, 10, 2, 255


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
    """

    x: Mapping[str, ByName]
    y: Mapping[str, ByName]
    sizes: Mapping[str, int]
    given: Given = field(default_factory=Given)
    partial: bool = False
    folds: int = 0
    notes: tuple[str, ...] = ()

    def count(self, part: str) -> int:
        """Returns how many samples of a part are looked at."""
        return len(next(iter(self.x[part].values())))

    @property
    def bytes(self) -> int:
        """The size of all inputs in memory."""
        return sum(array.nbytes for arrays in self.x.values() for array in arrays.values())

    def kind(self, name: str) -> str:
        """Returns the kind of an input: ``"images"``, ``"texts"``, ``"columns"``, ``"arrays"``."""
        array = self.x["train"][name]
        if is_text(array):
            return "texts"
        if self.given.table is not None:
            return "columns"
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
        return class_labels(next(iter(y.values()))) if len(y) == 1 else None

    def columns(self, name: str) -> list[str]:
        """Returns the names of the columns of an input, or of targets."""
        array, table = {**self.y.get("train", {}), **self.x["train"]}[name], self.given.table
        if table is not None and name == "x":
            numbers = [column.name for column in table.numbers]
            missing = [f"missing {column.name}" for column in table.indicated]
            coded = [column.name for column in table.categories for _ in column.vocabulary]
            return [*numbers, *missing, *coded]
        count, known = math.prod(array.shape[1:]), self.given.columns.get(name, ())
        if len(known) == count:
            return [column for column, _ in known]
        own = own_name(name)
        called = "column" if own == "x" else f"{own} column"
        return [own] if count == 1 else [f"{called} {place}" for place in range(count)]


def own_name(name: str) -> str:
    """Returns an array's name without what is around it: ``image`` of ``x['image']``."""
    return name[3:-2] if name[1:3] == "['" else name


def seen_of(splits: LoadedData | FoldedSplits) -> Seen:
    """Returns what is looked at of a study's data.

    The targets of a test part are never read: only its inputs, to see whether they are in another
    part too, and whether they come from the same distribution.
    """
    if splits.streams:
        return _of_streams(splits.streams, splits.sizes)
    folds, whole, sizes, notes = splits.folds, splits.whole.arrays, dict(splits.sizes), []
    parts = {"train": whole.train, "validation": whole.validation}
    if folds:
        parts.pop("validation")
        sizes.pop("validation")
        notes = [
            f"The data is split into {folds} folds: all samples that are split are looked at "
            "together, as the training part."
        ]
    x = {name: named_arrays(part.x, "x") for name, part in parts.items()}
    y = {name: named_arrays(part.y, "y") for name, part in parts.items() if part.has_targets}
    if (test := whole.unseal_test_inputs()) is not None:
        x["test"] = named_arrays(test, "x")
    return Seen(x, y, sizes, whole.given, folds=folds, notes=tuple(notes))


def _of_streams(streams: Mapping[str, Stream], sizes: Mapping[str, int]) -> Seen:
    x: dict[str, ByName] = {}
    y: dict[str, ByName] = {}
    notes: list[str] = []
    for name, stream in streams.items():
        part, whole = first_samples(stream.source, stream.profile.samples)
        x[name] = named_arrays(part.x, "x")
        if part.has_targets and name != "test":
            y[name] = named_arrays(part.y, "y")
        if not whole:
            notes.append(f"The data comes in batches: the first {len(part):,} {name} samples.")
    return Seen(x, y, sizes, partial=bool(notes), notes=tuple(notes))


def class_counts(seen: Seen) -> Classes:
    """Returns how many samples of each part have each class of each target that has classes."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    names = seen.given.class_names
    for name in seen.y.get("train", {}):
        labels = {part: class_labels(arrays[name]) for part, arrays in seen.y.items()}
        if any(each is None for each in labels.values()):
            continue
        own = names if isinstance(names, tuple) else names.get(own_name(name), ())
        every = np.unique(np.concatenate(list(labels.values())))
        counts[name] = {
            part: {_shown(label, own): int((each == label).sum()) for label in every}
            for part, each in labels.items()
        }
    return counts


def _shown(label: np.generic, names: Sequence[str]) -> str:
    place = int(label)
    if place < len(names):
        return names[place]
    return f"{label:g}" if label.dtype.kind == "f" else str(label.item())


def inputs_of(seen: Seen) -> dict[str, str]:
    """Returns the kind of each input in words; of a table also what becomes of each column."""
    table = seen.given.table
    if table is not None:
        count = len(table.columns)
        return {"x": f"a table of {counted(count, 'column')}", **table.treatments}
    inputs = {}
    for name, array in seen.x["train"].items():
        kind, sample = seen.kind(name), array.shape[1:]
        if kind == "columns":
            count = math.prod(sample)
            inputs[name] = f"{counted(count, 'column')}, {array.dtype}"
        elif kind == "texts":
            inputs[name] = "texts"
        else:
            side = math.isqrt(sample[0]) if len(sample) == 1 else 0
            flat = f"{side} × {side}, as rows of " if side else ""
            inputs[name] = f"{kind} of {flat}{' × '.join(map(str, sample))}, {array.dtype}"
    return inputs


def picture_of(seen: Seen, classes: Classes) -> tuple[bytes, str]:
    """Returns the first samples of the training part as one PNG, of at most 10 by 10 images.

    The PNG is empty if no input is images. With it comes the class of each row, or nothing.
    """
    name = next((each for each in seen.x["train"] if seen.kind(each) == "images"), None)
    if name is None:
        return b"", ""
    import tensorflow as tf

    array, labels = seen.x["train"][name], seen.labels("train")
    shown = ""
    if labels is None:
        rows = [np.arange(min(len(array), _COLUMNS))]
    else:
        rows = [np.flatnonzero(labels == each)[:_COLUMNS] for each in np.unique(labels)[:_ROWS]]
        shown = ", ".join(list(next(iter(classes.values()))["train"])[:_ROWS]) if classes else ""
    first = image_of(seen.original(name, array[:1])[0])
    assert first is not None, "an input of images begins with one"
    step = -(-max(first.shape[:2]) // _LARGEST_SIDE)
    tiles = [seen.original(name, array[row]).reshape(-1, *first.shape) for row in rows]
    tiles = [each[:, ::step, ::step, :3].astype(np.float64) for each in tiles]
    low, high = min(each.min() for each in tiles), max(each.max() for each in tiles)
    if low < 0 or high > _WHITE or (high <= 1 and first.dtype != np.uint8):
        low = min(low, 0)
        tiles = [(each - low) * (_WHITE / (max(high, 1) - low)) for each in tiles]
    height, width = tiles[0].shape[1:3]
    across = max(map(len, tiles))
    grid = np.full((len(tiles), across, height + _GAP, width + _GAP, 3), _WHITE, np.uint8)
    for row, each in enumerate(tiles):
        grid[row, : len(each), :height, :width] = each.round()
    down = len(tiles) * (height + _GAP)
    pixels = grid.transpose(0, 2, 1, 3, 4).reshape(down, across * (width + _GAP), 3)
    return tf.io.encode_png(pixels).numpy(), shown
