"""An executor that trains nothing, for tests of the driver, the record and the engine."""

import dataclasses
import hashlib
import json
import zipfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import kerastudy as ks
from search_spaces import SearchSpace, StudyError, WorkerError
from studies.definition import LaunchOptions
from studies.executors import Executor, Handler
from studies.launching import run_study as run_on_executor
from studies.progress import NoProgress, Progress
from tracking import records
from tracking.history import StudyHistory, read_study
from tracking.store import checkpoint_digest, replacing

SPACE = SearchSpace(
    ks.Float("rate", 1e-4, 1e-1, scale="log"),
    ks.Int("units", 4, 64),
    ks.Choice("kind", ["a", "b"]),
    ks.Float("momentum", 0.0, 0.9, when={"kind": "b"}),
)


def describe(**settings: Any) -> records.StudyDescription:
    """Returns the definition of a made-up study."""
    fields: dict[str, Any] = {
        "name": "scripted",
        "space": SPACE,
        "objective": records.Objective("val_loss", "min"),
        "engine": "optuna:tpe",
        "pruner": "none",
        "trials": 12,
        "epochs": 4,
        "batch_size": 32,
        "seed": 0,
        "threads": 1,
        "keep": 3,
        "try_defaults": False,
        "data": records.DataDescription(
            "made up", "memory", "d" * 64, {"train": "1" * 64, "validation": "2" * 64}, {}, {}
        ),
        "code": records.CodeDescription("", "", "", ""),
    }
    return records.StudyDescription(**{**fields, **settings})


def run_study(
    executor: Executor,
    *,
    store: str | Path,
    progress: Progress | None = None,
    workers: int = 1,
    **options: Any,
) -> StudyHistory:
    """Runs the study that an executor has loaded, with options of `Study.launch`.

    Also checks that the returned history is the one that another process would read.
    """
    history = run_on_executor(
        executor,
        LaunchOptions(store=store, **options),
        progress=progress or NoProgress(),
        workers=workers,
    )
    description = history.description
    read = read_study(history.store, description.name)
    # The histories are compared as texts, because NaN does not equal NaN.
    assert repr(dataclasses.replace(read, store=history.store)) == repr(history)
    return history


def loss(spec: records.TrialSpec, epoch: int) -> float:
    """Returns a made-up loss, which depends on the spec. The best epoch is not always the last."""
    rate, units = spec.values["rate"], spec.values["units"]
    turn = spec.seed % spec.epochs + 1
    return abs(rate - 0.01) * 20 + abs(units - 32) / 32 + abs(epoch - turn) * 0.1 + 0.2


