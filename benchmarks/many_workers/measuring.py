"""Measures a launch on simulated workers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import psutil

from benchmarks.many_workers.cluster import Faults, SimulatedCluster
from benchmarks.scale import SPACE, value_of
from studies.definition import LaunchOptions
from studies.executors.executor_protocol_and_jobs import Handler
from studies.launching.launch import run_study
from studies.progress import NoProgress
from tracking.records import (
    CodeDescription,
    DataDescription,
    Objective,
    StudyDescription,
    TrialSpec,
    TrialTask,
)

_MARKS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
# Trials between two samples.
_EVERY = 50


def describe(engine: str, pruner: str, trials: int, epochs: int) -> StudyDescription:
    """Returns a study's definition."""
    parts = {"train": "1" * 64, "validation": "2" * 64}
    return StudyDescription(
        name="many workers",
        space=SPACE,
        objective=Objective("val_loss", "min"),
        engine=engine,
        pruner=pruner,
        trials=trials,
        epochs=epochs,
        batch_size=32,
        seed=0,
        threads=1,
        keep=10,
        try_defaults=False,
        data=DataDescription("none", "none", "0" * 64, parts, {}, {}),
        code=CodeDescription("", "", "", ""),
    )


def metrics_of(spec: TrialSpec, epoch: int) -> Mapping[str, float]:
    """Returns the metrics of an epoch: they fall from epoch to epoch, to the trial's value."""
    value = value_of(spec.values) * (1 + 1 / epoch)
    return {"loss": value, "accuracy": 0.5, "val_loss": value, "val_accuracy": 0.5}


@dataclass(frozen=True)
class Sample:
    """The figures at some moment.

    Attributes:
        trials: How many trials had ended.
        seconds: Seconds of the simulated clock.
        driver: CPU seconds of the driver.
        idle: Seconds that workers had waited for trainings.
        begun: How many trainings had begun.
        memory: Bytes of the process.
    """

    trials: int
    seconds: float
    driver: float
    idle: float
    begun: int
    memory: int


class MeasuredCluster(SimulatedCluster):
    """A simulated cluster that takes samples.

    Attributes:
        samples: The figures when the first trial began, and from then on.
    """

    def __init__(
        self, description: StudyDescription, workers: int, seconds: float, faults: Faults
    ) -> None:
        super().__init__(description, workers, metrics_of, seconds=seconds, faults=faults)
        self.samples: list[Sample] = []

    def submit(self, *fits: TrialTask) -> None:
        if not self.samples:
            self._take_sample()
        super().submit(*fits)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        super().wait(handler, seconds)
        ended = self.figures.ended
        if ended >= self.samples[-1].trials + _EVERY or ended == self.description.trials:
            self._take_sample()

    def _take_sample(self) -> None:
        figures, memory = self.figures, psutil.Process().memory_info().rss
        worked = figures.driver + self.now() - self.clock
        sample = Sample(figures.ended, self.now(), worked, figures.idle, figures.begun, memory)
        self.samples.append(sample)


@dataclass(frozen=True)
class Window:
    """A stretch of a study, from one mark to the next.

    Attributes:
        trials: How many trials had ended at its end.
        cpu_ms: CPU milliseconds of the driver per trial.
        wait_s: Seconds that a worker waited for its next training, on average.
        busy: Share of the time for which the driver worked.
        used: Share of the workers' time in which they trained.
        memory_mb: Megabytes of the process at its end.
    """

    trials: int
    cpu_ms: float
    wait_s: float
    busy: float
    used: float
    memory_mb: float


def windows(samples: Sequence[Sample], workers: int) -> list[Window]:
    """Returns a window for each mark: the last tenth of the trials before it."""
    tenths = []
    for mark in (mark for mark in _MARKS if mark <= samples[-1].trials):
        end = next(s for s in samples if s.trials >= mark)
        begin = next(s for s in samples if s.trials >= mark * 0.9)
        trials, seconds = end.trials - begin.trials, end.seconds - begin.seconds
        driver, idle = end.driver - begin.driver, end.idle - begin.idle
        tenths.append(
            Window(
                mark,
                driver / trials * 1000,
                idle / (end.begun - begin.begun),
                driver / seconds,
                1 - idle / seconds / workers,
                end.memory / 1e6,
            )
        )
    return tenths


@dataclass(frozen=True)
class Measured:
    """A launch that was measured.

    Attributes:
        windows: The figures before each mark.
        trials: How many trials the study had.
        hours: Simulated hours of all trials.
        cpu_s: CPU seconds of the driver for them.
        start_s: CPU seconds before the first trial.
        end_s: CPU seconds after the last one.
        lost: Attempts that were lost.
        dropped: Messages that came late, or a second time.
        store_mb: Megabytes of the store.
    """

    windows: Sequence[Window]
    trials: int
    hours: float
    cpu_s: float
    start_s: float
    end_s: float
    lost: int
    dropped: int
    store_mb: float


def measure(
    description: StudyDescription, workers: int, seconds: float, faults: Faults, store: Path
) -> Measured:
    """Launches a study on simulated workers."""
    cluster = MeasuredCluster(description, workers, seconds, faults)
    began = time.process_time()
    # Metrics are written every few seconds; here, of the simulated clock.
    with mock.patch.object(time, "monotonic", cluster.now):
        history = run_study(
            cluster, LaunchOptions(store=store, report=False), progress=NoProgress()
        )
    ended = time.process_time()
    assert sorted(trial.number for trial in history.ended) == list(range(description.trials))
    first, last = cluster.samples[0], cluster.samples[-1]
    return Measured(
        windows(cluster.samples, workers),
        description.trials,
        (last.seconds - first.seconds) / 3600,
        last.driver - first.driver,
        first.driver,
        ended - began - last.driver,
        cluster.figures.lost,
        cluster.figures.dropped,
        sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) / 1e6,
    )
