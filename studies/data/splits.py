"""Data as a study uses it: a training part, a validation part, and a sealed test part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from studies.data.digests import array_digest, combined_digest
from studies.data.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Samples and their targets.

    The arrays are read-only, so that what is trained on stays what the digests say.

    Attributes:
        x: samples, of shape (n, ...).
        y: targets, of shape (n, ...); `y[i]` belongs to `x[i]`.
        sample_weight: how much each sample counts, of shape (n,); None: all alike.

    Raises:
        DataError: these differ in length, or are no arrays of samples.
    """

    x: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks the lengths, and closes the arrays to writing."""
        for name in self._names():
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.ndim == 0:
                raise DataError(
                    f"A part's {name} has to be an array with one entry per sample, "
                    f"not {type(array).__name__}. Pass a numpy array of shape (n, ...)."
                )
            # A view: the caller's own array stays writable for the caller.
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        if len(self.x) != len(self.y):
            raise DataError(
                f"A part's x and y differ in length: {len(self.x)} and {len(self.y)} samples. "
                "Pass one target for each sample."
            )
        if self.sample_weight is not None and self.sample_weight.shape != (len(self),):
            raise DataError(
                f"A part's sample_weight has shape {self.sample_weight.shape}, and the part "
                f"{len(self)} samples. Pass one weight for each sample."
            )

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(self.x)

    def __repr__(self) -> str:
        """Returns dtypes and shapes, never values."""
        shown = (f"{name}={a.dtype}{tuple(a.shape)}" for name, a in self._arrays().items())
        return f"Part({', '.join(shown)})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles by the constructor: numpy alone would hand out writable arrays."""
        return Part, (self.x, self.y, self.sample_weight)

    def first(self, count: int) -> Part:
        """Returns a part of its first samples: so many, or all if there are fewer."""
        return Part(**{name: array[:count] for name, array in self._arrays().items()})

    @property
    def digest(self) -> str:
        """SHA-256 over dtype, shape and values of all its arrays; computed at each call."""
        return combined_digest({name: array_digest(a) for name, a in self._arrays().items()})

    def describe(self) -> dict[str, dict[str, object]]:
        """Returns the "shapes" and "dtypes" of its arrays by name, ready for JSON."""
        arrays = self._arrays()
        return {
            "shapes": {name: list(array.shape) for name, array in arrays.items()},
            "dtypes": {name: str(array.dtype) for name, array in arrays.items()},
        }

    def _names(self) -> tuple[str, ...]:
        return ("x", "y") if self.sample_weight is None else ("x", "y", "sample_weight")

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in self._names()}


@dataclass(frozen=True, eq=False, repr=False)
class Splits:
    """The parts of a data set. Made by `seal`; the test part comes out by `unseal_test` alone.

    Attributes:
        train: what models are trained on.
        validation: what epochs and trials are compared on.
        digests: "train", "validation" and, where there is a test part, "test": the SHA-256 of each
            part's dtypes, shapes and values, the same on every machine.
        digest: one SHA-256 over `digests`: the identity of the data.
        classes: number of classes (distinct labels, or the columns of one-hot rows); None if the
            targets are not classes.
        preprocessing: name of what was fitted on `train` and applied to all parts; None if nothing.
    """

    train: Part
    validation: Part
    digests: Mapping[str, str]
    digest: str
    classes: int | None
    preprocessing: str | None
    _test: Part | None

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of samples of each part, by the names of `digests`."""
        return MappingProxyType({name: len(part) for name, part in self._parts().items()})

    def unseal_test(self) -> Part:
        """Returns the test part. Only `evaluate` may call this, and it records that it did.

        No search, pruning or selection may: what has chosen a model can't judge it.

        Raises:
            DataError: the data has no test part.
        """
        if self._test is None:
            raise DataError(
                "This data has no test part: it was described with test=0 or test=None. "
                "Give it one, as a share (test=0.2), a count, or a ready-made (x, y) pair."
            )
        return self._test

    def describe(self) -> dict[str, object]:
        """Returns what a record says about the data, ready for JSON: no values of the data."""
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

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles the parts only: the digests are computed anew from what arrived."""
        parts = (self.train, self.validation, self._test)
        return _seal_again, (*parts, self.classes, self.preprocessing)

    def _parts(self) -> dict[str, Part]:
        parts = {"train": self.train, "validation": self.validation}
        return parts if self._test is None else {**parts, "test": self._test}


def seal(
    train: Part,
    validation: Part,
    test: Part | None,
    *,
    classes: int | None = None,
    preprocessing: str | None = None,
) -> Splits:
    """Makes splits of ready parts: computes the digests, and seals the test part.

    Args:
        train: the training part.
        validation: the validation part.
        test: the test part, or None.
        classes: number of classes; None if the targets are not classes.
        preprocessing: name of what was already applied to all parts.

    Returns:
        The splits.

    Raises:
        DataError: an array has a dtype that has no digest.
    """
    digests = {"train": train.digest, "validation": validation.digest}
    if test is not None:
        digests["test"] = test.digest
    return Splits(
        train=train,
        validation=validation,
        digests=MappingProxyType(digests),
        digest=combined_digest(digests),
        classes=classes,
        preprocessing=preprocessing,
        _test=test,
    )


def _seal_again(
    train: Part,
    validation: Part,
    test: Part | None,
    classes: int | None,
    preprocessing: str | None,
) -> Splits:
    """Calls `seal` by position, as unpickling has to."""
    return seal(train, validation, test, classes=classes, preprocessing=preprocessing)