def write_checkpoint(path: Path, spec: records.TrialSpec) -> str:
    """Writes a checkpoint that contains the spec, and returns the checkpoint's digest."""
    text = records.to_json(dataclasses.replace(spec, attempt=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        with h5py.File(partial, "w") as file:
            file["layers/scripted/vars/0"] = np.frombuffer(text.encode(), np.uint8)
        return checkpoint_digest(partial)


def read_checkpoint(path: Path) -> records.TrialSpec:
    """Returns the spec in a checkpoint of `write_checkpoint`."""
    with h5py.File(path, "r") as file:
        text = file["layers/scripted/vars/0"][()].tobytes().decode()
        return records.from_json(records.TrialSpec, text)


def save_made_up_model(folder: Path, checkpoint: Path) -> dict[str, float]:
    """Writes an empty MLflow model that contains a checkpoint. Returns no metrics."""
    from mlflow.models import Model

    (folder / "data").mkdir(parents=True)
    Model().save(str(folder / "MLmodel"))
    with zipfile.ZipFile(folder / "data" / "model.keras", "w") as archive:
        archive.write(checkpoint, "model.weights.h5")
    return {}


@dataclass
class ScriptedExecutor:
    """An executor that runs each trial to its end within `wait`.

    Attributes:
        description: The study.
        before: A function that is called before each trial. It may raise, or kill the process.
        lost: The numbers of trials whose process dies. A number that is listed twice dies twice.
        out_of_memory: The numbers of trials whose process dies for lack of memory.
        infeasible: The numbers of trials that are infeasible, without a mistake in the code.
        raises: The numbers of trials whose builder raises the same error.
        defaulted: The defaults of hyperparameters that the builder declares besides the space, by
            trial number.
        workers: How many trials run and end together.
        wrong: For a trial's number, the epoch whose metrics are wrong (too good) if the trial is
            trained by the compiled trainer.
        trainer: The trainer of tasks without `by_fit`.
    """

    trainer = "plain"

    description: records.StudyDescription
    before: Callable[[records.TrialSpec], None] = lambda spec: None
    lost: list[int] = field(default_factory=list)
    out_of_memory: list[int] = field(default_factory=list)
    infeasible: set[int] = field(default_factory=set)
    raises: set[int] = field(default_factory=set)
    defaulted: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    ran: list[tuple[int, int]] = field(default_factory=list)
    together: list[set[int]] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=lambda: {"python": "3"})
    workers: int = 1
    wrong: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting: deque[tuple[records.TrialTask, ...]] = deque()
        self._replacing = self.closed = False

    @property
    def free(self) -> int:
        return 0 if self._replacing else self.workers - len(self._waiting)

    def submit(self, *fits: records.TrialTask) -> None:
        assert self.free
        self._waiting.append(fits)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if self._replacing:
            # The process that replaces the dead one is ready now.
            self._replacing = False
            return
        self.together.append({fits[0].spec.number for fits in self._waiting})
        for _ in range(len(self._waiting)):
            self._run_job(self._waiting.popleft(), handler)

    def _run_job(self, fits: Sequence[records.TrialTask], handler: Handler) -> None:
        for task in fits:
            result = self._run(task, handler)
            if result is None:
                return
            handler.on_result(result)
            if result.state != "complete":
                return

    def _run(self, task: records.TrialTask, handler: Handler) -> records.TrialResult | None:
        """Runs a fit; returns its result, or None if its process died."""
        spec = task.spec
        self.before(spec)
        self.ran.append((spec.number, spec.attempt))
        killed = WorkerError("the worker process ended by signal 9", killed=True)
        no_memory = WorkerError("the worker process ran out of memory", out_of_memory=True)
        for dying, error in ((self.lost, killed), (self.out_of_memory, no_memory)):
            if spec.number in dying:
                dying.remove(spec.number)
                self._replacing = True
                handler.on_lost(spec, error)
                return None
        if spec.number in self.raises:
            raised = "NameError: modl (mine.py, line 3)"
            reason = f"the builder raised {raised}"
            return records.TrialResult(spec.number, "infeasible", reason=reason, raised=raised)
        if spec.number in self.infeasible:
            reason = "the builder raised ValueError: no"
            return records.TrialResult(spec.number, "infeasible", reason=reason, repeat=spec.repeat)
        return self._train(task, handler)

    def _train(self, task: records.TrialTask, handler: Handler) -> records.TrialResult:
        spec, checkpoint = task.spec, task.checkpoint
        best: records.BestEpoch | None = None
        state, epoch, digest = "complete", 0, ""
        trainer = "plain" if task.by_fit else self.trainer
        wrong = self.wrong.get(spec.number) if trainer == "compiled" else None
        for epoch in range(1, spec.epochs + 1):
            metrics = {"loss": loss(spec, epoch) / 2, "val_loss": loss(spec, epoch)}
            if epoch == wrong:
                metrics = {name: value - 10 for name, value in metrics.items()}
            if best is None or metrics["val_loss"] < best.value:
                best = records.BestEpoch(epoch, metrics["val_loss"], metrics)
            decision = handler.on_epoch(
                records.EpochResult(spec.number, epoch, metrics, 0.1 * epoch, spec.repeat)
            )
            if decision != "continue":
                state = {"prune": "pruned", "stop": "interrupted", "end": "complete"}[decision]
                break
        if state != "interrupted":
            if best is not None and task.may_stay(best):
                digest = write_checkpoint(checkpoint, spec)
            if task.state is not None:
                task.state.parent.mkdir(parents=True, exist_ok=True)
                task.state.write_text(json.dumps(dataclasses.asdict(best)))
        return records.TrialResult(
            spec.number,
            state,  # type: ignore[arg-type]
            epochs=epoch,
            best=best,
            weights_sha256=hashlib.sha256(f"{best}".encode()).hexdigest(),
            seconds=0.5,
            repeat=spec.repeat,
            defaulted=self.defaulted.get(spec.number, {}),
            checkpoint_sha256=digest,
            trainer=trainer,
        )

    def save_champion(
        self, spec: records.TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        raise StudyError("a scripted study has no model")

    def close(self) -> None:
        self.closed = True


class WithModel(ScriptedExecutor):
    """A scripted executor that can save a champion, as an empty MLflow model."""

    def save_champion(
        self, spec: records.TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return save_made_up_model(folder, checkpoint)
