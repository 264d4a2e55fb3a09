"""The shapes that travel between engine, driver, executor, trainer and tracking.

All are frozen values: made once, never changed. This file imports neither
TensorFlow nor MLflow nor Optuna, so that every side can use it.

Epochs are counted from 1, as Keras prints them: epoch 3 is the state of the
model after three passes over the training data.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search_spaces import SearchSpace

Direction = Literal["max", "min"]
TrialState = Literal["running", "complete", "pruned", "infeasible", "interrupted"]
Decision = Literal["continue", "prune", "stop"]

FINISHED_STATES: frozenset[str] = frozenset({"complete", "pruned", "infeasible"})


@dataclass(frozen=True)
class Objective:
    """What a study optimizes.

    Attributes:
        metric: A metric that the model logs, such as ``"val_accuracy"``.
        direction: ``"max"`` or ``"min"``.
    """

    metric: str
    direction: Direction

    def is_better(self, value: float, than: float) -> bool:
        """Tells whether ``value`` is strictly better than another value."""
        return value > than if self.direction == "max" else value < than

    def sort_key(self, value: float) -> float:
        """Returns a number that sorts better values first."""
        return -value if self.direction == "max" else value


@dataclass(frozen=True)
class TrialSpec:
    """All that a trial depends on, besides the study's code and environment.

    Attributes:
        number: The trial's number in its study, counted from 0.
        attempt: 1 for the first try, one more for each try after an interruption.
            It does not change what the trial computes.
        values: The active hyperparameters by name.
        seed: Seed of the trial, 0 to 2**32 - 1.
        epochs: Epochs to train, at least 1.
        batch_size: Samples per training and validation step, at least 1.
        threads: Intra-op threads of TensorFlow; part of the spec since it changes bits.
        data_digest: SHA-256 over the data set.
        objective: What the best epoch is chosen by.
        goes_on_from: The trial whose training this one goes on with, from its last epoch, under
            the same seed; None for one that starts anew. It does not change what the trial
            computes: that is, bit for bit, what training straight through would.
        initial_epoch: The epochs that were trained there.
        repeat: Which of the trial's trainings this is, from 0; each has a seed of its own.
    """

    number: int
    attempt: int
    values: Mapping[str, Any]
    seed: int
    epochs: int
    batch_size: int
    threads: int
    data_digest: str
    objective: Objective
    goes_on_from: int | None = None
    initial_epoch: int = 0
    repeat: int = 0

    def to_json(self) -> str:
        """Returns the spec as one line of JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TrialSpec:
        """Reads what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "objective": Objective(**fields["objective"])})


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one trial.

    Attributes:
        number: The trial's number.
        epoch: Counted from 1.
        metrics: Every metric that Keras logged, validation included.
        seconds: Wall-clock seconds since the trial began.
        repeat: See `TrialSpec.repeat`.
    """

    number: int
    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    repeat: int = 0


