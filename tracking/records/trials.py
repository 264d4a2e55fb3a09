"""A trial: proposed, specified, run, recorded."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search_spaces import SearchSpace
from tracking.records.checks import differs
from tracking.records.settings import TrainerName
from tracking.records.studies import ClassWeight, Objective, Rank

ALL_FOLDS = -1
"""The `fold` of the training on all folds together that a cross-validated champion gets."""


@dataclass(frozen=True)
class TrialSpec:
    """Everything that a trial depends on, besides the study's code and environment."""

    number: int  # From 0.
    # The number of this try: 1 for the first, one more after each interruption. It does not change
    # what the trial computes.
    attempt: int
    values: Mapping[str, Any]  # The active hyperparameters by name.
    seed: int  # 0 to 2**32 - 1.
    epochs: int
    batch_size: int  # For training and validation.
    threads: int  # Intra-op threads of TensorFlow; in the spec as their number changes bits.
    # SHA-256 over the data set; over that of the default values, if a function of `hp` makes it.
    data_digest: str
    objective: Objective  # It decides which epoch is best.
    # The trial whose last epoch this one continues from, under the same seed. The result is bit for
    # bit that of a training without a break.
    goes_on_from: int | None = None
    initial_epoch: int = 0  # How many epochs that trial has trained.
    repeat: int = 0  # Which of the trial's trainings this is, from 0; each has its own seed.
    # The number of the first trial in the chain that this one continues; the builder sees it.
    begun_as: int | None = None
    # How much the training samples of each class count; None if all count alike. If a function of
    # `hp` makes the data, these are the weights for the default values.
    class_weight: ClassWeight | None = None
    # The fold of a cross-validated trial that validates this training, from 0, or `ALL_FOLDS`.
    fold: int | None = None
    # The class of hardware that it runs on, within which bits are equal.
    hardware: str = ""

    @property
    def built_as(self) -> int:
        """The number that the builder sees: a continued trial builds the same model again."""
        return self.number if self.begun_as is None else self.begun_as


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one trial."""

    number: int
    epoch: int  # From 1.
    metrics: Mapping[str, float]  # Every metric that Keras logged, validation included.
    seconds: float  # Wall-clock, since the trial began.
    repeat: int = 0


@dataclass(frozen=True)
class BestEpoch:
    """The epoch whose objective was best, by `rank`."""

    epoch: int
    value: float
    metrics: Mapping[str, float]

    def rank(self, objective: Objective, number: int = 0) -> Rank:
        """Returns its rank among the epochs of a training; with `number`, the rank of a trial."""
        loss = self.metrics.get("val_loss", math.inf)
        loss = math.inf if math.isnan(loss) else loss
        return Rank(objective.sort_key(self.value), loss, self.epoch, number)


ScoresOf = Literal["best", "every"]


@dataclass(frozen=True)
class Proposal:
    """A proposal of an engine."""

    number: int
    values: Mapping[str, Any]  # The active hyperparameters.
    # The engine's own text, kept with the trial, and given back when the engine is restored.
    state: Mapping[str, str] = field(default_factory=dict)
    epochs: int | None = None  # The trial's epochs in all, if the engine decides on them.
    goes_on_from: int | None = None  # The trial to continue.
    # In a deterministic study, only trials below this number decide how it is proposed and pruned.
    known: int | None = None


@dataclass(frozen=True)
class TrialTask:
    """A trial to run, and the files that it reads and writes."""

    spec: TrialSpec
    space: SearchSpace
    checkpoint: Path  # Where the weights of its best epoch go.
    # The file of its state after an epoch. The trial resumes from one that an earlier attempt left.
    state: Path | None = None
    # The file of the state of the trial that it continues. If neither this nor `state` can be used,
    # it is trained from the first epoch, with the same result.
    origin: Path | None = None
    # None: the study's own choice. It changes nothing if a HyperModel's own `fit` trains.
    trainer: TrainerName | None = None
    # The rank of the worst trial whose checkpoint is kept; None if there is room for more
    # checkpoints.
    last_kept: Rank | None = None
    # The file of the scores of validation samples; None if no scores are made.
    scores: Path | None = None
    # Whether the scores are of the best epoch (the best two, if samples are few), or of every one.
    scores_of: ScoresOf = "best"

    def may_stay(self, best: BestEpoch) -> bool:
        """Returns whether a checkpoint of the best epoch can be among the kept ones.

        Trials that end later only take places, so a checkpoint that can't stay now can't later.
        Checkpoints of folds never stay: a champion is trained on all folds together.
        """
        spec = self.spec
        if spec.fold not in (None, ALL_FOLDS):
            return False
        return self.last_kept is None or best.rank(spec.objective, spec.number) < self.last_kept


TrialState = Literal["running", "complete", "pruned", "infeasible", "interrupted"]
Decision = Literal["continue", "prune", "end", "stop"]
"""After an epoch: ``end`` begins the trial's next fit; ``stop`` leaves this fit to resume later."""

