"""The records of a study's data: the findings of its checks, its sizes and its classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

DataSeverity = Literal["problem", "hint", "ok"]
DATA_SEVERITIES: Final[tuple[DataSeverity, ...]] = ("problem", "hint", "ok")
_MOST_PROBLEMS: Final = 3


@dataclass(frozen=True)
class ConstantGuess:
    """The most frequent class: the best prediction of a model that ignores the input."""

    answer: str  # The class's name.
    share: float  # The share of samples of this class, which is the accuracy of the guess.


Classes = Mapping[str, Mapping[str, Mapping[str, int]]]
"""The number of samples by target, part and class. The test part is left out."""


def most_frequent(classes: Classes, part: str) -> ConstantGuess | None:
    """Returns the most frequent class of a part.

    Returns None unless the data has exactly one target with classes.
    """
    counts = next(iter(classes.values())).get(part, {}) if len(classes) == 1 else {}
    if not any(counts.values()):
        return None
    answer = max(counts, key=counts.__getitem__)
    return ConstantGuess(answer, counts[answer] / sum(counts.values()))


@dataclass(frozen=True)
class DataFinding:
    """The finding of a check of a study's data."""

    check: str  # The check's name, such as ``"leaks"`` or ``"classes"``.
    severity: DataSeverity  # A ``"problem"``, e.g. a leak, makes values of the study doubtful.
    title: str  # The finding in a few words.
    verdict: str  # The finding in one or two sentences.
    advice: str = ""  # A sentence on what to do. May be empty.
    figures: Mapping[str, Any] = field(default_factory=dict)  # Numbers for programs, by name.


@dataclass(frozen=True)
class DataFindings:
    """The sizes and classes of a study's data, and the findings of its checks."""

    data: str
    digest: str  # SHA-256 of the data.
    sizes: Mapping[str, int]  # The number of samples by part.
    inputs: Mapping[str, str]  # A description of each input, by the input's name.
    classes: Classes = field(default_factory=dict)
    findings: tuple[DataFinding, ...] = ()  # The most severe finding first.
    notes: str = ""  # Sentences on samples that were not checked, or checked together.
    picture: bytes = b""  # A PNG of training samples. Empty if the samples are no images.
    # The class of each row of `picture`, from top to bottom, such as "cat, dog". Empty if the rows
    # do not stand for classes.
    picture_rows: str = ""

    def __str__(self) -> str:
        """Returns a line for each finding."""
        return "\n".join(
            f"{finding.severity}: {finding.title}. {finding.verdict} {finding.advice}".rstrip()
            for finding in self.findings
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """The verdicts of the most severe problems, at most three."""
        verdicts = [f.verdict for f in self.findings if f.severity == "problem"]
        return tuple(verdicts[:_MOST_PROBLEMS])

    @property
    def guess(self) -> ConstantGuess | None:
        """The most frequent class of the validation samples.

        In cross-validation, each sample in a fold is a validation sample. The result is None unless
        the data has exactly one target with classes.
        """
        part = "validation" if self.sizes.get("validation") else "train"
        return most_frequent(self.classes, part)

    def document(self) -> dict[str, Any]:
        """Returns the findings as a JSON document, without the picture."""
        fields = dataclasses.asdict(self)
        del fields["picture"], fields["picture_rows"]
        return fields
