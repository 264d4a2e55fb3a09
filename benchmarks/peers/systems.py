"""The systems: their packages, their commands, and the records of their trials."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.peers.job import Job, read_record
from benchmarks.peers.works import OBJECTIVE, Trial

OURS = "kerastudy"
ON_RAY = "kerastudy-ray"
DATA_VARIABLE = "KERASTUDY_BENCHMARK_DATA"
STUDIES = Path(__file__).with_name("kerastudy_studies.py")
WORKERS = 2


@dataclass(frozen=True)
class System:
    """A system that tunes.

    Attributes:
        name: Its name on the command line.
        title: Its name in tables.
        needs: The modules that it needs, each with its package.
        trials: Trials of a block by default.
        warm_up: How many first trials come before the steady state.
        command: Returns the command line of a job.
        read: Returns the trials of a job that is done.
        note: Returns a remark on the system's figures.
        on_ray: Whether it gets the address of the comparison's Ray cluster.
    """

    name: str
    title: str
    needs: Mapping[str, str]
    trials: int
    warm_up: int
    command: Callable[[Job], list[str]]
    read: Callable[[Job], Sequence[Trial]]
    note: Callable[[], str]
    on_ray: bool = False

    def missing(self) -> list[str]:
        """Returns its packages that are not installed."""
        return [
            package
            for module, package in self.needs.items()
            if importlib.util.find_spec(module) is None
        ]


def systems() -> dict[str, System]:
    """Returns all systems by name."""
    optuna = {"optuna": "optuna", "mlflow": "mlflow"}
    tuner = {"keras_tuner": "keras-tuner", "tensorboard": "tensorboard"}
    ray = {"ray": "ray[tune]", "tensorboardX": "ray[tune]", **optuna}
    return {
        system.name: system
        for system in (
            System(
                OURS,
                "kerastudy launch",
                {},
                trials=30,
                # By then each structure of the space has had a trial.
                warm_up=10,
                command=_launch,
                read=_read_store,
                note=lambda: (
                    f"{WORKERS} workers"
                    if _has_workers()
                    else "1 worker: this version's launch has no --workers"
                ),
            ),
            System(
                ON_RAY,
                "kerastudy launch --executor ray",
                {"ray": "ray"},
                trials=30,
                warm_up=10,
                command=lambda job: [*_launch(job), "--executor", "ray"],
                read=_read_store,
                note=lambda: f"{WORKERS} workers, on a Ray cluster of this machine",
                on_ray=True,
            ),
            _peer("by-hand", "Optuna, Keras and MLflow by hand", optuna, 8, 2, "1 process"),
            _peer(
                "random-search",
                "Keras Tuner RandomSearch",
                tuner,
                8,
                2,
                "1 process; its own files, no MLflow; runs only where tensorboard is installed",
            ),
            # Trials end in pairs.
            _peer(
                "ray-tune",
                "Ray Tune, OptunaSearch, MLflow callback",
                ray,
                4,
                2,
                "2 trials at once, on a Ray cluster of this machine",
                on_ray=True,
            ),
            _peer("autolog", "Optuna, mlflow.tensorflow.autolog", optuna, 4, 1, "1 process"),
        )
    }


def _peer(
    name: str,
    title: str,
    needs: Mapping[str, str],
    trials: int,
    warm_up: int,
    note: str,
    on_ray: bool = False,
) -> System:
    module = f"benchmarks.peers.{name.replace('-', '_')}"
    return System(
        name,
        title,
        needs,
        trials,
        warm_up,
        command=lambda job: [sys.executable, "-m", module, *job.arguments()],
        read=lambda job: read_record(job.folder),
        note=lambda: note,
        on_ray=on_ray,
    )


@cache
def _has_workers() -> bool:
    command = [sys.executable, "-m", "kerastudy", "launch", "--help"]
    return "--workers" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _launch(job: Job) -> list[str]:
    return [
        *(sys.executable, "-m", "kerastudy", "launch", f"{STUDIES}:{job.work.name}"),
        *("--trials", str(job.trials), "--epochs", str(job.epochs), "--seed", str(job.seed)),
        *("--store", str(job.folder / "store")),
        *(("--workers", str(WORKERS)) if _has_workers() else ()),
    ]


def _read_store(job: Job) -> Sequence[Trial]:
    """Reads the trials of a study from its record."""
    import kerastudy as ks

    history = ks.read_study(job.work.name, store=job.folder / "store")
    trials = []
    for trial in history.trials:
        if trial.state != "complete" or trial.result is None or trial.best is None:
            reason = "" if trial.result is None else f": {trial.result.reason}"
            raise ValueError(f"trial {trial.number} is {trial.state}{reason}")
        best = trial.best.metrics[OBJECTIVE]
        values = dict(trial.spec.values)
        trials.append(Trial(trial.ended / 1000, values, trial.result.epochs, best))
    return sorted(trials, key=lambda trial: trial.ended)