FINISHED_STATES: frozenset[str] = frozenset({"complete", "pruned", "infeasible"})


@dataclass(frozen=True)
class Repeat:
    """One training of a repeated or cross-validated trial, under its own seed."""

    seed: int
    uuid: str  # The fit's uuid.
    epochs: int
    best: BestEpoch
    weights_sha256: str  # Digest of the model's weights after the best epoch.
    seconds: float
    # The next four are as in `TrialResult`.
    checkpoint_sha256: str = ""
    unsaved: str = ""
    scores_bytes: int = 0
    unscored: str = ""
    fold: int | None = None  # None for a repeat. The weights of a fold are not kept.
    # The objective of a fold at the trial's best epoch, which all folds have in common; None if
    # the trial has no best epoch.
    value: float | None = None

    @property
    def counted(self) -> float:
        """The objective as it counts for the trial's value."""
        return self.best.value if self.value is None else self.value


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial, or of one training of a repeated trial."""

    number: int
    state: TrialState
    epochs: int = 0  # How many were trained.
    # None if infeasible, or interrupted before the first epoch ended.
    best: BestEpoch | None = None
    weights_sha256: str = ""  # Digest of the model's weights after the best epoch.
    # Why it is infeasible, was interrupted, or ended before its last epoch (it diverged, or
    # raised); else empty.
    reason: str = ""
    seconds: float = 0.0  # Wall-clock, from building the model to the checkpoint on disk.
    model_parameters: int = 0  # Number of scalar weights of the model, 0 if it was not built.
    repeat: int = 0
    # "compiled", "plain", "hypermodel" for a HyperModel's own fit, or "objective" for an objective
    # function that does everything itself.
    trainer: str = ""
    trainer_reason: str = ""  # Why it was not compiled, or empty.
    # Hyperparameters that the builder declared and the space lacked, by `Parameter.to_dict`; the
    # trial had their defaults.
    joined: Sequence[Mapping[str, Any]] = ()
    # The trainings of a repeated trial, or the folds of a cross-validated one. The trial's value is
    # the mean of theirs; its digest is that of the best.
    repeats: Sequence[Repeat] = ()
    best_repeat: int = 0
    # The digest of the arrays in the checkpoint, which has the optimizer's variables too. For a
    # repeated trial, that of its best training's checkpoint. Empty without a checkpoint.
    checkpoint_sha256: str = ""
    # Why there is no checkpoint of the best epoch, though the trial has a value; else empty.
    unsaved: str = ""
    # What the builder or the training raised, and the line, if it may be a mistake in the study's
    # code. Empty if memory ran out, or the trial ended on purpose.
    raised: str = ""
    # SHA-256 over the data that a function of `hp` made for the trial, or that the first `fit` of
    # an objective function got; else empty.
    data_digest: str = ""
    # SHA-256 of the validation targets of such data; trials compare only if they have the same.
    validation_digest: str = ""
    class_weight: ClassWeight | None = None  # The weights for such data.
    # What an objective function noted by `trial.set_user_attr`.
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    # The epochs of all models that an objective function trained; `epochs` is the longest's.
    fits_epochs: int = 0
    # The size of the files with its validation samples' scores, or 0. Results are equal without it,
    # as a training that was resumed may have scores of fewer epochs.
    scores_bytes: int = field(default=0, compare=False)
    # Why its validation samples have no scores, or why only its best epoch has scores though every
    # epoch should; else empty.
    unscored: str = field(default="", compare=False)
    # The peak memory of its process while it ran; 0 if unknown.
    peak_memory_bytes: int = field(default=0, compare=False)

    @property
    def of_no_epoch(self) -> bool:
        """Whether its value is no single epoch's: its function trains several models, or none."""
        return self.trainer == "objective" and bool(self.unsaved)

    @property
    def epochs_in_all(self) -> int:
        """The epochs of all its trainings: repeats, folds, or those of its objective function."""
        return sum(each.epochs for each in self.repeats) or self.fits_epochs or self.epochs

    @property
    def folds(self) -> int:
        """How many folds of a cross-validated trial were trained."""
        return sum(repeat.fold is not None for repeat in self.repeats)

    @property
    def spread(self) -> float | None:
        """The standard deviation of the repeats' values (n - 1 in the denominator), or None."""
        if self.best is None:
            return None
        values = [repeat.counted for repeat in self.repeats]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True, repr=False)
