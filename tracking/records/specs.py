"""What a trial depends on, and its epochs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracking.records.objective import Objective, Rank
from tracking.records.studies import ClassWeight, read_class_weight

ALL_FOLDS = -1
"""The fold of a training on all folds together: that of a cross-validated study's champion."""


@dataclass(frozen=True)
class TrialSpec:
    """Everything that a trial depends on, besides the study's code and environment.

    Attributes:
        number: The trial's number in its study, counted from 0.
        attempt: 1 for the first try, one more for each try after an interruption.
            It does not change what the trial computes.
        values: The active hyperparameters by name.
        seed: Seed of the trial, 0 to 2**32 - 1.
        epochs: Epochs to train, at least 1.
        batch_size: Samples per training and validation step, at least 1.
        threads: Intra-op threads of TensorFlow; part of the spec since it changes bits.
        data_digest: SHA-256 over the data set: that of the default values, if a function of `hp`
            makes it. See `TrialRecord.data_digest`.
        objective: What the best epoch is chosen by.
        goes_on_from: The trial that this one continues from its last epoch, under the same seed;
            None for one that starts from the first. It does not change what the trial computes,
            which is bit for bit that of a training without a break.
        initial_epoch: The epochs that were trained there.
        repeat: Which of the trial's trainings this is, from 0; each has a seed of its own.
        class_weight: How much the training samples of each class count, or None if all count alike;
            those of the default values, if a function of `hp` makes them.
        begun_as: The first trial in the chain that this one continues, whose number the builder
            sees; None for one that starts from the first epoch.
        fold: Of a cross-validated trial: the fold that this training is validated on, from 0, or
            `ALL_FOLDS`. Else None.
        hardware: The class of hardware that it runs on, within which bits are equal; see
            `StudyDescription.hardware`. Empty in older records.
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
    begun_as: int | None = None
    class_weight: ClassWeight | None = None
    fold: int | None = None
    hardware: str = ""

    @property
    def built_as(self) -> int:
        """The number that the builder sees: a continued trial builds the same model again."""
        return self.number if self.begun_as is None else self.begun_as

    def to_json(self) -> str:
        """Returns the spec as one line of JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TrialSpec:
        """Reads what `to_json` wrote."""
        fields = json.loads(text)
        read = {
            "objective": Objective(**fields["objective"]),
            "class_weight": read_class_weight(fields.get("class_weight")),
        }
        return cls(**{**fields, **read})


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
    """The epoch whose objective was best, by `rank`."""

    epoch: int
    value: float
    metrics: Mapping[str, float]

    def rank(self, objective: Objective, number: int = 0) -> Rank:
        """Returns its rank: among epochs of a training, or among trials by their numbers."""
        loss = self.metrics.get("val_loss", math.inf)
        loss = math.inf if math.isnan(loss) else loss
        return Rank(objective.sort_key(self.value), loss, self.epoch, number)
