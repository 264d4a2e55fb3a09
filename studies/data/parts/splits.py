"""The data of a study: a training part, a validation part, and a sealed test part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from search_spaces.errors import NoTestPartError
from studies.data.arrays.digests import combined_digest
from studies.data.arrays.given import Given
from studies.data.arrays.texts import is_text
from studies.data.parts.part import Part
from studies.data.structures import Arrays, named_arrays

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

        Raises:
            NoTestPartError: the data has no test part.
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
