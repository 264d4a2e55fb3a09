"""The records of a study's definition, its objective, and the findings about its data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from search_spaces import SearchSpace, canonical_json, complete
from tracking.records.data_findings import DataDescription, DataFindings
from tracking.records.setting_declarations import RecordedSettings

Direction = Literal["max", "min"]


class Rank(NamedTuple):
    """The rank of an epoch in its trial, or of a trial in its study. The lowest rank is the best.

    The fields are compared in their order: if objectives are equal, the validation loss decides,
    then the epoch, then the trial's number.
    """

    key: float  # The objective's value, by `Objective.sort_key`.
    # ``val_loss``; infinite if it is missing or NaN.
    loss: float
    epoch: int  # A trial has its best epoch.
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


ANY_HARDWARE = "any"
"""The `hardware` of a study whose trials may run on several kinds of hardware."""
DIFFERENT_HARDWARE = "of any kind: bits may differ between trials"
"""The text that people read instead of `ANY_HARDWARE`."""

ClassWeight = Mapping[int, float]
"""The `class_weight` of `model.fit`: weights by class. A missing class has the weight 1."""


@dataclass(frozen=True)
class CodeDescription:
    """The file that defines a study, and the user's own modules that it imports."""

    path: str  # Absolute; empty in a notebook or an interactive session.
    variable: str  # The variable that holds the study, or empty.
    source: str = ""  # The file's text.
    digest: str = ""  # SHA-256 of the text, or of `manifest` if there are modules.
    study_name: str = ""  # The study's name in the file. A launch may give another.
    folder: str = ""  # The working folder of the launch.
    source_digest: str = ""  # SHA-256 of the text.
    # The user's modules that the file imports: the SHA-256 of each text, by its path from the
    # file's folder. None if the modules are not known.
    modules: Mapping[str, str] | None = None
    # The modules' texts, by the same paths.
    texts: Mapping[str, str] = field(default_factory=dict)
    # For a script of another library: lines on which of its search's settings the study took.
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

        If the trial ran before the file imported modules, it has the digest of the file alone.
        """
        return digest in (self.digest, self.own_digest)

    def changes_since(self, before: CodeDescription) -> list[str]:
        """Returns the paths of changed files, e.g. ``"layers.py (no longer imported)"``.

        For a notebook, a module counts only if both sides have it: the modules of a notebook are
        all that its process has imported, even if the study does not use them.
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
    """Returns the SHA-256 of a text in hexadecimal digits."""
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
    # Whether hyperparameters can join the space when a trial's builder declares them.
    discovered: bool = False
    # The names in the space that the user gave; empty if the builder declares all of them.
    declared: Sequence[str] = ()
    # The names of hyperparameters that the builder never reads.
    unread: Sequence[str] = ()
    # Whether a training can be resumed after an epoch. A HyperModel's own `fit` can't be.
    goes_on: bool = True
    initial: Sequence[Mapping[str, Any]] = ()  # The values of the first trials, complete.
    initial_from: str = ""  # The file, or study:NAME, that these come from; may be empty.
    class_weight: ClassWeight | None = None
    # The launch's changes of the space, from `Tailoring.to_dict`.
    tailored: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()  # For the user before the launch; not recorded.
    # The findings about its data, which the journal records apart from the definition.
    looked: DataFindings | None = None
    # The kind of split into folds; empty without folds.
    cross_validation: str = ""
    folds: int = 0  # The number of folds; 0 without folds.
    # The name of the objective function, which trains itself and returns the trial's value. Empty
    # if a builder makes the models. A study with an objective function has no data.
    objective_function: str = ""
    # The processor's family and widest instructions, or the GPU, on which the study began; or
    # `ANY_HARDWARE`.
    hardware: str = ""

    @property
    def trainings(self) -> int:
        """The number of trainings of each trial."""
        return self.folds or self.repeats

    @property
    def default_trial(self) -> int | None:
        """The number of the trial with the space's defaults, or None."""
        return 0 if self.try_defaults else None

    def first_values(self, number: int) -> dict[str, Any] | None:
        """Returns the values of a first trial; None if the engine chooses the trial's values.

        Trial 0 has the defaults, if `try_defaults` is set. The next trials have `initial`, without
        a repetition of the defaults.
        """
        # The driver asks for every trial, so most answers must be quick.
        if number > len(self.initial):
            return None
        firsts = [complete(self.space, values) for values in self.initial]
        if self.try_defaults:
            defaults = complete(self.space, {})
            same = canonical_json(defaults)
            firsts = [defaults, *(v for v in firsts if canonical_json(v) != same)]
        return firsts[number] if number < len(firsts) else None
