"""The records of trials: proposals, specs, results, entries in the journal, and ranks."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from search_spaces import SearchSpace
from search_spaces.texts import with_spread
from tracking.records.study_code_and_data_records import ClassWeight, Objective, Rank
from tracking.records.verification_texts import differs

ALL_FOLDS = -1
"""The value of `TrialSpec.fold` if a cross-validated champion trains on the data of all folds."""


@dataclass(frozen=True)
class TrialSpec:
    """Everything that a training's result depends on, except the study's code and environment."""

    number: int  # The trial's number, from 0.
    # The number of this attempt at the trial, from 1. After an interruption, a new attempt begins.
    # The result does not depend on this number.
    attempt: int
    values: Mapping[str, Any]  # The active hyperparameters by name.
    seed: int
    epochs: int
    batch_size: int  # The batch size of training and validation.
    threads: int  # TensorFlow's intra-op threads, on which the last bits depend.
    data_digest: str  # SHA-256 of the data. Empty if an objective function loads the data.
    objective: Objective  # The objective decides which epoch is the best.
    repeat: int = 0  # The number of this training of the trial, from 0.
    # The number of the trial that `confirm` trains again. None for a trial of the search.
    confirms: int | None = None
    # The study's class weights. If they depend on hyperparameters, these are the class weights for
    # the default values.
    class_weight: ClassWeight | None = None
    # The number, from 0, of the fold that is this training's validation data, or `ALL_FOLDS`. None
    # without cross-validation.
    fold: int | None = None
    hardware: str = ""  # The kind of hardware. On another kind, the results may have other bits.

    @property
    def built_as(self) -> int:
        """The trial number that the builder reads."""
        return self.number if self.confirms is None else self.confirms


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one trial."""

    number: int
    epoch: int  # The number of the epoch, from 1.
    metrics: Mapping[str, float]  # Keras's `logs`, with validation metrics.
    seconds: float  # The time since the trial began.
    repeat: int = 0


@dataclass(frozen=True)
class BestEpoch:
    """The best epoch of a training, and its metrics."""

    epoch: int
    value: float
    metrics: Mapping[str, float]

    def rank(self, objective: Objective, number: int = 0) -> Rank:
        """Returns the epoch's rank. Of two equal epochs, the one with the lower `number` is better.

        `number` is, for example, the number of the trial.
        """
        loss = self.metrics.get("val_loss", math.inf)
        loss = math.inf if math.isnan(loss) else loss
        return Rank(objective.sort_key(self.value), loss, self.epoch, number)


ScoresOf = Literal["best", "every"]


@dataclass(frozen=True)
class Proposal:
    """The hyperparameters that an engine proposes for a trial."""

    number: int
    values: Mapping[str, Any]  # The active hyperparameters by name.
    # Texts of the engine, which `Engine.restore` gets back from the journal.
    state: Mapping[str, str] = field(default_factory=dict)
    epochs: int | None = None  # The number of epochs, if the engine chooses it.


@dataclass(frozen=True)
class TrialTask:
    """A trial to run, and the files that the trial reads and writes."""

    spec: TrialSpec
    space: SearchSpace
    checkpoint: Path  # The file for the weights of the best epoch.
    state: Path | None = None  # The file for the training's state, from which the trial resumes.
    # Whether `model.fit` trains, even if the study has another trainer. This makes no difference to
    # a HyperModel's own `fit` or an objective function, which always train by themselves.
    by_fit: bool = False
    # The rank of the worst trial among the trials whose checkpoints are kept. None while the study
    # has fewer checkpoints than it may keep.
    last_kept: Rank | None = None
    scores: Path | None = None  # The file for the scores of validation samples, if needed.
    # "every" scores every epoch. "best" scores the best epoch, and if there are few samples, also
    # the second best.
    scores_of: ScoresOf = "best"

    def may_stay(self, best: BestEpoch) -> bool:
        """Returns whether a checkpoint of the best epoch can be among the kept checkpoints.

        With more trials, the rank `last_kept` only gets better. So a checkpoint that can't be kept
        now can't be kept later. The checkpoint of a fold is never kept, because a champion is
        trained on the data of all folds.
        """
        spec = self.spec
        if spec.fold not in (None, ALL_FOLDS):
            return False
        return self.last_kept is None or best.rank(spec.objective, spec.number) < self.last_kept


