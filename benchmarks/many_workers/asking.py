"""Measures the cost of a proposal when a study has many trials, without running them."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from benchmarks.scale import SPACE, value_of
from studies.engines import EngineSettings, make_engine
from tracking.records import (
    BestEpoch,
    Objective,
    TrialRecord,
    TrialResult,
    TrialSpec,
)

_ASKED = 5


@dataclass(frozen=True)
class Asked:
    """The cost of a proposal by an engine that knows many trials.

    Attributes:
        trials: How many trials have ended.
        cpu_ms: CPU milliseconds of a proposal.
        memory_mb: Megabytes that the engine takes.
    """

    trials: int
    cpu_ms: float
    memory_mb: float


def ask(engine: str, trials: int, running: int) -> Asked:
    """Measures proposals of an engine that knows ended trials and running ones."""
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    asked = make_engine(
        EngineSettings(
            name="asked",
            engine=engine,
            pruner="none",
            space=SPACE,
            objective=_OBJECTIVE,
            epochs=5,
            seed=0,
        )
    )
    asked.restore([*_records(trials, running)], lambda trial: {})
    asked.ask()
    began = time.process_time()
    for _ in range(_ASKED):
        asked.ask()
    spent = time.process_time() - began
    gc.collect()
    return Asked(trials, spent / _ASKED * 1000, (process.memory_info().rss - before) / 1e6)


_OBJECTIVE = Objective("val_loss", "min")


def _records(trials: int, running: int) -> Iterator[TrialRecord]:
    """Yields trials that have ended, then some that run."""
    generator = random.Random(0)
    for number in range(trials + running):
        values = {
            **{f"rate_{i}": 10 ** generator.uniform(-4, 0) for i in range(6)},
            "kind": generator.choice("ab"),
            "units": generator.randint(4, 64),
        }
        spec = TrialSpec(number, 1, values, 0, 5, 32, 1, "0" * 64, _OBJECTIVE)
        trial = TrialRecord("run", spec, "running", None, {}, {}, "", 0)
        if number < trials:
            value = value_of(values)
            best = BestEpoch(5, value, {"val_loss": value})
            yield trial.with_result(TrialResult(number, "complete", 5, best))
        else:
            yield trial
