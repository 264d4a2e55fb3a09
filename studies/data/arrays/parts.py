"""The data of a study: a training part, a validation part, and a sealed test part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from search_spaces.errors import InternalError, NoTestPartError
from studies.data.arrays.mapped import taken
from studies.data.arrays.structures import (
    Arrays,
    array_digest,
    combined_digest,
    copies_in,
    is_text,
    length_of,
    map_arrays,
    named_arrays,
)
from studies.data.preprocessing import Preparation

if TYPE_CHECKING:
    from studies.data.streams import Stream

PART_NAMES = {"train": "training", "validation": "validation", "test": "test"}
"""The names of parts for people."""


@dataclass(frozen=True, eq=False, repr=False)
class LoadedData(ABC):
    """Loaded data of any kind.

    Attributes:
        train: The samples to train on.
        validation: The samples by which epochs and trials are compared.
        classes: Number of classes (distinct labels, or the columns of one-hot rows); None if there
            are several targets, or they are no classes.
        preprocessing: Name of the preprocessing that was fitted on `train`; None if there is none.
        preparation: How samples became a model's inputs.
    """

    train: Part | Stream
    validation: Part | Stream
    _test: Part | Stream | None
    _digests: Mapping[str, str]
    classes: int | None = None
    preprocessing: str | None = None
    preparation: Preparation = field(default_factory=Preparation)
    # `FoldedSplits` alone has folds.
    folds: ClassVar[int] = 0

    @property
    @abstractmethod
    def unfit(self) -> str:
        """Why the compiled trainer can't train on this data; empty if it can."""

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user."""
        return self.preparation.warnings

    @property
    def batch_size(self) -> int | None:
        """The number of samples in a batch, if the data comes in batches; else None."""
        return None

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The parts that are read batch by batch; empty if they are arrays."""
        return MappingProxyType({})

    @property
    def arrays(self) -> Splits:
        """The data itself, if it is arrays; callers check `streams` first."""
        raise InternalError("The data comes in batches, and is read as arrays.")

    @property
    def digests(self) -> Mapping[str, str]:
        """The SHA-256 of each part: "train", "validation" and, if there is one, "test".

        They cover dtypes, shapes and values, and are the same on every machine.
        """
        return MappingProxyType(dict(self._digests))

    @property
    def digest(self) -> str:
        """One SHA-256 over `digests`: the identity of the data."""
        return combined_digest(self.digests)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The number of samples of each part for which it is known."""
        return {n: part.samples for n, part in self._parts().items() if part.samples is not None}

    @property
    def whole(self) -> Self:
        """All samples to train on, and the test part; without folds, the data itself."""
        return self

    def of(self, fold: int | None) -> Self:
        """Returns the data of a fold; without folds, the data itself."""
        return self

    def unseal_test(self) -> Part | Stream:
        """Returns the test part. Only `evaluate` may call this, and it records that it did.

        No search, pruning or selection may call it: data that chose a model can't judge it.
        """
        if self._test is None:
            raise NoTestPartError(
                "This data has no test part. Describe it with one: a share (test=0.2), a count, or "
                "a ready-made part (test=(x, y)); of data in batches, a function."
            )
        return self._test

    def describe(self) -> dict[str, Any]:
        """Returns the description in records, ready for JSON, without values of the data."""
        parts = {name: part.at_hand.describe() for name, part in self._parts().items()}
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
        sizes = "".join(f"{name}={size}, " for name, size in self.sizes.items())
        classes = "" if self.classes is None else f"classes={self.classes}, "
        return f"{type(self).__name__}({sizes}{classes}digest={self.digest[:12]}…)"

    def _parts(self) -> dict[str, Any]:
        parts = {"train": self.train, "validation": self.validation}
        return parts if self._test is None else {**parts, "test": self._test}


@dataclass(frozen=True, eq=False, repr=False)
class Splits(LoadedData):
    """Data in arrays. `seal` makes it; only `unseal_test` returns the test part."""

    train: Part
    validation: Part
    _test: Part | None

    if TYPE_CHECKING:

        def unseal_test(self) -> Part: ...

    @property
    def arrays(self) -> Splits:
        """The data itself."""
        return self

    @property
    def unfit(self) -> str:
        """Why the compiled trainer can't train on this data; empty if it can."""
        texts = any(is_text(array) for array in named_arrays(self.train.x, "x").values())
        return "the samples are texts" if texts else ""

    def unseal_test_inputs(self) -> Arrays | None:
        """Returns the inputs of the test part, without its targets; None if there is no test part.

        They show whether test samples are in another part too, or from another distribution: see
        decision 44.
        """
        return None if self._test is None else self._test.x


