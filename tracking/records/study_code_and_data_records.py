"""The records of a study and its data: definition, objective, code, and findings about the data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from search_spaces import Float, Int, SearchSpace, canonical_json, complete
from search_spaces import argument_checks as checks
from search_spaces.errors import ObjectiveError
from search_spaces.texts import amounts
from tracking.records.recorded_settings import RecordedSettings

Direction = Literal["max", "min"]


class Rank(NamedTuple):
    """The rank of an epoch in a trial, or of a trial in a study. The lowest rank is the best.

    The fields are compared in order: if objectives are equal, the validation loss decides, then the
    epoch, then the trial's number.
    """

    key: float  # `Objective.sort_key` of the objective's value.
    loss: float  # ``val_loss``. Infinite if it is missing or NaN.
    epoch: int  # For a trial, the best epoch.
    number: int  # The trial's number.


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

    def __post_init__(self) -> None:
        """Checks the direction."""
        of = f"The direction of the objective {self.metric!r}"
        checks.choice(of, self.direction, ("max", "min"), ObjectiveError)

    def is_better(self, value: float, than: float) -> bool:
        """Returns whether ``value`` is strictly better than another value."""
        return value > than if self.direction == "max" else value < than

    def sort_key(self, value: float) -> float:
        """Returns a number which is lower for better values."""
        return -value if self.direction == "max" else value


ClassWeight = Mapping[int, float]
"""The `class_weight` of `model.fit`: the weight by class. A missing class has the weight 1."""


@dataclass(frozen=True)
class CodeDescription:
    """The file that defines a study, and the user's own modules that it imports."""

    path: str  # The absolute path. Empty in a notebook or an interactive session.
    variable: str  # The name of the study's variable, or empty.
    source: str = ""  # The file's text.
    digest: str = ""  # SHA-256 of the text, or of `manifest` if there are modules.
    study_name: str = ""  # The study's name in the file. A launch may give another name.
    folder: str = ""  # The working folder of the launch.
    source_digest: str = ""  # SHA-256 of the text.
    # The SHA-256 of each of the user's modules that the file imports. The keys are the modules'
    # paths relative to the file's folder. None if the modules are not known.
    modules: Mapping[str, str] | None = None
    # The modules' source texts, with the same keys as `modules`.
    texts: Mapping[str, str] = field(default_factory=dict)
    # Sentences on the settings that the study takes from a script for Optuna or Keras Tuner.
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
        """Describes a file and its modules."""
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
        """The digests of the file and its modules, as JSON.

        If there are modules, `digest` is the SHA-256 of this text.
        """
        fields = {"source": self.own_digest, "modules": dict(self.modules or {})}
        return json.dumps(fields, sort_keys=True, ensure_ascii=False)

    def same_as(self, digest: str) -> bool:
        """Returns whether a trial with this digest ran from this code.

        If the file imported no modules when the trial ran, the trial's digest is that of the file's
        text alone.
        """
        return digest in (self.digest, self.own_digest)

    def changes_since(self, before: CodeDescription) -> list[str]:
        """Returns the paths of changed files, e.g. ``"layers.py (no longer imported)"``.

        In a notebook, only modules in both descriptions are compared, because the notebook's
        process may import modules that the study does not use.
        """
        file = self.path.replace("\\", "/").rpartition("/")[2] or "its code"
        changed = [file] if before.own_digest != self.own_digest else []
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
    """Returns the SHA-256 of a text in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class DataDescription:
    """The recorded description of a data set."""

    name: str
    source: str
    digest: str  # SHA-256 over all parts.
    digests: Mapping[str, str]  # SHA-256 by part: train, validation and perhaps test.
    sizes: Mapping[str, int]  # The number of samples by part.
    details: Mapping[str, Any]  # Shapes, types and preprocessing.
    # The text of the option ``--data``: a file, perhaps with ``?target=COLUMN``. Empty if the
    # launch had no such option.
    override: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyDescription(RecordedSettings):
    """A study's definition, without Python functions and arrays, so that it can be recorded."""

    name: str
    space: SearchSpace
    objective: Objective
    engine: str
    pruner: str
    threads: int
    data: DataDescription
    code: CodeDescription
    # The names of the hyperparameters in the argument `space` of `Study`. Empty if the builder
    # declares all hyperparameters.
    declared: Sequence[str] = ()
    unread: Sequence[str] = ()  # The names of hyperparameters that the builder never reads.
    # The values with which the study begins. Each entry has all active hyperparameters of a trial.
    initial: Sequence[Mapping[str, Any]] = ()
    initial_from: str = ""  # The file, or study:NAME, with the values in `initial`. May be empty.
    class_weight: ClassWeight | None = None
    # The changes that the launch made to the space, from `Tailoring.to_dict`.
    tailored: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()  # Sentences for the user before the launch. Not recorded.
    # The findings about the data. The journal records them in the column `looked` of `study`.
    looked: DataFindings | None = None
    cross_validation: str = ""  # The kind of split into folds. Empty without folds.
    folds: int = 0  # The number of folds, or 0.
    # The name of the objective function, which trains a model itself and returns the trial's value.
    # Empty if a builder makes the models. A study with an objective function has no data.
    objective_function: str = ""
    # The hardware of the last launch: the GPU, or the processor's family and widest instructions.
    hardware: str = ""

    @property
    def trainings(self) -> int:
        """The number of trainings of each trial."""
        return self.folds or self.repeats

    @property
    def default_trial(self) -> int | None:
        """The number of the trial with the space's defaults, or None."""
        return 0 if self.try_defaults else None

    @property
    def default_values(self) -> str:
        """What the defaults of the space are, in words.

        Keras Tuner's ranges without ``default=`` have their lowest values, which nobody chose.
        """
        found = [p for p in self.space if p.name not in self.declared]
        lowest = [p.default == p.low for p in found if isinstance(p, Float | Int)]
        return "the lowest values of the ranges" if lowest and all(lowest) else "the default values"

    def first_values(self, number: int) -> dict[str, Any] | None:
        """Returns the values of one of the first trials. None if the engine chooses the values.

        Trial 0 has the defaults, if `try_defaults` is set. The next trials have the values in
        `initial`, except values that equal the defaults.
        """
        # This is called for every trial of a launch, so the answer for later trials must be quick.
        if number > len(self.initial):
            return None
        firsts = [complete(self.space, values) for values in self.initial]
        if self.try_defaults:
            defaults = complete(self.space, {})
            same = canonical_json(defaults)
            firsts = [defaults, *(v for v in firsts if canonical_json(v) != same)]
        return firsts[number] if number < len(firsts) else None