@dataclass(frozen=True)
class BestEpoch:
    """The epoch whose objective was best; ties go to the earlier one."""

    epoch: int
    value: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Repeat:
    """One training of a trial that is trained several times, under seeds of their own.

    Attributes:
        seed: Its seed.
        run_id: Its MLflow run.
        epochs: Epochs that were trained.
        best: Its best epoch.
        weights_sha256: Digest of the model's weights after the best epoch.
        seconds: Wall-clock seconds.
    """

    seed: int
    run_id: str
    epochs: int
    best: BestEpoch
    weights_sha256: str
    seconds: float


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial, or of one training of a trial that is repeated.

    Attributes:
        number: The trial's number.
        state: How it ended.
        epochs: Epochs that were trained.
        best: Its best epoch; None if infeasible, or interrupted before the first epoch ended.
        weights_sha256: Digest of the model's weights after the best epoch.
        reason: Why it is infeasible or was interrupted, else empty.
        seconds: Wall-clock seconds from building the model to the checkpoint on disk.
        model_parameters: Number of scalar weights of the model, 0 if it was not built.
        repeat: See `TrialSpec.repeat`.
        last_sha256: Digest of the weights after the last epoch, where they are kept.
        joined: Hyperparameters that the builder declared and the space lacked, as
            `Parameter.to_dict` writes them; the trial had their defaults.
        repeats: The trainings of a repeated trial. Its value is then their mean, its digest that
            of the best of them.
        best_repeat: Which of them is the best.
    """

    number: int
    state: TrialState
    epochs: int = 0
    best: BestEpoch | None = None
    weights_sha256: str = ""
    reason: str = ""
    seconds: float = 0.0
    model_parameters: int = 0
    repeat: int = 0
    last_sha256: str = ""
    joined: Sequence[Mapping[str, Any]] = ()
    repeats: Sequence[Repeat] = ()
    best_repeat: int = 0

    @property
    def spread(self) -> float | None:
        """The standard deviation of the repeats' values (n - 1 in the denominator), or None."""
        values = [repeat.best.value for repeat in self.repeats]
        return statistics.stdev(values) if len(values) > 1 else None

    def to_json(self) -> str:
        """Returns the result as one line of JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TrialResult:
        """Reads what `to_json` wrote."""
        fields = json.loads(text)
        best = fields["best"]
        repeats = tuple(
            Repeat(**{**repeat, "best": BestEpoch(**repeat["best"])})
            for repeat in fields.get("repeats", ())
        )
        return cls(
            **{
                **fields,
                "best": None if best is None else BestEpoch(**best),
                "joined": tuple(fields.get("joined", ())),
                "repeats": repeats,
            }
        )


@dataclass(frozen=True)
class Origin:
    """What a trial goes on from.

    Attributes:
        last: The weights and the optimizer's state after the last epoch there.
        best: The weights of the best epoch there.
        result: What came of it.
    """

    last: Path
    best: Path
    result: TrialResult


@dataclass(frozen=True)
class TrialTask:
    """A trial to run, and the files that it reads and writes.

    Attributes:
        spec: What to run.
        space: The space that its values belong to.
        checkpoint: Where the weights of its best epoch go.
        last: Where the state after its last epoch goes, if another trial may go on from it.
        origin: What it goes on from; without it, or if it is damaged, the trial is trained from
            the first epoch, and comes to the same.
    """

    spec: TrialSpec
    space: SearchSpace
    checkpoint: Path
    last: Path | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Proposal:
    """What an engine proposes to try.

    Attributes:
        number: The trial's number, counted from 0.
        values: The active hyperparameters.
        state: Text of the engine's own, kept with the trial and handed back on restore.
        epochs: Epochs to train in all, where the engine decides on them; else None.
        goes_on_from: The trial whose training is gone on with, or None; see `TrialSpec`.
    """

    number: int
    values: Mapping[str, Any]
    state: Mapping[str, str] = field(default_factory=dict)
    epochs: int | None = None
    goes_on_from: int | None = None


@dataclass(frozen=True)
class DataDescription:
    """What is recorded of a data set.

    Attributes:
        name: Its name, such as ``"digits"``.
        source: Where it came from.
        digest: SHA-256 over all parts.
        digests: SHA-256 of each part: train, validation and, where there is one, test.
        sizes: Number of samples of each part.
        details: Shapes, types, classes, preprocessing: for people to read.
        override: Path of an npz file that stood in for the study's own data, or empty.
    """

    name: str
    source: str
    digest: str
    digests: Mapping[str, str]
    sizes: Mapping[str, int]
    details: Mapping[str, Any]
    override: str = ""


@dataclass(frozen=True)
class CodeDescription:
    """The file that a study was defined in.

    Attributes:
        path: Absolute path, or empty where there is none (a notebook, an interactive session).
        variable: Name of the variable that holds the study, or empty.
        source: The file's text.
        digest: SHA-256 of the text.
        study_name: What the study is called in the file; it may be launched under another name.
        folder: The folder it was launched in, which relative paths start from.
    """

    path: str
    variable: str
    source: str
    digest: str
    study_name: str = ""
    folder: str = ""


@dataclass(frozen=True)
class StudyDescription:
    """A study's definition, without the code and arrays that it runs on.

    Attributes:
        discovered: Whether the space was found by tracing the builder: what shows itself later
            then joins it.
        repeats: Trainings of each trial.
        initial: Values of the first trials, each complete.
        warnings: What a person should know before it runs; not recorded.
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
    repeats: int = 1
    initial: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()

    def to_json(self) -> str:
        """Returns the description as indented JSON, without the code's text."""
        fields = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("space", "warnings")
        }
        fields["objective"] = dataclasses.asdict(self.objective)
        fields["data"] = dataclasses.asdict(self.data)
        fields["code"] = {**dataclasses.asdict(self.code), "source": ""}
        fields["space"] = self.space.to_dict()
        return json.dumps(fields, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> StudyDescription:
        """Reads what `to_json` wrote; the code's text is kept beside it."""
        fields = json.loads(text)
        fields["objective"] = Objective(**fields["objective"])
        fields["data"] = DataDescription(**fields["data"])
        fields["code"] = CodeDescription(**fields["code"])
        fields["space"] = SearchSpace.from_dict(fields["space"])
        fields["initial"] = tuple(fields.get("initial", ()))
        return cls(**fields)


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands in the record.

    Attributes:
        run_id: The MLflow run of its last attempt.
        spec: What it was made from.
        state: How it stands.
        result: What came of it, once it has ended.
        engine_state: See `Proposal.state`.
        environment: Versions and machine that it ran on.
        code_digest: Digest of the study file that it ran from.
        started: Milliseconds since the epoch (Unix time).
    """

    run_id: str
    spec: TrialSpec
    state: TrialState
    result: TrialResult | None
    engine_state: Mapping[str, str]
    environment: Mapping[str, str]
    code_digest: str
    started: int

    @property
    def number(self) -> int:
        """The trial's number in its study, counted from 0."""
        return self.spec.number

    @property
    def best(self) -> BestEpoch | None:
        """The trial's best epoch, where it has one."""
        return self.result.best if self.result is not None else None

    @property
    def best_training(self) -> tuple[TrialSpec, BestEpoch]:
        """The training that the trial's checkpoint is of, and its best epoch.

        Of a repeated trial the best of its repeats; of any other the trial itself.
        """
        assert self.result is not None and self.result.best is not None, "it has no checkpoint"
        if not self.result.repeats:
            return self.spec, self.result.best
        repeat = self.result.best_repeat
        found = self.result.repeats[repeat]
        return dataclasses.replace(self.spec, seed=found.seed, repeat=repeat), found.best