def seal(
    train: Part,
    validation: Part,
    test: Part | None,
    classes: int | None = None,
    preprocessing: str | None = None,
    preparation: Preparation | None = None,
) -> Splits:
    """Makes splits of ready parts: computes digests, finds copies, and seals the test part.

    Raises DataError for an array that has no digest.
    """
    parts = {"train": train, "validation": validation} | ({} if test is None else {"test": test})
    return Splits(
        train,
        validation.grouped,
        None if test is None else test.grouped,
        {name: part.digest for name, part in parts.items()},
        classes,
        preprocessing,
        preparation or Preparation(),
    )


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Samples and their targets.

    The arrays are read-only, so that they keep matching the digests. Arrays of a dict are sorted by
    name.

    Attributes:
        x: Samples: an array of shape (n, ...), or several such arrays, for a model of several
            inputs: a dict by name, or a tuple.
        y: Targets, in the same forms; `y[i]` belongs to `x[i]`. An empty tuple if there are none.
        sample_weight: How much each sample counts, of shape (n,), or each step of a sequence, of
            shape (n, steps). None: all count alike.
        alone: Whether a training step gets samples that have no targets as they are, not in a
            tuple.
        groups: The group of each sample, as whole numbers of shape (n,). The samples of a group
            depend on each other, such as those of a patient, or copies. None: all samples are
            independent, as far as is known.
    """

    x: Arrays
    y: Arrays
    sample_weight: np.ndarray | None = None
    alone: bool = False
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Sorts the arrays of a dict, and makes all of them read-only."""
        for name, value in self._arrays().items():
            arrays = dict(sorted(value.items())) if isinstance(value, dict) else value
            object.__setattr__(self, name, map_arrays(_closed, arrays))

    def __len__(self) -> int:
        """Returns the number of samples."""
        return length_of(self.x)

    def __repr__(self) -> str:
        """Returns dtypes and shapes, never values."""
        arrays = (f"{name}={a.dtype}{tuple(a.shape)}" for name, a in self.named.items())
        return f"Part({', '.join(arrays)})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles the part as a call of its constructor, as numpy unpickles writable arrays."""
        return Part, (self.x, self.y, self.sample_weight, self.alone, self.groups)

    @property
    def has_targets(self) -> bool:
        """Whether the samples have targets."""
        return not isinstance(self.y, tuple) or bool(self.y)

    @property
    def at_hand(self) -> Part:
        """The samples in memory: the whole part."""
        return self

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self)

    @property
    def grouped(self) -> Part:
        """The part with groups: the known ones, else a group for all copies of a sample."""
        if self.groups is not None:
            return self
        arrays = {name: each for name, each in self.named.items() if name != "sample_weight"}
        return replace(self, groups=copies_in(arrays))

    def first(self, count: int) -> Part:
        """Returns a part of the first `count` samples, or of all if there are fewer."""
        arrays = {n: map_arrays(lambda a: a[:count], value) for n, value in self._arrays().items()}
        groups = None if self.groups is None else self.groups[:count]
        return Part(**arrays, alone=self.alone, groups=groups)

    def rows(self, chosen: np.ndarray | None) -> Part:
        """Returns a part with copies of some samples, or of all; large copies are in files."""
        weights, groups = (
            None if array is None else array.copy() if chosen is None else array[chosen]
            for array in (self.sample_weight, self.groups)
        )
        x, y = (map_arrays(lambda array: taken(array, chosen), each) for each in (self.x, self.y))
        return Part(x, y, weights, self.alone, groups)

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
        arrays = self._arrays().items()
        return {
            "shapes": {name: map_arrays(lambda a: list(a.shape), value) for name, value in arrays},
            "dtypes": {name: map_arrays(lambda a: str(a.dtype), value) for name, value in arrays},
        }

    def _arrays(self) -> dict[str, Arrays]:
        """Returns x, y and the weights, if there are any."""
        weights = {} if self.sample_weight is None else {"sample_weight": self.sample_weight}
        return {"x": self.x, "y": self.y, **weights}

    @property
    def named(self) -> dict[str, np.ndarray]:
        """All arrays by their names in messages and digests."""
        by_name: dict[str, np.ndarray] = {}
        for name, arrays in self._arrays().items():
            by_name |= named_arrays(arrays, name)
        return by_name


def _closed(array: np.ndarray) -> np.ndarray:
    """Returns a read-only view: the caller's array stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view


def joined(first: Part, second: Part) -> Part:
    """Returns one part with the samples of both, those of the first part first.

    If only one of them has weights, each sample of the other gets the weight 1.
    """
    weights = [part.sample_weight for part in (first, second)]
    known = next((each for each in weights if each is not None), None)
    joint = None
    if known is not None:
        ones = [np.ones((len(p), *known.shape[1:]), known.dtype) for p in (first, second)]
        pairs = zip(weights, ones, strict=True)
        joint = np.concatenate([one if own is None else own for own, one in pairs])
    x, y = concatenated(first.x, second.x), concatenated(first.y, second.y)
    return Part(x, y, joint, first.alone)


def concatenated(*pieces: Arrays) -> Arrays:
    """Returns several arrays, or structures of arrays, joined along the axis of samples."""
    arrays: Arrays = map_arrays(lambda *each: np.concatenate(each), *pieces)
    return arrays
