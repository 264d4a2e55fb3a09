"""Streams: data that is read batch by batch, in the order in which it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from search_spaces.errors import DataError, InternalError, NoTestPartError
from studies.data.arrays.digests import combined_digest
from studies.data.arrays.preprocessing import Given
from studies.data.arrays.splits import Part, Splits
from studies.data.arrays.structures import named_arrays
from studies.data.protocol import DescribedData
from studies.data.streams.profiles import Profile, profile_of
from studies.data.streams.sources import ENDS, PART_NAMES, Source

_EFFECTS = {
    "train": ", so trials may not be reproduced",
    "validation": ", so trials may not be reproduced, nor compared exactly",
    "test": "",
}


@dataclass(frozen=True, eq=False)
class Stream:
    """A part that is read batch by batch, and the facts from its first batches."""

    source: Source
    profile: Profile
    # Not known: only the first samples are in memory.
    groups: ClassVar[None] = None

    @property
    def at_hand(self) -> Part:
        """The samples in memory: the first batch."""
        return self.profile.head

    @property
    def targets_digest(self) -> str:
        """The digest of the whole part: its targets alone are unknown."""
        return self.profile.digest

    def first(self, count: int) -> Part:
        """Returns a part of its first samples, at most the first batch."""
        return self.profile.head.first(count)

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user."""
        source, profile, part = self.source, self.profile, self.source.part
        told = []
        if not profile.repeatable:
            advice = "Let nothing in it be random."
            if not source.is_function:
                advice = (
                    "It shuffles itself again at each reading. Pass the function that makes it: "
                    f"{part}=lambda: keras.utils.image_dataset_from_directory(...), for example."
                )
            elif part == "train":
                advice = (
                    "Give the function that makes it a parameter seed, and make shuffling and all "
                    "other randomness depend on that alone."
                )
            told.append(
                f"The {PART_NAMES[part]} data is not the same each time that it is read"
                f"{_EFFECTS[part]}. {advice}"
            )
        if profile.known_batches is None and profile.samples is None:
            told.append(
                f"The {PART_NAMES[part]} data has no known length, and did not end within its "
                f"first {profile.batches} batches. If it has no end, {ENDS[part]}."
            )
        return told


@dataclass(frozen=True, eq=False, repr=False)
class StreamedSplits:
    """Data that is read batch by batch, as `Splits` are for arrays."""

    train: Stream
    validation: Stream
    _test: Stream | None
    folds: ClassVar[int] = 0

    @property
    def unfit(self) -> str:
        """Why the compiled trainer can't train on this data."""
        article = "" if self.train.profile.kind.startswith("keras") else "a "
        return f"the data comes as {article}{self.train.profile.kind}"

    @property
    def arrays(self) -> Splits:
        """Nothing: callers ask `streams` before."""
        raise InternalError("The data comes in batches, and is read as arrays.")

    @property
    def whole(self) -> StreamedSplits:
        """The data itself: it has no folds."""
        return self

    def of(self, fold: int | None) -> StreamedSplits:
        """Returns the data itself: it has no folds."""
        return self

    @property
    def given(self) -> Given:
        """The samples before preprocessing: there is none."""
        return Given()

    @property
    def batch_size(self) -> int:
        """Samples of the first training batch."""
        return len(self.train.at_hand)

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each part, as far as it was read."""
        return {name: stream.profile.digest for name, stream in self.streams.items()}

    @property
    def digest(self) -> str:
        """One SHA-256 over `digests`."""
        return combined_digest(self.digests)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of samples of each part that was read to its end."""
        samples = {name: stream.profile.samples for name, stream in self.streams.items()}
        return {name: count for name, count in samples.items() if count is not None}

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user."""
        told = [text for stream in self.streams.values() for text in stream.warnings]
        head = self.train.profile.head
        if head.alone and isinstance(head.x, tuple) and self.train.source.targets is None:
            told.append(
                "Batches are three arrays of one shape and type, and are read as samples alone, "
                "such as (anchor, positive, negative). Pass targets=False to say so, or "
                "targets=True if they are (x, y, sample_weight)."
            )
        return told

    def unseal_test(self) -> Stream:
        """Returns the test part."""
        if self._test is None:
            raise NoTestPartError(
                "This data has no test part. Pass one to datasets.batches(test=...)."
            )
        return self._test

    def describe(self) -> dict[str, Any]:
        """Returns the description in records, ready for JSON, without values of the data."""
        profiles = {name: stream.profile for name, stream in self.streams.items()}
        heads = {name: profile.head.describe() for name, profile in profiles.items()}
        return {
            "sizes": self.sizes,
            "digests": self.digests,
            "digest": self.digest,
            "shapes": {name: described["shapes"] for name, described in heads.items()},
            "dtypes": {name: described["dtypes"] for name, described in heads.items()},
            "classes": None,
            "preprocessing": None,
            "streams": {name: profile.describe() for name, profile in profiles.items()},
        }

    def __repr__(self) -> str:
        """Returns the kinds of the parts, never values."""
        kinds = ", ".join(f"{name}={s.profile.kind}" for name, s in self.streams.items())
        return f"StreamedSplits({kinds}, digest={self.digest[:12]}…)"

    @property
    def streams(self) -> dict[str, Stream]:
        """The parts, with the test part: whoever reads its targets must say so, as `evaluate`."""
        streams = {"train": self.train, "validation": self.validation}
        return streams if self._test is None else {**streams, "test": self._test}


@dataclass(frozen=True, eq=False, repr=False)
class StreamedDataset(DescribedData):
    """A description of data that is read batch by batch. Made by `datasets.batches`."""

    sources: Mapping[str, Source]
    in_batches: ClassVar[bool] = True

    if TYPE_CHECKING:

        def load(self) -> StreamedSplits: ...

    def _read(self) -> dict[str, Profile]:
        profiles = {name: profile_of(source) for name, source in self.sources.items()}
        for name, profile in profiles.items():
            _check_alike(profiles["train"].head, profile.head, name)
        return profiles

    def _with(self, facts: Mapping[str, Profile]) -> StreamedSplits:
        streams = {name: Stream(source, facts[name]) for name, source in self.sources.items()}
        return StreamedSplits(streams["train"], streams["validation"], streams.get("test"))


def _check_alike(train: Part, part: Part, name: str) -> None:
    """Refuses a part whose arrays differ from the training part's in names or dimensions."""
    first, other = (
        {
            name: array.ndim
            for name, array in (named_arrays(each.x, "x") | named_arrays(each.y, "y")).items()
        }
        for each in (train, part)
    )
    if first != other:
        raise DataError(
            f"The {name} data has other arrays than the training data: {part!r} and {train!r}. "
            "Give both the same, by the same names."
        )
