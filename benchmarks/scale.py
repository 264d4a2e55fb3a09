"""Measures a study's driver with many trials and many workers, without training.

    python -m benchmarks.scale [--trials 5000] [--workers 64] [--throughput-trials 2000] [--json]

It has three parts, all in a real store. The first part simulates a study under TPE with one worker
(8 hyperparameters, 5 epochs of 4 metrics). It measures the driver's CPU time per trial over the 50
trials before the 100th, the 1,000th and the 5,000th. After each trial, Optuna's bare sampler asks,
suggests and tells once in the same process and space, in memory. The goals: at most 60 ms at 1,000
trials, and no more growth than the sampler's.

The second part launches that study again for one more trial, and a new study for its first trial.
The goal: the old study takes at most 3 s longer. The third part simulates a study under random
search with 64 workers. Each worker reports an epoch, or its result, whenever the driver waits. The
goal: 200 trials a second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import kerastudy as ks
from search_spaces import OptunaSpace, SearchSpace
from studies.definition import LaunchOptions
from studies.executors.executor_protocol_and_jobs import Handler
from studies.launching.launch import run_study
from studies.progress import NoProgress
from tracking.history.study_history import StudyHistory
from tracking.records import (
    BestEpoch,
    CodeDescription,
    DataDescription,
    EpochResult,
    Objective,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)

_EPOCHS = 5
_MARKS = (100, 1000, 5000)
_WINDOW = 50
SPACE = SearchSpace(
    *(ks.Float(f"rate_{i}", 1e-4, 1.0, scale="log") for i in range(6)),
    ks.Choice("kind", ["a", "b"]),
    ks.Int("units", 4, 64),
)


def value_of(values: Any) -> float:
    """Returns the objective of a trial: a distance, to be minimized."""
    return sum(abs(float(v) - 0.1) for name, v in values.items() if name.startswith("rate"))


class BareSampler:
    """Optuna's TPE alone, with a study in memory.

    Attributes:
        spent: CPU seconds of each trial.
        total: Their sum.
    """

    def __init__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
        self._study = optuna.create_study(sampler=sampler)
        self._space = OptunaSpace(SPACE)
        self.spent: list[float] = []
        self.total = 0.0

    def play(self) -> None:
        """Asks for a trial, and reports its value."""
        began = time.process_time()
        trial = self._study.ask()
        self._study.tell(trial, value_of(self._space.suggest(trial)))
        self.spent.append(time.process_time() - began)
        self.total += self.spent[-1]


class SimulatedWorkers:
    """An executor whose workers train nothing: when it is waited for, each reports once.

    Attributes:
        ended: CPU time of this process when each trial had ended, without the bare sampler's.
        began_wall: Wall-clock time when the first trial was submitted.
        ended_wall: Wall-clock time when each trial had ended.
    """

    environment: dict[str, str] = {"python": "3"}  # noqa: RUF012 - never changed

    def __init__(
        self, engine: str, trials: int, workers: int, beside: BareSampler | None = None
    ) -> None:
        parts = {"train": "1" * 64, "validation": "2" * 64}
        self.description = StudyDescription(
            name="scale",
            space=SPACE,
            objective=Objective("val_loss", "min"),
            engine=engine,
            pruner="none",
            trials=trials,
            epochs=_EPOCHS,
            batch_size=32,
            seed=0,
            threads=1,
            keep=10,
            try_defaults=False,
            data=DataDescription("none", "none", "0" * 64, parts, {}, {}),
            code=CodeDescription("", "", "", ""),
        )
        self._workers = workers
        self._beside = beside
        self._running: list[tuple[TrialSpec, int]] = []
        self.ended: list[float] = []
        self.began_wall = 0.0
        self.ended_wall: list[float] = []

    @property
    def free(self) -> int:
        return self._workers - len(self._running)

    def submit(self, *fits: TrialTask) -> None:
        self.began_wall = self.began_wall or time.perf_counter()
        # The first trainings are out of step, as workers are.
        head_start = len(self._running) % (_EPOCHS + 1) if not self.ended else 0
        self._running.append((fits[0].spec, -head_start))

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        running, self._running = self._running, []
        going_on: list[tuple[TrialSpec, int]] = []
        for spec, epoch in running:
            value = value_of(spec.values)
            metrics = {"loss": value, "accuracy": 0.5, "val_loss": value, "val_accuracy": 0.5}
            if epoch < 0:
                going_on.append((spec, epoch + 1))
            elif epoch < _EPOCHS:
                handler.on_epoch(EpochResult(spec.number, epoch + 1, metrics, 0.0))
                going_on.append((spec, epoch + 1))
            else:
                best = BestEpoch(1, value, metrics)
                result = TrialResult(spec.number, "complete", _EPOCHS, best, unsaved="not trained")
                handler.on_result(result)
                self._note()
        self._running = going_on + self._running

    def _note(self) -> None:
        if self._beside is not None:
            self._beside.play()
        bare = 0.0 if self._beside is None else self._beside.total
        self.ended.append(time.process_time() - bare)
        self.ended_wall.append(time.perf_counter())

    def save_champion(self, *_: Any) -> dict[str, float]:
        raise ks.errors.StudyError("no model here")

    def close(self) -> None:
        pass


def cost_by_trials(trials: int) -> dict[str, Any]:
    """Simulates a study; returns the cost of its trials, and of one more in a second launch.

    Returns:
        "by_trials": CPU milliseconds per trial before each mark, the driver's and the bare
        sampler's. "one_more": seconds of a launch for one more trial, and of a new study's launch
        for one trial.
    """
    beside = BareSampler()
    executor = SimulatedWorkers("optuna:tpe", trials, 1, beside)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        _launch(executor, store)
        again = _seconds(SimulatedWorkers("optuna:tpe", trials + 1, 1), store)
        new = _seconds(SimulatedWorkers("optuna:tpe", 1, 1), Path(folder) / "new")
    costs = {}
    for mark in [mark for mark in _MARKS if mark <= trials]:
        last = range(mark - _WINDOW, mark)
        driver = executor.ended[mark - 1] - executor.ended[mark - 1 - _WINDOW]
        costs[str(mark)] = {
            "driver_ms": driver / _WINDOW * 1000,
            "bare_sampler_ms": sum(beside.spent[i] for i in last) / _WINDOW * 1000,
        }
    return {"by_trials": costs, "one_more": {"after": trials, "again": again, "new": new}}


def _launch(executor: SimulatedWorkers, store: Path) -> StudyHistory:
    return run_study(executor, LaunchOptions(store=store, report=False), progress=NoProgress())


def _seconds(executor: SimulatedWorkers, store: Path) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    _launch(executor, store)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def throughput(trials: int, workers: int) -> dict[str, float]:
    """Returns how many trials a second are proposed and recorded, and a trial's CPU time."""
    executor = SimulatedWorkers("optuna:random", trials, workers)
    with tempfile.TemporaryDirectory() as folder:
        history = _launch(executor, Path(folder) / "store")
    assert history.counts()["complete"] == trials, "all trials must be in the record"
    return {
        "trials": trials,
        "workers": workers,
        "trials_per_second": trials / (executor.ended_wall[-1] - executor.began_wall),
        # The first trials, in which modules are imported, don't count.
        "cpu_ms_per_trial": (executor.ended[-1] - executor.ended[workers])
        / (trials - workers - 1)
        * 1000,
    }


