"""A part of a data set: its samples, their targets and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from studies.data.arrays.copies import copies_in
from studies.data.arrays.digests import array_digest, combined_digest
from studies.data.structures import Arrays, length_of, map_arrays, named_arrays


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Samples and their targets.

    The arrays are read-only, so that they keep matching the digests. Arrays of a dict are sorted by
    name.

    Attributes:
        x: samples: an array of shape (n, ...), or several such arrays, for a model of several
            inputs: a dict by name, or a tuple.
        y: targets, likewise; `y[i]` belongs to `x[i]`. An empty tuple: there are none.
        sample_weight: how much each sample counts, of shape (n,) or, for each step of a sequence,
            (n, steps); None: all alike.
        alone: whether a training step gets samples without targets as they are; else in a tuple.
        groups: the group of each sample, whole numbers of shape (n,), where samples are not
            independent: those of a patient, copies. None: all are independent, or not known.
    """

    x: Arrays
    y: Arrays
    sample_weight: np.ndarray | None = None
    alone: bool = False
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Sorts the arrays of a dict, and makes all of them read-only."""
        for name, given in self._given().items():
            arrays = dict(sorted(given.items())) if isinstance(given, dict) else given
            object.__setattr__(self, name, map_arrays(_closed, arrays))

    def __len__(self) -> int:
        """Returns the number of samples."""
        return length_of(self.x)

    def __repr__(self) -> str:
        """Returns dtypes and shapes, never values."""
        shown = (f"{name}={a.dtype}{tuple(a.shape)}" for name, a in self._arrays().items())
        return f"Part({', '.join(shown)})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles by the constructor: numpy alone would unpickle writable arrays."""
        return Part, (self.x, self.y, self.sample_weight, self.alone, self.groups)

    @property
    def has_targets(self) -> bool:
        """Whether there are any."""
        return not isinstance(self.y, tuple) or bool(self.y)

    @property
    def at_hand(self) -> Part:
        """The samples in memory: all."""
        return self

    @property
    def grouped(self) -> Part:
        """The part with its groups: copies of a sample are one, unless its groups are known."""
        if self.groups is not None:
            return self
        arrays = self._arrays()
        arrays.pop("sample_weight", None)
        return replace(self, groups=copies_in(arrays))

    def first(self, count: int) -> Part:
        """Returns a part of its first samples, of all if there are fewer."""
        given = self._given().items()
        first = {name: map_arrays(lambda a: a[:count], arrays) for name, arrays in given}
        groups = None if self.groups is None else self.groups[:count]
        return Part(**first, alone=self.alone, groups=groups)

    @property
    def digest(self) -> str:
        """SHA-256 over names, dtypes, shapes and values of all its arrays; computed each time."""
        return combined_digest({name: array_digest(a) for name, a in self._arrays().items()})

    @property
    def targets_digest(self) -> str:
        """SHA-256 of targets and weights; without targets, of the number of samples."""
        arrays = named_arrays(self.y, "y") if self.has_targets else {}
        if self.sample_weight is not None:
            arrays = {**arrays, "sample_weight": self.sample_weight}
        digests = {name: array_digest(array) for name, array in arrays.items()}
        return combined_digest({**digests, "samples": str(len(self))})

    def describe(self) -> dict[str, dict[str, object]]:
        """Returns the "shapes" and "dtypes" of its arrays by name, ready for JSON."""
        given = self._given().items()
        return {
            "shapes": {name: map_arrays(lambda a: list(a.shape), arrays) for name, arrays in given},
            "dtypes": {name: map_arrays(lambda a: str(a.dtype), arrays) for name, arrays in given},
        }

    def _given(self) -> dict[str, Arrays]:
        """Returns x, y and the weights, if there are any."""
        given: dict[str, Arrays] = {"x": self.x, "y": self.y}
        return (
            given if self.sample_weight is None else {**given, "sample_weight": self.sample_weight}
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays by their names in messages and digests."""
        found: dict[str, np.ndarray] = {}
        for name, arrays in self._given().items():
            found |= named_arrays(arrays, name)
        return found


def _closed(array: np.ndarray) -> np.ndarray:
    """Returns a read-only view: the caller's array stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view


def joined(first: Part, second: Part) -> Part:
    """Returns the samples of two parts, those of the first one first."""
    weights = None
    if first.sample_weight is not None or second.sample_weight is not None:
        weights = np.concatenate([_weights(first, second), _weights(second, first)])
    return Part(
        _concatenated(first.x, second.x), _concatenated(first.y, second.y), weights, first.alone
    )


def _weights(part: Part, other: Part) -> np.ndarray:
    """Returns the weights of a part; without, all samples count 1."""
    if part.sample_weight is not None:
        return part.sample_weight
    assert other.sample_weight is not None, "one of them has some"
    return np.ones((len(part), *other.sample_weight.shape[1:]), other.sample_weight.dtype)


def _concatenated(first: Arrays, second: Arrays) -> Arrays:
    if isinstance(first, dict) and isinstance(second, dict):
        return {name: np.concatenate([first[name], second[name]]) for name in first}
    if isinstance(first, tuple) and isinstance(second, tuple):
        return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))
    joined: Arrays = map_arrays(lambda array: np.concatenate([array, second]), first)
    return joined
