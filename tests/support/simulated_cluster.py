"""A cluster whose nodes train nothing, on a simulated clock: for `RayPool`, without Ray."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scripted import loss, write_checkpoint

from search_spaces.errors import WorkerError
from studies.executors.executor import Handler
from studies.executors.messages import Failed, Loaded
from studies.executors.pool import with_something_to_say
from studies.executors.ray.carrying import Sent, Written
from studies.executors.ray.data import DataOnce
from studies.executors.ray.hosting import Begun
from studies.executors.ray.pool import RayPool
from studies.executors.ray.remote import RemoteProcess
from studies.executors.ray.stragglers import Stragglers
from studies.executors.worker import WorkerExecutor
from studies.user_code.targets import Target
from tracking.records import (
    BestEpoch,
    EpochResult,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)

_MOST_SECONDS = 100_000


@dataclass
class Node:
    """A node of the cluster.

    Attributes:
        name: Its name.
        seconds: Seconds that an epoch takes; infinite: it never ends.
        start: Seconds until a training's first epoch begins.
        hardware: Its class of hardware.
        metrics: Changes the objective's value after an epoch.
        fails: Tells whether a training is infeasible after an epoch.
        dies: Tells whether a worker dies in an epoch.
        concludes: Whether a training reports its last epoch twice, as a HyperModel's own `fit` may.
    """

    name: str
    seconds: Callable[[TrialSpec, int], float] = lambda spec, epoch: 1.0
    start: float = 1.0
    hardware: str = "x"
    metrics: Callable[[float, int], float] = lambda value, epoch: value
    fails: Callable[[TrialSpec, int], bool] = lambda spec, epoch: False
    dies: Callable[[TrialSpec, int], bool] = lambda spec, epoch: False
    concludes: bool = False


@dataclass
class Clock:
    """What happens, and when."""

    now: float = 0.0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: Any = field(default_factory=itertools.count)

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        """Lets something happen, unless it never does."""
        if seconds < math.inf:
            heapq.heappush(self._events, (self.now + seconds, next(self._order), happens))

    def step(self) -> None:
        """Lets the next thing happen, or half a second pass."""
        assert self.now < _MOST_SECONDS, "it hangs"
        if not self._events or self._events[0][0] > self.now + 0.5:
            self.now += 0.5
            return
        self.now, _, happens = heapq.heappop(self._events)
        happens()


class Actor:
    """An actor, as `RemoteProcess` sees it. It resumes trainings, and writes files, as a worker."""

    def __init__(self, node: Node, clock: Clock, description: StudyDescription, folder: Path):
        self.node, self._clock, self._folder = node, clock, folder
        self._items: list[object] = []
        self._asked: Future[Any] | None = None
        self._error: Exception | None = None
        self._task: TrialTask | None = None
        self._epoch, self._best, self._old = 0, None, 0
        self.next, self.send, self.data, self.end = (
            SimpleNamespace(remote=each)
            for each in (self._next, self._take, lambda about: None, lambda: None)
        )
        self._put(Begun(f"the node {node.name}", node.name))
        loaded = Loaded(description, {"python": "3"})
        clock.after(node.start, lambda: self._put(loaded))

    def die(self) -> None:
        """Ends, as a killed one does."""
        self._error = RuntimeError("killed")
        if self._asked is not None:
            asked, self._asked = self._asked, None
            asked.set_exception(self._error)

    def _next(self) -> Any:
        self._asked = Future()
        found = SimpleNamespace(future=lambda asked=self._asked: asked)
        self._answer()
        return found

    def _put(self, item: object) -> None:
        self._items.append(item)
        self._answer()

    def _answer(self) -> None:
        if self._items and self._asked is not None and self._error is None:
            items, self._items = self._items, []
            asked, self._asked = self._asked, None
            asked.set_result(items)

    def _take(self, sent: Sent) -> None:
        message = sent.message
        if isinstance(message, TrialTask):
            self._task, self._best, self._concluded = message, None, False
            spec = message.spec
            origin = sent.files.get("origin")
            self._epoch = spec.initial_epoch if origin or not spec.initial_epoch else 0
            self._old = int(sent.files.get("state", b"0").split()[0])
            self._clock.after(self.node.start, self._go_on)
        elif message == "continue" and self._task is not None:
            if self._epoch >= self._task.spec.epochs:
                if self.node.concludes and not self._concluded:
                    self._concluded = True
                    self._end_epoch(self._task, self._epoch)
                else:
                    self._conclude("complete")
                return
            if self._epoch >= self._old:
                self._put_state()
            self._go_on()
        elif message in ("prune", "stop"):
            self._conclude("pruned" if message == "prune" else "interrupted")
        else:
            self._put(Failed("a simulated study has no model"))

    def _go_on(self) -> None:
        assert self._task is not None
        self._epoch += 1
        task, epoch = self._task, self._epoch
        seconds = 0.0 if epoch <= self._old else self.node.seconds(task.spec, epoch)
        self._clock.after(seconds, lambda: self._end_epoch(task, epoch))

    def _end_epoch(self, task: TrialTask, epoch: int) -> None:
        if self._error is not None:
            return
        spec = task.spec
        if self.node.dies(spec, epoch):
            self.die()
            return
        if self.node.fails(spec, epoch):
            self._task = None
            failed = TrialResult(spec.number, "infeasible", reason="no disk", repeat=spec.repeat)
            self._put(failed)
            return
        metrics = {"val_loss": self.node.metrics(loss(spec, epoch), epoch)}
        if self._best is None or metrics["val_loss"] < self._best.value:
            self._best = BestEpoch(epoch, metrics["val_loss"], metrics)
        if epoch <= spec.initial_epoch:
            self._go_on()
            return
        self._put(EpochResult(spec.number, epoch, metrics, 0.0, spec.repeat))

    def _conclude(self, state: str) -> None:
        task, self._task = self._task, None
        assert task is not None
        spec, best, digest = task.spec, self._best, ""
        if state != "interrupted" and best is not None and task.may_stay(best):
            path = self._folder / f"{self.node.name}.weights.h5"
            digest = write_checkpoint(path, spec)
            self._put(Written({"checkpoint": path.read_bytes()}))
        self._put_state()
        self._put(
            TrialResult(
                spec.number,
                state,  # type: ignore[arg-type]
                epochs=self._epoch,
                best=best,
                weights_sha256=hashlib.sha256(f"{best}".encode()).hexdigest(),
                seconds=0.5,
                checkpoint_sha256=digest,
                trainer="plain",
                repeat=spec.repeat,
            )
        )

    def _put_state(self) -> None:
        """A state says who wrote it."""
        self._put(Written({"state": f"{self._epoch} {self.node.name}".encode()}))


class SimulatedProcess(RemoteProcess):
    """A worker on a simulated node."""

    def kill(self) -> None:
        self._actor.die()

    def end(self) -> None:
        with suppress(Exception):
            self._close()
        self._arrived.close()


class SimulatedCluster(RayPool):
    """A pool of one worker on each of some nodes.

    Args:
        description: The study.
        nodes: The nodes.
        folder: For files.
        copies: Whether slow trainings are begun on a second worker.

    Attributes:
        clock: Its clock.
        said: Messages for the user.
    """

    def __init__(
        self, description: StudyDescription, nodes: list[Node], folder: Path, copies: bool = True
    ) -> None:
        self.clock, self.said = Clock(), []
        (folder / "shared").mkdir(parents=True)

        def started(node: Node) -> WorkerExecutor:
            named = StudyDescription(**{**vars(description), "hardware": node.hardware})

            def process(load: object) -> SimulatedProcess:
                actor = lambda: Actor(node, self.clock, named, folder)  # noqa: E731
                return SimulatedProcess(actor, self.said.append, lost, DataOnce("", 0))

            return WorkerExecutor(Target(str(folder)), shared=folder / "shared", start=process)

        def lost(error: Exception, node: str) -> WorkerError:
            return WorkerError(f"{node} is gone", killed=True, machine_gone=True)

        workers = [started(node) for node in nodes]
        super().__init__(workers, self.said.append, lambda node: None, any_hardware=True)
        self._stragglers = Stragglers(self.said.append, lambda: self.clock.now)
        if not copies:
            self._stragglers.look = lambda workers, study: None  # type: ignore[method-assign]
        while self._loaded is None or any(worker.loading for worker in workers):
            self.clock.step()
            for worker in with_something_to_say(workers, 0.0):
                worker.take_loaded()
            self._loaded = workers[0]._loaded

    @property
    def begun_again(self) -> list[str]:
        """What was said of trainings that were begun on a second worker."""
        return [line for line in self.said if "begun on" in line]

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        if not with_something_to_say(self._workers, 0.0):
            self.clock.step()
        super().wait(handler, 1e-6)

    def run(self, handler: Handler, ended: Callable[[], bool]) -> None:
        """Waits until something holds."""
        while not ended():
            self.wait(handler)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
