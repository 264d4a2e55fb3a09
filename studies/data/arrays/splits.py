"""The data of a study: a training part, a validation part, and a sealed test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from search_spaces.errors import NoTestPartError
from studies.data.arrays.digests import array_digest, combined_digest, copies_in
from studies.data.arrays.preprocessing import Given
from studies.data.arrays.structures import Arrays, is_text, length_of, map_arrays, named_arrays

if TYPE_CHECKING:
    from studies.data.streams.streamed_dataset import Stream


@dataclass(frozen=True, eq=False, repr=False)
class Splits:
    """The parts of a data set. `seal` makes it; only `unseal_test` returns the test part.

    Attributes:
        train: the samples to train on.
        validation: the samples by which epochs and trials are compared.
        digests: "train", "validation" and, where there is a test part, "test": the SHA-256 of each
            part's dtypes, shapes and values, the same on every machine.
        digest: one SHA-256 over `digests`: the identity of the data.
        classes: number of classes (distinct labels, or the columns of one-hot rows); None if the
            targets are not classes, or several.
        preprocessing: name of the preprocessing that was fitted on `train`; None if none.
        given: the samples before preprocessing.
    """

    train: Part
    validation: Part
    digests: Mapping[str, str]
    digest: str
    classes: int | None
    preprocessing: str | None
    _test: Part | None
    given: Given = field(default_factory=Given)

    # For what only other kinds of data have, see `LoadedData`.
    batch_size: ClassVar[None] = None
    streams: ClassVar[Mapping[str, Stream]] = MappingProxyType({})
    folds: ClassVar[int] = 0

    @property
    def arrays(self) -> Splits:
        """The data itself."""
        return self

    @property
    def whole(self) -> Splits:
        """The data itself: it has no folds."""
        return self

    def of(self, fold: int | None) -> Splits:
        """Returns the data itself: it has no folds."""
        return self

    @property
    def unfit(self) -> str:
        """Why the compiled trainer can't train on this data, or empty."""
        texts = any(is_text(array) for array in named_arrays(self.train.x, "x").values())
        return "the samples are texts" if texts else ""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of samples of each part, by the names of `digests`."""
        return MappingProxyType({name: len(part) for name, part in self._parts().items()})

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user."""
        return self.given.warnings

    def unseal_test_inputs(self) -> Arrays | None:
        """Returns the inputs of the test part, without its targets; None if there is none.

        To see whether they are in another part too, or come from elsewhere: see decision 44.
        """
        return None if self._test is None else self._test.x

    def unseal_test(self) -> Part:
        """Returns the test part. Only `evaluate` may call this, and it records that it did.

        No search, pruning or selection may call it: data that chose a model can't judge it.
        """
        if self._test is None:
            raise NoTestPartError(
                "This data has no test part: it was described with test=0 or test=None. "
                "Give it one, as a share (test=0.2), a count, or a ready-made (x, y) pair."
            )
        return self._test

    def __getstate__(self) -> dict[str, object]:
        """Returns the state to pickle, which has no read-only mapping."""
        return {**vars(self), "digests": dict(self.digests)}

    def describe(self) -> dict[str, Any]:
        """Returns the description in records, ready for JSON, without values of the data."""
        parts = {name: part.describe() for name, part in self._parts().items()}
        return {
            "sizes": dict(self.sizes),
            "digests": dict(self.digests),
            "digest": self.digest,
            "shapes": {name: described["shapes"] for name, described in parts.items()},
            "dtypes": {name: described["dtypes"] for name, described in parts.items()},
            "classes": self.classes,
            "preprocessing": self.preprocessing,
        }

    def __repr__(self) -> str:
        """Returns sizes and the digest, never values."""
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"Splits({sizes}, classes={self.classes}, digest={self.digest[:12]}…)"

    def _parts(self) -> dict[str, Part]:
        parts = {"train": self.train, "validation": self.validation}
        return parts if self._test is None else {**parts, "test": self._test}


def seal(
    train: Part,
    validation: Part,
    test: Part | None,
    classes: int | None = None,
    preprocessing: str | None = None,
    given: Given | None = None,
) -> Splits:
    """Makes splits of ready parts: computes digests, finds copies, and seals the test part.

    Raises DataError for an array that has no digest.
    """
    digests = {"train": train.digest, "validation": validation.digest}
    if test is not None:
        digests["test"] = test.digest
    return Splits(
        train=train,
        validation=validation.grouped,
        digests=MappingProxyType(digests),
        digest=combined_digest(digests),
        classes=classes,
        preprocessing=preprocessing,
        _test=None if test is None else test.grouped,
        given=given or Given(),
    )


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
        shown = (f"{name}={a.dtype}{tuple(a.shape)}" for name, a in self.named.items())
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
        arrays = self.named
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
        return combined_digest({name: array_digest(a) for name, a in self.named.items()})

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

    @property
    def named(self) -> dict[str, np.ndarray]:
        """All arrays by their names in messages and digests."""
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
    x, y = concatenated([first.x, second.x]), concatenated([first.y, second.y])
    return Part(x, y, weights, first.alone)


def _weights(part: Part, other: Part) -> np.ndarray:
    """Returns the weights of a part; without, all samples count 1."""
    if part.sample_weight is not None:
        return part.sample_weight
    assert other.sample_weight is not None, "one of them has some"
    return np.ones((len(part), *other.sample_weight.shape[1:]), other.sample_weight.dtype)


def concatenated(pieces: Sequence[Arrays]) -> Arrays:
    """Returns the samples of several arrays, or structures of arrays, in their order."""
    first: Any = pieces[0]
    if isinstance(first, dict):
        return {name: np.concatenate([each[name] for each in pieces]) for name in first}
    if isinstance(first, tuple):
        return tuple(map(np.concatenate, zip(*pieces, strict=True)))
    return np.concatenate(pieces)  # type: ignore[arg-type]
