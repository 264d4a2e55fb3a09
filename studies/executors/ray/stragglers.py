"""Begins trainings on slow nodes on a second worker too, when the driver has no work for it.

Each epoch, and the result, goes to the driver once, from the worker that sends it first. Its answer
is kept, and given to the other. What the other sends must be equal, or its training stops. Only the
files of the worker that is ahead go to the driver's disk; see `RemoteProcess.hold`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from search_spaces.errors import WorkerError
from studies.executors.executor import Handler
from studies.executors.pool import with_something_to_say
from studies.executors.ray.paces import Paces, Runner
from studies.executors.ray.remote import RemoteProcess
from studies.executors.worker import WorkerExecutor
from studies.executors.worker_process import OnOutput
from tracking.records import (
    Decision,
    EpochResult,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)

# A second worker must need less than this part of the time that is left; and save some seconds, as
# a study's files are sent to it.
_PART = 0.5
_LEAST_SECONDS = 2.0
_SECONDS_BETWEEN_LOOKS = 1.0
# In all: the second worker may be slow too, or die.
_MOST_TIMES = 3


@dataclass
class _Training:
    """A training that runs, on one worker or on more.

    Attributes:
        task: What was submitted.
        first: The worker that it was submitted to.
        runners: The workers whose messages count.
        ahead: The one whose files go to the driver's disk.
        epochs: Each epoch's first report, who sent it, and the driver's answer.
        result: The result that counted.
        times: How often it was begun.
    """

    task: TrialTask
    first: WorkerExecutor
    runners: dict[WorkerExecutor, Runner]
    ahead: WorkerExecutor
    epochs: dict[int, tuple[EpochResult, WorkerExecutor, Decision]] = field(default_factory=dict)
    result: TrialResult | None = None
    times: int = 1


class Stragglers:
    """The trainings that run on a pool's workers; begins slow ones on a second worker.

    Args:
        say: Takes messages for the user.
        now: The present time, in seconds.
    """

    def __init__(self, say: OnOutput, now: Callable[[], float] = time.monotonic) -> None:
        self._say, self._now = say, now
        self._paces = Paces()
        # A worker is here until its training has ended, though it may count no more.
        self._on: dict[WorkerExecutor, _Training] = {}
        self._next_look = now()

    def begin(self, worker: WorkerExecutor, task: TrialTask) -> None:
        """Notes that a worker begins a training; again, if it had to be replaced first."""
        runner = Runner(self._now())
        self._on[worker] = _Training(task, worker, {worker: runner}, worker)

    def forget(self, worker: WorkerExecutor) -> None:
        """Forgets a worker that is not in use any more."""
        self._on.pop(worker, None)

    def begins_late(self, worker: WorkerExecutor) -> None:
        """Notes that a worker begins its training only now, as it had to be replaced."""
        if worker in self._on:
            self.begin(worker, self._on[worker].task)

    def handler(self, worker: WorkerExecutor, handler: Handler) -> Handler:
        """Returns what a worker's messages are to be given to."""
        return _Once(self, worker, handler) if worker in self._on else handler

    def look(self, workers: Sequence[WorkerExecutor], study: StudyDescription) -> None:
        """Begins slow trainings on free workers too, if those have nothing else to do.

        A HyperModel's own `fit` and an objective function may do more than train: they don't run
        twice at once.
        """
        now = self._now()
        free = [worker for worker in workers if worker.free]
        if now < self._next_look or not free or not study.goes_on or study.objective_function:
            return
        at_work = [worker for worker in workers if not worker.free]
        # All messages must be read: this process may have been stopped for a while.
        if not at_work or with_something_to_say(at_work, 0.0):
            return
        self._next_look = now + _SECONDS_BETWEEN_LOOKS
        running = {
            id(training): (self._seconds_left(training, now), training)
            for training in self._on.values()
            if training.result is None and training.times < _MOST_TIMES
        }
        for seconds, training in sorted(running.values(), key=lambda each: -each[0]):
            worker = self._another_worker(training, seconds, free)
            if worker is not None:
                free.remove(worker)
                self._begin_again(training, worker, seconds, now)

    def take_epoch(self, worker: WorkerExecutor, epoch: EpochResult, handler: Handler) -> Decision:
        """Passes an epoch on, once; returns the driver's answer."""
        training = self._on[worker]
        runner = training.runners.get(worker)
        if runner is None or training.result is not None:
            return "stop"
        runner.take_epoch(epoch.epoch, self._now())
        if (reported := training.epochs.get(epoch.epoch)) is not None:
            before, reporter, decision = reported
            if reporter is not worker:
                if _bits(before.metrics) == _bits(epoch.metrics):
                    return decision
                self._differs(training, f"epoch {epoch.epoch}")
                self._leave(training, worker)
                return "stop"
        decision = handler.on_epoch(epoch)
        training.epochs[epoch.epoch] = epoch, worker, decision
        _lead(training, worker)
        return decision

    def take_result(self, worker: WorkerExecutor, result: TrialResult, handler: Handler) -> None:
        """Passes the first result on."""
        training = self._on.pop(worker)
        counted = training.result
        if counted is not None:
            both = {"complete", "pruned"} >= {counted.state, result.state}
            if both and counted.weights_sha256 != result.weights_sha256:
                self._differs(training, "its result")
            return
        runner = training.runners.get(worker)
        if runner is None:
            return
        if len(training.runners) > 1 and worker is not training.first and _failed(result):
            # It may be the node's fault: the first worker finds out.
            self._leave(training, worker)
            return
        _lead(training, worker)
        training.result = result
        for other in training.runners:
            if other is not worker:
                _process(other).hold()
        if result.state in ("complete", "pruned") and runner.whole:
            self._paces.add(training.task, _process(worker).node_id, runner)
        handler.on_result(result)

    def take_loss(self, worker: WorkerExecutor, reason: str) -> bool:
        """Takes the loss of a worker; returns whether its training is lost."""
        training = self._on.pop(worker)
        if training.result is not None or worker not in training.runners:
            return False
        if len(training.runners) == 1:
            return True
        self._leave(training, worker)
        number, where = training.task.spec.number, _process(training.ahead).node
        self._say(f"trial {number}: {reason}; it runs on {where} too")
        return False

    def _seconds_left(self, training: _Training, now: float) -> float:
        """Returns the seconds that a training will take on its fastest worker; 0 if unknown."""
        typical, spec = self._paces.typical(training.task), training.task.spec
        if typical is None:
            return 0.0
        return min(each.seconds_left(spec, typical, now) for each in training.runners.values())

    def _another_worker(
        self, training: _Training, seconds: float, free: Sequence[WorkerExecutor]
    ) -> WorkerExecutor | None:
        """Returns the free worker that will finish a training first, if it is worth it."""
        spec, there = training.task.spec, training.ahead
        nodes = {"", *(_process(each).node_id for each in training.runners)}
        found: list[tuple[float, bool, int]] = []
        for number, worker in enumerate(free):
            node = _process(worker).node_id
            alike = worker.description.hardware == there.description.hardware
            typical = self._paces.typical(training.task, node)
            if node in nodes or not alike or typical is None:
                continue
            left = spec.epochs - max(spec.initial_epoch, _process(there).saved)
            needs = typical.start + left * typical.epoch
            if needs < seconds * _PART and seconds - needs >= _LEAST_SECONDS:
                found.append((needs, not worker.has_trained_like(spec), number))
        return free[min(found)[-1]] if found else None

    def _begin_again(
        self, training: _Training, worker: WorkerExecutor, seconds: float, now: float
    ) -> None:
        """Begins a training on another worker too, from its last state."""
        worker.submit(training.task)
        if worker.waits:
            # It has died.
            worker.withdraw()
            return
        _process(worker).hold()
        training.times += 1
        training.runners[worker] = Runner(now, whole=False)
        self._on[worker] = training
        self._say(
            f"trial {training.task.spec.number} may take {seconds:.0f} s more on "
            f"{_process(training.ahead).node}: begun on {_process(worker).node} too, and the first "
            "to finish counts"
        )

    def _leave(self, training: _Training, worker: WorkerExecutor) -> None:
        """Lets a worker's messages count no more; the others' do."""
        del training.runners[worker]
        if training.ahead is worker:
            training.ahead = max(training.runners, key=lambda each: training.runners[each].epoch)
            _process(training.ahead).release(training.task)
        _process(worker).hold()

    def _differs(self, training: _Training, what: str) -> None:
        training.times = _MOST_TIMES
        self._say(
            f"trial {training.task.spec.number}: {what} differs between two nodes, so it can't be "
            "reproduced; the first one counts"
        )


