"""The result of a trial, or of one of its trainings."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tracking.records.specs import BestEpoch
from tracking.records.studies import ClassWeight, read_class_weight

TrialState = Literal["running", "complete", "pruned", "infeasible", "interrupted"]
Decision = Literal["continue", "prune", "end", "stop"]
"""After an epoch: ``end`` lets a trial's next fit begin, ``stop`` lets a launch resume this one."""

FINISHED_STATES: frozenset[str] = frozenset({"complete", "pruned", "infeasible"})


@dataclass(frozen=True)
class Repeat:
    """One training of a repeated or cross-validated trial, under its own seed.

    Attributes:
        seed: Its seed.
        run_id: Its MLflow run.
        epochs: Epochs that were trained.
        best: Its best epoch.
        weights_sha256: Digest of the model's weights after the best epoch.
        seconds: Wall-clock seconds.
        checkpoint_sha256: See `TrialResult.checkpoint_sha256`.
        unsaved: See `TrialResult.unsaved`.
        scores_bytes: See `TrialResult.scores_bytes`.
        unscored: See `TrialResult.unscored`.
        fold: See `TrialSpec.fold`. Weights of a fold are not kept.
        value: Of a fold: the objective at the trial's best epoch, which all folds have in common;
            None if the trial has none.
    """

    seed: int
    run_id: str
    epochs: int
    best: BestEpoch
    weights_sha256: str
    seconds: float
    checkpoint_sha256: str = ""
    unsaved: str = ""
    scores_bytes: int = 0
    unscored: str = ""
    fold: int | None = None
    value: float | None = None

    @property
    def counted(self) -> float:
        """The objective as it counts for the trial's value."""
        return self.best.value if self.value is None else self.value

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Repeat:
        """Reads what `dataclasses.asdict` returns."""
        return cls(**{**fields, "best": BestEpoch(**fields["best"])})


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial, or of one training of a repeated trial.

    Attributes:
        number: The trial's number.
        state: How it ended.
        epochs: Epochs that were trained.
        best: Its best epoch; None if infeasible, or interrupted before the first epoch ended.
        weights_sha256: Digest of the model's weights after the best epoch.
        reason: Why it is infeasible, was interrupted, or ended before its last epoch (it diverged,
            or raised); else empty.
        seconds: Wall-clock seconds from building the model to the checkpoint on disk.
        model_parameters: Number of scalar weights of the model, 0 if it was not built.
        repeat: See `TrialSpec.repeat`.
        trainer: What trained it: "compiled", "plain", "hypermodel" for a HyperModel's own fit, or
            "objective" for an objective function that does everything itself.
        trainer_reason: Why it was not compiled, or empty.
        joined: Hyperparameters that the builder declared and the space lacked, as
            `Parameter.to_dict` writes them; the trial had their defaults.
        repeats: The trainings of a repeated trial, or the folds of a cross-validated one. Its value
            is their mean, its digest that of the best.
        best_repeat: Which of them is the best.
        checkpoint_sha256: Digest of the file of those weights and of the optimizer's variables, by
            `tracking.store.checkpoints`; of a repeated trial that of the best. Empty if there is
            none.
        unsaved: Why there is no checkpoint of the best epoch, though it has a value; else empty.
        scores_bytes: Size of the file with its validation samples' scores, 0 if there is none;
            of a repeated trial that of all its files.
        unscored: Why its samples have no scores, or only those of its best epoch if every one was
            to have some; else empty.
        raised: What the builder or the training raised, and the line, if it may be a mistake in the
            study's code. Empty if it was out of memory, or ended on purpose.
        data_digest: SHA-256 over the data that a function of `hp` made for the trial, or that the
            first `fit` of an objective function got; else empty.
        validation_digest: SHA-256 of the validation targets of such data: trials compare only if it
            is equal.
        class_weight: The class weights of such data, or None.
        user_attrs: What an objective function noted by `trial.set_user_attr`.
        fits_epochs: Epochs of all models that an objective function trained; `epochs` are those of
            its longest training.
        peak_memory_bytes: The process's peak while it ran; 0 if unknown.
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
    trainer: str = ""
    trainer_reason: str = ""
    joined: Sequence[Mapping[str, Any]] = ()
    repeats: Sequence[Repeat] = ()
    best_repeat: int = 0
    checkpoint_sha256: str = ""
    unsaved: str = ""
    raised: str = ""
    data_digest: str = ""
    validation_digest: str = ""
    class_weight: ClassWeight | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    fits_epochs: int = 0
    # Not part of the trial's result: a training that was resumed may know fewer epochs.
    scores_bytes: int = field(default=0, compare=False)
    unscored: str = field(default="", compare=False)
    peak_memory_bytes: int = field(default=0, compare=False)

    @property
    def of_no_epoch(self) -> bool:
        """Whether its value is of no single epoch: its function trains several models, or none."""
        return self.trainer == "objective" and bool(self.unsaved)

    @property
    def epochs_in_all(self) -> int:
        """Epochs of all of its trainings: of repeats or folds, or what its function trained."""
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

    def to_json(self) -> str:
        """Returns the result as one line of JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TrialResult:
        """Reads what `to_json` wrote."""
        fields = json.loads(text)
        best = fields["best"]
        repeats = tuple(map(Repeat.from_dict, fields.get("repeats", ())))
        return cls(
            **{
                **fields,
                "best": None if best is None else BestEpoch(**best),
                "joined": tuple(fields.get("joined", ())),
                "repeats": repeats,
                "class_weight": read_class_weight(fields.get("class_weight")),
            }
        )