TrialState = Literal["running", "complete", "pruned", "infeasible", "interrupted"]
Decision = Literal["continue", "prune", "end", "stop"]
"""What a trial does after an epoch. ``prune`` ends the trial. ``end`` ends only the present fit, so
the trial's next fit begins. ``stop`` interrupts the trial, which can be resumed."""

FINISHED_STATES: frozenset[str] = frozenset({"complete", "pruned", "infeasible"})


@dataclass(frozen=True)
class Repeat:
    """The result of one training of a repeated or cross-validated trial."""

    seed: int
    uuid: str  # The fit's uuid.
    epochs: int
    best: BestEpoch
    weights_sha256: str  # Digest of the model's weights after the best epoch.
    seconds: float
    # `TrialResult` explains the next four fields.
    checkpoint_sha256: str = ""
    unsaved: str = ""
    scores_bytes: int = 0
    unscored: str = ""
    fold: int | None = None  # The number of the fold. None for a repeat.
    # For a fold, the fold's objective at the trial's best epoch. This epoch is the same for all
    # folds. None for a repeat, or if the trial has no best epoch.
    value: float | None = None

    @property
    def counted(self) -> float:
        """The training's value. The trial's value is the mean over its trainings."""
        return self.best.value if self.value is None else self.value


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial, or of one training of a repeated trial."""

    number: int
    state: TrialState
    epochs: int = 0  # The number of trained epochs.
    best: BestEpoch | None = None  # None if the trial is infeasible, or no epoch has ended.
    weights_sha256: str = ""  # Digest of the model's weights after the best epoch.
    # Why the trial is infeasible, was interrupted, or ended before its last epoch; or empty.
    reason: str = ""
    seconds: float = 0.0  # The time from the call of the builder to the checkpoint on disk.
    model_parameters: int = 0  # The number of scalar weights. 0 if no model was built.
    repeat: int = 0
    # "compiled", "plain", "hypermodel" (a HyperModel's own `fit`) or "objective" (an objective
    # function).
    trainer: str = ""
    # Why the trainer is not "compiled", or how many models an objective function trained; or empty.
    trainer_reason: str = ""
    # The defaults of the hyperparameters that the builder declared in this trial, and that are not
    # in the space. The trial used these values.
    defaulted: Mapping[str, Any] = field(default_factory=dict)
    # The trainings of a repeated or cross-validated trial. The mean of these trainings' values is
    # the trial's value. The trial's weights are those of the training `best_repeat`.
    repeats: Sequence[Repeat] = ()
    best_repeat: int = 0
    # The digest of the checkpoint's arrays, with the optimizer's variables. Empty without a
    # checkpoint.
    checkpoint_sha256: str = ""
    unsaved: str = ""  # Why a trial with a value has no checkpoint, or empty.
    # The exception and the line that raised it, if the study's code may have a mistake. Empty e.g.
    # if memory ran out.
    raised: str = ""
    # The class weights, if they depend on hyperparameters; empty if the function made none.
    class_weight: ClassWeight | None = None
    # The attributes that an objective function set by `trial.set_user_attr`.
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    # The sum of the epochs of all models that an objective function trained. `epochs` has the
    # epochs of the model that trained longest.
    fits_epochs: int = 0
    # The size of the files with scores, or 0. A resumed training may have smaller files, so `==`
    # ignores the size.
    scores_bytes: int = field(default=0, compare=False)
    unscored: str = field(default="", compare=False)  # Why scores of epochs are missing, or empty.

    @property
    def of_no_epoch(self) -> bool:
        """Whether the trial's value is not the value of an epoch.

        This is so if an objective function trains several models, or no Keras model.
        """
        return self.trainer == "objective" and bool(self.unsaved)

    @property
    def epochs_in_all(self) -> int:
        """The epochs of all trainings of the trial."""
        own = self.fits_epochs if self.trainer == "objective" else self.epochs
        return sum(repeat.epochs for repeat in self.repeats) or own

    @property
    def folds(self) -> int:
        """The number of trained folds."""
        return sum(repeat.fold is not None for repeat in self.repeats)

    @property
    def spread(self) -> float | None:
        """The standard deviation (n - 1) of the values of the repeats or folds, or None."""
        if self.best is None:
            return None
        values = [repeat.counted for repeat in self.repeats]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True, repr=False)
class TrialRecord:
    """A trial's entry in the journal. With a result, it is an `EndedTrial`."""

    uuid: str  # The uuid of the last attempt.
    spec: TrialSpec
    state: TrialState
    result: TrialResult | None
    engine_state: Mapping[str, str]
    environment: Mapping[str, str]
    code_digest: str  # `CodeDescription.digest` of the code that ran.
    started: int  # Unix time in milliseconds.
    losses: int = 0  # The number of attempts whose process died.
    # Whether plain `model.fit` gives the same result: a text of `verification_texts`, or empty.
    verified: str = ""
    ended: int = 0  # Unix time in milliseconds, or 0 while the trial runs.
    # If a cross-validated trial was chosen as the champion, the training of its model on the data
    # of all folds. This training has no validation data, so `whole.best` has the value of the
    # trial's best epoch.
    whole: Repeat | None = None

    @property
    def number(self) -> int:
        """The trial's number in the study, counted from 0."""
        return self.spec.number

    @property
    def holds(self) -> bool:
        """Whether the result can be trusted. False if plain `model.fit` gave another result."""
        return not differs(self.verified)

    @property
    def best(self) -> BestEpoch | None:
        """The trial's best epoch, if it has one."""
        return None if self.result is None else self.result.best

    @property
    def value(self) -> float | None:
        """The objective at the best epoch, if there is one."""
        return None if self.best is None else self.best.value

    @property
    def epoch(self) -> int | None:
        """The number of the best epoch, from 1. None if the value belongs to no epoch."""
        result = self.result
        if result is None or result.best is None or result.of_no_epoch:
            return None
        return result.best.epoch

    @property
    def epochs(self) -> int:
        """The epochs of the training. They are those in the spec if it did not end by itself."""
        result = self.result
        ended = result is not None and (result.trainer == "objective" or result.state == "complete")
        return result.epochs if result is not None and ended else self.spec.epochs

    @property
    def params(self) -> Mapping[str, Any]:
        """The active hyperparameters by name."""
        return self.spec.values

    def __repr__(self) -> str:
        """Returns one line: the trial's number, state and best value."""
        text = f"<trial {self.number}: {self.state}"
        if self.best is None:
            return f"{text}>"
        return f"{text}, {self.value_text}>"

    @property
    def value_text(self) -> str:
        """The metric and its value, such as ``val_accuracy 0.98 ± 0.01 at epoch 5 of 20``."""
        result = self.result
        if result is None or result.best is None:
            return ""
        text = f"{self.spec.objective.metric} {with_spread(result.best.value, result.spread)}"
        if self.epoch is None or (result.repeats and not result.folds):
            # Each repeat has its own best epoch, so the text names no epoch.
            return text
        pruned = result.state == "pruned" and not result.repeats
        text += f" at epoch {self.epoch}" + (f", pruned at {result.epochs}" if pruned else "")
        return f"{text} of {self.epochs}"

    def with_result(self, result: TrialResult) -> EndedTrial:
        """Returns the trial with its result."""
        return EndedTrial(**{**vars(self), "state": result.state, "result": result})


