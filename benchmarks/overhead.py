"""Measures the CPU time of a trial besides building and fitting, at 10 and at 1,000 trials.

    python -m benchmarks.overhead [--trials 1000] [--json]

It measures four parts. The driver asks, records, tells and deletes checkpoints, for trials that
train nothing (8 hyperparameters, 10 epochs of 4 metrics, TPE). The worker runs a trial with a tiny
model in `run_trial`; the builder and `model.fit` do not count, nor does making the variables of
metrics and optimizer, which is otherwise a part of `fit`. The journal appends an epoch in a commit
of its own (goal: 0.1 ms), and a study of 5,000 trials of 20 epochs is read as by a launch (goal:
1 s). The exporter brings a trial of 5 epochs to MLflow's database (goal: 25 ms).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import kerastudy as ks
from search_spaces import Hyperparameters, SearchSpace
from studies.definition import LaunchOptions
from studies.executors.executor_protocol_and_jobs import Handler
from studies.launching.launch import run_study
from studies.progress import NoProgress
from tracking.journal import Journal
from tracking.records import (
    BestEpoch,
    CodeDescription,
    DataDescription,
    Decision,
    EpochResult,
    Objective,
    Proposal,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)
from tracking.store.store_folder_and_json import Store, create_store

_EPOCHS = 10
_METRICS = {"loss": 0.51234567, "accuracy": 0.8123, "val_loss": 0.6123456, "val_accuracy": 0.7912}
_SPACE = SearchSpace(
    *(ks.Float(f"rate_{i}", 1e-4, 1.0, scale="log") for i in range(6)),
    ks.Choice("kind", ["a", "b"]),
    ks.Int("units", 4, 64),
)


class NoTraining:
    """An executor whose trials take no time; notes the CPU time at which each ends."""

    environment: dict[str, str] = {"python": "3"}  # noqa: RUF012 - never changed

    def __init__(self, trials: int) -> None:
        self.description = StudyDescription(
            name="overhead",
            space=_SPACE,
            objective=Objective("val_loss", "min"),
            engine="optuna:tpe",
            pruner="none",
            trials=trials,
            epochs=_EPOCHS,
            batch_size=32,
            seed=0,
            threads=1,
            keep=10,
            try_defaults=False,
            data=DataDescription(
                "none", "none", "0" * 64, {"train": "1" * 64, "validation": "2" * 64}, {}, {}
            ),
            code=CodeDescription("", "", "", ""),
        )
        self._waiting: list[TrialSpec] = []
        self.ended: list[float] = []

    @property
    def free(self) -> int:
        return 0 if self._waiting else 1

    def submit(self, *fits: TrialTask) -> None:
        self._waiting.append(fits[0].spec)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        spec = self._waiting.pop()
        value = sum(abs(float(v) - 0.1) for k, v in spec.values.items() if k.startswith("rate"))
        metrics = {"loss": value, "accuracy": 0.5, "val_loss": value, "val_accuracy": 0.5}
        for epoch in range(1, _EPOCHS + 1):
            handler.on_epoch(EpochResult(spec.number, epoch, metrics, 0.0))
        best = BestEpoch(1, value, metrics)
        handler.on_result(TrialResult(spec.number, "complete", _EPOCHS, best, "0" * 64))
        self.ended.append(time.process_time())

    def save_champion(self, *_: Any) -> dict[str, float]:
        raise ks.errors.StudyError("no model here")

    def close(self) -> None:
        pass


def driver_cost(trials: int) -> dict[str, float]:
    """Returns the driver's CPU milliseconds per trial: the first ten, and the last hundred."""
    executor = NoTraining(trials)
    with tempfile.TemporaryDirectory() as folder:
        run_study(
            executor,
            LaunchOptions(store=Path(folder) / "store", report=False),
            progress=NoProgress(),
        )
    ended = executor.ended
    last = min(100, trials - 1)
    return {
        "first_10": (ended[9] - ended[0]) / 9 * 1000,
        f"last_{last}": (ended[-1] - ended[-1 - last]) / last * 1000,
    }


