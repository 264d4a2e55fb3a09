"""What is known of a study's data before a model is trained on it, for people to look at."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

DataSeverity = Literal["problem", "hint", "ok"]
DATA_SEVERITIES: Final[tuple[DataSeverity, ...]] = ("problem", "hint", "ok")
_MOST_PROBLEMS: Final = 3


@dataclass(frozen=True)
class ConstantGuess:
    """The best that a model which ignores its input can do.

    Attributes:
        answer: The most frequent class of a part.
        share: Its share of the part's samples, which is the accuracy of always answering it.
    """

    answer: str
    share: float


Classes = Mapping[str, Mapping[str, Mapping[str, int]]]
"""How many samples have each class, by target, part and class. Not of the test part."""


def most_frequent(classes: Classes, part: str) -> ConstantGuess | None:
    """Returns the most frequent class of a part; None without classes, or with several targets."""
    counts = next(iter(classes.values())).get(part, {}) if len(classes) == 1 else {}
    if not any(counts.values()):
        return None
    answer = max(counts, key=counts.__getitem__)
    return ConstantGuess(answer, counts[answer] / sum(counts.values()))


@dataclass(frozen=True)
class DataFinding:
    """What a check of data found.

    Attributes:
        check: The check: ``"leaks"``, ``"classes"`` and so on.
        severity: ``"problem"``: values of the study can't be believed until it is mended;
            ``"hint"``: worth a look; ``"ok"``: nothing to do.
        title: The finding in a few words.
        verdict: The finding in a sentence or two, with its figures.
        advice: What to do, in a sentence; may be empty.
        figures: The figures by name, for programs.
    """

    check: str
    severity: DataSeverity
    title: str
    verdict: str
    advice: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataFindings:
    """What is known of a study's data.

    Attributes:
        data: The name of the data.
        digest: Its SHA-256.
        sizes: Samples of each part, as far as they are known.
        inputs: The kind of each input, in words, by its name.
        classes: The classes of each target that has some.
        findings: What the checks found, the most severe first.
        notes: What was not looked at, or only in part, in sentences.
        thorough: Whether all checks were made; a launch makes only the quick ones.
        picture: Samples of the training part, as a PNG; empty if they are no images.
        picture_rows: The classes of its rows, or nothing.
    """

    data: str
    digest: str
    sizes: Mapping[str, int]
    inputs: Mapping[str, str]
    classes: Classes = field(default_factory=dict)
    findings: tuple[DataFinding, ...] = ()
    notes: str = ""
    thorough: bool = False
    picture: bytes = b""
    picture_rows: str = ""

    def __str__(self) -> str:
        """Returns the findings, a line each."""
        return "\n".join(
            f"{each.severity}: {each.title}. {each.verdict} {each.advice}".rstrip()
            for each in self.findings
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """Why values of the study can't be believed: at most three sentences, the worst first."""
        found = [each.verdict for each in self.findings if each.severity == "problem"]
        return tuple(found[:_MOST_PROBLEMS])

    @property
    def guess(self) -> ConstantGuess | None:
        """The most frequent class of the validation samples; None if there is no class for each.

        With folds, that of all samples that are split into them.
        """
        part = "validation" if self.sizes.get("validation") else "train"
        counted = sum(next(iter(self.classes.values()), {}).get(part, {}).values())
        # Not of data in batches, of which only the first samples are known.
        return most_frequent(self.classes, part) if counted == self.sizes.get(part) else None

    def document(self) -> dict[str, Any]:
        """Returns it as a JSON document, without the picture."""
        fields = dataclasses.asdict(self)
        del fields["picture"], fields["picture_rows"]
        return fields

    def to_json(self) -> str:
        """Returns it as JSON; the picture in base64."""
        fields = dataclasses.asdict(self)
        fields["picture"] = base64.b64encode(self.picture).decode("ascii")
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> DataFindings:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the text is something else; also KeyError or TypeError.
        """
        fields: dict[str, Any] = json.loads(text)
        fields["findings"] = tuple(DataFinding(**each) for each in fields["findings"])
        fields["picture"] = base64.b64decode(fields["picture"], validate=True)
        return cls(**fields)
