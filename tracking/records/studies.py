"""A study's definition, as sent between processes and recorded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces import SearchSpace
from search_spaces.parameters.scalars import canonical_json
from search_spaces.space import complete
from tracking.records.data_findings import DataFindings
from tracking.records.objective import Objective

ANY_HARDWARE = "any"
"""The hardware of a study whose trials may run on any: bits may differ among them."""
DIFFERENT_HARDWARE = "of any kind: bits may differ between trials"
"""What people read of such a study."""

ClassWeight = Mapping[int, float]
"""How much the training samples of each class count; a class without counts 1."""


def read_class_weight(fields: Mapping[str, float] | None) -> ClassWeight | None:
    """Returns class weights that were read from JSON."""
    return None if fields is None else {int(label): weight for label, weight in fields.items()}


@dataclass(frozen=True)
class DataDescription:
    """The recorded description of a data set.

    Attributes:
        name: Its name, such as ``"digits"``.
        source: Where it came from.
        digest: SHA-256 over all parts.
        digests: SHA-256 of each part: train, validation and, where there is one, test.
        sizes: Number of samples of each part.
        details: Shapes, types, classes, preprocessing: for people to read.
        override: Path of an npz file that replaced the study's own data, or empty.
        made_by: Name of the function of `hp` that makes each trial's data; all else then describes
            the data of the default values. Empty if all trials have the same data.
    """

    name: str
    source: str
    digest: str
    digests: Mapping[str, str]
    sizes: Mapping[str, int]
    details: Mapping[str, Any]
    override: str = ""
    made_by: str = ""


@dataclass(frozen=True)
class CodeDescription:
    """The file that a study was defined in, and what it imports of the study's own.

    Attributes:
        path: Absolute path, or empty where there is none (a notebook, an interactive session).
        variable: Name of the variable that holds the study, or empty.
        source: The file's text.
        digest: SHA-256 of the text; where there are modules, of `manifest`.
        study_name: The study's name in the file; it may be launched under another one.
        folder: The folder it was launched in, which relative paths start from.
        source_digest: SHA-256 of the text; empty in older records, whose ``digest`` it is.
        modules: SHA-256 of the texts of the modules that the file imports from its folder or
            repository, by their paths from its folder; None in older records.
        texts: Those texts; recorded with the definition, like ``source``.
        said: Of a script, what its study took from its search, and what it did not, in lines.
    """

    path: str
    variable: str
    source: str
    digest: str
    study_name: str = ""
    folder: str = ""
    source_digest: str = ""
    modules: Mapping[str, str] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
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
        described = cls(
            path, variable, source, source_digest, study_name, folder, source_digest, modules, texts
        )
        if not texts:
            return described
        return dataclasses.replace(described, digest=sha256(described.manifest))

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

        An older record has only the file's digest, and nothing of its modules.
        """
        return digest in (self.digest, self.own_digest)

    def changes_since(self, before: CodeDescription) -> list[str]:
        """Returns what changed in the code, as far as both records know: paths and changes."""
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