@dataclass(frozen=True, repr=False)
class EndedTrial(TrialRecord):
    """A trial with a result: complete, pruned, infeasible, or interrupted during training."""

    result: TrialResult

    @property
    def cut_short(self) -> bool:
        """Whether the trial was pruned, or ended early for another reason than a callback."""
        return self.state == "pruned" or bool(self.result.reason)

    @property
    def best_training(self) -> tuple[TrialSpec, BestEpoch]:
        """The spec and the best epoch of the training that wrote the trial's checkpoint.

        This is the training on the data of all folds, if there is one. Otherwise it is the best
        repeat or fold, or the trial's only training.
        """
        assert self.result.best is not None, "a trial with a checkpoint has a best epoch"
        spec, best, repeat = self.spec, self.result.best, self.result.best_repeat
        if self.whole is not None:
            spec, best = self.whole_spec, self.whole.best
        elif self.result.repeats:
            fit = self.result.repeats[repeat]
            spec = dataclasses.replace(spec, seed=fit.seed, repeat=repeat, fold=fit.fold)
            best = fit.best
        return dataclasses.replace(spec, class_weight=self.class_weight), best

    @property
    def class_weight(self) -> ClassWeight | None:
        """The class weights of the trial's training, if it had any."""
        own = self.result.class_weight
        return (self.spec.class_weight if own is None else own) or None

    @property
    def whole_spec(self) -> TrialSpec:
        """The spec of the training on the data of all folds.

        This training has as many epochs as the trial had up to its best epoch.
        """
        assert self.result.best is not None, "the trial has a value"
        return dataclasses.replace(
            self.spec,
            epochs=self.result.best.epoch,
            repeat=len(self.result.repeats),
            fold=ALL_FOLDS,
        )

    @property
    def checkpoint_of(self) -> int:
        """The number of the training that wrote the trial's checkpoint."""
        return self.result.best_repeat if self.whole is None else len(self.result.repeats)