class TrialRecord:
    """A trial in the record; with a result, an `EndedTrial`."""

    uuid: str  # The uuid of its last attempt.
    spec: TrialSpec
    state: TrialState
    result: TrialResult | None
    engine_state: Mapping[str, str]
    environment: Mapping[str, str]
    code_digest: str  # The `CodeDescription.digest` that it ran from.
    started: int  # In milliseconds since the epoch (Unix time).
    known: int | None = None
    losses: int = 0  # How many of its attempts ended because their process died.
    # The outcome of a check by plain `model.fit`, a text of `tracking.records.checks`; or empty.
    verified: str = ""
    ended: int = 0  # A time like `started`; 0 while it runs.
    # If a cross-validated trial was the champion: its training on all folds together. The `best` of
    # this training is the trial's: the values are those of the folds.
    whole: Repeat | None = None

    @property
    def number(self) -> int:
        """The trial's number in its study, counted from 0."""
        return self.spec.number

    @property
    def holds(self) -> bool:
        """Whether `model.fit` does not contradict its value."""
        return not differs(self.verified)

    @property
    def data_digest(self) -> str:
        """SHA-256 over the data that it was trained on, if known."""
        return self.spec.data_digest

    @property
    def best(self) -> BestEpoch | None:
        """The trial's best epoch, if it has one."""
        return None

    @property
    def value(self) -> float | None:
        """The objective at its best epoch, if it has one."""
        return None if self.best is None else self.best.value

    @property
    def epoch(self) -> int | None:
        """Its best epoch, counted from 1, if it has one.

        An objective function that trains several models, or none, has a value of no epoch.
        """
        return None if self.best is None else self.best.epoch

    @property
    def params(self) -> Mapping[str, Any]:
        """The active hyperparameters by name."""
        return self.spec.values

    def __repr__(self) -> str:
        """Returns one line: its number, state and best value."""
        text = f"<trial {self.number}: {self.state}"
        if self.best is None:
            return f"{text}>"
        metric = self.spec.objective.metric
        at = "" if self.epoch is None else f" at epoch {self.epoch}"
        return f"{text}, {metric} {self.best.value:.6g}{at}>"

    def with_result(self, result: TrialResult) -> EndedTrial:
        """Returns the trial with its result."""
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return EndedTrial(**{**fields, "state": result.state, "result": result})


@dataclass(frozen=True, repr=False)
class EndedTrial(TrialRecord):
    """A trial that has a result: complete, pruned, infeasible, or interrupted on its way."""

    result: TrialResult

    @property
    def data_digest(self) -> str:
        """SHA-256 over the data that it was trained on, if known."""
        return self.result.data_digest or self.spec.data_digest

    @property
    def cut_short(self) -> bool:
        """Whether anything but its own callbacks ended it before its last epoch."""
        return self.state == "pruned" or bool(self.result.reason)

    @property
    def best(self) -> BestEpoch | None:
        """The trial's best epoch, if it has one."""
        return self.result.best

    @property
    def epoch(self) -> int | None:
        """Its best epoch, counted from 1, if its value belongs to one epoch."""
        return None if self.result.of_no_epoch else super().epoch

    @property
    def best_training(self) -> tuple[TrialSpec, BestEpoch]:
        """The training that the trial's checkpoint comes from, and its best epoch.

        For a cross-validated trial it is the training on all folds, if there is one; for a repeated
        trial, the best repeat; any other trial has just one training.
        """
        assert self.result.best is not None, "it has no checkpoint"
        if self.whole is not None:
            return self.whole_spec, self.whole.best
        if not self.result.repeats:
            return self.spec, self.result.best
        repeat = self.result.best_repeat
        training = self.result.repeats[repeat]
        spec = dataclasses.replace(self.spec, seed=training.seed, repeat=repeat, fold=training.fold)
        return spec, training.best

    @property
    def whole_spec(self) -> TrialSpec:
        """The spec of a training on all folds, up to the cross-validated trial's best epoch."""
        assert self.result.best is not None, "it has a value"
        return dataclasses.replace(
            self.spec,
            epochs=self.result.best.epoch,
            repeat=len(self.result.repeats),
            fold=ALL_FOLDS,
            goes_on_from=None,
            initial_epoch=0,
        )

    @property
    def checkpoint_of(self) -> int:
        """Returns the number of the training that the trial's checkpoint comes from."""
        return self.result.best_repeat if self.whole is None else len(self.result.repeats)


def finished_trials(trials: Iterable[TrialRecord]) -> list[EndedTrial]:
    """Returns the trials that are complete, pruned or infeasible."""
    return [t for t in trials if isinstance(t, EndedTrial) and t.state in FINISHED_STATES]


def training_name(number: int, folds: int = 0) -> str:
    """Returns the name of one of a trial's trainings, such as ``repeat 0`` or ``fold 1 of 5``.

    The number after the last fold is that of the training on all folds.
    """
    if not folds:
        return f"repeat {number}"
    return "all folds" if number >= folds else f"fold {number + 1} of {folds}"