@dataclass(frozen=True)
class StudyDescription:
    """A study's definition, without the code and arrays that it runs on.

    Attributes:
        discovered: Whether hyperparameters that the builder declares later join the space.
        declared: Names in the study's own space; none if the whole space was found by tracing.
        unread: Names of hyperparameters that vary, and that the builder never reads.
        goes_on: Whether a training can be resumed in between: not a HyperModel's own `fit`.
        repeats: Trainings of each trial.
        try_defaults: Whether trial 0 has the space's defaults; not in records of older versions.
        initial: Values of the next trials, each complete.
        initial_from: Where they are from: a file, or study:NAME; empty if they were given.
        class_weight: How much the training samples of each class count, or None.
        deterministic: Whether proposals must not depend on timing.
        lag: If deterministic, trial k is proposed and pruned by trials 0 to k - lag, as with so
            many workers of equal speed. Else 0: by all trials that have ended.
        timeout: Seconds that a launch may take, or None.
        stop_at: Value of the objective at which the study ends, or None.
        patience: Finished trials without a better value after which the study ends, or None.
        trial_timeout: Seconds that a training may take, or None.
        tailored: What the launch's options changed in the study's own space, as
            `Tailoring.to_dict` writes it; empty if nothing.
        warnings: Warnings for the user before it runs; not recorded.
        looked: What a glance at its data found; recorded in a file of its own.
        cross_validation: How all data but the test part is split into folds, as its definition
            spells it; empty without folds.
        folds: Folds, each a training of each trial; 0 without.
        hardware: The class of hardware that it was begun on: the processor's family and its widest
            instructions, or the GPU; `ANY_HARDWARE` if trials ran on several, so that bits may
            differ among them. Empty in older records.
        objective_function: Name of the function that does everything itself and returns the value;
            empty if a builder makes the models. Such a study has no data of its own.
    """

    name: str
    space: SearchSpace
    objective: Objective
    engine: str
    pruner: str
    trials: int
    epochs: int
    batch_size: int
    seed: int
    threads: int
    keep: int | None
    data: DataDescription
    code: CodeDescription
    notes: str = ""
    discovered: bool = False
    declared: Sequence[str] = ()
    unread: Sequence[str] = ()
    goes_on: bool = True
    repeats: int = 1
    try_defaults: bool = False
    initial: Sequence[Mapping[str, Any]] = ()
    initial_from: str = ""
    class_weight: ClassWeight | None = None
    deterministic: bool = False
    lag: int = 0
    timeout: float | None = None
    stop_at: float | None = None
    patience: int | None = None
    trial_timeout: float | None = None
    tailored: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    looked: DataFindings | None = None
    cross_validation: str = ""
    folds: int = 0
    objective_function: str = ""
    hardware: str = ""

    @property
    def trainings(self) -> int:
        """Trainings of each trial: its folds, or its repeats."""
        return self.folds or self.repeats

    @property
    def folds_together(self) -> int:
        """How many folds of a trial may run at once: one, if something may end it in between."""
        apart = self.pruner != "none" or self.trial_timeout is not None
        return 1 if apart else max(self.folds, 1)

    @property
    def default_trial(self) -> int | None:
        """The number of the trial that has the space's defaults, if one must have them."""
        return 0 if self.try_defaults else None

    def given(self, number: int) -> dict[str, Any] | None:
        """Returns the values of a trial that the engine does not choose, or None.

        The defaults come first, then `initial`, from which values equal to the defaults are left
        out. All are completed with the defaults of hyperparameters that joined the space.
        """
        # Asked for each trial, of which there may be thousands.
        if number > len(self.initial):
            return None
        firsts = [complete(self.space, values) for values in self.initial]
        if self.try_defaults:
            defaults = complete(self.space, {})
            same = canonical_json(defaults)
            firsts = [defaults, *(v for v in firsts if canonical_json(v) != same)]
        return firsts[number] if number < len(firsts) else None

    def to_json(self) -> str:
        """Returns the description as indented JSON, without the code's text."""
        fields = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("space", "warnings", "looked")
        }
        fields["objective"] = dataclasses.asdict(self.objective)
        fields["data"] = dataclasses.asdict(self.data)
        fields["code"] = {**dataclasses.asdict(self.code), "source": "", "texts": {}}
        fields["space"] = self.space.to_dict()
        return json.dumps(fields, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> StudyDescription:
        """Reads what `to_json` wrote; the code's text is recorded separately."""
        fields = json.loads(text)
        fields["objective"] = Objective(**fields["objective"])
        fields["data"] = DataDescription(**fields["data"])
        code = fields["code"]
        fields["code"] = CodeDescription(**{**code, "said": tuple(code["said"])})
        fields["space"] = SearchSpace.from_dict(fields["space"])
        for name in ("initial", "declared", "unread"):
            fields[name] = tuple(fields.get(name, ()))
        fields["class_weight"] = read_class_weight(fields.get("class_weight"))
        return cls(**fields)
