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
    """

    check: str
    severity: DataSeverity
    title: str
    verdict: str
    advice: str = ""


@dataclass(frozen=True)
class Distribution:
    """The values of a column or of targets, by part.

    Attributes:
        name: The column's name.
        kind: ``"numbers"``, ``"classes"`` (also categories) or ``"texts"`` (their lengths in
            words).
        bars: How many samples of each part fall into each bin, or have each label.
        edges: Of the bins, one more than these; none of labels.
        labels: The labels, or none.
        missing: Samples of each part without a value.
        constant: Whether the training part has one value only.
        low: The lowest value of the training part; None if there is none, as below.
        high: The highest one.
        mean: Their mean.
        deviation: Their standard deviation.
        far: Values of the training part that are far from the others.
    """

    name: str
    kind: Literal["numbers", "classes", "texts"]
    bars: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)
    constant: bool = False
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    deviation: float | None = None
    far: int = 0

    def guess(self, part: str) -> ConstantGuess | None:
        """Returns the most frequent class of a part; None if the values are no classes."""
        bars = self.bars.get(part, ())
        if self.kind != "classes" or not any(bars):
            return None
        return ConstantGuess(self.labels[bars.index(max(bars))], max(bars) / sum(bars))


@dataclass(frozen=True)
class Repeated:
    """Samples of a part that are in another one too, or twice in the same.

    Attributes:
        part: The part.
        also_in: The other part, or the same.
        samples: How many of its samples are.
        of: How many samples it has.
    """

    part: str
    also_in: str
    samples: int
    of: int

    @property
    def share(self) -> float:
        """Their share of the part."""
        return self.samples / max(self.of, 1)


@dataclass(frozen=True)
class PartsCompared:
    """How well a classifier knows which of two parts a sample is from.

    Attributes:
        first: A part.
        second: Another one.
        samples: Samples of each that were compared.
        accuracy: Its accuracy on samples that it was not trained on; 0.5 is chance.
        p: How often labels given at random reach it.
        columns: The columns that differ most, if any do.
    """

    first: str
    second: str
    samples: int
    accuracy: float
    p: float
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataFindings:
    """What is known of a study's data.

    Attributes:
        data: The name of the data.
        digest: Its SHA-256.
        sizes: Samples of each part, as far as they are known.
        inputs: The kind of each input, in words, by its name.
        targets: The targets, without those of the test part.
        columns: The columns of the inputs; of many, some.
        repeated: Samples that occur twice.
        compared: Parts, compared by a classifier.
        findings: What the checks found, the most severe first.
        notes: What was not looked at, or only in part, in sentences.
        thorough: Whether all checks were made; a launch makes only the quick ones.
        picture: Samples of the training part, as a PNG; empty if they are no images.
        picture_rows: The class of each row of the picture, or none.
    """

    data: str
    digest: str
    sizes: Mapping[str, int]
    inputs: Mapping[str, str]
    targets: tuple[Distribution, ...] = ()
    columns: tuple[Distribution, ...] = ()
    repeated: tuple[Repeated, ...] = ()
    compared: tuple[PartsCompared, ...] = ()
    findings: tuple[DataFinding, ...] = ()
    notes: tuple[str, ...] = ()
    thorough: bool = False
    picture: bytes = b""
    picture_rows: tuple[str, ...] = ()

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
        found = self.targets[0].guess(part) if len(self.targets) == 1 else None
        # Not of data in batches, of which only the first samples are known.
        whole = found is not None and sum(self.targets[0].bars[part]) == self.sizes.get(part)
        return found if whole else None

    def counts(self) -> dict[DataSeverity, int]:
        """Returns how many findings there are of each severity."""
        return {each: sum(f.severity == each for f in self.findings) for each in DATA_SEVERITIES}

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
        for name in ("targets", "columns"):
            fields[name] = tuple(_distribution(each) for each in fields[name])
        fields["repeated"] = tuple(Repeated(**each) for each in fields["repeated"])
        fields["compared"] = tuple(
            PartsCompared(**{**each, "columns": tuple(each["columns"])})
            for each in fields["compared"]
        )
        fields["findings"] = tuple(DataFinding(**each) for each in fields["findings"])
        for name in ("notes", "picture_rows"):
            fields[name] = tuple(fields[name])
        fields["picture"] = base64.b64decode(fields["picture"], validate=True)
        return cls(**fields)


def _distribution(fields: Mapping[str, Any]) -> Distribution:
    bars = {part: tuple(each) for part, each in fields["bars"].items()}
    plain = {name: tuple(fields[name]) for name in ("edges", "labels")}
    return Distribution(**{**fields, **plain, "bars": bars})