class _Once:
    """A `Handler` that passes a worker's messages on, unless another's have come before."""

    def __init__(self, stragglers: Stragglers, worker: WorkerExecutor, handler: Handler) -> None:
        self._stragglers, self._worker, self._handler = stragglers, worker, handler

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """See `Handler`."""
        return self._stragglers.take_epoch(self._worker, epoch, self._handler)

    def on_result(self, result: TrialResult) -> None:
        """See `Handler`."""
        self._stragglers.take_result(self._worker, result, self._handler)

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """See `Handler`."""
        if self._stragglers.take_loss(self._worker, str(error)):
            self._handler.on_lost(spec, error)


def _lead(training: _Training, worker: WorkerExecutor) -> None:
    """Lets a worker's files go to the driver's disk, and no more the other one's."""
    if training.ahead is not worker:
        _process(training.ahead).hold()
        _process(worker).release(training.task)
        training.ahead = worker


def _failed(result: TrialResult) -> bool:
    """Returns whether a training ended by itself as it should not."""
    return result.state != "interrupted" and (result.state == "infeasible" or bool(result.reason))


def _bits(metrics: Mapping[str, float]) -> str:
    """Returns a text that is equal if all values are, NaN too."""
    return repr(sorted(metrics.items()))


def _process(worker: WorkerExecutor) -> RemoteProcess:
    return cast(RemoteProcess, worker.process)
