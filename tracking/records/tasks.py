"""From an engine's proposal to an executor's task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search_spaces import SearchSpace
from tracking.records.objective import Rank
from tracking.records.specs import ALL_FOLDS, BestEpoch, TrialSpec

ScoresOf = Literal["best", "every"]
TrainerName = Literal["auto", "compiled", "plain"]


@dataclass(frozen=True)
class Proposal:
    """A proposal of an engine.

    Attributes:
        number: The trial's number, counted from 0.
        values: The active hyperparameters.
        state: The engine's own text, kept with the trial and returned to it on restore.
        epochs: Epochs to train in all, if the engine decides on them; else None.
        goes_on_from: The trial to continue, or None; see `TrialSpec`.
        known: In a deterministic study: it is proposed and pruned by the trials below this number.
            Else None.
    """

    number: int
    values: Mapping[str, Any]
    state: Mapping[str, str] = field(default_factory=dict)
    epochs: int | None = None
    goes_on_from: int | None = None
    known: int | None = None


@dataclass(frozen=True)
class TrialTask:
    """A trial to run, and the files that it reads and writes.

    Attributes:
        spec: What to run.
        space: The space that its values belong to.
        checkpoint: Where the weights of its best epoch go.
        state: Where its state after an epoch goes. If an earlier attempt left one, the trial
            resumes from it.
        origin: The state of the trial that it continues. If both are missing or damaged, it is
            trained from the first epoch, with the same result.
        trainer: What trains it; None: what the study says. A HyperModel's own fit trains by that.
        scores: Where the scores of validation samples go; None: they are not made.
        scores_of: Those of its best epoch (of the best two, if samples are few), or of every epoch.
        last_kept: The rank of the last trial whose checkpoint is kept, if all places are taken;
            None if any checkpoint may stay.
    """

    spec: TrialSpec
    space: SearchSpace
    checkpoint: Path
    state: Path | None = None
    origin: Path | None = None
    trainer: TrainerName | None = None
    last_kept: Rank | None = None
    scores: Path | None = None
    scores_of: ScoresOf = "best"

    def may_stay(self, best: BestEpoch) -> bool:
        """Returns whether a checkpoint of the best epoch can be among those kept.

        Trials that end later only take places, so a checkpoint that can't stay now can't later.
        None of a fold stays: the champion is trained on all of them.
        """
        spec = self.spec
        if spec.fold not in (None, ALL_FOLDS):
            return False
        return self.last_kept is None or best.rank(spec.objective, spec.number) < self.last_kept