def main() -> None:
    """Prints the figures."""
    # The exporter is a process of its own, and would only take the driver's processor.
    os.environ.setdefault("KERASTUDY_MLFLOW", "off")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=_MARKS[-1], help="of parts 1 and 2; 0: none")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--throughput-trials", type=int, default=2000, help="of part 3; 0: none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if 0 < options.trials < _MARKS[0]:
        parser.error(f"--trials must be at least {_MARKS[0]}, or 0")
    if options.workers < 1 or 0 < options.throughput_trials <= options.workers + 1:
        parser.error("--throughput-trials must be more than --workers, and --workers at least 1")
    figures: dict[str, Any] = {}
    if options.throughput_trials:
        figures["throughput"] = throughput(options.throughput_trials, options.workers)
    if options.trials:
        figures |= cost_by_trials(options.trials)
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        print()
        return
    for mark, cost in figures.get("by_trials", {}).items():
        print(
            f"at {mark:>5} trials  driver {cost['driver_ms']:6.1f} ms of CPU per trial, "
            f"of which the bare sampler would take {cost['bare_sampler_ms']:6.1f}"
        )
    if "one_more" in figures:
        part = figures["one_more"]
        print(
            f"one more trial after {part['after']}  {part['again']['wall']:.1f} s, a new study's "
            f"first {part['new']['wall']:.1f} s "
            f"({part['again']['cpu']:.1f} and {part['new']['cpu']:.1f} s of CPU)"
        )
    if "throughput" in figures:
        part = figures["throughput"]
        print(
            f"{part['workers']} workers, random search  {part['trials_per_second']:.0f} trials a "
            f"second, {part['cpu_ms_per_trial']:.1f} ms of CPU per trial"
        )


if __name__ == "__main__":
    main()
