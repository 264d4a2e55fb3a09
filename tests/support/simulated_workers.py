"""Several workers that train nothing, whose trials come on in an order that a seed decides."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripted import loss, write_checkpoint

from search_spaces import SearchSpace, StudyError, WorkerError
from studies.executors import Handler
from tracking.records import (
    BestEpoch,
    EpochResult,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)


@dataclass
class SimulatedWorkers:
    """Ends an epoch of one of the running trials at each call of `wait`.

    Attributes:
        description: The study.
        workers: How many trials run at once.
        seed: Decides which of them comes on next.
        before_epoch: Called before each epoch; may raise.
        infeasible: Tells which trials are infeasible.
        hangs: Tells which trials never end their first epoch.
        cuts: The trials that were cut.
    """

    description: StudyDescription
    workers: int = 2
    seed: int = 0
    before_epoch: Callable[[TrialSpec, int], None] = lambda spec, epoch: None
    infeasible: Callable[[TrialSpec], bool] = lambda spec: False
    hangs: Callable[[TrialSpec], bool] = lambda spec: False
    cuts: list[int] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=lambda: {"python": "3"})

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._running: dict[int, tuple[TrialTask, int, BestEpoch | None]] = {}

    @property
    def free(self) -> int:
        return self.workers - len(self._running)

    def submit(self, *fits: TrialTask) -> None:
        (task,) = fits
        self._running[task.spec.number] = (task, task.spec.initial_epoch, None)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        number = self._random.choice(sorted(self._running))
        task, epoch, best = self._running[number]
        spec, epoch = task.spec, epoch + 1
        if self.hangs(spec):
            if number in self.cuts:
                del self._running[number]
                handler.on_lost(
                    spec, WorkerError("the worker process ended by signal 9", killed=True)
                )
            return
        self.before_epoch(spec, epoch)
        if self.infeasible(spec):
            del self._running[number]
            handler.on_result(TrialResult(number, "infeasible", reason="made up"))
            return
        metrics = {"val_loss": loss(spec, epoch)}
        if best is None or metrics["val_loss"] < best.value:
            best = BestEpoch(epoch, metrics["val_loss"], metrics)
        self._running[number] = (task, epoch, best)
        decision = handler.on_epoch(EpochResult(number, epoch, metrics, 0.1 * epoch))
        if decision == "continue" and epoch < spec.epochs:
            return
        del self._running[number]
        state = {"prune": "pruned", "stop": "interrupted"}.get(decision, "complete")
        written = state != "interrupted" and task.may_stay(best)
        digest = write_checkpoint(task.checkpoint, spec) if written else ""
        handler.on_result(
            TrialResult(
                number,
                state,  # type: ignore[arg-type]
                epochs=epoch,
                best=best,
                weights_sha256=hashlib.sha256(f"{best}".encode()).hexdigest(),
                seconds=0.5,
                checkpoint_sha256=digest,
                trainer="plain",
            )
        )

    @property
    def delayed(self) -> list[TrialSpec]:
        return []

    def cut(self, number: int) -> bool:
        self.cuts.append(number)
        return number in self._running

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        raise StudyError("a simulated study has no model")

    def close(self) -> None:
        self._running.clear()
