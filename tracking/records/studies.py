"""A study's definition, its objective, and the findings about its data, as sent and recorded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from search_spaces import SearchSpace, canonical_json, complete
from tracking.records.settings import RecordedSettings

Direction = Literal["max", "min"]


class Rank(NamedTuple):
    """The rank of an epoch in its trial, or of a trial in its study: the lowest is the best.

    The only rule for ties of the objective: they go to the lower validation loss, then to the
    earlier epoch, then to the earlier trial.
    """

    key: float  # By `Objective.sort_key`.
    # ``val_loss``, lower the better whatever the objective's direction; infinite if there is none,
    # or it is NaN.
    loss: float
    epoch: int  # Of a trial its best one.
    number: int


@dataclass(frozen=True)
class Objective:
    """The metric that a study optimizes, and its direction.

    Attributes:
        metric: A metric that the model logs, such as ``"val_accuracy"``.
        direction: ``"max"`` or ``"min"``.

    Example:
        >>> ks.Objective("val_f1", "max").is_better(0.9, than=0.8)
        True
    """

    metric: str
    direction: Direction

    def is_better(self, value: float, than: float) -> bool:
        """Returns whether ``value`` is strictly better than another value."""
        return value > than if self.direction == "max" else value < than

    def sort_key(self, value: float) -> float:
        """Returns a number that sorts better values first."""
        return -value if self.direction == "max" else value


DataSeverity = Literal["problem", "hint", "ok"]
DATA_SEVERITIES: Final[tuple[DataSeverity, ...]] = ("problem", "hint", "ok")
_MOST_PROBLEMS: Final = 3


@dataclass(frozen=True)
class ConstantGuess:
    """The best answer of a model that ignores its input."""

    answer: str  # The most frequent class of a part.
    share: float  # Of the part's samples: the accuracy of always answering it.


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
    """A finding of a check of data."""

    check: str  # The check's name, such as ``"leaks"`` or ``"classes"``.
    # ``"problem"``: values of the study can't be believed until it is mended; ``"hint"``: worth a
    # look; ``"ok"``: nothing to do.
    severity: DataSeverity
    title: str  # In a few words.
    verdict: str  # In a sentence or two, with its figures.
    advice: str = ""  # The remedy, in a sentence; may be empty.
    figures: Mapping[str, Any] = field(default_factory=dict)  # By name, for programs.


@dataclass(frozen=True)
class DataFindings:
    """The sizes and classes of a study's data, and the findings of its checks."""

    data: str
    digest: str  # SHA-256.
    sizes: Mapping[str, int]  # Samples of each part, as far as they are known.
    inputs: Mapping[str, str]  # The kind of each input, in words, by its name.
    classes: Classes = field(default_factory=dict)  # Of each target that has some.
    findings: tuple[DataFinding, ...] = ()  # The most severe first.
    notes: str = ""  # Sentences that name the parts without a check, or with a partial one.
    thorough: bool = False  # Whether all checks were made; a launch makes only the quick ones.
    picture: bytes = b""  # Samples of the training part, as a PNG; empty if they are no images.
    picture_rows: str = ""  # The classes of its rows, or nothing.

    def __str__(self) -> str:
        """Returns the findings, a line each."""
        return "\n".join(
            f"{finding.severity}: {finding.title}. {finding.verdict} {finding.advice}".rstrip()
            for finding in self.findings
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """Why values of the study can't be believed: at most three sentences, the worst first."""
        verdicts = [each.verdict for each in self.findings if each.severity == "problem"]
        return tuple(verdicts[:_MOST_PROBLEMS])

    @property
    def guess(self) -> ConstantGuess | None:
        """The most frequent class of the validation samples; None if some have no known class.

        With folds, the most frequent class of all samples that are split into them.
        """
        part = "validation" if self.sizes.get("validation") else "train"
        samples = sum(next(iter(self.classes.values()), {}).get(part, {}).values())
        # Only the first samples of data in batches are known.
        return most_frequent(self.classes, part) if samples == self.sizes.get(part) else None

    def document(self) -> dict[str, Any]:
        """Returns the findings as a JSON document, without the picture."""
        fields = dataclasses.asdict(self)
        del fields["picture"], fields["picture_rows"]
        return fields


ANY_HARDWARE = "any"
"""The hardware of a study whose trials may run on any: bits may differ among them."""
DIFFERENT_HARDWARE = "of any kind: bits may differ between trials"
"""The hardware of such a study, as people read it."""

ClassWeight = Mapping[int, float]
"""How much the training samples of each class count; a class without counts 1."""


@dataclass(frozen=True)
class DataDescription:
    """The recorded description of a data set."""

    name: str
    source: str
    digest: str  # SHA-256 over all parts.
    # SHA-256 of each part: train, validation and, where there is one, test.
    digests: Mapping[str, str]
    sizes: Mapping[str, int]  # Samples of each part.
    details: Mapping[str, Any]  # Shapes, types, classes, preprocessing: for people to read.
    override: str = ""  # Path of an npz file that replaced the study's own data, or empty.
    # Name of the function of `hp` that makes each trial's data; all else then describes the data of
    # the default values. Empty if all trials have the same data.
    made_by: str = ""


@dataclass(frozen=True)
class CodeDescription:
    """The file that defines a study, and the user's own modules that it imports."""

    path: str  # Absolute; empty where there is none (a notebook, an interactive session).
    variable: str  # Holds the study; or empty.
    source: str = ""  # The file's text.
    digest: str = ""  # SHA-256 of the text; where there are modules, of `manifest`.
    study_name: str = ""  # In the file; the study may be launched under another name.
    folder: str = ""  # The study was launched in it; relative paths start from it.
    source_digest: str = ""  # SHA-256 of the text.
    # SHA-256 of the texts of the modules that the file imports from its folder or repository, by
    # their paths from its folder; None if they are not known.
    modules: Mapping[str, str] | None = None
    # The modules' texts; recorded with the definition, like ``source``.
    texts: Mapping[str, str] = field(default_factory=dict)
    # Lines about a script: which settings of its search its study took, and which not.
    said: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        path: str,
        variable: str,
        source: str,
        texts: Mapping[str, str],
        *,
        study_name: str,
        folder: str,
    ) -> CodeDescription:
        """Returns the description of a file's text and its modules' texts."""
        source_digest = sha256(source) if source else ""
        modules = {place: sha256(text) for place, text in texts.items()}
        code = cls(
            path, variable, source, source_digest, study_name, folder, source_digest, modules, texts
        )
        return dataclasses.replace(code, digest=sha256(code.manifest)) if texts else code

    @property
    def own_digest(self) -> str:
        """SHA-256 of the file's text alone."""
        return self.source_digest or self.digest

    @property
    def manifest(self) -> str:
        """The text that the digest is of, if there are modules: all texts' digests, as JSON."""
        fields = {"source": self.own_digest, "modules": dict(self.modules or {})}
        return json.dumps(fields, sort_keys=True, ensure_ascii=False)

    def same_as(self, digest: str) -> bool:
        """Returns whether a trial ran from this code, by the trial's digest.

        A trial that ran before the file imported modules has the file's digest alone.
        """
        return digest in (self.digest, self.own_digest)

    def changes_since(self, before: CodeDescription) -> list[str]:
        """Returns the paths of changed texts, and how they changed, as far as both are known."""
        own = self.path.replace("\\", "/").rpartition("/")[2] or "its code"
        changed = [own] if before.own_digest != self.own_digest else []
        if before.modules is None or self.modules is None:
            return changed
        for place in sorted({**before.modules, **self.modules}):
            if place not in self.modules:
                changed.append(f"{place} (no longer imported)")
            elif place not in before.modules:
                changed.append(f"{place} (not imported before)")
            elif before.modules[place] != self.modules[place]:
                changed.append(place)
        return changed


