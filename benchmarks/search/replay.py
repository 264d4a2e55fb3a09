"""A search in simulated time: real engines propose and prune, a table answers."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.table import Table
from studies.definition import check_engine
from studies.engines import Engine, EngineSettings, make_engine
from tracking.records import BestEpoch, TrialResult, TrialState


@dataclass(frozen=True)
class Search:
    """An engine with a pruner, by their names at `kerastudy launch`."""

    engine: str
    pruner: str = "none"


@dataclass(frozen=True)
class Progress:
    """The best loss so far by time, in epochs of training, and the times at which trials ended."""

    times: NDArray[np.float64]
    losses: NDArray[np.float64]
    ends: NDArray[np.float64]

    def at(self, time: float) -> float:
        """Returns the best loss that was known at a time."""
        losses = self.losses[self.times <= time]
        return float(losses[-1]) if len(losses) else float("inf")

    def reaches(self, target: float) -> float:
        """Returns when the best loss was at most a target; infinity if never."""
        reached = self.times[self.losses <= target]
        return float(reached[0]) if len(reached) else float("inf")


@dataclass
class _Trial:
    number: int
    values: Mapping[str, Any]
    place: int
    steps: int
    step: int = 0
    losses: list[float] = field(default_factory=list)


def replay(
    table: Table,
    search: Search,
    seed: int,
    budget: float,
    fixed: float,
    workers: int = 1,
    trials: int | None = None,
) -> Progress:
    """Returns the progress of a search.

    Args:
        table: The table that answers the engine.
        search: The engine and the pruner.
        seed: The study's seed.
        budget: The time after which no trial begins, in epochs of training, summed over workers.
        fixed: The cost of a trial besides its epochs, in epochs.
        workers: How many trials train at once.
        trials: How many trials begin at most; None: as many as the budget allows.
    """
    steps = table.steps.shape[1]
    settings = EngineSettings(
        name="replay",
        engine=check_engine(search.engine),
        pruner=search.pruner,
        space=table.space,
        objective=table.objective,
        epochs=steps,
        seed=seed,
    )
    engine, sign = make_engine(settings), table.objective.sort_key(1.0)
    random = np.random.default_rng(seed)
    events: list[tuple[float, int, _Trial]] = []
    times, losses = [0.0], [float("inf")]
    ends: list[float] = []

    def begin(now: float) -> None:
        if now >= budget / workers or len(ends) + len(events) == trials:
            return
        trial = _proposed(engine, table, steps, random)
        if trial is not None:
            heapq.heappush(events, (now + fixed + 1, trial.number, trial))

    for _ in range(workers):
        begin(0.0)
    while events:
        now, _, trial = heapq.heappop(events)
        trial.step += 1
        loss = float(table.steps[trial.place, trial.step - 1])
        trial.losses.append(loss)
        prunes = engine.report(trial.number, trial.step, sign * loss)
        complete = trial.step == trial.steps
        # A cross-validated trial has a value once all folds are trained.
        if table.folds:
            loss = float(table.curves[trial.place].min()) if complete else float("inf")
        if loss < losses[-1]:
            times.append(now)
            losses.append(loss)
        if not prunes and not complete:
            heapq.heappush(events, (now + 1, trial.number, trial))
            continue
        curve = table.curves[trial.place] if table.folds else np.array(trial.losses)
        value = sign * float(curve.min())
        best = BestEpoch(int(curve.argmin()) + 1, value, {table.objective.metric: value})
        state: TrialState = "complete" if complete else "pruned"
        valued = complete or not table.folds
        result = TrialResult(trial.number, state, trial.step, best if valued else None)
        engine.tell(trial.number, result)
        ends.append(now)
        begin(now)
    return Progress(np.array(times), np.array(losses), np.array(ends))


def _proposed(
    engine: Engine, table: Table, steps: int, random: np.random.Generator
) -> _Trial | None:
    proposal = engine.ask()
    if proposal is None:
        return None
    return _Trial(
        proposal.number,
        proposal.values,
        table.place(proposal.values, random),
        proposal.epochs or steps,
    )