def worker_cost(trials: int = 100) -> dict[str, float]:
    """Returns the worker's CPU milliseconds per trial outside the builder and `model.fit`."""
    import keras
    import numpy as np

    from studies.training import PlainTrainer, configure_tensorflow, make_variables, run_trial

    configure_tensorflow(1)
    inside = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal inside
            began = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                inside += time.process_time() - began

        return wrapper

    @timed
    def build(hp: Hyperparameters) -> Any:
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    data = ks.datasets.arrays(x, x.sum(axis=1), test=None)
    space = SearchSpace(ks.dropout())
    study = ks.Study("stub", data=data, build=build, space=space)
    splits, trainer = data.load(), PlainTrainer()
    spec = TrialSpec(0, 1, {"dropout": 0.1}, 1, 5, 32, 1, "", Objective("val_loss", "min"))
    with (
        patch("keras.Model.fit", timed(keras.Model.fit)),
        patch(
            "studies.training.plain_and_hypermodel_trainers.make_variables", timed(make_variables)
        ),
        tempfile.TemporaryDirectory() as folder,
    ):
        path = Path(folder) / "best.weights.h5"

        def run() -> None:
            run_trial(study, splits, TrialTask(spec, space, path), _go_on, trainer)

        run()
        began, inside = time.process_time(), 0.0
        for _ in range(trials):
            run()
        spent = time.process_time() - began
    return {"outside_build_and_fit": (spent - inside) / trials * 1000}


def journal_cost(folder: Path, trials: int = 5000, epochs: int = 20) -> dict[str, float]:
    """Returns the CPU milliseconds of appending an epoch, and of reading a long study."""
    from tracking.history.learning_curves import RecordedCurves
    from tracking.history.study_history import read_study

    store, journal, fits = _recorded(folder, trials, epochs)
    began = time.process_time()
    for epoch in range(1000):
        journal.log_epoch(fits[0], EpochResult(0, epochs + epoch, _METRICS, 0.0))
        journal.flush()
    appended = (time.process_time() - began) / 1000
    journal.close()
    began = time.process_time()
    history = read_study(store, "overhead")
    curves = RecordedCurves(history.folder, history.trials)
    if len(curves(history.trials[-1])) != epochs:
        raise RuntimeError("the study was not read")
    return {"epoch": appended * 1000, "read": (time.process_time() - began) * 1000}


def exporter_cost(folder: Path, trials: int = 200, epochs: int = 5) -> dict[str, float]:
    """Returns the CPU milliseconds that a trial costs the exporter."""
    from tracking.mlflow.study_and_trial_exporter import StudyExporter

    store, journal, _ = _recorded(folder, trials, epochs)
    # A first study, so that MLflow's import does not count.
    first = folder / "first"
    StudyExporter(_recorded(first, 1, 1)[0], first / "overhead").update()
    exporter = StudyExporter(store, journal.folder)
    if exporter.destination.client is None:
        raise RuntimeError("the database was not made")
    began = time.process_time()
    exporter.update()
    return {"trial": (time.process_time() - began) / trials * 1000}


def _recorded(folder: Path, trials: int, epochs: int) -> tuple[Store, Journal, list[str]]:
    """Records a study by hand; returns its store, its journal and its fits."""
    description = NoTraining(trials).description
    store = create_store(folder)
    journal = Journal.begin(folder / "overhead", description)
    fits = []
    with journal.together():
        for number in range(trials):
            values = {f"rate_{i}": 0.1 + number / 2 / trials for i in range(6)} | {
                "kind": "a",
                "units": 8,
            }
            spec = TrialSpec(number, 1, values, number, epochs, 32, 1, "", description.objective)
            trial = journal.begin_trial(spec, Proposal(number, values), {"python": "3"})
            fits.append(journal.begin_fit(trial, spec, only=True))
            for epoch in range(1, epochs + 1):
                journal.log_epoch(trial, EpochResult(number, epoch, _METRICS, 0.0))
            best = BestEpoch(1, 0.5, _METRICS)
            journal.end_trial(trial, TrialResult(number, "complete", epochs, best, "0" * 64))
    return store, journal, fits


def _go_on(epoch: EpochResult) -> Decision:
    return "continue"


def main() -> None:
    """Prints the costs."""
    # The exporter is a process of its own, and would only take the driver's processor.
    os.environ.setdefault("KERASTUDY_MLFLOW", "off")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    # The worker is measured first: in a study, its process does not have the driver's objects.
    costs = {"worker_ms": worker_cost(), "driver_ms": driver_cost(options.trials)}
    with tempfile.TemporaryDirectory() as folder:
        costs["journal_ms"] = journal_cost(Path(folder, "journal"))
        costs["exporter_ms"] = exporter_cost(Path(folder, "exporter"))
    if options.json:
        json.dump(costs, sys.stdout, indent=2)
        return
    for part, figures in costs.items():
        for name, milliseconds in figures.items():
            print(f"{part:12} {name:24} {milliseconds:8.3f} ms of CPU")


if __name__ == "__main__":
    main()
