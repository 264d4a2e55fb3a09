"""Many workers that train nothing, on a clock that runs only while somebody works.

The driver's CPU seconds are added to the clock: while it works, workers wait for it. Between two
events the clock jumps. What fails, and when, follows from a seed.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.many_workers.attempts import Attempts
from search_spaces import SearchSpace
from search_spaces.errors import StudyError, WorkerError
from studies.executors.executor_protocol_and_jobs import Handler
from tracking.records import (
    BestEpoch,
    Decision,
    EpochResult,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialState,
    TrialTask,
)

# The spread of the durations of trainings, and the share of a training after its last epoch.
_SPREAD, _END = 0.3, 0.02
_STATES: Mapping[Decision, TrialState] = {
    "continue": "complete",
    "prune": "pruned",
    "stop": "interrupted",
}


@dataclass(frozen=True)
class Faults:
    """How often something fails, and for how long.

    Attributes:
        dies: Share of trainings whose worker dies.
        silent: Share of trainings that count as lost though their worker runs on. Its further
            messages come late.
        twice: Share of messages that come twice.
        nodes: How many nodes are lost in an hour.
        noticed: Seconds until a loss is noticed.
        replaced: Seconds until a worker is replaced; a node takes as long.
        late: Seconds by which late messages are late.
        attempts: The attempts at a trial in which workers may fail. After a third loss, the trial
            would be infeasible.
    """

    dies: float = 0.0
    silent: float = 0.0
    twice: float = 0.0
    nodes: float = 0.0
    noticed: float = 5.0
    replaced: float = 20.0
    late: float = 60.0
    attempts: int = 2


@dataclass(eq=False)
class Worker:
    """A worker of a node, free since some time."""

    node: int
    free_since: float = 0.0


@dataclass(eq=False)
class Training:
    """A training on a worker.

    Attributes:
        task: The trial's task.
        worker: The worker that trains it.
        seconds: Duration of an epoch.
        fails_at: When its worker dies, or falls silent.
        silent: Whether the worker then falls silent, and does not die.
        random: Decides on its further events.
        epoch: Its last epoch.
        best: Its best epoch.
        lost: Whether its worker has died.
        later_fits: The fits of its job that follow.
    """

    task: TrialTask
    worker: Worker
    seconds: float
    fails_at: float
    silent: bool
    random: random.Random
    epoch: int
    best: BestEpoch | None = None
    lost: bool = False
    later_fits: Sequence[TrialTask] = ()

    @property
    def spec(self) -> TrialSpec:
        """Its trial."""
        return self.task.spec


@dataclass
class Figures:
    """The measured figures.

    Attributes:
        driver: CPU seconds of the driver.
        idle: Seconds that workers waited for a training.
        begun: How many trainings have begun.
        ended: How many have ended by a result that counts.
        lost: How many attempts were lost.
        dropped: How many messages came late, or a second time.
    """

    driver: float = 0.0
    idle: float = 0.0
    begun: int = 0
    ended: int = 0
    lost: int = 0
    dropped: int = 0


class SimulatedCluster:
    """An executor of simulated workers. See `Executor`.

    Args:
        description: The study.
        workers: How many workers there are.
        metrics: Returns the metrics of an epoch of a trial.
        seconds: Mean duration of a training.
        faults: How often something fails.
        seed: Decides on faults, and on the durations of trainings.
        on_node: Workers of a node.
        spent: Returns the CPU seconds of this process.

    Attributes:
        figures: The figures so far.
        clock: Simulated seconds, without those of the driver's present work.
    """

    environment: Mapping[str, str] = {"python": "3"}

    def __init__(
        self,
        description: StudyDescription,
        workers: int,
        metrics: Callable[[TrialSpec, int], Mapping[str, float]],
        *,
        seconds: float = 30.0,
        faults: Faults | None = None,
        seed: int = 0,
        on_node: int = 8,
        spent: Callable[[], float] = time.process_time,
    ) -> None:
        self.description = description
        self.figures = Figures()
        self._metrics, self._seconds = metrics, seconds
        self._faults, self._seed = faults or Faults(), seed
        self._random = random.Random(seed)
        self._free = [Worker(number // on_node) for number in reversed(range(workers))]
        self._nodes = (workers + on_node - 1) // on_node
        self._attempts = Attempts()
        self._trainings: dict[int, Training] = {}
        self._events: list[tuple[float, int, Callable[[Handler], None]]] = []
        self._order = itertools.count()
        # When the present event was due; the driver may have been at work then.
        self.clock, self._due, self._spent = 0.0, 0.0, spent
        # When the driver began its present work; None while it does not work.
        self._since: float | None = spent()
        if self._faults.nodes:
            self._after(self._until_next_node(), self._lose_node)

    def now(self) -> float:
        """Returns the simulated time, in seconds."""
        return self.clock + (0.0 if self._since is None else self._spent() - self._since)

    @property
    def free(self) -> int:
        return len(self._free)

    def submit(self, *fits: TrialTask) -> None:
        self._driver_rests()
        worker = self._free.pop()
        self.figures.idle += self.clock - worker.free_since
        self._begin(worker, fits)
        self._driver_works()

    def _begin(self, worker: Worker, fits: Sequence[TrialTask]) -> None:
        """Lets a worker train the first of some fits."""
        task, now = fits[0], self.clock
        spec = task.spec
        self.figures.begun += 1
        generator = random.Random(f"{self._seed} {spec.number} {spec.repeat} {spec.attempt}")
        whole = self._seconds * generator.lognormvariate(-(_SPREAD**2) / 2, _SPREAD)
        kind, at = generator.random(), generator.random()
        fails = kind < self._faults.dies + self._faults.silent
        fails = fails and spec.attempt <= self._faults.attempts
        training = Training(
            task,
            worker,
            whole / spec.epochs,
            now + at * whole * (1 + _END) if fails else float("inf"),
            kind >= self._faults.dies,
            generator,
            spec.epochs if self.is_infeasible(spec) else 0,
            later_fits=fits[1:],
        )
        self._attempts.begin(spec)
        self._trainings[id(training)] = training
        self._come_on(training)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        self._driver_rests()
        until = float("inf") if seconds is None else self.clock + seconds
        self.clock = max(self.clock, min(until, self._events[0][0] if self._events else until))
        # Later events wait for the driver's next call.
        due = []
        while self._events and self._events[0][0] <= self.clock:
            due.append(heapq.heappop(self._events))
        for self._due, _, happens in due:
            happens(handler)
        self._driver_works()

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        raise StudyError("no model here")

    def close(self) -> None:
        self._events.clear()

    def is_infeasible(self, spec: TrialSpec) -> bool:
        """Returns whether a training ends before its first epoch."""
        return False

    def ended(self, training: Training, result: TrialResult) -> TrialResult:
        """Returns the result that the driver gets of a training that counts."""
        return result

    def _driver_rests(self) -> None:
        if self._since is not None:
            worked = self._spent() - self._since
            self.clock, self._since = self.clock + worked, None
            self.figures.driver += worked

    def _driver_works(self) -> None:
        self._since = self._spent()

    @contextlib.contextmanager
    def _driver(self) -> Iterator[None]:
        self._driver_works()
        try:
            yield
        finally:
            self._driver_rests()

    def _after(self, seconds: float, happens: Callable[[Handler], None]) -> None:
        heapq.heappush(self._events, (self.clock + seconds, next(self._order), happens))

    def _come_on(self, training: Training) -> None:
        """Lets a training come to the end of its next epoch, or to its end."""
        ends = training.epoch >= training.spec.epochs
        seconds = training.seconds * (_END * training.spec.epochs if ends else 1)
        if training.fails_at <= self.clock + seconds:
            self._after(
                max(0.0, training.fails_at - self.clock) + self._faults.noticed,
                partial(self._lose, training),
            )
            training.fails_at = float("inf")
            if not training.silent:
                training.lost = True
                return
            seconds += self._faults.late
        if ends:
            self._after(seconds, partial(self._end, training, "continue"))
        else:
            self._after(seconds, partial(self._end_epoch, training))

    def _end_epoch(self, training: Training, handler: Handler) -> None:
        if training.lost:
            return
        spec = training.spec
        training.epoch += 1
        metrics = self._metrics(spec, training.epoch)
        value = metrics[spec.objective.metric]
        if training.best is None or spec.objective.is_better(value, training.best.value):
            training.best = BestEpoch(training.epoch, value, metrics)
        seconds = training.seconds * training.epoch
        epoch = EpochResult(spec.number, training.epoch, metrics, seconds, spec.repeat)
        if not self._attempts.counts(spec):
            self.figures.dropped += 1
        with self._driver():
            decision = self._attempts.epoch(spec, epoch, handler)
        if self._comes_twice(training):
            later = training.random.random() * self._seconds
            self._after(later, partial(self._epoch_again, training, epoch))
        if decision == "continue":
            self._come_on(training)
        else:
            self._end(training, decision, handler)

    def _epoch_again(self, training: Training, epoch: EpochResult, handler: Handler) -> None:
        self.figures.dropped += 1
        self._attempts.epoch(training.spec, epoch, handler)

    def _end(self, training: Training, decision: Decision, handler: Handler) -> None:
        if training.lost:
            return
        spec = training.spec
        del self._trainings[id(training)]
        if not self._attempts.end(spec):
            self._release(training.worker)
            self.figures.dropped += 1
            return
        result = self.ended(
            training,
            TrialResult(
                spec.number,
                _STATES[decision],
                epochs=training.epoch,
                best=training.best,
                seconds=training.seconds * training.epoch,
                repeat=spec.repeat,
                unsaved="not trained",
            ),
        )
        goes_on = training.later_fits and result.state == "complete"
        if not goes_on:
            self._release(training.worker)
        with self._driver():
            handler.on_result(result)
        if goes_on:
            self._begin(training.worker, training.later_fits)
        self.figures.ended += 1
        if self._comes_twice(training):
            later = training.random.random() * self._seconds
            self._after(later, partial(self._end_again, training, result))

    def _end_again(self, training: Training, result: TrialResult, handler: Handler) -> None:
        self.figures.dropped += 1
        if self._attempts.end(training.spec):
            handler.on_result(result)

    def _lose(self, training: Training, handler: Handler, machine_gone: bool = False) -> None:
        """Treats a worker that does not answer as dead."""
        if training.lost and self._trainings.pop(id(training), None) is not None:
            self._return(training.worker)
        if self._attempts.end(training.spec):
            self.figures.lost += 1
            with self._driver():
                error = WorkerError("the worker does not answer", machine_gone=machine_gone)
                handler.on_lost(training.spec, error)

    def _lose_node(self, handler: Handler) -> None:
        """Loses all workers of a node."""
        self._after(self._until_next_node(), self._lose_node)
        node = self._random.randrange(self._nodes)
        there = [training for training in self._trainings.values() if training.worker.node == node]
        gone = [worker for worker in self._free if worker.node == node]
        self._free = [worker for worker in self._free if worker.node != node]
        for worker in gone:
            self._return(worker)
        for training in there:
            if not training.lost:
                training.lost, training.fails_at = True, float("inf")
                self._after(self._faults.noticed, partial(self._lose, training, machine_gone=True))

    def _return(self, worker: Worker) -> None:
        self._after(self._faults.replaced, lambda handler: self._release(worker))

    def _release(self, worker: Worker) -> None:
        worker.free_since = self._due
        self._free.append(worker)

    def _until_next_node(self) -> float:
        return self._random.expovariate(self._faults.nodes / 3600)

    def _comes_twice(self, training: Training) -> bool:
        return training.random.random() < self._faults.twice