def sha256(text: str) -> str:
    """Returns the SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class StudyDescription(RecordedSettings):
    """A study's definition, without the code and arrays that it runs on."""

    name: str
    space: SearchSpace
    objective: Objective
    engine: str
    pruner: str
    threads: int
    data: DataDescription
    code: CodeDescription
    # Whether hyperparameters that the builder declares later join the space.
    discovered: bool = False
    # Names in the study's own space; none if the whole space was found by tracing.
    declared: Sequence[str] = ()
    # Names of hyperparameters that vary, and that the builder never reads.
    unread: Sequence[str] = ()
    # Whether a training can be resumed in between: not a HyperModel's own `fit`.
    goes_on: bool = True
    initial: Sequence[Mapping[str, Any]] = ()  # Values of the next trials, each complete.
    initial_from: str = ""  # The file or the study:NAME with these values, or empty.
    class_weight: ClassWeight | None = None  # How much the training samples of each class count.
    # If deterministic, trial k is proposed and pruned by trials 0 to k - lag, as with so many
    # workers of equal speed. Else 0: by all trials that have ended.
    lag: int = 0
    # The changes of the study's own space by the launch's options, by `Tailoring.to_dict`.
    tailored: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()  # For the user before it runs; not recorded.
    # The findings of a glance at its data; recorded apart from the definition.
    looked: DataFindings | None = None
    # How all data but the test part is split into folds; empty without folds.
    cross_validation: str = ""
    folds: int = 0  # Each a training of each trial; 0 without.
    # Name of the function that does everything itself and returns the value; empty if a builder
    # makes the models. Such a study has no data.
    objective_function: str = ""
    # The class of hardware that it was begun on: the processor's family and its widest
    # instructions, or the GPU; `ANY_HARDWARE` if trials ran on several, so that bits may differ
    # among them.
    hardware: str = ""

    @property
    def trainings(self) -> int:
        """Trainings of each trial: its folds, or its repeats."""
        return self.folds or self.repeats

    @property
    def default_trial(self) -> int | None:
        """The number of the trial that has the space's defaults, if one must have them."""
        return 0 if self.try_defaults else None

    def first_values(self, number: int) -> dict[str, Any] | None:
        """Returns the values of a first trial, which the engine does not choose, or None.

        The defaults come first, then `initial`, from which values equal to the defaults are left
        out. All are completed with the defaults of hyperparameters that joined the space.
        """
        # The driver asks for each of perhaps thousands of trials.
        if number > len(self.initial):
            return None
        firsts = [complete(self.space, values) for values in self.initial]
        if self.try_defaults:
            defaults = complete(self.space, {})
            same = canonical_json(defaults)
            firsts = [defaults, *(v for v in firsts if canonical_json(v) != same)]
        return firsts[number] if number < len(firsts) else None