def finished_trials(trials: Iterable[TrialRecord]) -> list[EndedTrial]:
    """Returns the trials that are complete, pruned or infeasible."""
    return [t for t in trials if isinstance(t, EndedTrial) and t.state in FINISHED_STATES]


def training_name(number: int, folds: int = 0) -> str:
    """Returns the name of a trial's training: ``repeat 0``, ``fold 1 of 5`` or ``all folds``."""
    if not folds:
        return f"repeat {number}"
    return "all folds" if number >= folds else f"fold {number + 1} of {folds}"


def latest_attempts(attempts: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Returns the last attempt at each trial, by number."""
    latest = {trial.number: trial for trial in attempts}
    return [latest[number] for number in sorted(latest)]


def ranked(trials: Iterable[TrialRecord], objective: Objective) -> list[EndedTrial]:
    """Returns the trials that have a value, the best first. Pruned trials count, too."""
    valued = [t for t in finished_trials(trials) if t.best is not None and t.state != "infeasible"]
    return sorted(valued, key=lambda trial: rank_of(trial, objective))


def rank_of(trial: TrialRecord, objective: Objective) -> Rank:
    """Returns the rank of a trial that has a value."""
    assert trial.best is not None, "the trial has a value"
    # Of trials with equal values, the one with the lower validation loss ranks first. If an
    # objective function trained several models, the loss of only one model is recorded, so no loss
    # counts.
    best = trial.best if trial.epoch is not None else replace(trial.best, metrics={})
    return best.rank(objective, trial.number)


def best_trial(trials: Iterable[TrialRecord | None], objective: Objective) -> EndedTrial | None:
    """Returns the best trial whose value counts (`TrialRecord.holds`), or None.

    Entries of `trials` that are None are ignored.
    """
    candidates = [trial for trial in trials if trial is not None]
    return next((trial for trial in ranked(candidates, objective) if trial.holds), None)


_Kind = Literal["infeasible", "cut short"]
_EPOCH = re.compile(r" (?:in|after) epoch \d+")


class Reason(NamedTuple):
    """A reason why trials are infeasible or ended early."""

    kind: _Kind
    text: str  # The reason without an epoch's number, which may differ between the trials.
    trials: tuple[int, ...]  # The trials' numbers.


def reasons(trials: Iterable[TrialRecord]) -> list[Reason]:
    """Returns the reasons why trials are infeasible, then the reasons why trials ended early.

    Both groups begin with their most frequent reason.
    """
    numbers: dict[tuple[_Kind, str], list[int]] = {}
    for trial in finished_trials(trials):
        if not trial.result.reason:
            continue
        kind: _Kind = "infeasible" if trial.state == "infeasible" else "cut short"
        text = _EPOCH.sub("", trial.result.reason)
        numbers.setdefault((kind, text), []).append(trial.number)
    unsorted = [Reason(kind, text, tuple(trials)) for (kind, text), trials in numbers.items()]
    return sorted(unsorted, key=lambda reason: (reason.kind != "infeasible", -len(reason.trials)))
