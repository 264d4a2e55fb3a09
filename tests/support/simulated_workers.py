"""Several workers that train nothing. A seed decides the order of their epochs."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripted import loss, save_made_up_model, write_checkpoint

from benchmarks.many_workers.cluster import SimulatedCluster, Training
from search_spaces import SearchSpace
from tracking.records import StudyDescription, TrialResult, TrialSpec


class SimulatedWorkers(SimulatedCluster):
    """Workers whose trainings leave results and checkpoints, as real ones do.

    `before_epoch` is called before each epoch, and may raise an error. If `saves`, the champion is
    saved, but without a model.
    """

    def __init__(
        self,
        description: StudyDescription,
        workers: int = 2,
        seed: int = 0,
        before_epoch: Callable[[TrialSpec, int], None] = lambda spec, epoch: None,
        infeasible: Callable[[TrialSpec], bool] = lambda spec: False,
        *,
        saves: bool = False,
        **options: Any,
    ) -> None:
        def metrics(spec: TrialSpec, epoch: int) -> Mapping[str, float]:
            before_epoch(spec, epoch)
            return {"loss": loss(spec, epoch) / 2, "val_loss": loss(spec, epoch)}

        self._infeasible, self._saves = infeasible, saves
        super().__init__(description, workers, metrics, seed=seed, spent=lambda: 0.0, **options)

    def is_infeasible(self, spec: TrialSpec) -> bool:
        return self._infeasible(spec)

    def ended(self, training: Training, result: TrialResult) -> TrialResult:
        task, spec = training.task, training.spec
        if self._infeasible(spec):
            reason = "the builder raised ValueError: no"
            return TrialResult(spec.number, "infeasible", reason=reason, repeat=spec.repeat)
        digest = ""
        if result.state != "interrupted" and result.best and task.may_stay(result.best):
            digest = write_checkpoint(task.checkpoint, spec)
        return replace(
            result,
            weights_sha256=hashlib.sha256(f"{result.best}".encode()).hexdigest(),
            checkpoint_sha256=digest,
            unsaved="",
            trainer="plain",
        )

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        if self._saves:
            return save_made_up_model(folder, checkpoint)
        return super().save_champion(spec, checkpoint, space, folder)
