"""What a study costs beside building and fitting: CPU per trial, at 10 and at 1,000 trials.

    python -m benchmarks.overhead [--trials 1000] [--json]

Two parts. The driver's: asking, recording in MLflow, telling, retention, measured
with trials that train nothing (8 hyperparameters, 10 epochs of 4 metrics, TPE). The worker's:
what a trial with a stub-sized model takes in `run_trial` outside the builder and `model.fit`. That
the variables of metrics and optimizer are made belongs to `fit`, which else makes them.
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
from studies.executors.executor import Handler
from studies.launching.opening import LaunchOptions
from studies.launching.study_run import run_study
from studies.progress import NoProgress
from tracking.records import (
    BestEpoch,
    CodeDescription,
    DataDescription,
    Decision,
    EpochResult,
    Objective,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)

_EPOCHS = 10
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

    @property
    def delayed(self) -> list[TrialSpec]:
        """See `Executor`."""
        return []

    def cut(self, number: int) -> bool:
        """See `Executor`. There is nothing to cut."""
        return False

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
        raise ks.StudyError("no model here")

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

    from studies.training.models import make_variables
    from studies.training.plain import PlainTrainer
    from studies.training.process.determinism import configure_tensorflow
    from studies.training.trial_run import run_trial

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
        patch("studies.training.plain.make_variables", timed(make_variables)),
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


def _go_on(epoch: EpochResult) -> Decision:
    return "continue"


def main() -> None:
    """Prints the costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    # The worker's first: in a study it is a process of its own, without the driver's objects.
    costs = {"worker_ms": worker_cost(), "driver_ms": driver_cost(options.trials)}
    if options.json:
        json.dump(costs, sys.stdout, indent=2)
        return
    for part, figures in costs.items():
        for name, milliseconds in figures.items():
            print(f"{part:10} {name:24} {milliseconds:6.1f} ms of CPU per trial")


if __name__ == "__main__":
    main()