Severity = Literal["problem", "hint", "ok"]
SEVERITIES: Final[tuple[Severity, ...]] = ("problem", "hint", "ok")
FAULTS: Final = SEVERITIES[:2]
_MOST_PROBLEMS: Final = 3


@dataclass(frozen=True)
class ConstantGuess:
    """The most frequent class: the best prediction of a model that ignores the input."""

    answer: str  # The class's name.
    share: float  # The share of samples of this class, which is the accuracy of the guess.


@dataclass(frozen=True)
class MeanGuess:
    """The mean of the training targets: a prediction of numbers that ignores the input."""

    answer: float
    error: float  # The mean absolute error of the guess on the validation samples.


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
    severity: Severity  # A ``"problem"``, e.g. a leak, makes values of the study doubtful.
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
    # The number of groups of samples by part. Empty if samples are independent.
    groups: Mapping[str, int] = field(default_factory=dict)
    picture: bytes = b""  # A PNG of training samples. Empty if the samples are no images.
    # The class of each row of `picture`, from top to bottom, such as "cat, dog". Empty if the rows
    # do not stand for classes.
    picture_rows: str = ""
    mean: MeanGuess | None = None  # None unless the data has exactly one target of single numbers.

    def __str__(self) -> str:
        """Returns a line for each finding."""
        return "\n".join(
            f"{finding.severity}: {finding.title}. {finding.verdict} {finding.advice}".rstrip()
            for finding in self.findings
        )

    @property
    def amounts(self) -> str:
        """The numbers of findings, such as ``1 problem, 2 hints``."""
        return amounts(Counter(finding.severity for finding in self.findings), FAULTS)

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
