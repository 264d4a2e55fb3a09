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

    If objectives are equal, the lower validation loss is better, then the earlier epoch, then the
    earlier trial. There is no other rule for ties.
    """

    key: float  # The objective's value, by `Objective.sort_key`.
    # ``val_loss``: lower is better, whatever the objective's direction. Infinite if it is missing
    # or NaN.
    loss: float
    epoch: int  # For a trial, its best epoch.
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
    share: float  # The answer's share of the part's samples: its accuracy.


Classes = Mapping[str, Mapping[str, Mapping[str, int]]]
"""The number of samples by target, part and class; the test part is left out."""


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
    figures: Mapping[str, Any] = field(default_factory=dict)  # For programs, by name.


@dataclass(frozen=True)
class DataFindings:
    """The sizes and classes of a study's data, and the findings of its checks."""

    data: str
    digest: str  # SHA-256.
    sizes: Mapping[str, int]  # Samples of each part, as far as they are known.
    inputs: Mapping[str, str]  # The kind of each input, in words, by its name.
    classes: Classes = field(default_factory=dict)  # For targets with classes.
    findings: tuple[DataFinding, ...] = ()  # The most severe first.
    notes: str = ""  # Sentences that name the parts without a check, or with a partial one.
    thorough: bool = False  # Whether all checks were made; a launch makes only the quick ones.
    picture: bytes = b""  # Samples of the training part, as a PNG; empty if they are no images.
    picture_rows: str = ""  # The classes that its rows show; may be empty.

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
        """The most frequent class of the validation samples; None unless all classes are known.

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
"""The hardware of a study whose trials may run on any; their bits may differ."""
DIFFERENT_HARDWARE = "of any kind: bits may differ between trials"
"""What people read for `ANY_HARDWARE`."""

ClassWeight = Mapping[int, float]
"""How much the training samples of each class count; a class that is not in it counts 1."""


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
    # Name of the function of `hp` that makes each trial's data; the other fields then describe the
    # data that it makes for the default values. Empty if all trials have the same data.
    made_by: str = ""


@dataclass(frozen=True)
class CodeDescription:
    """The file that defines a study, and the user's own modules that it imports."""

    path: str  # Absolute; empty where there is none (a notebook, an interactive session).
    variable: str  # The variable that holds the study, or empty.
    source: str = ""  # The file's text.
    digest: str = ""  # SHA-256 of the text; with modules, of `manifest`.
    study_name: str = ""  # The name in the file; a launch may give another.
    folder: str = ""  # Where the study was launched; relative paths start there.
    source_digest: str = ""  # SHA-256 of the text.
    # The modules that the file imports from its folder or repository: the SHA-256 of each one's
    # text, by its path from the file's folder. None if the modules are not known.
    modules: Mapping[str, str] | None = None
    # The modules' texts; recorded with the definition, like ``source``.
    texts: Mapping[str, str] = field(default_factory=dict)
    # For a script: lines that say which settings of its own search the study took, and which not.
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
        """The text whose SHA-256 is `digest` if there are modules: the texts' digests, as JSON."""
        fields = {"source": self.own_digest, "modules": dict(self.modules or {})}
        return json.dumps(fields, sort_keys=True, ensure_ascii=False)

    def same_as(self, digest: str) -> bool:
        """Returns whether a trial ran from this code, by the trial's digest.

        A trial that ran before the file imported modules has the digest of the file's text alone.
        """
        return digest in (self.digest, self.own_digest)

    def changes_since(self, before: CodeDescription) -> list[str]:
        """Returns which texts changed, by path, and how; modules only if known on both sides.

        The modules of a notebook are all that its process has imported, used by the study or not.
        """
        own = self.path.replace("\\", "/").rpartition("/")[2] or "its code"
        changed = [own] if before.own_digest != self.own_digest else []
        if before.modules is None or self.modules is None:
            return changed
        both = before.modules.keys() & self.modules.keys()
        for place in sorted({**before.modules, **self.modules} if self.path else both):
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
    # The names in the space that the study was given; none if tracing found the whole space.
    declared: Sequence[str] = ()
    # Names of hyperparameters that vary although the builder never reads them.
    unread: Sequence[str] = ()
    # Whether a training can be resumed between epochs; a HyperModel's own `fit` can't be.
    goes_on: bool = True
    initial: Sequence[Mapping[str, Any]] = ()  # Complete values for first trials.
    initial_from: str = ""  # The file or the study:NAME with these values, or empty.
    class_weight: ClassWeight | None = None  # How much the training samples of each class count.
    # In a deterministic study, trial k is proposed and pruned by what is known of trials 0 to
    # k - lag, as if `lag` workers were equally fast. Else 0: all trials that have ended count.
    lag: int = 0
    # How the launch's options changed the study's own space, in the form of `Tailoring.to_dict`.
    tailored: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()  # For the user before the study runs; not recorded.
    # The findings about its data; recorded outside the definition.
    looked: DataFindings | None = None
    # How all data but the test part is split into folds; empty without folds.
    cross_validation: str = ""
    folds: int = 0  # How many; each trial has a training per fold. 0 without.
    # Name of the objective function, which does everything itself and returns the value; a study
    # with one has no data. Empty if a builder makes the models.
    objective_function: str = ""
    # The class of hardware on which the study began: the processor's family and widest
    # instructions, or the GPU. `ANY_HARDWARE` if trials may run on several classes, so that their
    # bits may differ.
    hardware: str = ""

    @property
    def trainings(self) -> int:
        """The number of trainings of each trial: of its folds, or of its repeats."""
        return self.folds or self.repeats

    @property
    def default_trial(self) -> int | None:
        """The number of the trial that must have the space's defaults, if there is one."""
        return 0 if self.try_defaults else None

    def first_values(self, number: int) -> dict[str, Any] | None:
        """Returns the values of a trial if the engine does not choose them, else None.

        The defaults come first, then `initial`, from which values equal to the defaults are left
        out. All are completed with the defaults of hyperparameters that joined the space.
        """
        # A quick answer, as the driver asks for every trial, perhaps for thousands.
        if number > len(self.initial):
            return None
        firsts = [complete(self.space, values) for values in self.initial]
        if self.try_defaults:
            defaults = complete(self.space, {})
            same = canonical_json(defaults)
            firsts = [defaults, *(v for v in firsts if canonical_json(v) != same)]
        return firsts[number] if number < len(firsts) else None
